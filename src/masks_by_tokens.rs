//! Finds the masks of a document by its tokens, whatever shard and row the masks came from.
//!
//! The index takes 16 bytes per document of the masks.

use rho_formats::{DocumentRead, MaskDocuments, MaskError, token_hash};

/// The masks, by the hash of the tokens.
pub(crate) struct Join {
    masks: MaskDocuments,
    /// Hashes with the numbers of their documents, sorted.
    hashes: Vec<(i64, u32)>,
    read: DocumentRead,
}

impl Join {
    pub(crate) fn new(masks: MaskDocuments) -> Result<Self, MaskError> {
        let numbered = masks.token_hashes()?.into_iter().zip(0..);
        let mut hashes: Vec<(i64, u32)> = numbered.collect();
        hashes.sort_unstable();
        Ok(Self {
            masks,
            hashes,
            read: DocumentRead::default(),
        })
    }

    /// The masks of these tokens; if several documents have them, those of the first.
    pub(crate) fn find(&mut self, tokens: &[u32]) -> Result<Option<&DocumentRead>, MaskError> {
        let hash = token_hash(tokens);
        let first = self.hashes.partition_point(|&(other, _)| other < hash);
        for &(other, document) in &self.hashes[first..] {
            if other != hash {
                break;
            }
            self.masks.read(document as usize, &mut self.read)?;
            // Two of 2^32 documents may have the same hash.
            if self.read.input_ids == tokens {
                return Ok(Some(&self.read));
            }
        }
        Ok(None)
    }
}
