//! The rows of one step with their tokens and what is said of them: everything the step needs of the data.

use crate::Batch;

use super::{DataError, Document, Documents, Piece, Place};

/// A piece of a document in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins in its row.
    pub start: usize,
    /// What it holds.
    pub piece: Piece,
}

/// Rows of `length` tokens, one after the other. Entry `i` of each list speaks of token `i` as a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GlobalBatch {
    /// Tokens in a row.
    pub length: usize,
    /// The segments of each row, in order. What comes after the last is padding.
    pub rows: Vec<Vec<Segment>>,
    /// Token ids; 0 where there is padding.
    pub input_ids: Vec<u32>,
    /// Whether a token is a target: it has a token before it in its segment.
    pub targets: Vec<bool>,
    /// Loss under the reference, in nats; NaN where there is none, and where the token is no target.
    pub reference_loss: Vec<f32>,
    /// Weight or mask bit (see [`Document::weight`]); NaN where nothing is said, and where the token is no target.
    pub weight: Vec<f32>,
    /// Whether a reference was asked for the documents: then the batch has losses, though they may all be NaN.
    pub has_reference: bool,
    /// Whether the documents have weights or bits.
    pub has_weights: bool,
    /// Where the next batch begins.
    pub after: Place,
}

impl GlobalBatch {
    /// Reads the tokens of rows.
    ///
    /// # Errors
    /// Where a document cannot be read, or has a token that is not in the vocabulary.
    pub fn read(
        rows: &[Vec<Piece>],
        length: usize,
        vocabulary: usize,
        after: Place,
        documents: &mut dyn Documents,
    ) -> Result<Self, DataError> {
        let tokens = rows.len() * length;
        let mut batch = Self {
            length,
            rows: Vec::with_capacity(rows.len()),
            input_ids: vec![0; tokens],
            targets: vec![false; tokens],
            reference_loss: vec![f32::NAN; tokens],
            weight: vec![f32::NAN; tokens],
            has_reference: false,
            has_weights: false,
            after,
        };
        let mut document = Document::default();
        for (row, pieces) in rows.iter().enumerate() {
            let (mut start, mut segments) = (0, Vec::with_capacity(pieces.len()));
            for &piece in pieces {
                let end = piece.start + piece.length;
                documents.read(piece.document, piece.start..end, &mut document)?;
                let wrong = document
                    .input_ids
                    .iter()
                    .find(|&&t| t as usize >= vocabulary);
                if let Some(&token) = wrong {
                    return Err(DataError::Token {
                        document: documents.name(piece.document),
                        token,
                        vocabulary,
                    });
                }
                batch.put(row * length + start, &document);
                segments.push(Segment { start, piece });
                start += piece.length;
            }
            batch.rows.push(segments);
        }
        Ok(batch)
    }

    fn put(&mut self, at: usize, document: &Document) {
        let tokens = document.input_ids.len();
        self.input_ids[at..at + tokens].copy_from_slice(&document.input_ids);
        // The first token is context.
        let targets = at + 1..at + tokens;
        self.targets[targets.clone()].fill(true);
        for (from, into, has) in [
            (
                &document.reference_loss,
                &mut self.reference_loss,
                &mut self.has_reference,
            ),
            (&document.weight, &mut self.weight, &mut self.has_weights),
        ] {
            if !from.is_empty() {
                into[targets.clone()].copy_from_slice(&from[1..]);
                *has = true;
            }
        }
    }

    /// Where the document of each token begins in its row, and each token of padding by itself: what confines attention.
    pub fn segment_starts(&self) -> Vec<u32> {
        let mut starts = Vec::with_capacity(self.input_ids.len());
        for segments in &self.rows {
            let before = starts.len();
            for segment in segments {
                starts.resize(starts.len() + segment.piece.length, segment.start as u32);
            }
            let filled = (starts.len() - before) as u32;
            starts.extend(filled..self.length as u32);
        }
        starts
    }

    /// The same in batches of at most so many rows, as the step takes them.
    pub fn micro_batches(&self, rows: usize) -> Vec<Batch> {
        let starts = self.segment_starts();
        // Where nothing is said of a token, it is not trained on.
        let weight = |weight: &f32| if weight.is_nan() { 0.0 } else { *weight };
        let tokens = self.input_ids.len();
        let size = rows.max(1) * self.length;
        let parts = (0..tokens).step_by(size).map(|from| {
            let part = from..(from + size).min(tokens);
            let weight_part = self.weight[part.clone()].iter();
            let given = || weight_part.clone().filter(|_| self.has_weights).map(weight);
            Batch {
                rows: part.len() / self.length,
                length: self.length,
                input_ids: self.input_ids[part.clone()].to_vec(),
                document_starts: starts[part.clone()].to_vec(),
                reference_loss: match self.has_reference {
                    true => self.reference_loss[part.clone()].to_vec(),
                    false => Vec::new(),
                },
                mask: given().map(|weight| weight > 0.0).collect(),
                weights: given().collect(),
            }
        });
        parts.collect()
    }

    /// The documents in it, each once, in the order of their first appearance.
    pub fn documents(&self) -> Vec<usize> {
        let mut seen = std::collections::HashSet::new();
        let all = self.rows.iter().flatten().map(|s| s.piece.document);
        all.filter(|document| seen.insert(*document)).collect()
    }
}
