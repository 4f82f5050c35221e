//! The plan of a run: everything is decided. `resolve` makes it from the arguments.

use std::path::PathBuf;

use rho_formats::{ReadOptions, Sample, Shard};
use rho_reference::Device;
use rho_trainer::{data::Packing, run::KeepSchedule};
use serde::Serialize;
use serde_json::{Value, json};

use super::{columns::Columns, model::Model};
use crate::{
    cli::{OPTION_NAMES, ObjectiveName, ScheduleName},
    content::{ContentPlan, Encoder},
    conversations::Conversations,
    tokenization::Tokenization,
};

/// Everything `train` does, except what follows from the lengths of the documents: the number of steps.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TrainPlan {
    pub(super) out: PathBuf,
    pub(super) objective: ObjectiveName,
    /// The keep ratio over the steps.
    pub(super) keep: String,
    pub(super) mix_clm: f64,
    /// The columns read from the masks.
    pub(super) columns: Columns,
    /// The checkpoint's folder, or the config.json of a model from scratch.
    pub(super) model: PathBuf,
    /// SHA-256 of its configuration and weights.
    pub(super) model_fingerprint: String,
    /// Settings of config.json that are ignored on request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ignored_settings: Vec<String>,
    pub(super) vocabulary: usize,
    pub(super) tokenizer: Option<PathBuf>,
    pub(super) tokenizer_fingerprint: Option<String>,
    /// `cpu` or `cuda:N`.
    pub(super) device: String,
    pub(super) threads: usize,
    pub(super) gradient_checkpointing: bool,
    /// The masks folder.
    pub(super) masks: Option<PathBuf>,
    /// Its files and their sizes.
    pub(super) mask_files: Vec<Value>,
    /// The corpus's shards and their sizes; empty if the masks' own documents are trained on.
    pub(super) corpus: Vec<Value>,
    /// Tokens before and after each text.
    pub(super) bos: Vec<u32>,
    pub(super) eos: Vec<u32>,
    /// The fields with the content, and which of its tokens may be targets.
    #[serde(flatten)]
    pub(super) content: ContentPlan,
    pub(super) id_field: String,
    pub(super) lines: bool,
    /// How many documents of the corpus are read, from the first on, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u64>,
    /// The share of its rows that is read, drawn by the run's seed, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sample: Option<f64>,
    pub(super) max_unmatched: f64,
    pub(super) max_rejected: f64,
    pub(super) max_untargeted: f64,
    /// How documents become rows.
    pub(super) packing: Packing,
    /// Rows per step.
    pub(super) batch_rows: usize,
    /// Rows computed at once.
    pub(super) micro_rows: usize,
    pub(super) epochs: Option<u64>,
    pub(super) steps: Option<u64>,
    pub(super) seed: u64,
    pub(super) learning_rate: f64,
    pub(super) schedule: ScheduleName,
    pub(super) warm_up: Option<u64>,
    pub(super) final_rate: f64,
    pub(super) betas: (f64, f64),
    pub(super) weight_decay: f64,
    pub(super) clip: f64,
    pub(super) save_every: u64,
    pub(super) keep_last: usize,
    /// The first steps whose batches are written; 0 for none.
    pub(super) dump_batches: u64,
    /// The evaluation files and their sizes.
    pub(super) evaluations: Vec<Value>,
    pub(super) eval_every: Option<u64>,
    pub(super) eval_after: Option<String>,
    pub(super) changed_every: Option<u64>,
    pub(super) spike: Option<f64>,
}

/// A plan with everything that was opened to make it.
pub(super) struct Prepared {
    pub(super) plan: TrainPlan,
    pub(super) keep: KeepSchedule,
    pub(super) model: Model,
    pub(super) device: Device,
    pub(super) tokenization: Option<Tokenization>,
    /// Only for conversations.
    pub(super) conversations: Option<Conversations>,
    pub(super) shards: Vec<Shard>,
    pub(super) mask_files: Vec<PathBuf>,
    pub(super) evaluations: Vec<PathBuf>,
}

impl Prepared {
    /// What turns the rows of the corpus and of the evaluations into tokens.
    pub(super) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            tokenization: self.tokenization.as_ref(),
            conversations: self.conversations.as_ref(),
        }
    }
}

impl TrainPlan {
    /// Everything that must be equal for a run to be resumed: whatever the curves and metrics depend on.
    pub(super) fn what_changes_the_curve(&self) -> anyhow::Result<Value> {
        let mut plan = serde_json::to_value(self)?;
        let irrelevant = [
            "out",
            "model",
            "tokenizer",
            "masks",
            "threads",
            "save_every",
            "keep_last",
            "dump_batches",
            "max_unmatched",
            "max_rejected",
            "max_untargeted",
        ];
        if let Some(plan) = plan.as_object_mut() {
            irrelevant.iter().for_each(|name| {
                plan.remove(*name);
            });
            plan.insert("version".to_owned(), json!(1));
        }
        Ok(plan)
    }

    /// How the corpus is read.
    pub(super) fn read_corpus(&self) -> ReadOptions {
        ReadOptions {
            sample: self.sample.and_then(|rate| Sample::new(rate, self.seed)),
            ..self.read_options()
        }
    }

    /// How the evaluations are read.
    pub(super) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            content: self.content.fields(),
            id_field: self.id_field.clone(),
            lines: self.lines,
            names: OPTION_NAMES,
            ..ReadOptions::default()
        }
    }
}
