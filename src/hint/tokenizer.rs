//! Hints for tokenizer files that are refused.

use crate::tokenization::{FilesError, TokenizerError};

/// How to create tokenizer.json.
const SAVE: &str = "save the model's tokenizer as tokenizer.json: AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)";

/// The files of a tokenizer.
pub(super) fn files(error: &FilesError) -> Option<String> {
    let hint = match error {
        FilesError::Read { .. } => return None,
        FilesError::Tokenizer { .. } => SAVE,
        FilesError::Json { .. }
        | FilesError::Setting { .. }
        | FilesError::Id { .. }
        | FilesError::Taken { .. } => {
            "correct the file; or, if tokenizer.json alone gives the right ids, copy it under another name and name the \
             copy with --tokenizer"
        }
    };
    Some(hint.to_owned())
}

/// A tokenizer that the tokenizers crate refuses.
pub(super) fn tokenizer(_: &TokenizerError) -> Option<&'static str> {
    Some(SAVE)
}
