//! MosaicML's streaming datasets: a sample per document with the arrays `tokens` and `mask`, token-aligned, 1 for
//! tokens to train on. Documents are unchanged, because their readers pack them. One `index.json` lists all shards.

use rho_formats::{
    MaskFile, MasksFolder,
    trainers::{IdType, MdsShard, SHARD_BYTES, Sink, mds_index},
};
use serde_json::Value;

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written, on_demand::LaterFiles};
use crate::convert::{alignment, documents::Documents};

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: false,
    dtype: true,
    file_bytes: Some(SHARD_BYTES),
    ends_documents: false,
    stream: false,
};

const INDEX: &str = "index.json";

pub(super) struct Mds {
    ids: IdType,
    file_bytes: u64,
}

struct Shards {
    files: LaterFiles,
    ids: IdType,
    file_bytes: u64,
    /// The shard being filled.
    open: Option<(Sink, MdsShard)>,
    /// The finished files.
    done: Vec<MaskFile>,
    told: Vec<Value>,
    rows: u64,
    kept: Vec<bool>,
}

impl Mds {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            ids: settings.dtype.into(),
            file_bytes: settings.file_bytes,
        }
    }
}

impl Target for Mds {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(Shards {
            files: LaterFiles::of(files),
            ids: self.ids,
            file_bytes: self.file_bytes,
            open: None,
            done: Vec::new(),
            told: Vec::new(),
            rows: 0,
            kept: Vec::new(),
        }))
    }

    fn index(&self) -> &'static [&'static str] {
        &[INDEX]
    }

    fn finish(&self, folder: &MasksFolder, shards: &[&Written]) -> anyhow::Result<()> {
        let told = shards.iter().filter_map(|shard| shard.notes.as_array());
        let index = mds_index(&told.flatten().cloned().collect::<Vec<_>>());
        folder.file(INDEX, Some(&|file| file.write_all(&index)))?;
        Ok(())
    }
}

impl Shards {
    fn close(&mut self) -> anyhow::Result<()> {
        if let Some((sink, shard)) = self.open.take() {
            let (file, told) = shard.finish(sink)?;
            self.done.push(file);
            self.told.push(told);
        }
        Ok(())
    }
}

impl Writer for Shards {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        for document in documents.iter() {
            let tokens = document.input_ids.len();
            let full = |(_, shard): &(Sink, MdsShard)| !shard.has_place(tokens);
            if self.open.as_ref().is_some_and(full) {
                self.close()?;
            }
            let (sink, shard) = match &mut self.open {
                Some(open) => open,
                None => {
                    let sink = self.files.create(&format!(".{:05}.mds", self.done.len()))?;
                    let shard = MdsShard::new(self.ids, self.file_bytes);
                    self.open.insert((sink, shard))
                }
            };
            self.kept.clear();
            alignment::kept(document.chosen, &mut self.kept);
            shard.add(document.input_ids, &self.kept, sink)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Written> {
        self.close()?;
        Ok(Written {
            files: self.done,
            rows: self.rows,
            notes: Value::Array(self.told),
            ..Written::default()
        })
    }
}
