//! GPT-NeoX: for each shard an indexed dataset of token ids (`train_data_paths`) and a parallel one of labels
//! (`train_label_data_paths`), -100 for tokens that are no targets. GPT-NeoX joins documents and cuts them into
//! samples, the same way for both, so each document must end with the end-of-sequence token. It shifts labels itself
//! ("not shifted by 1 yet", as its arguments say), so they are token-aligned.

use rho_formats::trainers::Indexed;

use super::{Abilities, Settings, ShardFiles, Target, Writer, Written, on_demand::LaterFiles};
use crate::convert::{alignment, documents::Documents};

pub(super) const ABILITIES: Abilities = Abilities {
    own_columns: false,
    weights: false,
    signed_weights: false,
    length: false,
    dtype: false,
    file_bytes: None,
    ends_documents: true,
    stream: false,
};

pub(super) struct Neox;

struct Pair {
    files: LaterFiles,
    /// The dataset of token ids, and that of labels.
    datasets: Option<[Indexed; 2]>,
    rows: u64,
    labels: Vec<i32>,
}

impl Neox {
    pub(super) fn new(_settings: &Settings) -> Self {
        Self
    }
}

impl Target for Neox {
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(Pair {
            files: LaterFiles::of(files),
            datasets: None,
            rows: 0,
            labels: Vec::new(),
        }))
    }
}

impl Writer for Pair {
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()> {
        for document in documents.iter() {
            let [tokens, labels] = match &mut self.datasets {
                Some(datasets) => datasets,
                None => {
                    let begin = |folder| {
                        let [bin, idx] = [".bin", ".idx"];
                        let (bin, idx) = (
                            self.files.create_in(folder, bin)?,
                            self.files.create_in(folder, idx)?,
                        );
                        anyhow::Ok(Indexed::new(bin, idx))
                    };
                    self.datasets.insert([begin("tokens")?, begin("labels")?])
                }
            };
            self.labels.clear();
            alignment::labels(document.input_ids, document.chosen, &mut self.labels);
            tokens.write(document.input_ids)?;
            labels.write(&self.labels)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<Written> {
        let mut files = Vec::new();
        for dataset in self.datasets.into_iter().flatten() {
            files.extend(dataset.finish()?);
        }
        Ok(Written {
            files,
            rows: self.rows,
            ..Written::default()
        })
    }
}
