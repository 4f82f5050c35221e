//! A verify.json that `score --verified` stores in the masks' metadata. It is refused if it verified another setup.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::result::{FORMAT_VERSION, Verification, provider};
use crate::{
    hinted_error::HintedError,
    plan::{Plan, PlannedModel},
};

/// A verify.json is small; a larger file is something else.
const MOST_BYTES: u64 = 1 << 20;

/// The metadata that the masks of this run keep from these files.
pub(crate) fn of_run(files: &[impl AsRef<Path>], plan: &Plan) -> anyhow::Result<Vec<Value>> {
    let of = |file| of_file(file, plan);
    files.iter().map(AsRef::as_ref).map(of).collect()
}

fn of_file(file: &Path, plan: &Plan) -> anyhow::Result<Value> {
    let shown = file.display();
    let finding = read(file)?;
    if !finding.passed {
        return Err(HintedError::error(
            format!(
                "--verified {shown}: expected a comparison that passed, got one that failed: {}",
                finding.verdict()
            ),
            "omit --verified, or find out why the model's scores differ; docs/verify.md says where to look",
        ));
    }
    let its = &finding.model.fingerprint;
    let different = match plan.models().find(|model| model.fingerprint == *its) {
        Some(model) => differences(&finding, model, plan).into_iter().next(),
        None => {
            let models: Vec<&str> = plan.models().map(|m| m.fingerprint.as_str()).collect();
            Some(("model (SHA-256)", models.join(" and "), its.clone()))
        }
    };
    if let Some((what, expected, got)) = different {
        return Err(HintedError::error(
            format!(
                "--verified {shown}: expected what this run scores with, got another {what}: {got}, here {expected}"
            ),
            "verify again, with the model and the options of this run: rho-mask verify",
        ));
    }
    Ok(kept(&finding))
}

fn read(file: &Path) -> anyhow::Result<Verification> {
    let shown = file.display();
    let size = fs::metadata(file)
        .with_context(|| format!("--verified {shown}: cannot be read"))?
        .len();
    let other = || {
        HintedError::error(
            format!("--verified {shown}: expected a file of `rho-mask verify`, got another"),
            "name the verify.json that it wrote, or verify again",
        )
    };
    if size > MOST_BYTES {
        return Err(other());
    }
    let text = rho_files::read_named(file)
        .with_context(|| format!("--verified {shown}: cannot be read"))?;
    let value: Value = serde_json::from_slice(&text).map_err(|_| other())?;
    match value["format_version"].as_u64() {
        Some(FORMAT_VERSION) => serde_json::from_value(value).map_err(|_| other()),
        Some(version) if value["oracle"].is_object() => Err(HintedError::error(
            format!("--verified {shown}: expected format version {FORMAT_VERSION}, got {version}"),
            "verify again with this rho-mask",
        )),
        _ => Err(other()),
    }
}

/// The settings of the run that differ from those verified: name, value here, value there.
fn differences(
    finding: &Verification,
    model: &PlannedModel,
    plan: &Plan,
) -> Vec<(&'static str, String, String)> {
    let verified = &finding.model;
    let mut all = vec![
        (
            "precision",
            model.precision.clone(),
            verified.precision.clone(),
        ),
        (
            "provider",
            provider(plan).to_owned(),
            verified.provider.clone(),
        ),
        (
            "version of ONNX Runtime",
            plan.library_version.clone().unwrap_or_default(),
            finding.versions.onnxruntime.clone(),
        ),
        (
            "version of rho-mask",
            env!("CARGO_PKG_VERSION").to_owned(),
            finding.versions.rho_mask.clone(),
        ),
    ];
    // Token ids that are given directly need no tokenizer.
    if let (Some(here), Some(there)) =
        (&plan.tokenizer_fingerprint, &verified.tokenizer_fingerprint)
    {
        all.push(("tokenizer (SHA-256)", here.clone(), there.clone()));
    }
    all.retain(|(_, here, there)| here != there);
    if plan.context > verified.context {
        let tokens = |context: usize| format!("at most {context} tokens");
        all.push(("context", tokens(plan.context), tokens(verified.context)));
    }
    all
}

/// The metadata that the masks keep.
fn kept(finding: &Verification) -> Value {
    let batches = |kind: fn(&super::result::Batches) -> f64| {
        finding.batches.iter().map(kind).fold(0.0, f64::max)
    };
    json!({
        "model": finding.model.name,
        "fingerprint": finding.model.fingerprint,
        "tokenizer_fingerprint": finding.model.tokenizer_fingerprint,
        "checkpoint_fingerprint": finding.checkpoint.fingerprint,
        "documents": finding.sample.documents,
        "tokens": finding.sample.scored,
        "windows": finding.sample.windows,
        "context": finding.model.context,
        "tolerance": finding.tolerance,
        "batch_tolerance": finding.batch_tolerance,
        "loss": {"largest": finding.loss.largest, "mean": finding.loss.mean},
        "entropy": {"largest": finding.entropy.largest, "mean": finding.entropy.mean},
        "batches": {"loss": batches(|b| b.loss.largest), "entropy": batches(|b| b.entropy.largest)},
        "masks": finding.masks,
        "oracle": finding.oracle,
        "versions": finding.versions,
    })
}
