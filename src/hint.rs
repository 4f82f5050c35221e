//! What to do about an error: the hint that is printed on the line after it.

use rho_checkpoint::CheckpointError;
use rho_formats::{CorpusError, MaskError, OutputError};
use rho_graph::ExportError;
use rho_reference::ReferenceError;
use rho_runtime::LibraryError;

use crate::{
    advised::Advised,
    tokenization::{FilesError, TokenizerError},
};

/// The first hint along the chain.
pub fn of(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        if let Some(advised) = cause.downcast_ref::<Advised>() {
            return Some(advised.hint().to_owned());
        }
        #[cfg(feature = "train")]
        if let Some(error) = cause.downcast_ref::<rho_trainer::run::RunError>()
            && let Some(hint) = error.hint()
        {
            return Some(hint.to_owned());
        }
        let hint = cause
            .downcast_ref::<ReferenceError>()
            .and_then(ReferenceError::hint);
        hint.or_else(|| {
            cause
                .downcast_ref::<LibraryError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<CorpusError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<OutputError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| {
            cause
                .downcast_ref::<MaskError>()?
                .hint()
                .map(|h| h.to_string())
        })
        .or_else(|| cause.downcast_ref::<ExportError>()?.hint())
        .or_else(|| cause.downcast_ref::<FilesError>()?.hint())
        .or_else(|| {
            let hint = cause.downcast_ref::<CheckpointError>()?.hint();
            hint.map(str::to_owned)
        })
        .or_else(|| {
            cause.downcast_ref::<TokenizerError>()?;
            let hint = "save the model's tokenizer as tokenizer.json: AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)";
            Some(hint.to_owned())
        })
    })
}
