//! The most likely tokens of a row of logits, gathered while the logits arrive in ascending order of their tokens.

use crate::Top;

/// The most likely tokens of a row so far.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    /// Logits and tokens, the greatest logit first; of equal ones, the lowest token.
    entries: Vec<(f32, u32)>,
    count: usize,
    /// The last entry's logit, once there are enough.
    least: f32,
}

impl Candidates {
    /// Gathers `count` tokens, at least one.
    pub(super) fn new(count: usize) -> Self {
        Self {
            entries: Vec::with_capacity(count),
            count,
            least: f32::NEG_INFINITY,
        }
    }

    /// Whether only a logit above [`least`](Self::least) can enter.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() == self.count
    }

    /// The lowest logit of a full list.
    #[inline(always)]
    pub(super) fn least(&self) -> f32 {
        self.least
    }

    /// Takes the next token's logit. A NaN never enters; minus infinity does while there is room.
    pub(super) fn offer(&mut self, token: u32, logit: f32) {
        let full = self.is_full();
        if logit.is_nan() || full && logit <= self.least {
            return;
        }
        if full {
            self.entries.pop();
        }
        // Behind its equals, whose tokens are lower.
        let at = self.entries.partition_point(|(other, _)| *other >= logit);
        self.entries.insert(at, (logit, token));
        if self.is_full()
            && let Some((least, _)) = self.entries.last()
        {
            self.least = *least;
        }
    }

    /// Appends the tokens to `top`. The probability of a logit `x` is `exp(x - max - log_sum)`.
    pub(super) fn finish(&self, max: f64, log_sum: f64, top: &mut Top) {
        for &(logit, token) in &self.entries {
            top.ids.push(token);
            // Subtract the large numbers first. It is minus the loss of that token, to the bit.
            top.logprobs.push((f64::from(logit) - max - log_sum) as f32);
        }
        // Among NaNs there are too few; such a row has no scores either.
        for _ in self.entries.len()..self.count {
            top.ids.push(0);
            top.logprobs.push(f32::NAN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_keep_the_lowest_tokens() {
        let mut candidates = Candidates::new(3);
        let infinite = f32::NEG_INFINITY;
        for (token, logit) in (0..).zip([infinite, 1.0, f32::NAN, 2.0, 1.0, 2.0, 2.0, 1.0]) {
            candidates.offer(token, logit);
        }
        assert_eq!(candidates.entries, [(2.0, 3), (2.0, 5), (2.0, 6)]);
        let mut few = Candidates::new(3);
        for (token, logit) in (0..).zip([infinite, f32::NAN, infinite, 0.0, infinite]) {
            few.offer(token, logit);
        }
        assert_eq!(few.entries, [(0.0, 3), (infinite, 0), (infinite, 2)]);
        let mut top = Top::default();
        few.finish(0.0, 0.0, &mut top);
        assert_eq!(top.logprobs, [0.0, infinite, infinite]);
    }
}
