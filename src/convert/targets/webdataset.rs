//! WebDataset: tar files with the masks' own columns, one per shard. See `rho_formats::trainers`.

use rho_formats::trainers::{Samples, Sink};

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

pub(super) struct Tar {
    columns: Vec<String>,
}

struct Members {
    samples: Samples,
    rows: u64,
}

impl Tar {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            columns: settings.own_columns.clone(),
        }
    }

    fn members(&self, sink: Sink) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(Members {
            samples: Samples::new(sink, self.columns.clone())?,
            rows: 0,
        }))
    }
}

impl Target for Tar {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        self.members(files.create(".tar")?)
    }

    fn stream(&self, sink: Sink) -> Option<anyhow::Result<Box<dyn Writer>>> {
        Some(self.members(sink))
    }
}

impl Writer for Members {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        self.rows += documents.masks().rows() as u64;
        Ok(self.samples.write(documents.masks())?)
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        Ok(Written {
            files: vec![self.samples.finish()?],
            rows: self.rows,
            ..Written::default()
        })
    }
}
