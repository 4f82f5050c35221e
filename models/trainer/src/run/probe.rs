//! How much of the selection changes: the run's first batch is ranked again now and then, by the model as it is then, and
//! compared with the time before. The same tokens each time, so that what changes is the model alone; a run of one epoch
//! has no other tokens that it sees twice. A bit for each token of the batch is remembered.

/// What was kept of the first batch when it was ranked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    kept: Option<Vec<bool>>,
}

impl Probe {
    /// From what [`bytes`](Self::bytes) gave.
    pub fn from_bytes(bytes: &[u8], tokens: usize) -> Self {
        let bit = |i: usize| bytes.get(i / 8).is_some_and(|b| b >> (i % 8) & 1 == 1);
        Self {
            kept: (bytes.len() == tokens.div_ceil(8)).then(|| (0..tokens).map(bit).collect()),
        }
    }

    /// As bits, eight in a byte, the first the lowest; none before it was ranked.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref()?;
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |b, &bit| b << 1 | u8::from(bit));
        Some(kept.chunks(8).map(byte).collect())
    }

    /// Takes up a ranking. The answer is the share of the tokens kept before that are not kept any more; none the first
    /// time, and where none was kept.
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
