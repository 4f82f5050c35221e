//! A network with its optimiser, as the loop trains it: a global batch in micro-batches, with one update.

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use rho_selection::KeepRatio;

use super::optimiser_state;
use super::{NotFinite, StepOutcome, Trainee, TraineeError};
use crate::checkpoint::{self, Model, copy, read_weights};
use crate::data::GlobalBatch;
use crate::model::Architecture;
use crate::network::WeightedRow;
use crate::objective::Candidates;
use crate::optimiser::{AdamW, Optimiser, Schedule};
use crate::step::{StepOptions, compute_gradient};
use crate::{Batch, Config, Network, Objective, Result, Target, TrainerError, initial_weights};

/// What a model starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// A Hugging Face checkpoint.
    Checkpoint {
        /// Its folder.
        folder: PathBuf,
        /// Settings of config.json to treat as absent.
        ignored: Vec<String>,
    },
    /// Random weights for a configuration.
    Initial {
        /// config.json.
        config: PathBuf,
        /// Seed of the weights.
        seed: u64,
    },
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Where {
    /// On CUDA if the crate was built with it and a device exists, else on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On this CUDA device, or fail.
    Cuda(usize),
}

impl Where {
    /// The device and its name.
    ///
    /// # Errors
    /// If the CUDA device is not available.
    pub fn device(self) -> Result<(Device, String)> {
        let number = match self {
            Self::Cpu => None,
            Self::Cuda(number) => Some(number),
            Self::Auto => candle_core::utils::cuda_is_available().then_some(0),
        };
        match number {
            None => Ok((Device::Cpu, "cpu".to_owned())),
            Some(number) => Ok((Device::new_cuda(number)?, format!("cuda:{number}"))),
        }
    }
}

/// The training settings of a learner.
#[derive(Debug, Clone)]
pub struct LearnerOptions {
    /// Which targets are trained on; each step sets its own keep ratio.
    pub objective: Objective,
    /// The weight of the plain loss that is added.
    pub mix_clm: f64,
    /// The settings of AdamW.
    pub optimiser: AdamW,
    /// The learning rate schedule.
    pub schedule: Schedule,
    /// Rows per micro-batch.
    pub micro_rows: usize,
    /// Whether activations are recomputed in backward.
    pub gradient_checkpointing: bool,
    /// A folder whose tokenizer and generation settings are saved with the model.
    pub beside: Option<PathBuf>,
    /// tokenizer.json, if it is not the one in `beside`.
    pub tokenizer: Option<PathBuf>,
}

/// A network with its optimiser and settings.
pub struct Learner {
    network: Network,
    optimiser: Optimiser,
    options: LearnerOptions,
    device: Device,
}

impl Learner {
    /// Reads or initialises the weights.
    ///
    /// # Errors
    /// If the model cannot be read or trained, or a setting is out of its range.
    pub fn open(start: &Start, device: Device, options: LearnerOptions) -> Result<Self> {
        options.schedule.check()?;
        let checkpoint = match start {
            Start::Checkpoint { folder, ignored } => checkpoint::open(folder, ignored)?,
            Start::Initial { config, seed } => {
                let architecture = Architecture::new(Config::read(config)?);
                let weights = initial_weights::weights(&architecture, *seed);
                Model {
                    architecture,
                    weights,
                }
            }
        };
        let (network, optimiser) = build(checkpoint, &device, &options)?;
        Ok(Self {
            network,
            optimiser,
            options,
            device,
        })
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> u64 {
        let parameters = self.network.architecture().parameters.iter();
        parameters.map(|p| p.numbers() as u64).sum()
    }

    fn learn(&mut self, batch: &GlobalBatch, step: u64, keep: KeepRatio) -> Result<StepOutcome> {
        let micro = batch.micro_batches(self.options.micro_rows);
        let mut options = StepOptions::new(with_ratio(self.options.objective, keep));
        options.mix_clm = self.options.mix_clm;
        let report = compute_gradient(&mut self.network, &micro, &options, step)?;
        let learning_rate = self.options.schedule.rate(step);
        let update = self.optimiser.step(&mut self.network, learning_rate)?;
        let mut outcome = StepOutcome {
            objective: report.loss,
            loss: vec![f32::NAN; batch.input_ids.len()],
            kept: vec![false; batch.input_ids.len()],
            gradient_norm: update.gradient_norm,
            learning_rate,
        };
        let mut first = 0;
        for (batch, targets) in micro.iter().zip(report.targets) {
            for (target, kept, loss) in targets {
                outcome.loss[first + target.place] = loss;
                outcome.kept[first + target.place] = kept;
            }
            first += batch.tokens();
        }
        Ok(outcome)
    }

    fn forward(&mut self, batch: &GlobalBatch) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(batch.input_ids.len());
        for micro in batch.micro_batches(self.options.micro_rows) {
            let rows: Vec<WeightedRow> = micro
                .targets()
                .into_iter()
                .map(|target| WeightedRow {
                    target,
                    weight: 1.0,
                })
                .collect();
            let forward = self.network.forward(&micro, false)?;
            let own = self.network.losses(&forward, &rows)?;
            self.network.release(forward);
            let mut losses = vec![f32::NAN; micro.tokens()];
            for (row, own) in rows.iter().zip(own) {
                losses[row.target.place] = own.loss;
            }
            all.extend(losses);
        }
        Ok(all)
    }
}

fn build(
    checkpoint: Model,
    device: &Device,
    options: &LearnerOptions,
) -> Result<(Network, Optimiser)> {
    let mut network = Network::new(checkpoint, device)?;
    network.set_checkpointing(options.gradient_checkpointing);
    let optimiser = Optimiser::new(&mut network, options.optimiser)?;
    Ok((network, optimiser))
}

/// The objective with the keep ratio of a step.
fn with_ratio(objective: Objective, keep: KeepRatio) -> Objective {
    match objective {
        Objective::Slm { .. } => Objective::Slm { keep },
        Objective::Random { seed, .. } => Objective::Random { keep, seed },
        Objective::Hard { .. } => Objective::Hard { keep },
        Objective::Easy { .. } => Objective::Easy { keep },
        all @ (Objective::Clm | Objective::Static | Objective::Weighted) => all,
    }
}

impl Trainee for Learner {
    fn step(
        &mut self,
        batch: &GlobalBatch,
        step: u64,
        keep: KeepRatio,
    ) -> std::result::Result<StepOutcome, TraineeError> {
        self.learn(batch, step, keep).map_err(|error| match error {
            TrainerError::NotFinite { what, got, .. } => NotFinite { what, got }.into(),
            other => other.into(),
        })
    }

    fn losses(&mut self, batch: &GlobalBatch) -> std::result::Result<Vec<f32>, TraineeError> {
        Ok(self.forward(batch)?)
    }

    fn select(
        &self,
        batch: &GlobalBatch,
        loss: &[f32],
        step: u64,
        keep: KeepRatio,
    ) -> std::result::Result<Vec<bool>, TraineeError> {
        let whole = batch.micro_batches(batch.rows.len());
        let targets: Vec<Vec<Target>> = whole.iter().map(Batch::targets).collect();
        let places = || targets.iter().flatten().map(|target| target.place);
        let losses: Vec<f32> = places().map(|place| loss[place]).collect();
        let candidates = Candidates {
            batches: &whole,
            targets: &targets,
            losses: &losses,
        };
        let objective = with_ratio(self.options.objective, keep);
        let selected = objective.select(&candidates, 0.0, step);
        let mut kept = vec![false; batch.input_ids.len()];
        for (place, keep) in places().zip(selected.kept) {
            kept[place] = keep;
        }
        Ok(kept)
    }

    fn save_model(&self, folder: &Path) -> std::result::Result<(), TraineeError> {
        let checkpoint = Model {
            architecture: self.network.architecture().clone(),
            weights: self.network.weights()?,
        };
        checkpoint::save(&checkpoint, folder, self.options.beside.as_deref())?;
        if let Some(tokenizer) = &self.options.tokenizer {
            copy_tokenizer(tokenizer, folder)?;
        }
        Ok(())
    }

    fn save_optimiser(&self, folder: &Path) -> std::result::Result<(), TraineeError> {
        let parameters = &self.network.architecture().parameters;
        Ok(optimiser_state::save(
            folder,
            parameters,
            &self.optimiser.state()?,
        )?)
    }

    fn load(&mut self, folder: &Path) -> std::result::Result<(), TraineeError> {
        let architecture = self.network.architecture().clone();
        let weights = read_weights(folder, &architecture)?;
        let state = optimiser_state::read(folder, &architecture.parameters)?;
        let checkpoint = Model {
            architecture,
            weights,
        };
        (self.network, self.optimiser) = build(checkpoint, &self.device, &self.options)?;
        self.optimiser.restore(&self.network, state)?;
        Ok(())
    }
}

/// Copies a tokenizer and its configuration files, and removes those of another tokenizer. A file not named
/// tokenizer.json is copied without configuration files.
fn copy_tokenizer(tokenizer: &Path, folder: &Path) -> std::io::Result<()> {
    const NAME: &str = "tokenizer.json";
    let alone = tokenizer.file_name().is_none_or(|name| name != NAME);
    for name in [
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "chat_template.jinja",
    ] {
        let (from, to) = (tokenizer.with_file_name(name), folder.join(name));
        if !alone && from.is_file() {
            copy(&from, &to)?;
        } else if to.exists() {
            fs::remove_file(to)?;
        }
    }
    copy(tokenizer, &folder.join(NAME))
}
