//! The model and its optimiser, built from the plan.

use anyhow::Context as _;
use rho_reference::Device;
use rho_selection::KeepRatio;
use rho_trainer::{
    Objective,
    optimiser::{AdamW, Decay, Schedule},
    run::{Learner, LearnerOptions, Start, Where},
};

use super::plan::{Prepared, TrainPlan};
use crate::cli::{ObjectiveName, ScheduleName};

/// The device as the trainer names it.
pub(super) fn place(device: &Device) -> Where {
    match device {
        Device::Auto => Where::Auto,
        Device::Cpu => Where::Cpu,
        // The plan refuses more than one.
        Device::Cuda(devices) => Where::Cuda(devices.first().map_or(0, |&n| n as usize)),
    }
}

/// Loads the weights, or initialises them.
pub(super) fn open(prepared: &Prepared, steps: u64) -> anyhow::Result<Learner> {
    let (plan, model) = (&prepared.plan, &prepared.model);
    let start = match &model.initial {
        Some(config) => Start::Initial {
            config: config.clone(),
            seed: plan.seed,
        },
        None => Start::Checkpoint {
            folder: model.folder.clone(),
            ignored: plan.ignored_settings.clone(),
        },
    };
    let options = LearnerOptions {
        objective: objective(plan, prepared.keep.at(0)),
        mix_clm: plan.mix_clm,
        optimiser: AdamW {
            betas: plan.betas,
            weight_decay: plan.weight_decay,
            clip: (plan.clip > 0.0).then_some(plan.clip),
            ..AdamW::default()
        },
        schedule: schedule(plan, steps),
        micro_rows: plan.micro_rows,
        gradient_checkpointing: plan.gradient_checkpointing,
        beside: Some(model.folder.clone()),
        tokenizer: plan.tokenizer.clone(),
    };
    let (device, _) = place(&prepared.device).device()?;
    let learner = Learner::open(&start, device, options);
    learner.with_context(|| format!("{}: cannot be trained", plan.model.display()))
}

fn objective(plan: &TrainPlan, keep: KeepRatio) -> Objective {
    match plan.objective {
        ObjectiveName::Slm => Objective::Slm { keep },
        ObjectiveName::Clm => Objective::Clm,
        ObjectiveName::Random => Objective::Random {
            keep,
            seed: plan.seed,
        },
        ObjectiveName::Static => Objective::Static,
        ObjectiveName::Weighted => Objective::Weighted,
        ObjectiveName::Hard => Objective::Hard { keep },
        ObjectiveName::Easy => Objective::Easy { keep },
    }
}

fn schedule(plan: &TrainPlan, steps: u64) -> Schedule {
    // WSD decays over the last tenth of the steps, as in MiniCPM (arXiv 2404.06395).
    let decay = match plan.schedule {
        ScheduleName::Cosine => Decay::Cosine,
        ScheduleName::Linear => Decay::Linear,
        ScheduleName::Wsd => Decay::Wsd {
            decay_steps: steps / 10,
        },
        ScheduleName::Constant => Decay::Constant,
    };
    Schedule {
        peak: plan.learning_rate,
        floor: plan.final_rate,
        warmup_steps: plan.warm_up.unwrap_or(steps / 100),
        steps,
        decay,
    }
}
