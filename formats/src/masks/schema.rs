//! Takes the names of the scores and masks, yields the schema of a mask file; and back from a file's schema.
//!
//! All fields and items are nullable, like pyarrow's own defaults, so that `pa.list_(pa.int32())` equals the column's
//! type; only scores actually hold nulls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use serde_json::{Map, Value};

use super::batch::{MOST_STRING_BYTES, MOST_TOKENS};
use super::top::{TOP_IDS, TOP_LOGPROBS};
use super::{MaskRow, OutputError, ScoreType, TopColumns};

/// The key of the metadata of a mask file: how the masks were created.
pub const METADATA_KEY: &str = "rho_mask";

pub(super) const ID: &str = "id";
pub(super) const SHARD: &str = "shard";
pub(super) const ROW: &str = "row";
pub(super) const TOKEN_HASH: &str = "token_hash";
pub(super) const INPUT_IDS: &str = "input_ids";
pub(super) const TEXT: &str = "text";
pub(super) const SOURCE: &str = "source";
/// The column that says which tokens may be targets: lists of `bool` like masks, but an input of a selection, not its
/// result.
pub const TARGET: &str = "target";

/// The names of columns that are no scores, masks or weights.
pub const RESERVED: [&str; 10] = [
    ID,
    SHARD,
    ROW,
    TOKEN_HASH,
    INPUT_IDS,
    TEXT,
    SOURCE,
    TARGET,
    TOP_IDS,
    TOP_LOGPROBS,
];

/// The prefix of the names of weight columns. They have the type of scores, but are not scores.
pub(super) const WEIGHT: &str = "weight_";

/// The columns of a mask file beside `id`, `shard`, `row`, `token_hash` and `input_ids`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskSchema {
    /// Columns of scores: lists with nulls for tokens that were not scored.
    pub scores: Vec<String>,
    /// The type of these lists' items.
    pub score_type: ScoreType,
    /// The columns of the most likely tokens, if there are any: `top_ids` and `top_logprobs`.
    pub top: Option<TopColumns>,
    /// Columns of masks: lists of `bool`.
    pub masks: Vec<String>,
    /// Columns of weights: lists of 32-bit floats. Their names start with `weight_`.
    pub weights: Vec<String>,
    /// Whether there is a column `text`.
    pub text: bool,
    /// Whether there is a column `source`.
    pub source: bool,
    /// Whether there is a column `target`: then its false tokens are context, which no mask keeps.
    pub target: bool,
    /// How the masks were created, as known before the first row: JSON under [`METADATA_KEY`].
    pub metadata: Value,
}

/// Why the schema of a file is not that of a mask file.
#[derive(Debug)]
pub(super) enum Unfit {
    NoMetadata,
    Metadata(serde_json::Error),
    Column {
        name: &'static str,
        expected: DataType,
    },
}

impl MaskSchema {
    /// The first duplicate column name, if any.
    pub(super) fn name_twice(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        let own = RESERVED.into_iter();
        own.chain(self.lists()).find(|name| !seen.insert(*name))
    }

    /// The names of all lists beside the token ids, the targets and the most likely tokens, in the order of the columns.
    fn lists(&self) -> impl Iterator<Item = &str> {
        let lists = self.scores.iter().chain(&self.masks).chain(&self.weights);
        lists.map(String::as_str)
    }

    /// The columns in order, all nullable, and the metadata.
    pub(crate) fn to_arrow(&self) -> Schema {
        let fixed = fixed().map(|(name, kind)| Field::new(name, kind, true));
        let target = self.target.then(|| Field::new(TARGET, masks(), true));
        let scores = self
            .scores
            .iter()
            .map(|name| Field::new(name, scores(self.score_type), true));
        let top = self.top.iter().flat_map(TopColumns::fields);
        let masks = self
            .masks
            .iter()
            .map(|name| Field::new(name, masks(), true));
        let weights = self
            .weights
            .iter()
            .map(|name| Field::new(name, weights(), true));
        let text = self.text.then(|| Field::new(TEXT, DataType::Utf8, true));
        let source = self
            .source
            .then(|| Field::new(SOURCE, DataType::Utf8, true));
        let columns = fixed
            .into_iter()
            .chain(source)
            .chain(target)
            .chain(scores)
            .chain(top)
            .chain(masks)
            .chain(weights)
            .chain(text);
        let fields: Vec<_> = columns.collect();
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), self.metadata.to_string())]);
        Schema::new_with_metadata(fields, metadata)
    }

    pub(super) fn from_arrow(schema: &Schema) -> Result<Self, Unfit> {
        let metadata = schema
            .metadata()
            .get(METADATA_KEY)
            .ok_or(Unfit::NoMetadata)?;
        // Who changes or shows it relies on an object.
        let metadata: Map<String, Value> =
            serde_json::from_str(metadata).map_err(Unfit::Metadata)?;
        for (name, expected) in fixed() {
            let fits = schema
                .field_with_name(name)
                .is_ok_and(|field| field.data_type().equals_datatype(&expected));
            if !fits {
                return Err(Unfit::Column { name, expected });
            }
        }
        let target = schema.field_with_name(TARGET).ok();
        if target.is_some_and(|field| !field.data_type().equals_datatype(&masks())) {
            return Err(Unfit::Column {
                name: TARGET,
                expected: masks(),
            });
        }
        let top = TopColumns::from_arrow(schema)?;
        let of = |kind: DataType, weights: bool| {
            schema
                .fields()
                .iter()
                .filter(|field| field.name() != TARGET)
                .filter(|field| field.data_type().equals_datatype(&kind))
                .filter(|field| field.name().starts_with(WEIGHT) == weights)
                .map(|field| field.name().clone())
                .collect()
        };
        let columns_of = |kind: DataType| of(kind, false);
        let wide: Vec<String> = columns_of(scores(ScoreType::Float32));
        let narrow: Vec<String> = columns_of(scores(ScoreType::Float16));
        let (scores, score_type) = if narrow.is_empty() {
            (wide, ScoreType::Float32)
        } else {
            (narrow, ScoreType::Float16)
        };
        let strings = |name| {
            let field = schema.field_with_name(name);
            field.is_ok_and(|field| field.data_type() == &DataType::Utf8)
        };
        Ok(Self {
            scores,
            score_type,
            top,
            masks: columns_of(masks()),
            weights: of(weights(), true),
            text: strings(TEXT),
            source: strings(SOURCE),
            target: target.is_some(),
            metadata: metadata.into(),
        })
    }

    /// Checks that a row matches the schema.
    pub(crate) fn check(&self, shard: &str, row: &MaskRow) -> Result<(), OutputError> {
        let unfit = |what: String, expected: usize, got: usize| OutputError::Row {
            shard: shard.to_owned(),
            row: row.row,
            what,
            expected,
            got,
        };
        let tokens = row.input_ids.len();
        let texts = usize::from(row.text.is_some());
        let counts = [
            ("lists of scores", self.scores.len(), row.scores.len()),
            ("lists of masks", self.masks.len(), row.masks.len()),
            ("lists of weights", self.weights.len(), row.weights.len()),
            (
                "lists of targets",
                usize::from(self.target),
                usize::from(row.target.is_some()),
            ),
            (
                "lists of the most likely tokens",
                usize::from(self.top.is_some()),
                usize::from(row.top.is_some()),
            ),
            (
                "texts",
                usize::from(self.text),
                texts.min(usize::from(self.text)),
            ),
        ];
        for (what, expected, got) in counts {
            if expected != got {
                return Err(unfit(what.to_owned(), expected, got));
            }
        }
        for (name, got) in self.lists().zip(row.lengths()) {
            if got != tokens {
                let what = format!("items of {name:?}, as many as tokens");
                return Err(unfit(what, tokens, got));
            }
        }
        if let Some(target) = &row.target {
            if target.len() != tokens {
                let what = format!("items of {TARGET:?}, as many as tokens");
                return Err(unfit(what, tokens, target.len()));
            }
            let kept = |mask: &Vec<bool>| keeps_context(target, mask);
            if let Some(i) = row.masks.iter().position(kept) {
                let what = format!("context tokens in {:?}", self.masks[i]);
                return Err(unfit(what, 0, 1));
            }
        }
        if let (Some(columns), Some(top)) = (&self.top, &row.top) {
            let items = tokens.saturating_mul(columns.count);
            for (name, got) in [(TOP_IDS, top.ids.len()), (TOP_LOGPROBS, top.logprobs.len())] {
                if got != items {
                    let what = format!("items of {name:?}, {} for each token", columns.count);
                    return Err(unfit(what, items, got));
                }
            }
            let most = columns.most_tokens();
            if tokens > most {
                let what = format!(
                    "tokens at most, with {} items of {TOP_IDS:?} for each",
                    columns.count
                );
                return Err(unfit(what, most, tokens));
            }
            let mixed = top.mixed(columns.count);
            if mixed > 0 {
                let what = format!("tokens of which only some of {TOP_LOGPROBS:?} are NaN");
                return Err(unfit(what, 0, mixed));
            }
        }
        let text = row.text.as_ref().map_or(0, String::len);
        let source = row.source.as_ref().map_or(0, String::len);
        let most = [
            ("tokens at most", MOST_TOKENS, tokens),
            ("bytes of id at most", MOST_STRING_BYTES, row.id.len()),
            ("bytes of text at most", MOST_STRING_BYTES, text),
            ("bytes of source at most", MOST_STRING_BYTES, source),
        ];
        for (what, most, got) in most {
            if got > most {
                return Err(unfit(what.to_owned(), most, got));
            }
        }
        let likely = row.top.iter().flat_map(|top| &top.ids);
        let mut ids = row.input_ids.iter().chain(likely);
        match ids.find(|token| **token > GREATEST_TOKEN) {
            Some(token) => Err(OutputError::Token {
                shard: shard.to_owned(),
                row: row.row,
                token: *token,
            }),
            None => Ok(()),
        }
    }
}

/// Whether a mask keeps a token that is no target.
pub(super) fn keeps_context(target: &[bool], mask: &[bool]) -> bool {
    target
        .iter()
        .zip(mask)
        .any(|(target, kept)| *kept && !target)
}

impl MaskRow {
    /// The lengths of all lists beside the token ids, the targets and the most likely tokens, in the order of the columns.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        let scores = self.scores.iter().map(Vec::len);
        let masks = self.masks.iter().map(Vec::len);
        scores.chain(masks).chain(self.weights.iter().map(Vec::len))
    }
}

/// The largest token id: the masks hold 32-bit signed integers.
const GREATEST_TOKEN: u32 = i32::MAX as u32;

fn fixed() -> [(&'static str, DataType); 5] {
    [
        (ID, DataType::Utf8),
        (SHARD, DataType::Utf8),
        (ROW, DataType::Int64),
        (TOKEN_HASH, DataType::Int64),
        (INPUT_IDS, ids()),
    ]
}

/// Whether a column is the result of a selection (masks, weights), not its input.
pub(super) fn is_selected(field: &Field) -> bool {
    is_mask(field) || field.name().starts_with(WEIGHT)
}

/// Whether a column is a mask: which tokens a selection keeps, not which it may keep.
pub(super) fn is_mask(field: &Field) -> bool {
    field.data_type().equals_datatype(&masks()) && field.name() != TARGET
}

/// Whether a column holds weights.
pub(super) fn is_weights(field: &Field) -> bool {
    field.data_type().equals_datatype(&weights()) && field.name().starts_with(WEIGHT)
}

/// Whether a column holds codes.
pub(super) fn is_codes(field: &Field) -> bool {
    field.data_type().equals_datatype(&codes())
}

/// Whether a column holds scores.
pub(super) fn is_score(field: &Field) -> bool {
    let kinds = [ScoreType::Float32, ScoreType::Float16];
    let is = |kind| field.data_type().equals_datatype(&scores(kind));
    kinds.into_iter().any(is) && !field.name().starts_with(WEIGHT)
}

/// Whether a column holds lists of numbers: scores or weights.
pub(super) fn is_number(field: &Field) -> bool {
    numbers()
        .iter()
        .any(|kind| field.data_type().equals_datatype(kind))
}

/// The types of columns of numbers.
pub(super) fn numbers() -> [DataType; 2] {
    [ScoreType::Float32, ScoreType::Float16].map(scores)
}

pub(super) fn ids() -> DataType {
    list(DataType::Int32)
}

pub(super) fn weights() -> DataType {
    scores(ScoreType::Float32)
}

pub(super) fn codes() -> DataType {
    list(DataType::UInt8)
}

fn scores(kind: ScoreType) -> DataType {
    list(match kind {
        ScoreType::Float32 => DataType::Float32,
        ScoreType::Float16 => DataType::Float16,
    })
}

pub(super) fn masks() -> DataType {
    list(DataType::Boolean)
}

pub(super) fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> MaskSchema {
        MaskSchema {
            scores: vec!["loss".to_owned(), "entropy".to_owned()],
            score_type: ScoreType::Float32,
            top: None,
            masks: vec!["mask_loss".to_owned()],
            weights: Vec::new(),
            text: false,
            source: false,
            target: false,
            metadata: serde_json::json!({"format": 1}),
        }
    }

    #[test]
    fn arrow_and_back() {
        let arrow = schema().to_arrow();
        let names: Vec<_> = arrow
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        let expected = "id shard row token_hash input_ids loss entropy mask_loss";
        assert_eq!(names.join(" "), expected);
        assert_eq!(MaskSchema::from_arrow(&arrow).unwrap(), schema());
        let other = MaskSchema {
            score_type: ScoreType::Float16,
            top: Some(TopColumns {
                count: 8,
                score_type: ScoreType::Float16,
            }),
            weights: vec!["weight_loss".to_owned()],
            text: true,
            source: true,
            target: true,
            ..schema()
        };
        assert_eq!(MaskSchema::from_arrow(&other.to_arrow()).unwrap(), other);
    }

    #[test]
    fn half_scores_stay_numbers() {
        let round = |score| ScoreType::Float16.round(score);
        assert_eq!([round(1.0), round(2.0002), round(1e9)], [1.0, 2.0, 65504.0]);
        assert!(round(f32::NAN).is_nan());
    }

    #[test]
    fn names_stand_once() {
        assert_eq!(schema().name_twice(), None);
        let mut twice = schema();
        twice.masks.push("input_ids".to_owned());
        assert_eq!(twice.name_twice(), Some("input_ids"));
    }
}
