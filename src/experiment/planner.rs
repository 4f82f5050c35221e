//! Turns the tables of an experiment's file into steps. Steps with the same fingerprint are added only once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    file::{Arm, File, Part, Scorer, Selecting, Training},
    fingerprint::Inputs,
    plan::{PassThrough, Plan, PlannedArm, PlannedRun, described, is_baseline, keeps_a_share},
    step::{Data, Input, Step, Words, Work},
};

/// Steps between two checkpoints of a run that keeps none of them.
const SAVE_EVERY: u64 = 100;
/// The default of `train --batch-tokens`.
const BATCH_TOKENS: u64 = 1 << 14;

/// Collects the steps.
pub(super) struct Planner<'a> {
    file: &'a File,
    aside: &'a PassThrough,
    steps: PathBuf,
    inputs: Inputs,
    planned: Vec<Step>,
    scores: BTreeMap<Scorer, Input>,
}

impl<'a> Planner<'a> {
    /// A planner for `file`, with step folders in `steps`.
    pub(super) fn new(file: &'a File, aside: &'a PassThrough, steps: PathBuf) -> Self {
        Self {
            file,
            aside,
            steps,
            inputs: Inputs::default(),
            planned: Vec::new(),
            scores: BTreeMap::new(),
        }
    }

    /// Plans the whole experiment.
    pub(super) fn plan(mut self, path: &Path) -> anyhow::Result<Plan> {
        let file = self.file;
        let base = self.base()?;
        let corpus = self.data("data-corpus", &file.corpus.files, file.corpus.part)?;
        let reference = self.reference(&base, &corpus)?;
        let mut arms = Vec::new();
        for arm in &file.arms {
            arms.push(self.arm(arm, &file.seeds, &base, &corpus, reference.as_ref())?);
        }
        let mut sweep = Vec::new();
        if let Some(wanted) = &file.sweep {
            let mut ratios = wanted.keep.clone();
            ratios.sort_by(f64::total_cmp);
            let seeds = wanted.seeds.as_ref().unwrap_or(&file.seeds);
            for keep in ratios {
                let arm = Arm {
                    name: format!("{}-{keep}", wanted.objective.name()),
                    objective: wanted.objective,
                    keep: Some(keep),
                    keep_schedule: None,
                    mix_clm: None,
                    select: None,
                    scores: Scorer::Reference,
                    mix: None,
                    train: Training::default(),
                };
                sweep.push(self.arm(&arm, seeds, &base, &corpus, reference.as_ref())?);
            }
        }
        let baseline = file.arms.iter().position(is_baseline);
        let evaluation = &file.evaluation;
        let first = evaluation.files.first().map(|file| crate::eval::name(file));
        Ok(Plan {
            title: match &file.title {
                Some(title) => title.clone(),
                None => crate::eval::name(path),
            },
            steps: self.planned,
            arms,
            sweep,
            sweep_objective: file.sweep.as_ref().map(|sweep| sweep.objective.name()),
            baseline: baseline.unwrap_or_default(),
            seeds: file.seeds.clone(),
            downstream: evaluation.downstream.clone().or(first),
            after: evaluation.after.clone(),
        })
    }

    /// Adds a step, or finds the one with the same fingerprint; its index.
    fn add(&mut self, step: Step) -> usize {
        let same = |other: &Step| other.fingerprint == step.fingerprint;
        if let Some(i) = self.planned.iter().position(same) {
            return i;
        }
        self.planned.push(step);
        self.planned.len() - 1
    }

    fn input(&mut self, path: &Path) -> anyhow::Result<Input> {
        Ok(Input {
            path: path.to_owned(),
            fingerprint: self.inputs.of(path)?,
        })
    }

    fn all_inputs(&mut self, paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
        paths.iter().map(|path| self.input(path)).collect()
    }

    /// Files whose names appear in the results, and so are part of their fingerprints.
    fn named_inputs(&mut self, paths: &[PathBuf]) -> anyhow::Result<Vec<Input>> {
        let mut inputs = self.all_inputs(paths)?;
        for input in &mut inputs {
            let name = crate::eval::name(&input.path);
            input.fingerprint = format!("{} {name}", input.fingerprint);
        }
        Ok(inputs)
    }

    /// The files themselves, or a step's file with the requested part of them.
    fn data(
        &mut self,
        name: &str,
        files: &[PathBuf],
        part: Option<Part>,
    ) -> anyhow::Result<Vec<Input>> {
        let files = self.all_inputs(files)?;
        if part.is_none() {
            return Ok(files);
        }
        let data = Data {
            name: "documents".to_owned(),
            files,
            part,
            mixed: None,
        };
        Ok(vec![self.written(name, data)])
    }

    /// Adds a step that writes a file; the file.
    fn written(&mut self, name: &str, data: Data) -> Input {
        let file = data.file();
        let step = self.add(Step::new(&self.steps, name, Work::Data(data)));
        self.planned[step].file(&file)
    }

    /// The evaluation files, or parts of them under the same names.
    fn evaluations(&mut self) -> anyhow::Result<Vec<Input>> {
        let evaluation = &self.file.evaluation;
        let mut inputs = self.named_inputs(&evaluation.files)?;
        for input in &mut inputs {
            let name = crate::eval::name(&input.path);
            if let Some(&part) = evaluation.parts.get(&name) {
                let data = Data {
                    name: name.clone(),
                    files: vec![input.clone()],
                    part: Some(part),
                    mixed: None,
                };
                *input = self.written(&format!("data-{name}"), data);
            }
        }
        Ok(inputs)
    }

    fn base(&mut self) -> anyhow::Result<Input> {
        let file = self.file;
        let base = &file.base;
        if let Some(model) = &base.model {
            return self.input(model);
        }
        let corpus = self.data("data-base", &base.files, base.part)?;
        let mut words = Words::default().text("train --objective clm");
        for (name, path) in [("init", &base.init), ("tokenizer", &base.tokenizer)] {
            if let Some(path) = path {
                let input = self.input(path)?;
                words = words.inputs(name, &[input]);
            }
        }
        let words = words.inputs("corpus", &corpus);
        let training = base.train.over(&file.train);
        let steps = steps(base.steps, base.tokens, &training);
        let step = self.training("base", words, &training, steps, base.seed);
        Ok(self.planned[step].output())
    }

    /// Adds the steps for the reference and the scores. Returns the reference's data; None if the reference was given.
    fn reference(&mut self, base: &Input, corpus: &[Input]) -> anyhow::Result<Option<Vec<Input>>> {
        let file = self.file;
        let reference = &file.reference;
        let by_base = file.arms.iter().any(|arm| arm.scores == Scorer::Base);
        let excess = file.arms.iter().any(|arm| {
            let by = arm.select.as_ref().map(|select| select.by.as_str());
            by == Some("excess")
        });
        let (model, data) = match &reference.model {
            Some(model) => (self.input(model)?, None),
            None => {
                let data = self.data("data-reference", &reference.files, reference.part)?;
                let words = Words::default()
                    .text("train --objective clm")
                    .inputs("model", std::slice::from_ref(base))
                    .inputs("corpus", &data);
                let training = reference.train.over(&file.train);
                let steps = steps(reference.steps, reference.tokens, &training);
                let step = self.training("reference", words, &training, steps, reference.seed);
                let trained = self.planned[step].output();
                (self.export("export-reference", &trained), Some(data))
            }
        };
        let base = match (excess || by_base) && file.base.model.is_none() {
            true => self.export("export-base", base),
            false => base.clone(),
        };
        let of_reference = self.scoring("scores", corpus, &model, excess.then_some(&base));
        self.scores.insert(Scorer::Reference, of_reference);
        if by_base {
            let of_base = self.scoring("scores-of-base", corpus, &base, None);
            self.scores.insert(Scorer::Base, of_base);
        }
        Ok(data)
    }

    fn export(&mut self, name: &str, model: &Input) -> Input {
        let words = Words::default()
            .text("export")
            .inputs("", std::slice::from_ref(model));
        let step = self.add(Step::new(&self.steps, name, Work::Command(words.0)));
        self.planned[step].output()
    }

    fn scoring(
        &mut self,
        name: &str,
        corpus: &[Input],
        model: &Input,
        base: Option<&Input>,
    ) -> Input {
        let score = &self.file.score;
        let length = self.file.train.length;
        let words = Words::default()
            .text("score")
            .inputs("", corpus)
            .inputs("model", std::slice::from_ref(model))
            .inputs("base", base.map_or(&[][..], std::slice::from_ref))
            .option("context", score.context.or(length))
            .option("overlap", score.overlap)
            .option("precision", score.precision.as_ref())
            .option("batch-tokens", score.batch_tokens)
            .option("device", score.device.as_ref())
            .aside("threads", self.aside.threads)
            .aside("progress", Some(&self.aside.progress));
        let step = self.add(Step::new(&self.steps, name, Work::Command(words.0)));
        self.planned[step].output()
    }

    /// Adds a run of `train`; `words` already say what it learns from.
    fn training(
        &mut self,
        name: &str,
        words: Words,
        training: &Training,
        steps: u64,
        seed: u64,
    ) -> usize {
        let (every, last) = match training.checkpoints {
            Some(count) => (steps.div_ceil(count.max(1)), count.max(1)),
            None => (SAVE_EVERY.min(steps.div_ceil(2)), 1),
        };
        let words = words
            .option("steps", Some(steps))
            .option("seed", Some(seed))
            .option("length", training.length)
            .option("batch-tokens", training.batch_tokens)
            .option("micro-batch", training.micro_batch)
            .option("learning-rate", training.learning_rate)
            .option("schedule", training.schedule.as_ref())
            .option("warm-up", training.warm_up)
            .option("final-rate", training.final_rate)
            .option("weight-decay", training.weight_decay)
            .option("clip", training.clip)
            .option("spike", training.spike)
            .option("device", training.device.as_ref());
        let words = match training.gradient_checkpointing {
            Some(true) => words.text("--gradient-checkpointing"),
            _ => words,
        };
        // With `checkpoints` set, these options are part of the fingerprint: a run without checkpoints must be done
        // again.
        let words = match training.checkpoints {
            Some(_) => words
                .option("save-every", Some(every))
                .option("keep-last", Some(last)),
            None => words
                .aside("save-every", Some(every))
                .aside("keep-last", Some(last)),
        };
        let words = words
            .aside("threads", self.aside.threads)
            .aside("progress", Some(&self.aside.progress));
        let mut step = Step::new(&self.steps, name, Work::Command(words.0));
        step.sheds_checkpoints = training.checkpoints.is_none();
        self.add(step)
    }

    fn arm(
        &mut self,
        arm: &Arm,
        seeds: &[u64],
        base: &Input,
        corpus: &[Input],
        good: Option<&Vec<Input>>,
    ) -> anyhow::Result<PlannedArm> {
        let file = self.file;
        let learned = match (arm.mix, good) {
            (Some(share), Some(good)) => {
                let data = Data {
                    name: "documents".to_owned(),
                    files: corpus.to_vec(),
                    part: None,
                    mixed: Some((share, good.clone())),
                };
                let data = self.written(&format!("data-{}", arm.name), data);
                Words::default().inputs("corpus", &[data])
            }
            _ => {
                let scores = self.scores[&arm.scores].clone();
                let masks = match &arm.select {
                    None => scores,
                    Some(select) => {
                        let words = selecting(select, &scores)
                            .aside("threads", self.aside.threads)
                            .aside("progress", Some(&self.aside.progress));
                        let name = format!("masks-{}", arm.name);
                        let step = self.add(Step::new(&self.steps, &name, Work::Command(words.0)));
                        self.planned[step].output()
                    }
                };
                Words::default().inputs("masks", &[masks])
            }
        };
        let training = arm.train.over(&file.train);
        let evaluations = self.evaluations()?;
        let questions = self.named_inputs(&file.evaluation.choices)?;
        let steps = steps(file.budget.steps, file.budget.tokens, &training);
        let keep = keeps_a_share(arm.objective).then_some(arm.keep).flatten();
        let mut runs = Vec::new();
        for &seed in seeds {
            let words = Words(learned.0.clone());
            let words = Words::default()
                .text("train --objective")
                .text(arm.objective.name())
                .inputs("model", std::slice::from_ref(base))
                .chain(words)
                .option("keep", keep)
                .option("keep-schedule", arm.keep_schedule.as_ref())
                .option("mix-clm", arm.mix_clm)
                .inputs("eval", &evaluations)
                .option("eval-after", file.evaluation.after.as_ref())
                .option("eval-every", file.evaluation.every)
                .text("--changed-every 0");
            let name = format!("{}-seed-{seed}", arm.name);
            let train = self.training(&name, words, &training, steps, seed);
            let model = self.planned[train].output();
            let ask = (!questions.is_empty()).then(|| {
                let words = Words::default()
                    .text("eval --choices --json")
                    .inputs("data", &questions)
                    .option("after", file.evaluation.after.as_ref())
                    .option("context", file.score.context)
                    .aside("threads", self.aside.threads)
                    .aside("progress", Some(&self.aside.progress));
                let work = Work::Ask {
                    model,
                    words: words.0,
                };
                let name = format!("answers-{}-seed-{seed}", arm.name);
                self.add(Step::new(&self.steps, &name, work))
            });
            runs.push(PlannedRun { seed, train, ask });
        }
        let other_batches = arm.train.length.is_some() || arm.train.batch_tokens.is_some();
        Ok(PlannedArm {
            name: arm.name.clone(),
            objective: arm.objective,
            keep,
            described: described(arm),
            same_batches: !other_batches && arm.mix.is_none(),
            runs,
        })
    }
}

impl Words {
    fn chain(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

fn selecting(select: &Selecting, scores: &Input) -> Words {
    Words::default()
        .text("select")
        .inputs("", std::slice::from_ref(scores))
        .option("by", Some(&select.by))
        .option("keep", select.keep)
        .option("keep-loss", select.keep_loss)
        .option("keep-entropy", select.keep_entropy)
        .option("scope", select.scope.as_ref())
        .option("batch", select.batch)
        .option("seed", select.seed)
        .option("weights", select.weights.as_ref())
        .option("temperature", select.temperature)
        .option("min-weight", select.min_weight)
        .option("max-weight", select.max_weight)
        .option("above", select.above)
        .option("below", select.below)
        .option("drop-easiest", select.drop_easiest.as_ref())
        .option("drop-hardest", select.drop_hardest.as_ref())
}

fn steps(steps: Option<u64>, tokens: Option<u64>, training: &Training) -> u64 {
    let batch = training.batch_tokens.unwrap_or(BATCH_TOKENS).max(1);
    steps
        .or(tokens.map(|tokens| tokens / batch))
        .unwrap_or(1)
        .max(1)
}
