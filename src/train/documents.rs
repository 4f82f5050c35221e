//! The documents of mask files, in the form the trainer reads.

use std::ops::Range;

use rho_formats::{DocumentRead, MaskDocuments};
use rho_trainer::data::{DataError, Document, Documents};

/// What the opened columns hold, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ColumnRoles {
    /// Whether the first score column is the reference's loss.
    pub(super) reference_loss: bool,
    /// The bits or weights that come after it.
    pub(super) weight: Option<Weight>,
    /// Whether the last mask column says which tokens may be targets.
    pub(super) target: bool,
}

/// What a token has besides its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// A mask bit.
    Bit,
    /// A weight.
    Number,
}

/// Documents in mask files.
pub(super) struct MaskedDocuments {
    files: MaskDocuments,
    meaning: ColumnRoles,
    read: DocumentRead,
}

impl MaskedDocuments {
    pub(super) fn new(files: MaskDocuments, meaning: ColumnRoles) -> Self {
        Self {
            files,
            meaning,
            read: DocumentRead::default(),
        }
    }
}

impl Documents for MaskedDocuments {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn length(&self, document: usize) -> usize {
        self.files.length(document)
    }

    fn read(
        &mut self,
        document: usize,
        tokens: Range<usize>,
        into: &mut Document,
    ) -> Result<(), DataError> {
        let read = self.files.read_part(document, tokens, &mut self.read);
        read.map_err(|source| DataError::Read {
            document: self.name(document),
            source: source.into(),
        })?;
        into.clear();
        let mut scores = self.read.scores.iter();
        std::mem::swap(&mut into.input_ids, &mut self.read.input_ids);
        if self.meaning.reference_loss
            && let Some(loss) = scores.next()
        {
            into.reference_loss.extend_from_slice(loss);
        }
        if self.meaning.target
            && let Some(target) = self.read.masks.last()
        {
            into.target.extend_from_slice(target);
        }
        match self.meaning.weight {
            None => {}
            Some(Weight::Number) => {
                let weights = scores.next().into_iter().flatten();
                into.weight.extend(weights);
                // The loss is divided by the sum of the weights.
                if let Some(negative) = into.weight.iter().find(|&&weight| weight < 0.0) {
                    let source = format!("expected weights of at least 0, got {negative}").into();
                    return Err(DataError::Read {
                        document: self.name(document),
                        source,
                    });
                }
            }
            Some(Weight::Bit) => {
                let bits = self.read.masks.first().into_iter().flatten();
                into.weight
                    .extend(bits.map(|&bit| f32::from(u8::from(bit))));
            }
        }
        Ok(())
    }

    fn name(&self, document: usize) -> String {
        match self.files.name(document) {
            Ok(name) if name.id == format!("{}#{}", name.shard, name.row) => name.id,
            Ok(name) => format!("{} ({}#{})", name.id, name.shard, name.row),
            Err(_) => format!("document {document}"),
        }
    }
}
