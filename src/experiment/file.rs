//! The experiment's TOML file: its keys and their types. Reads it and resolves every path. [`super::plan`] decides what
//! follows from it.
//!
//! Paths are relative to the file. `${name}` in a path is replaced by PATH of `--path name=PATH` (relative to the
//! current folder) or, without that option, by the entry `name` of the table `[paths]`.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize, de};

use super::paths::resolved;
use crate::{
    hinted_error::HintedError,
    hub::{self, Need},
};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// The report's title.
    pub(super) title: Option<String>,
    #[serde(default)]
    paths: BTreeMap<String, PathBuf>,
    pub(super) base: Model,
    pub(super) reference: Model,
    pub(super) corpus: Corpus,
    /// Settings shared by base, reference and arms.
    #[serde(default)]
    pub(super) train: Training,
    #[serde(default)]
    pub(super) score: Scoring,
    /// How long each arm is trained.
    pub(super) budget: Budget,
    pub(super) seeds: Vec<u64>,
    pub(super) arms: Vec<Arm>,
    pub(super) sweep: Option<Sweep>,
    pub(super) evaluation: Evaluation,
}

/// A model: an existing one, or one to train.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// An existing model.
    pub(super) model: Option<PathBuf>,
    /// The config.json of a base from scratch.
    pub(super) init: Option<PathBuf>,
    /// The tokenizer of a base, if it is not beside the config.json.
    pub(super) tokenizer: Option<PathBuf>,
    /// The files it is trained on. A reference starts from the base.
    #[serde(default)]
    pub(super) files: Vec<PathBuf>,
    pub(super) part: Option<Part>,
    pub(super) steps: Option<u64>,
    pub(super) tokens: Option<u64>,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) train: Training,
}

/// The text that is scored and trained on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Corpus {
    pub(super) files: Vec<PathBuf>,
    pub(super) part: Option<Part>,
}

/// A part of the documents, by a hash of their ids: `2/4` is the second of four parts, `3-4/4` the third and fourth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) of: u64,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        let (parts, of) = text.split_once('/')?;
        let (from, to) = parts.split_once('-').unwrap_or((parts, parts));
        let part = Self {
            from: from.trim().parse().ok()?,
            to: to.trim().parse().ok()?,
            of: of.trim().parse().ok()?,
        };
        (1 <= part.from && part.from <= part.to && part.to <= part.of).then_some(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}/{}", self.from, self.to, self.of)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                r#"expected a part such as "1/2" or "3-4/4", got {text:?}"#
            ))
        })
    }
}

/// Options of `train`, under the same names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Training {
    pub(super) length: Option<u64>,
    pub(super) batch_tokens: Option<u64>,
    pub(super) micro_batch: Option<u64>,
    pub(super) learning_rate: Option<f64>,
    pub(super) schedule: Option<String>,
    pub(super) warm_up: Option<u64>,
    pub(super) final_rate: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    pub(super) clip: Option<f64>,
    pub(super) spike: Option<f64>,
    pub(super) gradient_checkpointing: Option<bool>,
    pub(super) device: Option<String>,
    /// The number of checkpoints to keep; without it, only the final model is kept.
    pub(super) checkpoints: Option<u64>,
}

impl Training {
    /// These settings, with those of `other` where a value is not set.
    pub(super) fn over(&self, other: &Self) -> Self {
        Self {
            length: self.length.or(other.length),
            batch_tokens: self.batch_tokens.or(other.batch_tokens),
            micro_batch: self.micro_batch.or(other.micro_batch),
            learning_rate: self.learning_rate.or(other.learning_rate),
            schedule: self.schedule.clone().or(other.schedule.clone()),
            warm_up: self.warm_up.or(other.warm_up),
            final_rate: self.final_rate.or(other.final_rate),
            weight_decay: self.weight_decay.or(other.weight_decay),
            clip: self.clip.or(other.clip),
            spike: self.spike.or(other.spike),
            gradient_checkpointing: self.gradient_checkpointing.or(other.gradient_checkpointing),
            device: self.device.clone().or(other.device.clone()),
            checkpoints: self.checkpoints.or(other.checkpoints),
        }
    }
}

/// Options of `score`, under the same names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scoring {
    pub(super) context: Option<u64>,
    pub(super) overlap: Option<u64>,
    pub(super) precision: Option<String>,
    pub(super) batch_tokens: Option<u64>,
    pub(super) device: Option<String>,
}

/// The length of a training: a number of steps, or of tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Budget {
    pub(super) steps: Option<u64>,
    pub(super) tokens: Option<u64>,
}

/// An arm: one way to train.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arm {
    pub(super) name: String,
    pub(super) objective: Objective,
    pub(super) keep: Option<f64>,
    pub(super) keep_schedule: Option<String>,
    pub(super) mix_clm: Option<f64>,
    /// Masks or weights from another rule than the one of `score`.
    pub(super) select: Option<Selecting>,
    /// The model whose scores it uses.
    #[serde(default)]
    pub(super) scores: Scorer,
    /// Only for clm: the share of the reference's own data in the training data, by bytes of text.
    pub(super) mix: Option<f64>,
    #[serde(default)]
    pub(super) train: Training,
}

/// Objectives of `train`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Objective {
    Slm,
    Clm,
    Random,
    Static,
    Weighted,
    Hard,
    Easy,
}

impl Objective {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Slm => "slm",
            Self::Clm => "clm",
            Self::Random => "random",
            Self::Static => "static",
            Self::Weighted => "weighted",
            Self::Hard => "hard",
            Self::Easy => "easy",
        }
    }
}

/// The model that scores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scorer {
    #[default]
    Reference,
    Base,
}

/// Options of `select`, under the same names.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Selecting {
    pub(super) by: String,
    pub(super) keep: Option<f64>,
    pub(super) keep_loss: Option<f64>,
    pub(super) keep_entropy: Option<f64>,
    pub(super) scope: Option<String>,
    pub(super) batch: Option<u64>,
    pub(super) seed: Option<u64>,
    pub(super) weights: Option<String>,
    pub(super) temperature: Option<f64>,
    pub(super) min_weight: Option<f64>,
    pub(super) max_weight: Option<f64>,
    pub(super) above: Option<f64>,
    pub(super) below: Option<f64>,
    pub(super) drop_easiest: Option<String>,
    pub(super) drop_hardest: Option<String>,
}

/// One objective at several keep ratios (figure 9).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweep {
    pub(super) objective: Objective,
    pub(super) keep: Vec<f64>,
    /// Default: the seeds of the experiment.
    pub(super) seeds: Option<Vec<u64>>,
}

/// What is evaluated, and how often.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evaluation {
    pub(super) files: Vec<PathBuf>,
    /// The part to use of a file, by the name of its set.
    #[serde(default)]
    pub(super) parts: BTreeMap<String, Part>,
    pub(super) after: Option<String>,
    /// Steps between two evaluations; default: a tenth of all steps.
    pub(super) every: Option<u64>,
    /// Multiple-choice questions, answered by the finished models.
    #[serde(default)]
    pub(super) choices: Vec<PathBuf>,
    /// The set that stands for the downstream task. Default: the first file, after the marker if it has one.
    pub(super) downstream: Option<String>,
}

/// Reads the file; `given` are the values of `--path`.
pub(super) fn read(path: &Path, given: &[(String, PathBuf)]) -> anyhow::Result<File> {
    let shown = path.display();
    let text =
        rho_files::read_named_text(path).with_context(|| format!("{shown}: cannot be read"))?;
    let mut file: File = toml::from_str(&text).map_err(|error| wrong(path, &text, &error))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut used = vec![false; given.len()];
    let paths = std::mem::take(&mut file.paths);
    for (place, need) in file.all_paths() {
        let path = resolved(place, &folder, &paths, given, &mut used)
            .with_context(|| format!("{shown}"))?;
        *place = match need {
            Some(need) => hub::resolve_as(place, &path, need)?,
            None => path,
        };
    }
    if let Some((name, _)) = given
        .iter()
        .zip(used)
        .find(|(_, used)| !used)
        .map(|(g, _)| g)
    {
        return Err(HintedError::error(
            format!("--path {name}: expected a name that {shown} uses, got another"),
            format!("use ${{{name}}} in a path of the file, or omit this --path"),
        ));
    }
    Ok(file)
}

/// The parser's error with its line number.
fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let line = error.span().map_or(String::new(), |span| {
        let before = &text.as_bytes()[..span.start.min(text.len())];
        let lines = before.iter().filter(|&&byte| byte == b'\n').count();
        format!(":{}", lines + 1)
    });
    HintedError::error(
        format!("{}{line}: {}", path.display(), error.message()),
        "docs/analyses.md describes the experiment file",
    )
}

impl File {
    /// All paths, each with the files it needs if it may be the name of a model on the Hub.
    fn all_paths(&mut self) -> impl Iterator<Item = (&mut PathBuf, Option<Need>)> {
        let mut files: Vec<&mut PathBuf> = Vec::new();
        let mut named = Vec::new();
        for model in [&mut self.base, &mut self.reference] {
            let single = [
                (&mut model.model, Need::Model),
                (&mut model.init, Need::Configuration),
                (&mut model.tokenizer, Need::Tokenizer),
            ];
            let there = single
                .into_iter()
                .filter_map(|(path, need)| Some((path.as_mut()?, need)));
            named.extend(there.map(|(path, need)| (path, Some(need))));
            files.extend(&mut model.files);
        }
        let files = files
            .into_iter()
            .chain(&mut self.corpus.files)
            .chain(&mut self.evaluation.files)
            .chain(&mut self.evaluation.choices);
        named.into_iter().chain(files.map(|path| (path, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let part = |from, to, of| Some(Part { from, to, of });
        for (text, expected) in [
            ("1/2", part(1, 1, 2)),
            ("3-4/4", part(3, 4, 4)),
            ("0/2", None),
            ("3/2", None),
            ("2-1/2", None),
            ("1", None),
        ] {
            assert_eq!(Part::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("experiment.toml");
        for (text, expected) in [
            ("seeds = [0]\nsedes = [1]\n", ":2: unknown field `sedes`"),
            ("[base]\npart = \"3/2\"\n", ":2: expected a part"),
            (
                "[base]\ninit = 'a'\n[base.train]\nrate = 1\n",
                ":4: unknown field `rate`",
            ),
            ("[base\n", ":1: "),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = read(&path, &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
