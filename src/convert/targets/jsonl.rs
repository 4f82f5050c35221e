//! JSON lines with the masks' own columns, one file per shard. The metadata of the masks is in `rho_mask.json`.

use rho_formats::trainers::{JsonLines, Sink};

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written};
use crate::convert::documents::Documents;

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: true,
    weights: true,
    signed_weights: true,
    length: false,
    dtype: false,
    file_bytes: None,
    ends_documents: false,
    stream: true,
};

pub(super) struct Jsonl {
    columns: Vec<String>,
}

struct Lines {
    lines: JsonLines,
    rows: u64,
}

impl Jsonl {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            columns: settings.own_columns.clone(),
        }
    }

    fn lines(&self, sink: Sink) -> Box<dyn Writer> {
        Box::new(Lines {
            lines: JsonLines::new(sink, self.columns.clone()),
            rows: 0,
        })
    }
}

impl Target for Jsonl {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        Ok(self.lines(files.create(".jsonl")?))
    }

    fn stream(&self, sink: Sink) -> Option<anyhow::Result<Box<dyn Writer>>> {
        Some(Ok(self.lines(sink)))
    }
}

impl Writer for Lines {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        self.rows += documents.masks().rows() as u64;
        Ok(self.lines.write(documents.masks())?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        Ok(Written {
            files: vec![self.lines.finish()?],
            rows: self.rows,
            ..Written::default()
        })
    }
}
