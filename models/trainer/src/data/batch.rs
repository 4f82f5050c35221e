//! The rows of one step, with their tokens, reference losses and weights: all the data that a step needs.

use crate::Batch;

use super::{DataError, DataPosition, Document, DocumentPart, Documents};

/// A part of a document in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of its first token in the row.
    pub start: usize,
    /// The part.
    pub part: DocumentPart,
}

/// Rows of `length` tokens, concatenated. Entry `i` of each list describes token `i` as a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GlobalBatch {
    /// Tokens per row.
    pub length: usize,
    /// The segments of each row, in order. The rest of a row is padding.
    pub rows: Vec<Vec<Segment>>,
    /// Token ids; 0 for padding.
    pub input_ids: Vec<u32>,
    /// Whether a token is a target: a token precedes it in its segment, and it is not context.
    pub targets: Vec<bool>,
    /// Loss under the reference, in nats; NaN if unscored or not a target.
    pub reference_loss: Vec<f32>,
    /// Weight or mask bit (see [`Document::weight`]); NaN if unknown or not a target.
    pub weight: Vec<f32>,
    /// Whether the documents have reference losses. All of them may be NaN.
    pub has_reference: bool,
    /// Whether the documents have weights or mask bits.
    pub has_weights: bool,
    /// Whether the documents have context tokens.
    pub has_context: bool,
    /// Where the next batch starts.
    pub after: DataPosition,
}

impl GlobalBatch {
    /// Reads the tokens of rows.
    ///
    /// # Errors
    /// If a document cannot be read, or has a token id that is not below `vocabulary`.
    pub fn read(
        rows: &[Vec<DocumentPart>],
        length: usize,
        vocabulary: usize,
        after: DataPosition,
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
            has_context: false,
            after,
        };
        let mut document = Document::default();
        for (row, parts) in rows.iter().enumerate() {
            let (mut start, mut segments) = (0, Vec::with_capacity(parts.len()));
            for &part in parts {
                let end = part.start + part.length;
                documents.read(part.document, part.start..end, &mut document)?;
                let wrong = document
                    .input_ids
                    .iter()
                    .find(|&&t| t as usize >= vocabulary);
                if let Some(&token) = wrong {
                    return Err(DataError::Token {
                        document: documents.name(part.document),
                        token,
                        vocabulary,
                    });
                }
                batch.put(row * length + start, &document);
                segments.push(Segment { start, part });
                start += part.length;
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
        if !document.target.is_empty() {
            self.targets[targets.clone()].copy_from_slice(&document.target[1..]);
            self.has_context = true;
        }
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

    /// For each token the index in its row where its segment starts, for padding its own index. This confines attention
    /// to documents.
    pub fn segment_starts(&self) -> Vec<u32> {
        let mut starts = Vec::with_capacity(self.input_ids.len());
        for segments in &self.rows {
            let before = starts.len();
            for segment in segments {
                starts.resize(starts.len() + segment.part.length, segment.start as u32);
            }
            let filled = (starts.len() - before) as u32;
            starts.extend(filled..self.length as u32);
        }
        starts
    }

    /// Splits it into micro-batches of at most `rows` rows.
    pub fn micro_batches(&self, rows: usize) -> Vec<Batch> {
        let starts = self.segment_starts();
        // A token without a weight is not trained on.
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
                context: match self.has_context {
                    true => self.targets[part.clone()].iter().map(|t| !t).collect(),
                    false => Vec::new(),
                },
            }
        });
        parts.collect()
    }

    /// The distinct documents of the batch, in the order of their first appearance.
    pub fn documents(&self) -> Vec<usize> {
        let mut seen = std::collections::HashSet::new();
        let all = self.rows.iter().flatten().map(|s| s.part.document);
        all.filter(|document| seen.insert(*document)).collect()
    }
}
