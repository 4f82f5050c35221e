//! The naive head in f64, which every faster version must agree with.

use rho_graph::{GraphError, Head, Layout, Step};

use super::top::Candidates;
use crate::Top;

/// Loss, entropy and log-probabilities, in nats, of rows of hidden states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowScores {
    /// `-ln p[target]`, one per row.
    pub loss: Vec<f32>,
    /// `-sum p ln p`, one per row.
    pub entropy: Vec<f32>,
    /// The most likely tokens of each row; empty if none were requested.
    pub top: Top,
}

/// Loss and entropy of one row of logits.
pub fn of_logits(logits: &[f32], target: usize) -> (f32, f32) {
    Softmax::of(logits).scores(logits[target])
}

/// The sums over a row of logits.
pub(crate) struct Softmax {
    max: f64,
    /// ln Σ exp(x - max).
    log_sum: f64,
    /// Σ p (x - max).
    mean: f64,
}

impl Softmax {
    pub(crate) fn of(logits: &[f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) as f64;
        let (mut sum, mut weighted) = (0.0f64, 0.0f64);
        for &logit in logits {
            let shifted = f64::from(logit) - max;
            let e = shifted.exp();
            sum += e;
            // A logit of minus infinity has probability 0 and adds nothing; NaN must stay NaN.
            if e != 0.0 {
                weighted += e * shifted;
            }
        }
        Self {
            max,
            log_sum: sum.ln(),
            mean: weighted / sum,
        }
    }

    /// Loss and entropy, if the target has this logit.
    pub(crate) fn scores(&self, target: f32) -> (f32, f32) {
        (
            (self.log_sum - (f64::from(target) - self.max)) as f32,
            (self.log_sum - self.mean) as f32,
        )
    }

    /// The `count` most likely tokens; the logits are those of the sums.
    pub(crate) fn top(&self, logits: &[f32], count: usize) -> Top {
        let mut candidates = Candidates::new(count);
        for (token, &logit) in (0..).zip(logits) {
            if !candidates.is_full() || logit > candidates.least() {
                candidates.offer(token, logit);
            }
        }
        let mut top = Top::default();
        candidates.finish(self.max, self.log_sum, &mut top);
        top
    }
}

/// Scores `targets.len()` rows of `hidden` (`[rows, hidden_size]`), a full row of logits at a time.
///
/// # Errors
/// If the head's weights cannot be read as floats.
pub fn score(head: &Head, hidden: &[f32], targets: &[u32]) -> Result<RowScores, GraphError> {
    let mut scores = RowScores::default();
    for (logits, &target) in rows(head, hidden)?.iter().zip(targets) {
        let (loss, entropy) = of_logits(logits, target as usize);
        scores.loss.push(loss);
        scores.entropy.push(entropy);
    }
    Ok(scores)
}

/// The `count` most likely tokens of each row of `hidden`: sorts all tokens.
///
/// # Errors
/// If the head's weights cannot be read as floats.
pub fn top(head: &Head, hidden: &[f32], count: usize) -> Result<Top, GraphError> {
    let mut top = Top::default();
    for logits in rows(head, hidden)? {
        let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
        // A stable sort: of equal logits, the lowest tokens stay first.
        tokens.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        let logit = |token: u32| f64::from(logits[token as usize]);
        let max = tokens.first().map_or(0.0, |&token| logit(token));
        let sum: f64 = tokens.iter().map(|&token| (logit(token) - max).exp()).sum();
        for &token in &tokens[..count] {
            top.ids.push(token);
            top.logprobs.push((logit(token) - max - sum.ln()) as f32);
        }
    }
    Ok(top)
}

/// The logits of each row of hidden states.
fn rows(head: &Head, hidden: &[f32]) -> Result<Vec<Vec<f32>>, GraphError> {
    let weights = head.weights.to_f32()?;
    let row = |x| -> Vec<f32> {
        // Zeros have one sign, so that equal logits compare as equal in every order.
        let all = (0..head.vocabulary).map(|v| logit(head, &weights, x, v) as f32 + 0.0);
        all.collect()
    };
    Ok(hidden.chunks_exact(head.hidden).map(row).collect())
}

fn logit(head: &Head, weights: &[f32], x: &[f32], v: usize) -> f64 {
    let weight = |k: usize| match head.layout {
        Layout::HiddenFirst => weights[k * head.vocabulary + v],
        Layout::VocabularyFirst => weights[v * head.hidden + k],
    };
    let product = x
        .iter()
        .enumerate()
        .map(|(k, &x)| f64::from(x) * f64::from(weight(k)))
        .sum();
    head.steps.iter().fold(product, |z: f64, step| match step {
        Step::Scale(by) => z * f64::from(*by),
        Step::Shift(by) => z + f64::from(*by),
        Step::Bias(bias) => z + f64::from(bias[v]),
        Step::Tanh => z.tanh(),
    })
}
