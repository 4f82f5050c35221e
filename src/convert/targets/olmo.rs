//! OLMo and OLMo-core: `tokens/` and `label_mask/` with an array per shard, and beside the tokens the bounds of
//! documents. OLMo-core joins documents and cuts them into sequences, so each document must end with the
//! end-of-sequence token. Its `get_labels` masks and then shifts, so the mask is token-aligned, true for tokens to
//! train on.

use rho_formats::trainers::{DocumentOrigin, IdType, Memmaps};

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written, on_demand::LaterFiles};
use crate::convert::{alignment, documents::Documents};

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: false,
    dtype: true,
    file_bytes: None,
    ends_documents: true,
    stream: false,
};

pub(super) struct Olmo {
    ids: IdType,
}

struct Arrays {
    files: LaterFiles,
    ids: IdType,
    memmaps: Option<Memmaps>,
    rows: u64,
    kept: Vec<bool>,
}

impl Olmo {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            ids: settings.dtype.into(),
        }
    }
}

impl Target for Olmo {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(Arrays {
            files: LaterFiles::of(files),
            ids: self.ids,
            memmaps: None,
            rows: 0,
            kept: Vec::new(),
        }))
    }
}

impl Writer for Arrays {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        for document in documents.iter() {
            let memmaps = match &mut self.memmaps {
                Some(memmaps) => memmaps,
                None => self.memmaps.insert(Memmaps::new(
                    self.files.create_in("tokens", ".npy")?,
                    self.files.create_in("label_mask", ".npy")?,
                    // OLMo-core derives this name from that of the tokens.
                    self.files.create_in("tokens", ".csv.gz")?,
                    self.ids,
                )),
            };
            self.kept.clear();
            alignment::kept(document.chosen, &mut self.kept);
            let place = DocumentOrigin {
                id: document.id,
                shard: document.shard,
                row: document.row,
            };
            memmaps.write(document.input_ids, &self.kept, place)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        Ok(Written {
            files: match self.memmaps {
                Some(memmaps) => memmaps.finish()?.into(),
                None => Vec::new(),
            },
            rows: self.rows,
            ..Written::default()
        })
    }
}
