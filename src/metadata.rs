//! The metadata of mask files: how the masks were created. `score` and `dynamics` write it, `select` and `convert` add
//! to it, and everything that reads masks reads it.
//!
//! The same types are used to read and to write. A field that is missing or has another type is read as unknown; code
//! that needs the field refuses the masks and names it. Commands that pass metadata on keep the JSON, so that fields of
//! other versions survive.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::program;

/// The version of the mask file layout that this program reads and writes.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The metadata of a mask file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    /// See [`FORMAT_VERSION`].
    #[serde(deserialize_with = "lenient")]
    pub(crate) format_version: Option<u64>,
    /// The program that created the files.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) program: Option<Program>,
    /// The reference model, or several models and how their scores are combined.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Reference>,
    /// The base model, if there is one.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Model>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokenizer: Tokenizer,
    /// The execution provider: `cpu` or `cuda`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) provider: Option<String>,
    /// The data type that the reference computed in.
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: Option<String>,
    /// The context length, in tokens.
    #[serde(deserialize_with = "lenient")]
    pub(crate) context: Option<usize>,
    /// The tokens that a window repeats from the previous one, as context.
    #[serde(deserialize_with = "lenient")]
    pub(crate) overlap: Option<usize>,
    /// The special tokens before each text.
    #[serde(deserialize_with = "lenient")]
    pub(crate) bos: SpecialTokens,
    /// The special tokens after each text.
    #[serde(deserialize_with = "lenient")]
    pub(crate) eos: SpecialTokens,
    /// Which tokens may be targets, if not all.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) targets: Option<Targets>,
    /// How many of the most likely tokens are stored for each position.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) top: Option<usize>,
    /// The corpus field with a text after which the documents were scored too.
    #[serde(
        rename = "with_context_field",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) context_field: Option<String>,
    /// The rule of each column of masks or weights.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) selections: Option<Vec<Selection>>,
    /// The scope of the ranking.
    #[serde(flatten)]
    pub(crate) scope: Scope,
    /// The corpus field with the source of each document.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) source_field: Option<String>,
    /// The first documents of the corpus that were read, if not all.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<u64>,
    /// The share of the corpus's rows that was read, if not all.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<Sampled>,
    /// The expressions that the documents passed, in the order in which they were applied.
    #[serde(
        rename = "where",
        deserialize_with = "lenient",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) filters: Vec<String>,
    /// The columns of other programs.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) joined: Vec<JoinedColumn>,
    /// Whether documents with the tokens of an earlier one were dropped: `dropped`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) duplicates: Option<String>,
    /// The rules that whole documents were selected by, in the order in which they were applied.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) documents: Vec<DocumentSelection>,
    /// The results of `verify` for the models: one, or a list.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<Value>,
    /// The checkpoints and settings of `dynamics`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) dynamics: Option<Dynamics>,
}

impl Metadata {
    /// The lower bound of a column of weights, if it is below 0.
    pub(crate) fn negative_weights(&self, column: &str) -> Option<f32> {
        let mut selections = self.selections.iter().flatten();
        let selection = selections.find(|s| s.column.as_deref() == Some(column))?;
        selection.least.filter(|&least| least < 0.0)
    }

    /// Reads the known fields of some metadata.
    pub(crate) fn of(metadata: &Value) -> Self {
        serde_json::from_value(metadata.clone()).unwrap_or_default()
    }

    /// The models that scored, as they were named.
    pub(crate) fn models(&self) -> Vec<String> {
        let named = |name: &Option<String>, path: &Option<String>| name.clone().or(path.clone());
        let mut models = Vec::new();
        if let Some(reference) = &self.reference {
            let name = named(&reference.name, &reference.path);
            models.extend(name.map(|name| at(&name, reference.server.as_deref())));
            let several = reference.models.iter().flatten();
            models.extend(several.map(|m| m.path.clone().unwrap_or_else(|| m.name.clone())));
        }
        if let Some(base) = &self.base {
            let name = base.path.clone().unwrap_or_else(|| base.name.clone());
            models.push(at(&name, base.server.as_deref()));
        }
        models
    }

    /// The vocabulary size of the reference.
    pub(crate) fn vocabulary(&self) -> Option<usize> {
        self.reference.as_ref()?.vocabulary
    }
}

/// The name of a model, with its server if it is on one.
fn at(name: &str, server: Option<&str>) -> String {
    match server {
        Some(server) => format!("{name} at {server}"),
        None => name.to_owned(),
    }
}

/// Which tokens of a corpus may be targets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Targets {
    /// What says so: `messages`, `completion`, `tokens` or `spans`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) from: Option<String>,
    /// The rule for messages: `assistant`, `last-assistant` or `all`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// SHA-256 of the chat template.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) chat_template: Option<String>,
}

/// A sample of a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sampled {
    /// The share of the rows.
    #[serde(deserialize_with = "lenient")]
    pub(crate) rate: f64,
    #[serde(deserialize_with = "lenient")]
    pub(crate) seed: u64,
}

/// The program that created masks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its version.
    #[serde(deserialize_with = "lenient")]
    pub version: String,
    /// The commit that it was built from; none if the build did not know it.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Program {
    /// This program.
    pub(crate) fn this() -> Self {
        Self {
            version: program::VERSION.to_owned(),
            commit: program::commit().map(str::to_owned),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&program::display(&self.version, self.commit.as_deref()))
    }
}

/// The reference of masks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    /// Its name and commit on the Hub.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Its path as it was typed, if it is local. It says nothing about the content, which may change.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The URL of the server that it is on, if it is not in files. Its name is that on the server.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// SHA-256 of its files; none on a server.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// The vocabulary size.
    #[serde(deserialize_with = "lenient")]
    pub(crate) vocabulary: Option<usize>,
    /// The unsupported settings of its checkpoint that were ignored on request.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored_settings: Vec<String>,
    /// The models, if there are several references.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Vec<Model>>,
    /// How the scores of several references are combined.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) combine: Option<String>,
}

/// A base model, or one of several references.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Model {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    /// Its path as it was typed, if it is local.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// The URL of the server that it is on, if it is not in files.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<String>,
    /// SHA-256 of its files; empty on a server.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) vocabulary: usize,
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: String,
    /// The columns of its scores.
    #[serde(deserialize_with = "lenient")]
    pub(crate) columns: Vec<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored_settings: Vec<String>,
}

/// The tokenizer of masks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tokenizer {
    /// The SHA-256; none if the corpus had token ids.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: Option<String>,
    /// The SHA-256 of other tokenizer files that were used, by name.
    #[serde(
        deserialize_with = "lenient",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) files: BTreeMap<String, String>,
}

/// The special tokens that were added before or after each text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SpecialTokens {
    /// The option: `auto`, `always` or `never`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) rule: Option<String>,
    /// The token ids; none if unknown.
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokens: Option<Vec<u32>>,
}

/// The scope of the ranking: which tokens are ranked together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scope {
    /// `document`, `batch` or `corpus`; null if nothing was ranked, and missing in the files of `dynamics`.
    #[serde(
        rename = "scope",
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) name: Option<Option<String>>,
    /// For `batch`: its number of tokens.
    #[serde(
        rename = "scope_tokens",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) tokens: Option<u64>,
}

/// The rule of a column of masks or weights. Fields that do not apply to the rule are missing; an unset bound or
/// temperature is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Selection {
    /// The column that the rule created.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
    /// The score: a column, `excess` or `random`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The score columns of other programs or ours that it was computed from, and how they were combined, if there are
    /// several. Only tokens with a score in the column `among` were ranked.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) combine: Option<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) among: Option<String>,
    /// The two columns that the score is the difference of.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<[String; 2]>,
    /// For `random`: the seed.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// For `random`: the column that says which tokens are scored. In the scope `corpus`: the number of scored tokens.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) scored: Option<Scored>,
    /// The kept share of the scored tokens: chosen at random, with the lowest, or with the highest scores.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_lowest: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_highest: Option<f64>,
    /// The kept shares of single sources, if each source was ranked by itself.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_by: Option<BTreeMap<String, f64>>,
    /// For a band: the dropped shares.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) drop_lowest: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) drop_highest: Option<f64>,
    /// The bounds of the kept scores, in nats.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<Option<f32>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) at_most: Option<Option<f32>>,
    /// The formula of weights.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<String>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<Option<f64>>,
    /// For rank weights by such columns: whether the highest score has weight 1.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) highest: Option<bool>,
    /// The exponent of the weights `power`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) exponent: Option<f64>,
    /// The range of weights.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) least: Option<f32>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) most: Option<f32>,
    /// The combined mask columns: all must keep a token, or one of them.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) and: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) or: Option<Vec<String>>,
    /// In the scope `corpus`: the number of kept tokens, and their lowest and highest scores.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<u64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) lowest_kept: Option<Option<f32>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) highest_kept: Option<Option<f32>>,
}

/// A column of another program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct JoinedColumn {
    /// Its name in the masks.
    #[serde(deserialize_with = "lenient")]
    pub(crate) column: String,
    /// Its name in the files of the other program.
    #[serde(deserialize_with = "lenient")]
    pub(crate) from: String,
    /// The key: `token_hash` or `id`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) on: String,
}

/// A rule that whole documents were selected by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DocumentSelection {
    /// The score, or `kept`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) by: String,
    /// For `kept`: the mask.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) mask: Option<String>,
    /// The columns that a score was computed from, and how they were combined.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) combine: Option<String>,
    /// `mean` or `median` of the scored tokens.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) statistic: Option<String>,
    /// The share of the documents with the lowest or the highest value.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_lowest: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_highest: Option<f64>,
    /// Documents with a value, and how many of them were kept; the last value that was.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) scored: Option<u64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<u64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) lowest_kept: Option<Option<f64>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) highest_kept: Option<Option<f64>>,
}

/// Selections of tokens or documents without the counts that follow from the corpus.
pub(crate) fn without_counts(selections: &Value) -> Value {
    let mut selections = selections.clone();
    for selection in selections.as_array_mut().into_iter().flatten() {
        if let Some(fields) = selection.as_object_mut() {
            for count in ["kept", "lowest_kept", "highest_kept"] {
                fields.remove(count);
            }
            // For `random` it is the name of a column, which is a setting.
            if fields.get("scored").is_some_and(Value::is_number) {
                fields.remove("scored");
            }
        }
    }
    selections
}

/// See [`Selection::scored`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scored {
    Column(String),
    Tokens(u64),
}

/// The checkpoints and settings of `dynamics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Dynamics {
    #[serde(deserialize_with = "lenient")]
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// The meaning of x: `index` or `step`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) x: String,
    /// The threshold between low and high losses, in nats.
    #[serde(deserialize_with = "lenient")]
    pub(crate) threshold: f64,
    /// The names of the codes in the column `category`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) categories: Vec<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<ScoringModel>,
    /// With a reference: the share of tokens that a checkpoint would select.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<f64>,
}

/// A checkpoint whose losses `dynamics` compares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checkpoint {
    #[serde(flatten)]
    pub(crate) model: ScoringModel,
    /// The training step after which it was saved.
    #[serde(deserialize_with = "lenient")]
    pub(crate) step: Option<u64>,
    /// Its x value.
    #[serde(deserialize_with = "lenient")]
    pub(crate) x: f64,
}

/// A model that `dynamics` scored with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ScoringModel {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    /// SHA-256 of its files.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: String,
    /// The column of its losses.
    #[serde(deserialize_with = "lenient")]
    pub(crate) column: String,
}

/// Reads a value; the default if it has another type.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Reads a field that may be null, which is not the same as missing.
fn present<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(Some(serde_json::from_value(value).ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Reading and writing the metadata gives the same JSON.
    #[track_caller]
    fn is_kept(value: &Value) {
        let read: Metadata = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(&serde_json::to_value(read).unwrap(), value);
    }

    #[test]
    fn nothing_that_is_known_is_lost() {
        let common = json!({
            "format_version": 1, "provider": "cpu", "precision": "f32", "context": 128, "overlap": 32,
            "tokenizer": {"fingerprint": "ab", "files": {"tokenizer_config.json": "cd"}},
            "bos": {"rule": "auto", "tokens": [1]}, "eos": {"rule": "never", "tokens": []},
            "scope": "batch", "scope_tokens": 16384, "source_field": "meta.source", "where": ["tokens > 3"],
            "reference": {"name": "a/b@c", "fingerprint": "ef", "vocabulary": 2048, "ignored_settings": ["x"]},
            "selections": [
                {"column": "mask_loss", "by": "loss", "keep_lowest": 0.7},
                {"column": "mask_random", "by": "random", "seed": 3, "scored": "loss", "keep": 0.5, "keep_by": {"web": 0.1}},
                {"column": "mask_band", "by": "loss", "drop_lowest": 0.1, "drop_highest": 0.2},
                {"column": "mask_some", "by": "loss", "at_least": null, "at_most": 2.5},
                {"column": "weight_excess", "by": "excess", "difference": ["base_loss", "loss"],
                 "weights": "rank", "temperature": null, "least": 0.0, "most": 1.0},
                {"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]},
                {"column": "mask_loss", "by": "loss", "keep_lowest": 0.7, "scored": 10, "kept": 7, "highest_kept": 1.5},
            ],
        });
        is_kept(&common);
        let mut several = common;
        several["scope"] = json!(null);
        let model = json!({"name": "a", "fingerprint": "b", "vocabulary": 9, "precision": "f32", "columns": ["loss_1"]});
        several["reference"] = json!({"models": [model], "combine": "mean", "vocabulary": 9});
        several["base"] = model;
        several["verified"] = json!({"documents": 3});
        is_kept(&several);
    }

    #[test]
    fn what_is_no_metadata_reads_as_unknown() {
        let damaged = json!({"format_version": "one", "tokenizer": 3, "eos": {"tokens": "x"}, "selections": {}, "new": 1});
        let read = Metadata::of(&damaged);
        assert_eq!(read, Metadata::default());
        assert_eq!(Metadata::of(&json!([1])), Metadata::default());
    }
}
