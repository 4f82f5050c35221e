//! Packs documents into sequences of one length, window by window: best fit, longest first (`rho_selection::pack`).
//!
//! A document that fits is never cut. A longer one is cut into parts of the full length. Each part begins with the
//! last token of the part before, as context and not as a target, so that every token is a target once. Only the last
//! part shares its sequence with others. The parts of a sequence are in the order of the documents, and the sequences
//! of a window are in the order of their first parts. The rest of a sequence is padding.
//!
//! Memory: a window of documents. Windows restart at each shard, and end with the document that fills them. So
//! sequences do not depend on record batches, threads or interruptions.

use rho_selection::pack;

use super::{alignment::Targets, documents::Document};

/// Tokens of a window. The document that reaches this number completes it.
const WINDOW: usize = 1 << 22;

/// Accept any amount of padding: cutting documents to fill gaps would cost context.
const ANY_PADDING: f64 = 1.0;

/// Consecutive tokens of one document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DocumentPart<'a> {
    pub(super) ids: &'a [i32],
    /// The first token is never a target, whatever its entry.
    pub(super) chosen: Targets<'a>,
}

/// Collects documents and packs them.
pub(super) struct Packer {
    length: usize,
    ids: Vec<i32>,
    /// A bit is stored as 0 or 1.
    weights: Vec<f32>,
    ends: Vec<usize>,
}

impl Packer {
    /// For sequences of `length` tokens, at least two.
    pub(super) fn new(length: usize) -> Self {
        Self {
            length,
            ids: Vec::new(),
            weights: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a document.
    pub(super) fn add(&mut self, document: &Document<'_>) {
        self.ids.extend_from_slice(document.input_ids);
        document.chosen.weights(&mut self.weights);
        self.ends.push(self.ids.len());
    }

    /// Whether the window must be packed before the next document is added.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= WINDOW
    }

    /// Packs the window and empties it. `each` takes the parts of a sequence and its number of padding tokens.
    pub(super) fn pack<E>(
        &mut self,
        mut each: impl FnMut(&[DocumentPart<'_>], usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let begin = |document: usize| document.checked_sub(1).map_or(0, |i| self.ends[i]);
        let lengths = (0..self.ends.len()).map(|i| (i, self.ends[i] - begin(i)));
        let mut rows = pack(lengths, self.length, ANY_PADDING).rows;
        for row in &mut rows {
            row.sort_by_key(|part| (part.document, part.start));
        }
        rows.sort_by_key(|row| row.first().map(|part| (part.document, part.start)));
        let mut parts = Vec::new();
        for row in &rows {
            parts.clear();
            parts.extend(row.iter().map(|part| {
                let at = begin(part.document) + part.start;
                DocumentPart {
                    ids: &self.ids[at..at + part.length],
                    chosen: Targets::Weights(&self.weights[at..at + part.length]),
                }
            }));
            let tokens: usize = row.iter().map(|part| part.length).sum();
            each(&parts, self.length - tokens)?;
        }
        self.ids.clear();
        self.weights.clear();
        self.ends.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document<'a>(ids: &'a [i32], mask: &'a [bool]) -> Document<'a> {
        Document {
            id: "",
            shard: "",
            row: 0,
            token_hash: 0,
            input_ids: ids,
            chosen: Targets::Mask(mask),
        }
    }

    /// The sequences, with (ids, targets) of each part.
    fn packed(
        documents: &[(Vec<i32>, Vec<bool>)],
        length: usize,
    ) -> Vec<Vec<(Vec<i32>, Vec<i32>)>> {
        let mut packer = Packer::new(length);
        for (ids, mask) in documents {
            packer.add(&document(ids, mask));
        }
        let mut sequences = Vec::new();
        let done: Result<(), ()> = packer.pack(|parts, padding| {
            let tokens: usize = parts.iter().map(|part| part.ids.len()).sum();
            assert_eq!(tokens + padding, length);
            let part = |part: &DocumentPart<'_>| {
                let targets = (0..part.ids.len()).filter(|&i| part.chosen.is_target(i));
                (part.ids.to_vec(), targets.map(|i| part.ids[i]).collect())
            };
            sequences.push(parts.iter().map(part).collect());
            Ok(())
        });
        done.unwrap();
        assert!(packer.ids.is_empty() && packer.ends.is_empty());
        sequences
    }

    #[test]
    fn long_documents_are_cut_and_short_ones_share() {
        let all = |n: i32, from: i32| ((from..from + n).collect(), vec![true; n as usize]);
        let sequences = packed(&[all(3, 0), all(7, 10), all(2, 20)], 5);
        let expected = [
            // The best fit beside three tokens.
            vec![(vec![0, 1, 2], vec![1, 2]), (vec![20, 21], vec![21])],
            vec![(vec![10, 11, 12, 13, 14], vec![11, 12, 13, 14])],
            vec![(vec![14, 15, 16], vec![15, 16])],
        ];
        assert_eq!(sequences, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]
        /// Every target is a target exactly once, and documents are whole where they can be.
        #[test]
        fn every_target_comes_once(
            lengths in prop::collection::vec(0usize..40, 0..30),
            length in 2usize..20,
            seed in any::<u64>(),
        ) {
            let mut next = 0;
            let mut documents = Vec::new();
            for &tokens in &lengths {
                let ids: Vec<i32> = (next..next + tokens as i32).collect();
                next += tokens as i32;
                let mask = ids.iter().map(|&id| (seed >> (id % 64)) & 1 == 1).collect();
                documents.push((ids, mask));
            }
            let sequences = packed(&documents, length);
            let mut got: Vec<i32> = sequences
                .iter()
                .flatten()
                .flat_map(|(_, targets)| targets.clone())
                .collect();
            got.sort_unstable();
            let expected: Vec<i32> = documents
                .iter()
                .flat_map(|(ids, mask): &(Vec<i32>, Vec<bool>)| {
                    (1..ids.len()).filter(|&i| mask[i]).map(|i| ids[i])
                })
                .collect();
            prop_assert_eq!(got, expected);
            for (ids, _) in &documents {
                if (2..=length).contains(&ids.len()) {
                    let whole = sequences.iter().flatten().filter(|(part, _)| part == ids);
                    prop_assert_eq!(whole.count(), 1);
                }
            }
        }
    }
}
