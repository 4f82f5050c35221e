//! litdata: two parallel folders of chunks for its `TokensLoader`, `tokens` and `mask`. `ParallelStreamingDataset`
//! yields the same block of both. The mask is token-aligned, true for tokens to train on; the trainer shifts both. The
//! loader cuts blocks across documents, so each document ends with the end-of-sequence token.

use std::fs;

use anyhow::Context as _;
use rho_formats::{
    MaskFile, MasksFolder,
    trainers::{CHUNK_BYTES, LitChunks, LitStream, litdata_index},
};
use serde_json::{Value, json};

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written, on_demand::LaterFiles};
use crate::convert::{alignment, documents::Documents};

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: false,
    dtype: false,
    file_bytes: Some(CHUNK_BYTES),
    ends_documents: true,
    stream: false,
};

/// The folders and their contents, in the order of [`LitChunks::finish`].
const STREAMS: [(&str, LitStream); 2] = [("tokens", LitStream::Ids), ("mask", LitStream::Bits)];

pub(super) struct Litdata {
    file_bytes: u64,
}

struct Chunks {
    files: LaterFiles,
    file_bytes: u64,
    /// The pair of chunks being filled.
    open: LitChunks,
    /// The finished files.
    done: Vec<MaskFile>,
    told: [Vec<Value>; 2],
    rows: u64,
    kept: Vec<bool>,
}

impl Litdata {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            file_bytes: settings.file_bytes,
        }
    }
}

impl Target for Litdata {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(Chunks {
            files: LaterFiles::of(files),
            file_bytes: self.file_bytes,
            open: LitChunks::default(),
            done: Vec::new(),
            told: [Vec::new(), Vec::new()],
            rows: 0,
            kept: Vec::new(),
        }))
    }

    fn index(&self) -> &'static [&'static str] {
        &["tokens/index.json", "mask/index.json"]
    }

    fn finish(&self, folder: &MasksFolder, shards: &[&Written]) -> anyhow::Result<()> {
        for (name, stream) in STREAMS {
            let told = shards
                .iter()
                .filter_map(|shard| shard.notes[name].as_array());
            let chunks: Vec<&Value> = told.flatten().collect();
            let index = litdata_index(stream, self.file_bytes, &chunks);
            // Without documents nothing has created the folder yet.
            let place = folder.path().join(name);
            fs::create_dir_all(&place)
                .with_context(|| format!("{}: cannot be created", place.display()))?;
            let name = format!("{name}/index.json");
            folder.file(&name, Some(&|file| file.write_all(&index)))?;
        }
        Ok(())
    }
}

impl Chunks {
    fn close(&mut self) -> anyhow::Result<()> {
        if self.open.documents() == 0 {
            return Ok(());
        }
        let ending = self.ending();
        let [tokens, mask] = STREAMS.map(|(folder, _)| self.files.create_in(folder, &ending));
        let written = std::mem::take(&mut self.open).finish(tokens?, mask?)?;
        for ((file, told), all) in written.into_iter().zip(&mut self.told) {
            self.done.push(file);
            all.push(told);
        }
        Ok(())
    }

    fn ending(&self) -> String {
        format!(".{:05}.bin", self.told[0].len())
    }
}

impl Writer for Chunks {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        for document in documents.iter() {
            if !self
                .open
                .has_place(document.input_ids.len(), self.file_bytes)
            {
                self.close()?;
            }
            self.kept.clear();
            alignment::kept(document.chosen, &mut self.kept);
            self.open.add(document.input_ids, &self.kept);
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> anyhow::Result<Written> {
        self.close()?;
        let [tokens, mask] = self.told;
        Ok(Written {
            files: self.done,
            rows: self.rows,
            notes: json!({"tokens": tokens, "mask": mask}),
            ..Written::default()
        })
    }
}
