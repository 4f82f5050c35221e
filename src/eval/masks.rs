//! Looks up which tokens of a document the masks keep. Documents are found by their tokens, whatever their shard and
//! row.

use std::path::{Path, PathBuf};

use rho_formats::{DocumentColumns, MaskColumns, MaskDocuments, MaskError, TARGET};

use crate::{
    hinted_error::HintedError, masks::finished::finished_files, masks_by_tokens::Join,
    metadata::Metadata, plan::Plan,
};

/// The mask that `score` writes by default.
const DEFAULT_MASK: &str = "mask_intersection";

/// The mask of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mask<'a> {
    pub(crate) kept: &'a [bool],
    /// Which tokens may be targets, if not all: the others are neither kept nor dropped.
    pub(crate) target: Option<&'a [bool]>,
}

/// One column of a masks folder.
pub(crate) struct Masks {
    pub(crate) column: String,
    join: Join,
}

impl Masks {
    /// Opens a finished folder. Refuses masks of another tokenizer than the model's.
    pub(crate) fn open(folder: &Path, column: Option<&str>, plan: &Plan) -> anyhow::Result<Self> {
        let shown = folder.display();
        let names = finished_files(folder)?;
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let first = files.first().ok_or_else(|| MaskError::Empty {
            path: folder.to_owned(),
        })?;
        let first = MaskColumns::open(first)?;
        let schema = first.schema();
        let theirs = Metadata::of(&schema.metadata).tokenizer.fingerprint;
        if let (Some(theirs), Some(ours)) = (&theirs, &plan.tokenizer_fingerprint)
            && theirs != ours
        {
            return Err(HintedError::error(
                format!(
                    "{shown}: expected masks of the model's tokenizer (SHA-256 {ours}), got masks of another ({theirs})"
                ),
                "score the data with a reference that has this model's tokenizer.json, byte for byte",
            ));
        }
        let there = &schema.masks;
        let found = match (column, &there[..]) {
            (None, [only]) => Some(only.clone()),
            (named, _) => {
                let name = named.unwrap_or(DEFAULT_MASK);
                there.iter().find(|column| *column == name).cloned()
            }
        };
        let column = found.ok_or_else(|| {
            let expected = column.map_or(String::new(), |name| format!(" {name:?}"));
            let there = match there.join(", ") {
                none if none.is_empty() => "none".to_owned(),
                there => there,
            };
            HintedError::error(
                format!("{shown}: expected a column of masks{expected}, got {there}"),
                "name one with --mask, or create one with `rho-mask select`",
            )
        })?;
        let target = schema.target.then(|| TARGET.to_owned());
        let columns = DocumentColumns {
            masks: [column.clone()].into_iter().chain(target).collect(),
            ..DocumentColumns::default()
        };
        Ok(Self {
            column,
            join: Join::new(MaskDocuments::open(files, &columns)?)?,
        })
    }

    /// The mask of the document with these tokens.
    pub(crate) fn find(&mut self, tokens: &[u32]) -> Result<Option<Mask<'_>>, MaskError> {
        let found = self.join.find(tokens)?;
        let mask = found.and_then(|read| {
            let mut columns = read.masks.iter();
            Some(Mask {
                kept: columns.next()?,
                target: columns.next().map(Vec::as_slice),
            })
        });
        Ok(mask)
    }
}
