//! What is trained on. Documents lie wherever the caller has them: in Arrow files for the program, in memory for a test.

use std::ops::Range;

use super::DataError;

/// A part of a document: some of its tokens, and what is said of each as a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Token ids.
    pub input_ids: Vec<u32>,
    /// Loss under the reference, in nats; NaN where it did not score the token. Empty where there is no reference.
    pub reference_loss: Vec<f32>,
    /// A weight, or 1 for a mask bit that is set and 0 for one that is not. Empty where nothing of the kind is asked for.
    pub weight: Vec<f32>,
}

impl Document {
    /// Empties it, to be read into again.
    pub fn clear(&mut self) {
        self.input_ids.clear();
        self.reference_loss.clear();
        self.weight.clear();
    }
}

/// The documents of a corpus, by their number. What is said of their lengths must stay as it is.
pub trait Documents: Send {
    /// How many there are.
    fn count(&self) -> usize;

    /// Tokens of a document.
    fn length(&self, document: usize) -> usize;

    /// Reads some tokens of a document into the place of others.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn read(
        &mut self,
        document: usize,
        tokens: Range<usize>,
        into: &mut Document,
    ) -> Result<(), DataError>;

    /// What a document is called, for people: where it comes from, and its id.
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
        Ok(())
    }

    fn name(&self, document: usize) -> String {
        format!("document {document}")
    }
}
