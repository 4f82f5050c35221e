//! Resolves the arguments of `dynamics` to a plan: the checkpoints and the reference, each with its own plan for
//! scoring, and what must be equal in all of them. Wrong settings are found here, before anything is scored.

use std::path::PathBuf;

use rho_formats::{FileFormat, MasksFolder, OutputError, Shard};
use rho_runtime::LibraryOptions;
use rho_selection::KeepRatio;
use serde_json::{Value, json};

use super::{
    checkpoints::{self, Named},
    same_tokens::{must_agree, share_windows},
};
use crate::{
    checkpoint::{self, Say},
    cli::{DynamicsArgs, LinePlaces, ModelArgs},
    hinted_error::HintedError,
    hub::{self, Need},
    metadata::{Checkpoint, Dynamics, Metadata, Scope, ScoringModel},
    plan::{self, MaskFiles, Plan, Prepared, ScoringRequest, record_format},
    run_folder::{Command, RecordedPlan},
};

/// The folder of all models' scores, among the records, so that --restart removes it too.
pub(super) const SCORES: &str = "scores";

/// 60 %, as in the paper for the model of 1B parameters (section 3).
const DEFAULT_KEEP: f64 = 0.6;

/// A model and how it is scored.
pub(crate) struct Scored {
    pub(crate) named: Named,
    /// Its output is the folder of this model's scores.
    pub(crate) request: ScoringRequest,
    pub(crate) prepared: Prepared,
}

/// The plan of `dynamics`: everything is decided.
pub(crate) struct DynamicsPlan {
    pub(crate) out: PathBuf,
    /// In the order of training.
    pub(crate) checkpoints: Vec<Scored>,
    pub(crate) reference: Option<Scored>,
    pub(crate) threshold: f64,
    pub(crate) keep: KeepRatio,
    pub(crate) places: LinePlaces,
    /// The positions of the checkpoints on the x axis.
    pub(crate) x: Vec<f64>,
    pub(crate) top: usize,
    /// The format of the files.
    pub(crate) format: FileFormat,
    pub(crate) restart: bool,
}

impl DynamicsPlan {
    /// All models, with the reference last.
    pub(crate) fn models(&self) -> impl Iterator<Item = &Scored> {
        self.checkpoints.iter().chain(&self.reference)
    }

    /// The plan whose corpus, tokenizer and windows all models share.
    pub(crate) fn common(&self) -> &Plan {
        &self.checkpoints[0].prepared.plan
    }

    /// The shards of the corpus.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.checkpoints[0].prepared.shards
    }

    /// The names of the loss columns.
    pub(crate) fn losses(&self) -> Vec<String> {
        (1..=self.checkpoints.len()).map(loss_column).collect()
    }

    /// The metadata of the files: what is known before the first row.
    pub(crate) fn metadata(&self) -> Metadata {
        let model = |scored: &Scored, column: String| {
            // One model scores each folder, so there is one reference.
            let reference = &scored.prepared.plan.references[0];
            ScoringModel {
                name: scored.named.name.clone(),
                fingerprint: reference.fingerprint.clone(),
                precision: reference.precision.clone(),
                column,
            }
        };
        let numbered = (1..).zip(&self.checkpoints).zip(&self.x);
        let checkpoints = numbered.map(|((number, scored), &x)| Checkpoint {
            model: model(scored, loss_column(number)),
            step: scored.named.step,
            x,
        });
        let reference = self.reference.as_ref();
        let reference = reference.map(|scored| model(scored, REFERENCE_LOSS.to_owned()));
        Metadata {
            reference: None,
            top: None,
            selections: None,
            scope: Scope::default(),
            dynamics: Some(Dynamics {
                checkpoints: checkpoints.collect(),
                x: self.places.name().to_owned(),
                threshold: self.threshold,
                categories: super::CATEGORIES.map(str::to_owned).into(),
                keep: reference.is_some().then(|| self.keep.get()),
                reference,
            }),
            ..self.common().metadata()
        }
    }

    /// Everything that must be equal for a run to be resumed.
    ///
    /// # Errors
    /// If the name of a shard cannot name files in the folder of a run.
    pub(crate) fn recorded(&self) -> Result<RecordedPlan, OutputError> {
        let mut scoring = self.common().what_changes_masks();
        scoring["metadata"] = json!(null);
        let typed = self.metadata();
        let mut metadata = json!(typed);
        // Keyed by number, so that an error names the checkpoint that differs.
        let checkpoints = typed.dynamics.iter().flat_map(|d| &d.checkpoints);
        let numbered = (1..).zip(checkpoints).map(|(number, checkpoint)| {
            let ScoringModel {
                name, fingerprint, ..
            } = &checkpoint.model;
            let shown = format!("{name} {fingerprint} at {}", json!(checkpoint.x));
            (format!("{number:04}"), json!(shown))
        });
        metadata["dynamics"]["checkpoints"] = Value::Object(numbered.collect());
        let mut settings = json!({
            "command": Command::Dynamics.name(),
            "metadata": metadata,
            "scoring": scoring,
            "top": self.top,
        });
        record_format(&mut settings, self.format);
        RecordedPlan::of_corpus(settings, self.shards())
    }
}

/// The column of a checkpoint's losses; numbers start at 1.
pub(crate) fn loss_column(number: usize) -> String {
    format!("loss_{number}")
}

/// The column of the reference's losses.
pub(crate) const REFERENCE_LOSS: &str = "reference_loss";

/// Resolves the arguments of `dynamics`.
pub(crate) fn resolve(args: &DynamicsArgs) -> anyhow::Result<DynamicsPlan> {
    let named = checkpoints::find(&args.checkpoints)?;
    let x = places(&named, args.x)?;
    if args.out.as_os_str() == "-" {
        return Err(HintedError::error(
            "--out: expected a folder, got -",
            "name a new folder",
        ));
    }
    if args.corpus.iter().any(|path| path.as_os_str() == "-") {
        return Err(HintedError::error(
            "--corpus: expected files, because they are read once per checkpoint, got - (standard input)",
            "write it to a file first",
        ));
    }
    if !(args.threshold.is_finite() && args.threshold >= 0.0) {
        return Err(HintedError::error(
            format!(
                "--threshold: expected a number of nats of at least 0, got {}",
                args.threshold
            ),
            "omit it for the paper's 0.2",
        ));
    }
    MasksFolder::check(&args.out)?;
    let mut checkpoints = Vec::new();
    for (number, named) in (1..).zip(named) {
        let mut scored = scored(args, named, &format!("{number:04}"))?;
        if number > 1 {
            // All tokenizers must be equal, so one in memory is enough.
            scored.prepared.tokenization = None;
        }
        checkpoints.push(scored);
    }
    let reference = args.reference.as_ref().map(|typed| {
        let path = &hub::resolve(typed, Need::Model)?;
        let named = Named {
            name: checkpoints::last_part(path),
            step: None,
            path: path.clone(),
        };
        let mut scored = scored(args, named, "reference")?;
        scored.prepared.tokenization = None;
        anyhow::Ok(scored)
    });
    let mut plan = DynamicsPlan {
        out: args.out.clone(),
        checkpoints,
        reference: reference.transpose()?,
        threshold: args.threshold,
        keep: match args.keep {
            Some(keep) => keep,
            None => KeepRatio::new(DEFAULT_KEEP)?,
        },
        places: args.x,
        x,
        top: args.top.into(),
        format: args.format.into(),
        restart: args.restart,
    };
    must_agree(&plan, args)?;
    share_windows(&mut plan, args);
    Ok(plan)
}

/// The positions of the checkpoints on the x axis.
fn places(named: &[Named], places: LinePlaces) -> anyhow::Result<Vec<f64>> {
    if places == LinePlaces::Index {
        return Ok((0..named.len()).map(|i| i as f64).collect());
    }
    let mut x: Vec<f64> = Vec::new();
    for checkpoint in named {
        let Some(step) = checkpoint.step else {
            return Err(HintedError::error(
                format!(
                    "--x step: expected a number of steps in the name of each checkpoint, got {}",
                    checkpoint.path.display()
                ),
                "omit --x: the checkpoints are then at 0, 1, 2 and so on",
            ));
        };
        let step = step as f64;
        if x.last().is_some_and(|last| *last >= step) {
            return Err(HintedError::error(
                format!(
                    "--x step: expected rising steps, got step {step} after step {}",
                    x.last().copied().unwrap_or_default()
                ),
                "name the checkpoints of one run, in order",
            ));
        }
        x.push(step);
    }
    Ok(x)
}

/// A model opened as in `score`, for scores only.
fn scored(args: &DynamicsArgs, named: Named, folder: &str) -> anyhow::Result<Scored> {
    let mut libraries = LibraryOptions::from_environment();
    libraries.path = args.model_args.ort_lib.clone();
    let model = checkpoint::reference(
        &named.path,
        &args.model_args.ignore_setting,
        &args.model_args.device,
        &libraries,
        Say::Little,
    )?;
    // It is exported already.
    let model_args = ModelArgs {
        ignore_setting: Vec::new(),
        ..args.model_args.clone()
    };
    let request = ScoringRequest {
        out: MasksFolder::existing(&args.out).record_path(&format!("{SCORES}/{folder}")),
        input: args.input.clone(),
        sample_seed: args.seed.unwrap_or(0),
        files: MaskFiles {
            // One file per shard, so that the files of all models hold the same rows.
            shard_bytes: u64::MAX,
            ..MaskFiles::default()
        },
        progress: args.progress,
        threads: args.threads,
        ..ScoringRequest::scores(args.corpus.clone(), model, model_args)
    };
    Ok(Scored {
        named,
        prepared: plan::resolve(&request)?,
        request,
    })
}
