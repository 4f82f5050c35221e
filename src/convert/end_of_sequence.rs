//! The end of a document. The token ids of masks are exactly what the reference saw. A target that separates documents
//! by an end-of-sequence token needs one even if the masks were created without.
//!
//! The rule for all such targets: a document that ends with the token stays unchanged; to any other the token is added,
//! and is no target there, because it was not scored. The beginning is never changed: a beginning-of-sequence token in
//! the masks stays, and none is added.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::{hinted_error::HintedError, metadata::Metadata, tokenization::masks_copy};

/// What is added to the end of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing: documents stay unchanged.
    AsTheyAre,
    /// This token, unless the document already ends with it.
    With(i32),
}

impl Ending {
    /// The token to add to a document.
    pub(super) fn added(self, ids: &[i32]) -> Option<i32> {
        match self {
            Self::With(eos) if ids.last().is_some_and(|&last| last != eos) => Some(eos),
            _ => None,
        }
    }

    /// The end-of-sequence token.
    pub(crate) fn eos(self) -> Option<i32> {
        match self {
            Self::With(eos) => Some(eos),
            Self::AsTheyAre => None,
        }
    }

    /// Its entry in the metadata.
    pub(super) fn metadata(self) -> DocumentsEnd {
        DocumentsEnd {
            rule: match self {
                Self::AsTheyAre => "as in the masks",
                Self::With(_) => "added where a document does not end with it, and not kept there",
            },
            token: self.eos(),
        }
    }
}

/// The metadata about the end of documents.
#[derive(Debug, Serialize)]
pub(super) struct DocumentsEnd {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<i32>,
}

/// Names of the token in the vocabularies of common models.
const NAMES: [&str; 7] = [
    "</s>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<eos>",
    "<|eos|>",
    "[EOS]",
    "<｜end▁of▁sentence｜>",
];

/// The end-of-sequence token of masks: `--eos-id`; else the token that the masks' metadata says was added to documents;
/// else the token that the tokenizer's post-processor adds; else the only special token with a common name.
pub(super) fn eos(
    named: Option<u32>,
    metadata: &Metadata,
    tokenizer: &Path,
) -> anyhow::Result<i32> {
    let whole = |id: u32| {
        i32::try_from(id).map_err(|_| {
            HintedError::error(
                format!("--eos-id: expected a token id, got {id}"),
                "name the id that the tokenizer has for its end-of-sequence token",
            )
        })
    };
    if let Some(named) = named {
        return match metadata.vocabulary() {
            Some(vocabulary) if named as usize >= vocabulary => Err(HintedError::error(
                format!(
                    "--eos-id: expected one of the reference's {vocabulary} tokens, got {named}"
                ),
                "name the id that the tokenizer has for its end-of-sequence token",
            )),
            _ => whole(named),
        };
    }
    if let Some(&id) = metadata.eos.tokens.iter().flatten().next_back() {
        return whole(id);
    }
    let unknown = |got: String| {
        HintedError::error(
            format!("expected masks whose end-of-sequence token is known, got {got}"),
            "name it with --eos-id: this target ends each document with it",
        )
    };
    let of_masks = metadata.tokenizer.fingerprint.as_deref();
    let Some(bytes) = masks_copy::read(tokenizer, of_masks)? else {
        return Err(unknown(
            "none, and no tokenizer.json beside them".to_owned(),
        ));
    };
    let shown = tokenizer.display();
    let said: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{shown}: expected JSON"))?;
    if let Some(id) = of_template(&said) {
        return whole(id);
    }
    let added = said["added_tokens"].as_array().into_iter().flatten();
    let usual: Vec<(&str, u64)> = added
        .filter_map(|token| Some((token["content"].as_str()?, token["id"].as_u64()?)))
        .filter(|(name, _)| NAMES.contains(name))
        .collect();
    match usual[..] {
        [(_, id)] => whole(u32::try_from(id)?),
        [] => Err(unknown(format!("{shown} with none of the common names"))),
        _ => {
            let names: Vec<&str> = usual.iter().map(|(name, _)| *name).collect();
            Err(unknown(format!(
                "{shown} with several: {}",
                names.join(", ")
            )))
        }
    }
}

/// The last token of a post-processor's template, if it is a special token after the text.
fn of_template(tokenizer: &Value) -> Option<u32> {
    let processor = &tokenizer["post_processor"];
    let inner = processor["processors"].as_array();
    let processors = inner.into_iter().flatten().chain([processor]);
    let template = processors
        .filter(|processor| processor["type"] == "TemplateProcessing")
        .find_map(|processor| Some((processor, processor["single"].as_array()?.last()?)));
    let (processor, last) = template?;
    let name = last["SpecialToken"]["id"].as_str()?;
    let ids = &processor["special_tokens"][name]["ids"];
    u32::try_from(ids.as_array()?.last()?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_added_where_it_is_missing() {
        let with = Ending::With(2);
        assert_eq!(with.added(&[5, 6]), Some(2));
        assert_eq!(with.added(&[5, 2]), None);
        assert_eq!(with.added(&[]), None);
        assert_eq!(Ending::AsTheyAre.added(&[5]), None);
    }

    #[test]
    fn is_found_where_it_stands_first() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("tokenizer.json");
        let none = json!({});
        let eos = |named, metadata: &Value, path: &Path| eos(named, &Metadata::of(metadata), path);
        assert!(eos(None, &none, &path).is_err());
        let found = |said: &Value, metadata: &Value| {
            std::fs::write(&path, said.to_string()).unwrap();
            eos(None, metadata, &path)
        };
        let added = |names: &[&str]| -> Value {
            let token = |(id, name)| json!({"id": id, "content": name});
            let tokens: Vec<Value> = (7..).zip(names).map(token).collect();
            json!({"added_tokens": tokens})
        };
        assert_eq!(found(&added(&["<s>", "</s>"]), &none).unwrap(), 8);
        assert!(found(&added(&["<s>"]), &none).is_err());
        let several = found(&added(&["<eos>", "</s>"]), &none).unwrap_err();
        assert!(several.to_string().contains("<eos>, </s>"), "{several}");
        let mut template = added(&["<eos>", "</s>"]);
        template["post_processor"] = json!({"type": "Sequence", "processors": [{
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            "special_tokens": {"</s>": {"ids": [8]}},
        }]});
        assert_eq!(found(&template, &none).unwrap(), 8);
        let put = json!({"eos": {"rule": "auto", "tokens": [3]}});
        assert_eq!(found(&template, &put).unwrap(), 3);
        assert_eq!(eos(Some(9), &put, &path).unwrap(), 9);
        let nine = json!({"reference": {"vocabulary": 9}});
        assert!(eos(Some(9), &nine, &path).is_err());
        assert_eq!(eos(Some(8), &nine, &path).unwrap(), 8);
    }
}
