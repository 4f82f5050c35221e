//! The highest token id that a tokenizer.json can give. Reads its vocabulary and added tokens, nothing else.

use std::path::Path;

use serde_json::Value;

use crate::ExportError;

/// Looks into the file; `None` where it keeps its vocabulary in no way that is known here.
pub(crate) fn highest_token(path: &Path) -> Result<Option<u64>, ExportError> {
    let text = std::fs::read(path).map_err(|source| ExportError::Read {
        path: path.to_owned(),
        source,
    })?;
    let json: Value = serde_json::from_slice(&text).map_err(|source| ExportError::Json {
        path: path.to_owned(),
        source,
    })?;
    let vocabulary = match json.pointer("/model/vocab") {
        // BPE, WordPiece, WordLevel: token to id. Unigram: a list, the id is the place.
        Some(Value::Object(tokens)) => tokens.values().filter_map(Value::as_u64).max(),
        Some(Value::Array(tokens)) => (tokens.len() as u64).checked_sub(1),
        _ => None,
    };
    let added = json.get("added_tokens").and_then(Value::as_array);
    let added = added.into_iter().flatten();
    let added = added.filter_map(|token| token.get("id")?.as_u64()).max();
    Ok(vocabulary.max(added))
}
