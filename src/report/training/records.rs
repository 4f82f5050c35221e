//! Reads the records of a training run, finished or not: plan, summary, steps, evaluations.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::super::masks::{json_file, named};
use crate::hinted_error::HintedError;

const METRICS: &str = "metrics.jsonl";
const TIMINGS: &str = "timings.jsonl";
const SUMMARY: &str = "summary.json";
const PLAN: &str = ".rho-mask/train.json";

/// Whether `train` wrote to this folder.
pub(crate) fn is_run(path: &Path) -> bool {
    path.join(METRICS).is_file() || path.join(PLAN).is_file()
}

/// The records of a run.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Its name in the report.
    pub(super) name: String,
    /// The plan it was started with; null if it is missing.
    pub(super) plan: Value,
    /// The summary; None if the run is not finished.
    pub(super) summary: Option<Value>,
    /// A line of metrics for each step.
    pub(super) steps: Vec<Value>,
    /// A line for each evaluation.
    pub(super) evaluations: Vec<Value>,
    /// Seconds of each step, by step.
    pub(super) seconds: BTreeMap<u64, f64>,
    /// Seconds of all steps.
    pub(super) total_seconds: Option<f64>,
}

impl Recorded {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// If a file cannot be read, if a complete line is not a JSON object, or if there is no step yet.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let lines = lines(&folder.join(METRICS))?;
        let (evaluations, steps): (Vec<Value>, Vec<Value>) = lines
            .into_iter()
            .partition(|line| line.get("evaluation").is_some());
        if steps.is_empty() {
            return Err(HintedError::error(
                format!(
                    "{}: expected a step in {METRICS}, got none",
                    folder.display()
                ),
                "wait for the run's first step, or run the same `rho-mask train` again",
            ));
        }
        let timings = self::lines(&folder.join(TIMINGS))?;
        let seconds = timings
            .iter()
            .filter_map(|line| Some((line["step"].as_u64()?, line["seconds"].as_f64()?)));
        Ok(Self {
            name: named(folder),
            plan: json_file(&folder.join(PLAN))?.unwrap_or_default(),
            summary: json_file(&folder.join(SUMMARY))?,
            seconds: seconds.collect(),
            total_seconds: timings.last().and_then(|line| line["total"].as_f64()),
            steps,
            evaluations,
        })
    }

    /// The last step.
    pub(super) fn last(&self) -> &Value {
        self.steps.last().unwrap_or(&Value::Null)
    }

    /// The number of finished steps.
    pub(super) fn done(&self) -> u64 {
        self.last()["step"].as_u64().unwrap_or_default()
    }

    /// The planned number of steps; None if the run was planned by epochs and is not finished.
    pub(super) fn planned(&self) -> Option<u64> {
        let finished = self.summary.as_ref().and_then(|s| s["steps"].as_u64());
        finished.or_else(|| self.plan["steps"].as_u64())
    }

    /// Its objective.
    pub(super) fn objective(&self) -> String {
        let summary = self.summary.as_ref().map(|summary| &summary["objective"]);
        let name = summary.unwrap_or(&self.plan["objective"]).as_str();
        name.unwrap_or("unknown").to_owned()
    }

    /// The names of the evaluations, in the order of their first lines.
    pub(super) fn evaluated(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self
            .evaluations
            .iter()
            .filter_map(|e| e["evaluation"].as_str())
        {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The complete lines of a file: the last line of a file being written may be incomplete. Empty if the file is missing.
fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = match rho_files::read_named(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
        }
    };
    let complete = bytes.iter().rposition(|&byte| byte == b'\n');
    let complete = complete.map_or(&[][..], |end| &bytes[..end]);
    let lines = complete.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty()).map(|(i, line)| {
        let value: Value = serde_json::from_slice(line).with_context(|| {
            format!("{}: line {}: expected a JSON object", path.display(), i + 1)
        })?;
        match value["step"].as_u64() {
            Some(_) => Ok(value),
            None => Err(HintedError::error(
                format!(
                    "{}: line {}: expected the field step, got none",
                    path.display(),
                    i + 1
                ),
                "name a folder that `rho-mask train` wrote",
            )),
        }
    });
    lines.collect()
}
