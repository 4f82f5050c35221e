//! Packed rows of tokens, token-aligned, and the only place where tokens are shifted into targets.
//!
//! ```text
//! token               0    1    2    3    4    5     two documents in a row, the last token is padding
//! input_ids         464 3290 3332  319  262    0
//! document_start      0    0    0    3    3    5     where its document starts in the row
//! reference_loss    NaN  7.2  2.1  NaN  0.9  NaN     of token i as a target, given the tokens before it
//!
//! targets:  token 1 from the state at 0, token 2 from 1, token 4 from 3
//! ```
//!
//! A token is a target if another token precedes it in its document, and it is not context. Each padding token is a document of its own.
//! Positions restart with each document, and attention stays within it.

use crate::{Result, TrainerError};

/// A micro-batch: `rows` rows of `length` tokens.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Number of rows, B.
    pub rows: usize,
    /// Sequence length of each row, T.
    pub length: usize,
    /// `[B * T]`.
    pub input_ids: Vec<u32>,
    /// `[B * T]`: the index in the row where the token's document starts; for padding the token's own index.
    pub document_starts: Vec<u32>,
    /// `[B * T]`, in nats, NaN where the reference has no score; empty without a reference.
    pub reference_loss: Vec<f32>,
    /// `[B * T]`: mask bits; empty without masks.
    pub mask: Vec<bool>,
    /// `[B * T]`: weights, at least 0; empty without weights.
    pub weights: Vec<f32>,
    /// `[B * T]`: tokens that are context, never targets; empty if there are none.
    pub context: Vec<bool>,
}

/// A token to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Its index in the batch, `row * length + index in the row`.
    pub place: usize,
    /// The index of the hidden state that predicts it, `place - 1`.
    pub state: usize,
    /// Its token id.
    pub token: u32,
}

impl Batch {
    /// Rows of documents, packed in the given order and padded with token 0.
    pub fn from_documents(length: usize, rows: &[Vec<Vec<u32>>]) -> Self {
        let mut batch = Self {
            rows: rows.len(),
            length,
            ..Self::default()
        };
        for (r, documents) in rows.iter().enumerate() {
            for document in documents {
                let start = batch.input_ids.len() - r * length;
                batch.input_ids.extend(document);
                let starts = std::iter::repeat_n(start as u32, document.len());
                batch.document_starts.extend(starts);
            }
            let filled = batch.input_ids.len() - r * length;
            batch.input_ids.resize((r + 1) * length, 0);
            batch.document_starts.extend(filled as u32..length as u32);
        }
        batch
    }

    /// Number of tokens, padding included.
    pub fn tokens(&self) -> usize {
        self.rows * self.length
    }

    /// All targets, sorted by `place`.
    pub fn targets(&self) -> Vec<Target> {
        let starts = self.document_starts.iter().enumerate();
        let targets = starts.filter_map(|(place, &start)| {
            let index = place % self.length;
            let is_context = self.context.get(place).copied().unwrap_or(false);
            (index > start as usize && !is_context).then(|| Target {
                place,
                state: place - 1,
                token: self.input_ids[place],
            })
        });
        targets.collect()
    }

    /// Checks the batch against the model.
    ///
    /// # Errors
    /// If a column has a wrong length, the batch is empty, a token id is not below `vocabulary`, a weight is negative
    /// or not finite, a document start is inconsistent, or a document is longer than `positions`.
    pub fn check(&self, vocabulary: usize, positions: usize) -> Result<()> {
        let tokens = self.tokens();
        let wrong = |what, expected: String, got: String| {
            Err(TrainerError::Batch {
                what,
                expected,
                got,
            })
        };
        for (what, got, may_be_empty) in [
            ("input_ids", self.input_ids.len(), false),
            ("document_starts", self.document_starts.len(), false),
            ("reference_loss", self.reference_loss.len(), true),
            ("mask", self.mask.len(), true),
            ("weights", self.weights.len(), true),
            ("context", self.context.len(), true),
        ] {
            if got != tokens && !(may_be_empty && got == 0) {
                return wrong(what, format!("{tokens} entries"), got.to_string());
            }
        }
        if tokens == 0 {
            return wrong("size", "at least one token".to_owned(), "none".to_owned());
        }
        if let Some(id) = self.input_ids.iter().find(|&&id| id as usize >= vocabulary) {
            return wrong(
                "input_ids",
                format!("ids below {vocabulary}"),
                id.to_string(),
            );
        }
        if let Some(weight) = self.weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
            return wrong(
                "weights",
                "numbers of at least 0".to_owned(),
                weight.to_string(),
            );
        }
        for (place, &start) in self.document_starts.iter().enumerate() {
            let (index, start) = (place % self.length, start as usize);
            let follows =
                start == index || (index > 0 && self.document_starts[place - 1] as usize == start);
            if !follows {
                let expected = format!("{index} or the previous token's start at index {place}");
                return wrong("document_starts", expected, start.to_string());
            }
            if index - start >= positions {
                let expected = format!("documents of at most {positions} tokens");
                return wrong("document_starts", expected, (index - start + 1).to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_what_has_something_before_it() {
        let batch = Batch::from_documents(6, &[vec![vec![464, 3290, 3332], vec![319, 262]]]);
        assert_eq!(batch.document_starts, [0, 0, 0, 3, 3, 5]);
        let target = |place, state, token| Target {
            place,
            state,
            token,
        };
        assert_eq!(
            batch.targets(),
            [target(1, 0, 3290), target(2, 1, 3332), target(4, 3, 262)]
        );
        batch.check(4000, 3).unwrap();
        let error = batch.check(4000, 2).unwrap_err().to_string();
        assert!(error.contains("at most 2 tokens"), "{error}");
        assert!(
            batch
                .check(3000, 3)
                .unwrap_err()
                .to_string()
                .contains("3290")
        );
    }

    #[test]
    fn context_is_no_target() {
        let mut batch = Batch::from_documents(4, &[vec![vec![1, 2, 3, 4]]]);
        batch.context = vec![true, true, false, true];
        let places: Vec<usize> = batch.targets().iter().map(|target| target.place).collect();
        assert_eq!(places, [2]);
        batch.check(8, 4).unwrap();
        batch.context.pop();
        assert!(batch.check(8, 4).is_err());
    }

    #[test]
    fn damaged_batches_are_refused() {
        let good = Batch::from_documents(4, &[vec![vec![1, 2], vec![3]], vec![vec![4, 5, 6, 7]]]);
        good.check(8, 4).unwrap();
        let mut starts = good.clone();
        starts.document_starts[5] = 2;
        assert!(starts.check(8, 4).is_err());
        let mut short = good.clone();
        short.mask = vec![true];
        assert!(short.check(8, 4).is_err());
        let mut weights = good.clone();
        weights.weights = vec![f32::NAN; 8];
        assert!(weights.check(8, 4).is_err());
    }
}
