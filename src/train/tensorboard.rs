//! The curves for TensorBoard, in `out/tensorboard/`. Each start rewrites the event file from the metrics lines up to
//! the checkpoint it resumes from, so that no step appears twice after an interruption. Their times are those of the
//! restart.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_files::Folder;
use rho_trainer::run::METRICS;
use serde::Serialize;
use serde_json::Value;

use super::event_file::EventFile;

/// The folder of the event file.
pub(super) const TENSORBOARD: &str = "tensorboard";
/// TensorBoard looks for `tfevents` in file names.
const FILE: &str = "events.out.tfevents.rho-mask";

/// The event file.
pub(super) struct Events {
    path: PathBuf,
    writer: EventFile<BufWriter<File>>,
}

impl Events {
    /// Creates the file with the metrics the run has so far.
    pub(super) fn open(run: &Path) -> anyhow::Result<Self> {
        let name = format!("{TENSORBOARD}/{FILE}");
        let path = run.join(&name);
        let begin = || EventFile::new(BufWriter::new(Folder::at(run).create(&name)?));
        let writer = begin().with_context(|| format!("{}: cannot be created", path.display()))?;
        let mut events = Self { path, writer };
        let metrics = run.join(METRICS);
        if metrics.exists() {
            let cannot_read = || format!("{}: cannot be read", metrics.display());
            let file = rho_files::open(&metrics).with_context(cannot_read)?;
            for line in BufReader::new(file).lines() {
                let line = line.with_context(cannot_read)?;
                events.write(&serde_json::from_str(&line).with_context(cannot_read)?)?;
            }
        }
        Ok(events)
    }

    /// Adds a line of metrics.
    pub(super) fn add(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        self.write(&serde_json::to_value(line)?)
    }

    fn write(&mut self, line: &Value) -> anyhow::Result<()> {
        let step = line["step"].as_i64().unwrap_or_default();
        for (tag, value) in scalars(line) {
            let written = self.writer.scalar(tag, step, value as f32);
            written.with_context(|| format!("{}: cannot be written", self.path.display()))?;
        }
        Ok(())
    }
}

/// The curves a metrics line belongs to, and its value on each.
fn scalars(line: &Value) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    let mut add = |tag: String, value: &Value| {
        scalars.extend(value.as_f64().map(|value| (tag, value)));
    };
    if let Some(name) = line["evaluation"].as_str() {
        for of in ["loss", "perplexity"] {
            add(format!("evaluation/{name}/{of}"), &line[of]);
            add(format!("evaluation/{name}/{of}_after"), &line["after"][of]);
        }
        return scalars;
    }
    for (group, names) in [
        (
            "loss",
            &["objective", "loss", "loss_kept", "loss_dropped"][..],
        ),
        ("loss", &["loss_selected", "loss_unselected"]),
        ("reference", &["reference_loss"]),
        (
            "reference",
            &["reference_loss_kept", "reference_loss_dropped"],
        ),
        ("selection", &["keep", "kept", "changed"]),
        ("tokens", &["tokens_seen", "tokens_trained"]),
        ("optimiser", &["learning_rate", "gradient_norm"]),
    ] {
        for name in names {
            add(format!("{group}/{name}"), &line[*name]);
        }
    }
    scalars
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_become_curves() {
        let step = json!({"step": 3, "loss": 2.5, "loss_kept": null, "keep": 0.6, "targets": 9});
        let curves =
            |line| -> Vec<String> { scalars(line).into_iter().map(|(tag, _)| tag).collect() };
        assert_eq!(curves(&step), ["loss/loss", "selection/keep"]);
        let evaluation =
            json!({"step": 3, "evaluation": "svamp", "loss": 2.5, "after": {"loss": 1.0}});
        let expected = ["evaluation/svamp/loss", "evaluation/svamp/loss_after"];
        assert_eq!(curves(&evaluation), expected);
    }
}
