//! results.json: what came of an experiment. [`crate::experiment`] writes it, its tables and [`crate::report`] read it: it is
//! complete enough to draw every picture from.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::advised::Advised;

/// What the file is called, in the experiment's folder.
pub(crate) const RESULTS: &str = "results.json";
/// Of files that this program reads and writes.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// All of it. What is not done yet is not in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) format_version: u64,
    /// The title.
    pub(crate) experiment: String,
    /// The program's.
    pub(crate) version: String,
    pub(crate) seeds: Vec<u64>,
    /// The arm that the others are compared with.
    pub(crate) baseline: String,
    /// The marker after which evaluations also count.
    pub(crate) after: Option<String>,
    /// Whether all arms are done.
    pub(crate) complete: bool,
    pub(crate) arms_planned: u64,
    /// Steps that are done, in their order.
    pub(crate) steps: Vec<FinishedStep>,
    pub(crate) arms: Vec<ArmResults>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) answers: Vec<Answers>,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) downstream: Option<Downstream>,
    /// What must be known to read the numbers.
    pub(crate) read_as: String,
}

/// A step that is done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishedStep {
    pub(crate) name: String,
    /// In steps/.
    pub(crate) folder: String,
    /// Of the start that ended it.
    pub(crate) seconds: Option<f64>,
}

/// An arm whose runs are all done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ArmResults {
    pub(crate) name: String,
    pub(crate) objective: String,
    pub(crate) keep: Option<f64>,
    /// In words.
    pub(crate) described: String,
    /// Whether it sees the baseline's batches.
    pub(crate) same_batches: bool,
    /// In the order of the seeds.
    pub(crate) runs: Vec<RunEnd>,
    pub(crate) evaluations: Vec<EvaluationCurve>,
    pub(crate) losses: Vec<LossCurve>,
}

/// How far a run came.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunEnd {
    pub(crate) seed: u64,
    /// In steps/.
    pub(crate) folder: String,
    pub(crate) steps: u64,
    pub(crate) tokens_seen: u64,
    pub(crate) tokens_trained: u64,
    /// Of its steps.
    pub(crate) seconds: f64,
}

/// A part of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// The file's name.
    pub(crate) set: String,
    /// Of what comes after the marker alone.
    pub(crate) after: bool,
}

/// Held-out losses of an arm.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EvaluationCurve {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) points: Vec<CurvePoint>,
}

/// Losses of an arm's steps.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LossCurve {
    /// Its name in metrics.jsonl.
    pub(crate) loss: String,
    pub(crate) steps_per_point: u64,
    pub(crate) points: Vec<CurvePoint>,
}

/// A point of a curve: over the seeds, in nats.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CurvePoint {
    pub(crate) step: u64,
    pub(crate) tokens_seen: u64,
    pub(crate) mean: Option<f64>,
    #[serde(deserialize_with = "number")]
    pub(crate) low: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) high: f64,
}

/// By what runs are made equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Axis {
    TokensSeen,
    TokensTrained,
    Seconds,
}

impl Axis {
    pub(crate) const ALL: [Self; 3] = [Self::TokensSeen, Self::TokensTrained, Self::Seconds];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::TokensSeen => "tokens seen",
            Self::TokensTrained => "tokens trained on",
            Self::Seconds => "seconds of steps",
        }
    }
}

/// A mean over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mean {
    #[serde(deserialize_with = "number")]
    pub(crate) mean: f64,
    /// Half of the 95 % interval by Student's t; none of one value.
    pub(crate) half_width: Option<f64>,
}

/// All arms by one measure, made equal in one way. In nats.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) axis: Axis,
    /// Where on it.
    #[serde(deserialize_with = "number")]
    pub(crate) at: f64,
    #[serde(flatten)]
    pub(crate) measure: Measure,
    /// Of the base, before its first step.
    pub(crate) base: Option<f64>,
    pub(crate) arms: Vec<ComparedArm>,
}

/// An arm in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ComparedArm {
    pub(crate) arm: String,
    /// In the order of the seeds; null where there is no number.
    pub(crate) values: Vec<Option<f64>>,
    #[serde(flatten)]
    pub(crate) mean: Mean,
    /// The arm minus the baseline, paired by seed; none for the baseline.
    pub(crate) difference: Option<Difference>,
}

/// A difference to the baseline.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Difference {
    #[serde(flatten)]
    pub(crate) mean: Mean,
    pub(crate) verdict: Verdict,
}

/// What is said of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The whole interval is below 0.
    #[serde(rename = "lower")]
    Lower,
    /// Above.
    #[serde(rename = "higher")]
    Higher,
    /// It holds 0.
    #[serde(rename = "no difference found")]
    NotFound,
    /// No interval.
    #[serde(rename = "one seed: not known")]
    OneSeed,
}

impl Verdict {
    /// As results.json has it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::NotFound => "no difference found",
            Self::OneSeed => "one seed: not known",
        }
    }
}

/// Shares of questions that the arms answered right.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) set: String,
    pub(crate) questions: u64,
    /// accuracy, or accuracy_normalised: by likelihood per byte.
    pub(crate) measure: String,
    pub(crate) arms: Vec<AnsweringArm>,
}

/// An arm's share.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnsweringArm {
    pub(crate) arm: String,
    pub(crate) mean: Option<Mean>,
    /// In the order of the seeds.
    pub(crate) values: Vec<f64>,
    /// The arm minus the baseline, paired by seed; none for the baseline.
    pub(crate) difference: Option<Difference>,
}

/// Held-out losses by the keep ratio.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) objective: String,
    pub(crate) tokens_seen: Option<u64>,
    pub(crate) seeds: Option<Vec<u64>>,
    pub(crate) sets: Vec<SweptSet>,
}

/// Those of a set.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweptSet {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) ratios: Vec<SweptRatio>,
}

/// At the end of the runs of a ratio.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweptRatio {
    pub(crate) keep: Option<f64>,
    /// In the order of the seeds; null where there is no number.
    pub(crate) values: Vec<Option<f64>>,
    #[serde(flatten)]
    pub(crate) mean: Mean,
}

/// What the loss of kept tokens says about the task: eq. 7 of the paper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Downstream {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) law: String,
    pub(crate) selected: Option<Fit>,
    pub(crate) unselected: Option<Fit>,
    pub(crate) points: Vec<DownstreamPoint>,
}

/// An evaluation of a run, and the losses of the steps before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DownstreamPoint {
    pub(crate) arm: String,
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// Loss of the selected tokens, and of the others.
    #[serde(deserialize_with = "number")]
    pub(crate) selected: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) unselected: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) score: f64,
}

/// A power law: `log(score) = a log(loss) + c`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fit {
    #[serde(deserialize_with = "number")]
    pub(crate) a: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) c: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) r_squared: f64,
    pub(crate) points: usize,
}

/// JSON has no number for one that is not finite: it is written as null.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Results {
    /// Reads the file in an experiment's folder.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or that another version of the format made.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(RESULTS);
        let shown = path.display();
        let text = std::fs::read(&path).with_context(|| format!("{shown}: cannot be read"))?;
        let read: Self = serde_json::from_slice(&text).map_err(|error| {
            Advised::error(
                format!(
                    "{shown}: expected the results of an experiment, got JSON that is not: {error}"
                ),
                "start the same `rho-mask experiment` again: it writes them anew",
            )
        })?;
        if read.format_version != FORMAT_VERSION {
            return Err(Advised::error(
                format!(
                    "{shown}: expected format_version {FORMAT_VERSION}, got {}",
                    read.format_version
                ),
                "start the same `rho-mask experiment` again with this version",
            ));
        }
        Ok(read)
    }

    /// As the file has it.
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        // By way of a value, whose fields are in the order of their names.
        Ok(format!("{:#}\n", serde_json::to_value(self)?))
    }
}
