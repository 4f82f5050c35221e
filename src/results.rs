//! results.json: the results of an experiment. [`crate::experiment`] writes it and its tables; [`crate::report`] reads
//! it. It is complete enough to draw every chart from.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::hinted_error::HintedError;

/// The file name, in the experiment's folder.
pub(crate) const RESULTS: &str = "results.json";
/// The version of the file format that this program reads and writes.
pub(crate) const FORMAT_VERSION: u64 = 2;

/// The whole file. Unfinished arms are not in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) format_version: u64,
    /// The title.
    pub(crate) experiment: String,
    /// The program's version.
    pub(crate) version: String,
    pub(crate) seeds: Vec<u64>,
    /// The arm that the others are compared with.
    pub(crate) baseline: String,
    /// The marker after which evaluations also count.
    pub(crate) after: Option<String>,
    /// Whether all arms are finished.
    pub(crate) complete: bool,
    pub(crate) arms_planned: u64,
    /// The finished steps, in order.
    pub(crate) steps: Vec<FinishedStep>,
    pub(crate) arms: Vec<ArmResults>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) answers: Vec<Answers>,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) downstream: Option<Downstream>,
    /// What a reader of the numbers must know.
    pub(crate) read_as: String,
}

/// A finished step.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FinishedStep {
    pub(crate) name: String,
    /// Its folder's name in steps/.
    pub(crate) folder: String,
    /// Seconds of the start that finished it.
    pub(crate) seconds: Option<f64>,
}

/// An arm whose runs are all finished.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ArmResults {
    pub(crate) name: String,
    pub(crate) objective: String,
    pub(crate) keep: Option<f64>,
    /// A human-readable description.
    pub(crate) described: String,
    /// Whether it sees the baseline's batches.
    pub(crate) same_batches: bool,
    /// In the order of the seeds.
    pub(crate) runs: Vec<RunEnd>,
    pub(crate) evaluations: Vec<EvaluationCurve>,
    pub(crate) losses: Vec<LossCurve>,
}

/// The end of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunEnd {
    pub(crate) seed: u64,
    /// Its folder's name in steps/.
    pub(crate) folder: String,
    pub(crate) steps: u64,
    pub(crate) tokens_seen: u64,
    pub(crate) tokens_trained: u64,
    /// Seconds of its steps.
    pub(crate) seconds: f64,
}

/// What an evaluation measures: a set, or the part of it after the marker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// The name of the evaluation file, without extensions.
    pub(crate) set: String,
    /// Whether only the text after the marker counts.
    pub(crate) after: bool,
}

/// Held-out losses of an arm.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EvaluationCurve {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) points: Vec<CurvePoint>,
}

/// Training losses of an arm.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LossCurve {
    /// Its name in metrics.jsonl.
    pub(crate) loss: String,
    pub(crate) steps_per_point: u64,
    pub(crate) points: Vec<CurvePoint>,
}

/// A point of a curve: mean and range over the seeds, in nats.
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

/// The quantity at which runs are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Axis {
    TokensSeen,
    TokensTrained,
    Seconds,
}

impl Axis {
    #[cfg(feature = "train")]
    pub(crate) const ALL: [Self; 3] = [Self::TokensSeen, Self::TokensTrained, Self::Seconds];

    #[cfg(feature = "train")]
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
    /// Half of the 95 % interval by Student's t; None for a single value.
    pub(crate) half_width: Option<f64>,
}

/// All arms by one measure, compared at equal values of one axis. In nats.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) axis: Axis,
    /// The value on the axis.
    #[serde(deserialize_with = "number")]
    pub(crate) at: f64,
    #[serde(flatten)]
    pub(crate) measure: Measure,
    /// The loss of the base, before the first step.
    pub(crate) base: Option<f64>,
    pub(crate) arms: Vec<ComparedArm>,
}

/// An arm in a comparison.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ComparedArm {
    pub(crate) arm: String,
    /// In the order of the seeds; null for a number that is not finite.
    pub(crate) values: Vec<Option<f64>>,
    #[serde(flatten)]
    pub(crate) mean: Mean,
    /// The arm minus the baseline, paired by seed; None for the baseline.
    pub(crate) difference: Option<Difference>,
}

/// A difference from the baseline.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Difference {
    #[serde(flatten)]
    pub(crate) mean: Mean,
    pub(crate) verdict: Verdict,
}

/// The verdict on a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    /// The whole interval is below 0.
    #[serde(rename = "lower")]
    Lower,
    /// The whole interval is above 0.
    #[serde(rename = "higher")]
    Higher,
    /// The interval contains 0.
    #[serde(rename = "no difference found")]
    NotFound,
    /// There is no interval.
    #[serde(rename = "one seed: not known")]
    OneSeed,
}

impl Verdict {
    /// The text in results.json.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Higher => "higher",
            Self::NotFound => "no difference found",
            Self::OneSeed => "one seed: not known",
        }
    }
}

/// The shares of questions that the arms answered correctly.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answers {
    pub(crate) set: String,
    pub(crate) questions: u64,
    /// `accuracy`, or `accuracy_normalised`: by likelihood per byte.
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
    /// The arm minus the baseline, paired by seed; None for the baseline.
    pub(crate) difference: Option<Difference>,
}

/// Held-out losses by keep ratio.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) objective: String,
    pub(crate) tokens_seen: Option<u64>,
    pub(crate) seeds: Option<Vec<u64>>,
    pub(crate) sets: Vec<SweptSet>,
}

/// The losses of one measure.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweptSet {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) ratios: Vec<SweptRatio>,
}

/// The losses at the end of the runs with one ratio.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SweptRatio {
    pub(crate) keep: Option<f64>,
    /// In the order of the seeds; null for a number that is not finite.
    pub(crate) values: Vec<Option<f64>>,
    #[serde(flatten)]
    pub(crate) mean: Mean,
}

/// How the loss of kept tokens predicts the task: eq. 7 of the paper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Downstream {
    #[serde(flatten)]
    pub(crate) measure: Measure,
    pub(crate) law: String,
    /// The law of each arm: arms differ in what they trained on, and a law through the points of several would mostly be
    /// about that difference.
    pub(crate) arms: Vec<ArmLaw>,
    pub(crate) points: Vec<DownstreamPoint>,
}

/// The laws through the points of one arm; None for too few points.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ArmLaw {
    pub(crate) arm: String,
    /// By the loss of the selected tokens; `unselected` is by that of the others.
    pub(crate) selected: Option<Fit>,
    pub(crate) unselected: Option<Fit>,
}

/// An evaluation of a run and the losses of the steps before it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DownstreamPoint {
    pub(crate) arm: String,
    pub(crate) seed: u64,
    pub(crate) step: u64,
    /// Loss of the selected tokens; `unselected` is that of the others.
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

/// Reads null as NaN: JSON has no number for values that are not finite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Results {
    /// Reads the file in an experiment's folder.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or has another format version.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(RESULTS);
        let shown = path.display();
        let text =
            rho_files::read_named(&path).with_context(|| format!("{shown}: cannot be read"))?;
        let other = |error: serde_json::Error| {
            HintedError::error(
                format!("{shown}: expected the results of an experiment, got other JSON: {error}"),
                "run the same `rho-mask experiment` again: it rewrites them",
            )
        };
        let read: Value = serde_json::from_slice(&text).map_err(other)?;
        // Before the fields, which another version may lack.
        let version = &read["format_version"];
        if version.is_number() && *version != FORMAT_VERSION {
            return Err(HintedError::error(
                format!("{shown}: expected format_version {FORMAT_VERSION}, got {version}"),
                "run the same `rho-mask experiment` again with this version: it rewrites them",
            ));
        }
        serde_json::from_value(read).map_err(other)
    }

    /// The text of the file.
    #[cfg(feature = "train")]
    pub(crate) fn text(&self) -> anyhow::Result<String> {
        // Through a `Value`, which sorts the fields by name.
        Ok(format!("{:#}\n", serde_json::to_value(self)?))
    }
}
