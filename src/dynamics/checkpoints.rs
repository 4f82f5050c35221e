//! Resolves the paths of `--checkpoints` to checkpoints, in order: a training folder to its checkpoints by step, any
//! other path to itself. Opens no model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_checkpoint::Checkpoint;
use rho_reference::{Source, fingerprint::fingerprint};

use crate::{
    hinted_error::HintedError,
    hub::{self, Need},
    plan, terminal,
};

/// A line needs at least this many points.
const FEWEST: usize = 3;

/// Prefixes of the folder names of checkpoints: first those of `rho-mask train` and of Transformers' Trainer.
const NAMES: [&str; 3] = ["step-", "checkpoint-", "step_"];

/// A checkpoint before it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its name: its step, or the last part of its path.
    pub(crate) name: String,
    /// The training step it was saved after, if its folder's name has one.
    pub(crate) step: Option<u64>,
    pub(crate) path: PathBuf,
}

/// All checkpoints at these paths.
///
/// # Errors
/// If a path does not exist or is no checkpoint, and if there are too few for a line.
pub(crate) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let mut found = Vec::new();
    for typed in paths {
        found.extend(at(&hub::resolve(typed, Need::Model)?)?);
    }
    if found.len() < FEWEST {
        let names: Vec<&str> = found.iter().map(|named| named.name.as_str()).collect();
        return Err(HintedError::error(
            format!(
                "--checkpoints: expected at least {FEWEST} checkpoints, for a line through their losses, got {} ({})",
                found.len(),
                names.join(", ")
            ),
            "train with --save-every STEPS and --keep-last 0, which keeps all; the initial model may come \
             first: --checkpoints base/ run/",
        ));
    }
    Ok(found)
}

fn at(path: &Path) -> anyhow::Result<Vec<Named>> {
    let shown = path.display();
    if !path.exists() {
        return Err(HintedError::error(
            format!("{shown}: expected checkpoints, got nothing"),
            "name a training folder, or models in the order of training",
        ));
    }
    let mut steps = Vec::new();
    if path.is_dir() {
        steps = steps_in(&path.join("checkpoints"))?;
        if steps.is_empty() {
            steps = steps_in(path)?;
        }
    }
    let is_model = Source::find(path).is_ok() || Checkpoint::is_in(path);
    match (steps.last(), is_model) {
        (None, true) => Ok(vec![Named {
            name: last_part(path),
            step: None,
            path: path.to_owned(),
        }]),
        // An unreadable model is reported when it is opened, with the reason.
        (None, false) if path.join("config.json").exists() || path.is_file() => Ok(vec![Named {
            name: last_part(path),
            step: None,
            path: path.to_owned(),
        }]),
        (None, false) => Err(HintedError::error(
            format!(
                "{shown}: expected checkpoints (step-N/ or checkpoint-N/, there or in checkpoints/) or a model, got neither"
            ),
            "name a folder that `rho-mask train` or Transformers' Trainer wrote, a Hugging Face checkpoint, or an ONNX \
             reference",
        )),
        (Some(last), true) if !same_weights(&last.path, path)? => {
            let name = format!("{} (final)", last_part(path));
            terminal::line(&format!(
                "note: {shown}: the model in the folder has other weights than {}: it is used as the last checkpoint",
                last.name
            ));
            steps.push(Named {
                name,
                step: None,
                path: path.to_owned(),
            });
            Ok(steps)
        }
        (Some(_), _) => Ok(steps),
    }
}

/// The checkpoints in a folder, sorted by step.
fn steps_in(folder: &Path) -> anyhow::Result<Vec<Named>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let read = || format!("{}: cannot be read", folder.display());
    let mut steps = Vec::new();
    for entry in fs::read_dir(folder).with_context(read)? {
        let entry = entry.with_context(read)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let number = NAMES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix)?.parse::<u64>().ok());
        if let Some(step) = number
            && entry.path().is_dir()
        {
            steps.push(Named {
                name: format!("step {step}"),
                step: Some(step),
                path: entry.path(),
            });
        }
    }
    steps.sort_by(|a, b| (a.step, &a.path).cmp(&(b.step, &b.path)));
    Ok(steps)
}

/// Whether two checkpoints have identical weight files; false if one is not a checkpoint.
fn same_weights(a: &Path, b: &Path) -> anyhow::Result<bool> {
    let (Ok(a), Ok(b)) = (Checkpoint::open(a), Checkpoint::open(b)) else {
        return Ok(false);
    };
    let (a, b) = (a.weights.files(), b.weights.files());
    let sizes = |files: &[PathBuf]| -> Vec<Option<u64>> {
        let size = |file: &PathBuf| fs::metadata(file).map(|m| m.len()).ok();
        files.iter().map(size).collect()
    };
    if sizes(a) != sizes(b) {
        return Ok(false);
    }
    let hash = |files| fingerprint(files).context("cannot read a checkpoint's weights");
    Ok(hash(a)? == hash(b)?)
}

/// The name of a model without a step.
pub(super) fn last_part(path: &Path) -> String {
    plan::name(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(path: &Path, weights: &str) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("config.json"), "{}").unwrap();
        fs::write(path.join("model.safetensors"), weights).unwrap();
    }

    fn names(paths: &[PathBuf]) -> Vec<String> {
        let found = find(paths).unwrap();
        found.into_iter().map(|named| named.name).collect()
    }

    #[test]
    fn folders_of_checkpoints_go_by_number() {
        let place = tempfile::tempdir().unwrap();
        let (run, hub, base) = (
            place.path().join("run"),
            place.path().join("hub"),
            place.path().join("base"),
        );
        for step in [5, 10, 100] {
            checkpoint(&run.join(format!("checkpoints/step-{step:06}")), "w");
            checkpoint(&hub.join(format!("checkpoint-{step}")), "w");
        }
        checkpoint(&run.join("checkpoints/.partial-000101"), "w");
        checkpoint(&base, "w");
        let expected = ["step 5", "step 10", "step 100"];
        assert_eq!(names(std::slice::from_ref(&run)), expected);
        assert_eq!(names(&[run.join("checkpoints")]), expected);
        assert_eq!(names(&[hub]), expected);
        let with_base = names(&[base.clone(), run]);
        assert_eq!(with_base[0], "base");
        assert_eq!(with_base[1..], expected);
        let two = find(&[base.clone(), base]).unwrap_err().to_string();
        assert!(
            two.contains("at least 3") && two.contains("got 2 (base, base)"),
            "{two}"
        );
    }
}
