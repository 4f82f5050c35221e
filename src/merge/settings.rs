//! Which settings of masks may differ when they are merged: those that say what the corpus was. All others decide what
//! the columns mean, and must be equal; the option that set one is named.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{hinted_error::HintedError, metadata::without_counts};

/// Fields of the metadata that may differ; each folder's own value is recorded. The fingerprints beside them say that
/// the models are the same.
const MAY_DIFFER: &[&str] = &[
    "source_field",
    "limit",
    "sample",
    "verified",
    "merged",
    "program",
];

/// Refuses metadata whose settings differ from those of the first folder.
pub(crate) fn must_equal(first: (&Path, &Value), other: (&Path, &Value)) -> anyhow::Result<()> {
    let (before, now) = (comparable(first.1), comparable(other.1));
    let Some((field, before, now)) = difference("", &before, &now) else {
        return Ok(());
    };
    let what = match option(&field) {
        Some(option) => format!("the same {option}"),
        None => format!("the same {field:?} in its metadata"),
    };
    let hint = match field.starts_with("tokenizer") {
        true => {
            "score both with the same tokenizer, because token ids of another one mean something else"
        }
        false if field.starts_with("selections") || field.starts_with("scope") => {
            "select again from one of them with `rho-mask select`, so that both have the same rule"
        }
        false => "score both with the same settings",
    };
    let shown = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    };
    Err(HintedError::error(
        format!(
            "{}: expected {what} as {}, {} ({field}), got {}",
            other.0.display(),
            first.0.display(),
            shown(&before),
            shown(&now)
        ),
        hint,
    ))
}

/// The metadata without what may differ.
fn comparable(metadata: &Value) -> Value {
    let mut metadata = metadata.clone();
    let Some(fields) = metadata.as_object_mut() else {
        return metadata;
    };
    for name in MAY_DIFFER {
        fields.remove(*name);
    }
    for name in ["selections", "documents"] {
        if let Some(selections) = fields.get_mut(name) {
            *selections = without_counts(selections);
        }
    }
    // The same model under another name is the same model.
    if let Some(reference) = fields.get_mut("reference") {
        remove_name(reference);
        if let Some(Value::Array(models)) = reference.get_mut("models") {
            models.iter_mut().for_each(remove_name);
        }
    }
    if let Some(base) = fields.get_mut("base") {
        remove_name(base);
    }
    metadata
}

fn remove_name(model: &mut Value) {
    if model["fingerprint"].is_string()
        && let Some(model) = model.as_object_mut()
    {
        model.remove("name");
        model.remove("path");
    }
}

/// The first difference: the name of the field, and both values.
fn difference(name: &str, before: &Value, now: &Value) -> Option<(String, Value, Value)> {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
            // The tokenizer first: if it differs, nothing else matters.
            keys.sort_by_key(|key| (*key != "tokenizer", *key));
            let value = |map: &Map<String, Value>, key| map.get(key).cloned().unwrap_or_default();
            keys.into_iter().find_map(|key| {
                let name = match name {
                    "" => key.clone(),
                    name => format!("{name}.{key}"),
                };
                difference(&name, &value(before, key), &value(now, key))
            })
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            let mut pairs = before.iter().zip(now);
            pairs.find_map(|(before, now)| difference(name, before, now))
        }
        (before, now) if before != now => Some((name.to_owned(), before.clone(), now.clone())),
        _ => None,
    }
}

/// The option that sets a field of the metadata.
fn option(field: &str) -> Option<&'static str> {
    let (top, last) = (field.split('.').next()?, field.rsplit('.').next()?);
    Some(match (top, last) {
        ("tokenizer", _) => "tokenizer (--model or --tokenizer)",
        ("reference", "combine") => "--combine",
        ("reference", "ignored_settings") | ("base", "ignored_settings") => "--ignore-setting",
        ("reference", "precision") | ("base", "precision") | ("precision", _) => "--precision",
        ("reference", _) => "--model",
        ("base", _) => "--base",
        ("provider", _) => "--device",
        ("context", _) => "--context",
        ("overlap", _) => "--overlap",
        ("top", _) => "--top",
        ("bos", _) => "--bos",
        ("eos", _) => "--eos",
        ("scope", _) => "--scope",
        ("scope_tokens", _) => "--batch",
        ("where", _) => "--where",
        ("joined", _) => "--join",
        ("duplicates", _) => "--drop-duplicates",
        ("documents", _) => "--documents",
        // Its last part is the name of a source.
        ("selections", _) if field.contains(".keep_by") => "--keep-by",
        ("selections", "keep" | "keep_lowest" | "keep_highest") => "--keep",
        ("selections", "seed") => "--seed",
        ("selections", "drop_lowest") => "--drop-easiest",
        ("selections", "drop_highest") => "--drop-hardest",
        ("selections", "at_least") => "--above",
        ("selections", "at_most") => "--below",
        ("selections", "weights") => "--weights",
        ("selections", "temperature") => "--temperature",
        ("selections", "least") => "--min-weight",
        ("selections", "most") => "--max-weight",
        ("selections", _) => "--by",
        _ => return None,
    })
}

/// The option that decides whether a column exists, and its type.
pub(super) fn option_of_column(column: &str) -> &'static str {
    match column {
        "source" => "--source-field",
        "text" => "--keep-text",
        "base_loss" | "excess" => "--base",
        "top_ids" => "--top",
        // Its number is that of the ids.
        "top_logprobs" => "--score-dtype",
        "loss" | "entropy" => "--score-dtype",
        name if name.starts_with("mask_") || name.starts_with("weight_") => "--by",
        _ => "--model",
    }
}

/// The metadata of the merged files: the common settings, and what differed for each folder.
pub(super) fn merged(all: &[&Value], parts: Vec<Value>) -> Value {
    let mut metadata = all.first().copied().cloned().unwrap_or_default();
    let records = all.iter().zip(parts).map(|(other, mut part)| {
        for name in MAY_DIFFER {
            if let Some(value) = other.get(*name) {
                part[*name] = value.clone();
            }
        }
        for name in ["selections", "documents"] {
            let rules = without_counts(&other[name]);
            if rules != other[name] {
                part[name] = other[name].clone();
            }
        }
        for model in ["reference", "base"] {
            let model_of = &other[model];
            if let Some(name) = model_of.get("name").or_else(|| model_of.get("path")) {
                part[model] = name.clone();
            }
        }
        part
    });
    let records: Vec<Value> = records.collect();
    if let Some(fields) = metadata.as_object_mut() {
        // The limit of a part is none of the whole.
        fields.remove("limit");
        for name in MAY_DIFFER {
            let value = fields.get(*name);
            if all.iter().any(|other| other.get(*name) != value) {
                fields.remove(*name);
            }
        }
        for model in ["reference", "base"] {
            let path = |other: &Value| other[model].get("path").cloned();
            let first = all.first().and_then(|first| path(first));
            if let Some(model) = fields.get_mut(model).and_then(Value::as_object_mut)
                && all.iter().any(|other| path(other) != first)
            {
                model.remove("path");
            }
        }
        for name in ["selections", "documents"] {
            if let Some(selections) = fields.get(name) {
                let rules = without_counts(selections);
                fields.insert(name.to_owned(), rules);
            }
        }
        fields.insert("merged".to_owned(), json!(records));
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_that_differs_is_named() {
        let first = json!({
            "tokenizer": {"fingerprint": "t"}, "context": 512, "precision": "f32", "provider": "cpu", "new": 1,
            "reference": {"name": "a/b", "fingerprint": "f", "vocabulary": 9}, "scope": "corpus",
            "selections": [{"column": "mask_loss", "by": "loss", "keep_lowest": 0.7, "scored": 9, "kept": 6}],
            "bos": {"rule": "auto", "tokens": [1]}, "source_field": "a", "limit": 9,
        });
        let with = |path: &str, value: Value| {
            let mut other = first.clone();
            *other.pointer_mut(path).unwrap() = value;
            let (a, b) = (Path::new("a"), Path::new("b"));
            must_equal((a, &first), (b, &other)).map_err(|error| error.to_string())
        };
        for (path, value) in [
            ("/source_field", json!("b")),
            ("/limit", json!(5)),
            ("/reference/name", json!("c")),
            ("/selections/0/scored", json!(10)),
            ("/selections/0/kept", json!(7)),
        ] {
            assert_eq!(with(path, value), Ok(()), "{path}");
        }
        for (path, value, named) in [
            (
                "/tokenizer/fingerprint",
                json!("u"),
                "tokenizer (--model or --tokenizer)",
            ),
            ("/context", json!(256), "--context"),
            ("/precision", json!("int8"), "--precision"),
            ("/provider", json!("cuda"), "--device"),
            ("/reference/fingerprint", json!("g"), "--model"),
            ("/selections/0/keep_lowest", json!(0.5), "--keep"),
            ("/selections/0/by", json!("entropy"), "--by"),
            ("/scope", json!("document"), "--scope"),
            ("/bos/tokens", json!([]), "--bos"),
            ("/new", json!(null), "\"new\""),
        ] {
            let error = with(path, value).unwrap_err();
            assert!(error.contains(&format!("the same {named}")), "{error}");
        }
    }
}
