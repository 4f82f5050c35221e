//! The training documents. The caller decides where they are stored: in Arrow files for the program, in memory for a
//! test.

use std::ops::Range;

use super::DataError;

/// A range of a document's tokens, with the columns that describe each token as a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Token ids.
    pub input_ids: Vec<u32>,
    /// Loss under the reference, in nats; NaN where it did not score the token. Empty without a reference.
    pub reference_loss: Vec<f32>,
    /// A weight, or a mask bit as 1 or 0. Empty if neither is used.
    pub weight: Vec<f32>,
    /// Whether a token may be a target; the others are context. Empty if all may be.
    pub target: Vec<bool>,
}

impl Document {
    /// Clears it for reuse.
    pub fn clear(&mut self) {
        self.input_ids.clear();
        self.reference_loss.clear();
        self.weight.clear();
        self.target.clear();
    }
}

/// The documents of a corpus, by number. Their lengths must not change.
pub trait Documents: Send {
    /// Number of documents.
    fn count(&self) -> usize;

    /// Number of tokens of a document.
    fn length(&self, document: usize) -> usize;

    /// Reads a range of a document's tokens into `into`, replacing its contents.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read(
        &mut self,
        document: usize,
        tokens: Range<usize>,
        into: &mut Document,
    ) -> Result<(), DataError>;

    /// The human-readable name of a document: its source and its id.
    fn name(&self, document: usize) -> String;
}

/// Documents in memory.
impl Documents for Vec<Document> {
    fn count(&self) -> usize {
        self.len()
    }

    fn length(&self, document: usize) -> usize {
        self[document].input_ids.len()
    }

    fn read(
        &mut self,
        document: usize,
        tokens: Range<usize>,
        into: &mut Document,
    ) -> Result<(), DataError> {
        let from = &self[document];
        into.clear();
        into.input_ids
            .extend_from_slice(&from.input_ids[tokens.clone()]);
        for (from, into) in [
            (&from.reference_loss, &mut into.reference_loss),
            (&from.weight, &mut into.weight),
        ] {
            if !from.is_empty() {
                into.extend_from_slice(&from[tokens.clone()]);
            }
        }
        if !from.target.is_empty() {
            into.target.extend_from_slice(&from.target[tokens]);
        }
        Ok(())
    }

    fn name(&self, document: usize) -> String {
        format!("document {document}")
    }
}
