//! How much the selection changes: the run's first batch is periodically ranked again by the current model and
//! compared with the previous ranking. The tokens are the same each time, so only the model changes; a run of one
//! epoch sees no other tokens twice. Stores one bit for each token of the batch.

/// The last selection of the first batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    kept: Option<Vec<bool>>,
}

impl Probe {
    /// From the result of [`bytes`](Self::bytes).
    pub fn from_bytes(bytes: &[u8], tokens: usize) -> Self {
        let bit = |i: usize| bytes.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
        Self {
            kept: (bytes.len() == tokens.div_ceil(8)).then(|| (0..tokens).map(bit).collect()),
        }
    }

    /// The selection as bits, eight per byte, lowest bit first; `None` before the first ranking.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref()?;
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |b, &bit| b << 1 | u8::from(bit));
        Some(kept.chunks(8).map(byte).collect())
    }

    /// Stores a selection. Returns the share of the previously kept tokens that are no longer kept; `None` the first
    /// time, and if none was kept.
    pub fn rank(&mut self, kept: Vec<bool>) -> Option<f64> {
        let changed = self.kept.as_ref().and_then(|before| {
            let were = before.iter().filter(|kept| **kept).count();
            let gone = before.iter().zip(&kept).filter(|(b, n)| **b && !**n);
            (were > 0).then(|| gone.count() as f64 / were as f64)
        });
        self.kept = Some(kept);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_gone_and_remembers_it_as_bits() {
        let mut probe = Probe::default();
        assert_eq!(probe.bytes(), None);
        let first: Vec<bool> = (0..20).map(|i| i % 2 == 0).collect();
        assert_eq!(probe.rank(first.clone()), None);
        let bytes = probe.bytes().unwrap();
        assert_eq!(bytes, [0x55, 0x55, 0x05]);
        let mut again = Probe::from_bytes(&bytes, 20);
        assert_eq!(again, probe);
        let mut second = first.clone();
        (second[0], second[1], second[4]) = (false, true, false);
        assert_eq!(again.rank(second), Some(0.2));
        assert_eq!(Probe::from_bytes(&bytes, 99), Probe::default());
    }
}
