//! The settings of a target: the column, the end of documents, types. What the arguments leave open comes from the
//! masks; what does not fit the masks is refused.

use rho_formats::MaskColumns;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    documents::Column,
    end_of_sequence::{self, DocumentsEnd, Ending},
    targets::Abilities,
};
use crate::{
    cli::{ConvertArgs, IdsDtype},
    hinted_error::HintedError,
    metadata::Metadata,
    selections::default_mask::{USUAL_MASK, chosen},
};

/// The settings of a target.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The column that says which tokens are targets. Only targets that write the masks' own columns may have none.
    pub(crate) column: Option<Column>,
    /// For a target that writes the masks' own columns: those columns, in order.
    pub(crate) own_columns: Vec<String>,
    /// Tokens per sequence.
    pub(crate) length: Option<usize>,
    /// The type of token ids, if the target has a choice: `--dtype`, else the smallest that holds the vocabulary.
    pub(crate) dtype: IdsDtype,
    /// The size at which files are split.
    pub(crate) file_bytes: u64,
    /// What is added to the end of documents.
    pub(crate) ending: Ending,
    /// How the files were created: the masks' metadata, with the conversion under `convert`.
    pub(crate) metadata: Value,
}

impl Settings {
    /// From the arguments and the first file of the masks.
    pub(super) fn of(
        args: &ConvertArgs,
        abilities: Abilities,
        first: &MaskColumns,
    ) -> anyhow::Result<Self> {
        let metadata = &first.schema().metadata;
        let known = Metadata::of(metadata);
        let column = column(args, abilities, first)?;
        let named = args.mask.as_ref().or(args.weights.as_ref());
        let ending = match abilities.ends_documents {
            false => Ending::AsTheyAre,
            true => {
                let tokenizer = args.masks.join("tokenizer.json");
                Ending::With(end_of_sequence::eos(args.eos_id, &known, &tokenizer)?)
            }
        };
        let vocabulary = known.vocabulary().map(|vocabulary| vocabulary as u64);
        let dtype = dtype(args, vocabulary, ending)?;
        let mut settings = Self {
            own_columns: own_columns(first, named.map(String::as_str)),
            length: args.length,
            file_bytes: args.shard_size.or(abilities.file_bytes).unwrap_or(u64::MAX),
            metadata: Value::Null,
            column,
            dtype,
            ending,
        };
        settings.metadata = described(args, abilities, &settings, metadata);
        Ok(settings)
    }

    /// The padding token: the end-of-sequence token if it is known, for trainers that separate documents by it.
    pub(crate) fn pad(&self) -> i32 {
        self.ending.eos().unwrap_or(0)
    }
}

/// What was done to the masks, under `convert` in the metadata.
#[derive(Debug, Serialize)]
struct Convert<'a> {
    to: &'a str,
    documents_end: DocumentsEnd,
    /// Of a target that writes the masks' own columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mask: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    padding: Option<Padding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dtype: Option<IdsDtype>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_size: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Padding {
    token: i32,
}

/// The metadata of the files: that of the masks, and what was done to the masks.
fn described(
    args: &ConvertArgs,
    abilities: Abilities,
    settings: &Settings,
    masks: &Value,
) -> Value {
    let (mask, weights) = match (&settings.column, abilities.own_columns) {
        (Some(Column::Mask(name)), false) => (Some(name.as_str()), None),
        (Some(Column::Weights(name)), false) => (None, Some(name.as_str())),
        _ => (None, None),
    };
    let convert = Convert {
        to: &args.to.name(),
        documents_end: settings.ending.metadata(),
        columns: abilities.own_columns.then_some(&settings.own_columns[..]),
        mask,
        weights,
        length: settings.length,
        padding: settings.length.map(|_| Padding {
            token: settings.pad(),
        }),
        dtype: abilities.dtype.then_some(settings.dtype),
        shard_size: abilities.file_bytes.map(|_| settings.file_bytes),
    };
    // All other metadata of the masks is kept unchanged.
    let mut metadata = masks.clone();
    metadata["convert"] = json!(convert);
    metadata
}

/// Finds the column that says which tokens are targets. A target that writes the masks' own columns needs none.
fn column(
    args: &ConvertArgs,
    abilities: Abilities,
    first: &MaskColumns,
) -> anyhow::Result<Option<Column>> {
    let missing = |what: &str, there: &[String], option: &str| {
        let there = match there {
            [] => "none".to_owned(),
            there => there.join(", "),
        };
        HintedError::error(
            format!("{}: expected {what}, got {there}", args.masks.display()),
            format!("name another column with {option}, or create one with `rho-mask select`"),
        )
    };
    if let Some(named) = &args.weights {
        let there: Vec<String> = first.weights().into_iter().map(str::to_owned).collect();
        return match there.contains(named) {
            true => Ok(Some(Column::Weights(named.clone()))),
            false => Err(missing(
                &format!("a column of weights {named:?}"),
                &there,
                "--weights",
            )),
        };
    }
    let there = &first.schema().masks;
    match (chosen(args.mask.as_deref(), there, USUAL_MASK), &args.mask) {
        (Some(name), _) => Ok(Some(Column::Mask(name))),
        (None, Some(named)) => Err(missing(
            &format!("a column of masks {named:?}"),
            there,
            "--mask",
        )),
        (None, None) if abilities.own_columns => Ok(None),
        (None, None) => Err(missing("a column of masks", there, "--mask")),
    }
}

/// The columns, in order, that a target with the masks' own columns writes: all, or of the columns that selections
/// created only the named one.
fn own_columns(first: &MaskColumns, named: Option<&str>) -> Vec<String> {
    let weights = first.weights();
    let selected = |name: &str| {
        weights.contains(&name) || first.schema().masks.iter().any(|mask| mask == name)
    };
    let wanted = |name: &&str| named.is_none_or(|named| *name == named || !selected(name));
    let names = first.names().into_iter().filter(wanted);
    names.map(str::to_owned).collect()
}

/// The type of token ids: `--dtype`, else the smallest that holds the vocabulary. If the vocabulary is unknown, ids
/// that do not fit are found while writing.
fn dtype(args: &ConvertArgs, vocabulary: Option<u64>, ending: Ending) -> anyhow::Result<IdsDtype> {
    const OF_U16: u64 = 1 << 16;
    // The end-of-sequence token must fit too, even if it is beyond the masks' vocabulary.
    let eos = ending
        .eos()
        .map_or(0, |eos| u64::from(eos.cast_unsigned()) + 1);
    let known = vocabulary.unwrap_or(0).max(eos);
    match args.dtype {
        Some(IdsDtype::U16) if known > OF_U16 => Err(HintedError::error(
            format!("--dtype u16: expected a vocabulary of at most {OF_U16} tokens, got {known}"),
            "use u32, or omit --dtype",
        )),
        Some(named) => Ok(named),
        None if vocabulary.is_some() && known <= OF_U16 => Ok(IdsDtype::U16),
        None => Ok(IdsDtype::U32),
    }
}
