//! What to do about the files of a tokenizer that are refused.

use crate::tokenization::{FilesError, TokenizerError};

/// Where the file should come from.
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
            "correct the file; or, where tokenizer.json alone gives the right ids, copy it under another name and name \
             that with --tokenizer"
        }
    };
    Some(hint.to_owned())
}

/// A tokenizer that the tokenizers crate refuses.
pub(super) fn tokenizer(_: &TokenizerError) -> Option<&'static str> {
    Some(SAVE)
}
