//! Takes the names of the scores and masks, yields the schema of a mask file; and back from a file's schema.
//!
//! All fields and items are nullable, as pyarrow's own defaults are, so that `pa.list_(pa.int32())` equals the
//! column's type; only scores do hold nulls.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;

/// The key of the schema's metadata under which a mask file says how it was made.
pub const METADATA_KEY: &str = "rho_mask";

pub(super) const ID: &str = "id";
pub(super) const SHARD: &str = "shard";
pub(super) const ROW: &str = "row";
pub(super) const TOKEN_HASH: &str = "token_hash";
pub(super) const INPUT_IDS: &str = "input_ids";

/// What the files of a masks folder hold beside `id`, `shard`, `row`, `token_hash` and `input_ids`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskSchema {
    /// Columns of scores: lists of `float32` with nulls where nothing was scored.
    pub scores: Vec<String>,
    /// Columns of masks: lists of `bool`.
    pub masks: Vec<String>,
    /// How the masks were made: what is known before the first row, as JSON under [`METADATA_KEY`].
    pub metadata: Value,
}

/// Why the schema of a file is not that of masks.
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
    /// The first column name that stands twice, if any.
    pub(super) fn name_twice(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        [ID, SHARD, ROW, TOKEN_HASH, INPUT_IDS]
            .into_iter()
            .chain(self.scores.iter().chain(&self.masks).map(String::as_str))
            .find(|name| !seen.insert(*name))
    }

    pub(super) fn to_arrow(&self) -> Schema {
        let fixed = fixed().map(|(name, kind)| Field::new(name, kind, true));
        let scores = self
            .scores
            .iter()
            .map(|name| Field::new(name, scores(), true));
        let masks = self
            .masks
            .iter()
            .map(|name| Field::new(name, masks(), true));
        let fields: Vec<_> = fixed.into_iter().chain(scores).chain(masks).collect();
        let metadata = HashMap::from([(METADATA_KEY.to_owned(), self.metadata.to_string())]);
        Schema::new_with_metadata(fields, metadata)
    }

    pub(super) fn from_arrow(schema: &Schema) -> Result<Self, Unfit> {
        let metadata = schema
            .metadata()
            .get(METADATA_KEY)
            .ok_or(Unfit::NoMetadata)?;
        let metadata = serde_json::from_str(metadata).map_err(Unfit::Metadata)?;
        for (name, expected) in fixed() {
            let fits = schema
                .field_with_name(name)
                .is_ok_and(|field| field.data_type().equals_datatype(&expected));
            if !fits {
                return Err(Unfit::Column { name, expected });
            }
        }
        let columns_of = |kind: DataType| {
            schema
                .fields()
                .iter()
                .filter(|field| field.data_type().equals_datatype(&kind))
                .map(|field| field.name().clone())
                .collect()
        };
        Ok(Self {
            scores: columns_of(scores()),
            masks: columns_of(masks()),
            metadata,
        })
    }
}

fn fixed() -> [(&'static str, DataType); 5] {
    [
        (ID, DataType::Utf8),
        (SHARD, DataType::Utf8),
        (ROW, DataType::Int64),
        (TOKEN_HASH, DataType::Int64),
        (INPUT_IDS, list(DataType::Int32)),
    ]
}

fn scores() -> DataType {
    list(DataType::Float32)
}

fn masks() -> DataType {
    list(DataType::Boolean)
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> MaskSchema {
        MaskSchema {
            scores: vec!["loss".to_owned(), "entropy".to_owned()],
            masks: vec!["mask_loss".to_owned()],
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
    }

    #[test]
    fn names_stand_once() {
        assert_eq!(schema().name_twice(), None);
        let mut twice = schema();
        twice.masks.push("input_ids".to_owned());
        assert_eq!(twice.name_twice(), Some("input_ids"));
    }
}
