//! The loop with a trainee that is a table of logits: exact and fast.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use rho_selection::{Direction, KeepRatio, select};
use serde_json::Value;

use super::*;
use crate::Objective;
use crate::data::{Document, GlobalBatch, Packing};
use crate::optimiser::{AdamW, Decay, Schedule};

const VOCABULARY: usize = 23;

/// Predicts every token by the same logits, and learns them by gradient descent. Fails on request.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    logits: Vec<f32>,
    /// At this step the gradient norm is NaN.
    breaks_at: Option<u64>,
    /// Saving fails from this step on.
    full_at: Option<u64>,
    steps: u64,
}

impl Table {
    fn new() -> Self {
        Self {
            logits: (0..VOCABULARY).map(|i| (i as f32 * 0.7).sin()).collect(),
            breaks_at: None,
            full_at: None,
            steps: 0,
        }
    }

    fn log_sum(&self) -> f32 {
        self.logits
            .iter()
            .map(|logit| logit.exp())
            .sum::<f32>()
            .ln()
    }
}

impl Trainee for Table {
    fn step(
        &mut self,
        batch: &GlobalBatch,
        step: u64,
        keep: KeepRatio,
    ) -> Result<StepOutcome, TraineeError> {
        if self.breaks_at == Some(step + 1) {
            return Err(Box::new(NotFinite {
                what: "gradient norm",
                got: f64::NAN,
            }));
        }
        let loss = self.losses(batch)?;
        let kept = self.select(batch, &loss, step, keep)?;
        let count = kept.iter().filter(|kept| **kept).count();
        let normal = self.log_sum();
        let mut gradient = vec![0.0; VOCABULARY];
        for i in (0..kept.len()).filter(|&i| kept[i]) {
            for (token, gradient) in gradient.iter_mut().enumerate() {
                *gradient += (self.logits[token] - normal).exp() / count as f32;
            }
            gradient[batch.input_ids[i] as usize] -= 1.0 / count as f32;
        }
        for (logit, gradient) in self.logits.iter_mut().zip(&gradient) {
            *logit -= 0.5 * gradient;
        }
        self.steps = step + 1;
        let kept_loss = loss.iter().zip(&kept).filter(|(_, kept)| **kept);
        let sum: f64 = kept_loss.map(|(&loss, _)| f64::from(loss)).sum();
        Ok(StepOutcome {
            objective: sum / count as f64,
            loss,
            kept,
            gradient_norm: f64::from(gradient.iter().map(|g| g * g).sum::<f32>()).sqrt(),
            learning_rate: 0.5,
        })
    }

    fn losses(&mut self, batch: &GlobalBatch) -> Result<Vec<f32>, TraineeError> {
        let normal = self.log_sum();
        let tokens = batch.input_ids.iter().zip(&batch.targets);
        Ok(tokens
            .map(|(&token, &target)| match target {
                true => normal - self.logits[token as usize],
                false => f32::NAN,
            })
            .collect())
    }

    fn select(
        &self,
        batch: &GlobalBatch,
        loss: &[f32],
        _step: u64,
        keep: KeepRatio,
    ) -> Result<Vec<bool>, TraineeError> {
        let excess: Vec<f32> = loss
            .iter()
            .zip(&batch.reference_loss)
            .map(|(own, reference)| own - reference)
            .collect();
        Ok(select(&excess, keep, Direction::High))
    }

    fn save_model(&self, folder: &Path) -> Result<(), TraineeError> {
        fs::write(folder.join("config.json"), "{}")?;
        if self.full_at.is_some_and(|step| self.steps >= step) {
            return Err(std::io::Error::from(std::io::ErrorKind::StorageFull).into());
        }
        let bytes: Vec<u8> = self.logits.iter().flat_map(|l| l.to_le_bytes()).collect();
        Ok(fs::write(folder.join("model.safetensors"), bytes)?)
    }

    fn save_optimiser(&self, folder: &Path) -> Result<(), TraineeError> {
        Ok(fs::write(folder.join("optimiser.safetensors"), b"none")?)
    }

    fn load(&mut self, folder: &Path) -> Result<(), TraineeError> {
        let bytes = fs::read(folder.join("model.safetensors"))?;
        let chunks = bytes.as_chunks().0.iter();
        self.logits = chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(())
    }
}

fn documents() -> Vec<Document> {
    let of = |d: usize| {
        let length = 3 + d * 17 % 60;
        Document {
            input_ids: (0..length)
                .map(|i| ((d * d + i * 5) % 13 % VOCABULARY) as u32)
                .collect(),
            reference_loss: (0..length)
                .map(|i| ((d * 7 + i * 3) % 31) as f32 / 10.0)
                .collect(),
            weight: Vec::new(),
            target: Vec::new(),
        }
    };
    (0..90).map(of).collect()
}

fn plan(folder: &Path) -> RunPlan {
    let packing = Packing {
        length: 32,
        window_tokens: 400,
        most_padding: 0.01,
        seed: 3,
    };
    let lengths: Vec<usize> = documents().iter().map(|d| d.input_ids.len()).collect();
    let rows = packing.count(lengths.len(), |d| lengths[d], 2).rows;
    RunPlan {
        folder: folder.to_owned(),
        steps: rows.div_ceil(4),
        packing,
        batch_rows: 4,
        rows,
        vocabulary: VOCABULARY,
        keep: "linear:1.0:0.5:20".parse().unwrap(),
        save_every: 7,
        keep_last: 2,
        evaluations: vec![EvaluationSet {
            name: "held-out".to_owned(),
            documents: documents()[..5].to_vec(),
            after: vec![Some(2), None, Some(1), Some(4), None],
        }],
        evaluate_every: 5,
        probe_every: 3,
        spike: Some(3.0),
        fingerprint: serde_json::json!({"seed": 3}),
    }
}

fn run(plan: &RunPlan, table: &mut Table, stop: u64) -> Result<Ended, RunError> {
    train(plan, table, stop)
}

/// Runs until `stop` steps are done.
fn train(plan: &RunPlan, trainee: &mut dyn Trainee, stop: u64) -> Result<Ended, RunError> {
    let done = Cell::new(0);
    let run = Run::prepare(plan, trainee)?;
    done.set(run.state().step);
    let mut observe = |event: Event<'_>| {
        if let Event::Step(metrics, _) = event {
            done.set(metrics.step);
        }
    };
    run.train(Box::new(documents()), &|| done.get() >= stop, &mut observe)
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join(METRICS)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn stopped_anywhere_it_comes_to_the_same() {
    let place = tempfile::tempdir().unwrap();
    let whole = plan(&place.path().join("whole"));
    fs::create_dir(&whole.folder).unwrap();
    let mut expected = Table::new();
    assert!(matches!(
        run(&whole, &mut expected, u64::MAX),
        Ok(Ended::Done(_))
    ));
    let metrics = fs::read(whole.folder.join(METRICS)).unwrap();
    assert!(whole.steps > 12, "{}", whole.steps);

    for stop in [0, 1, 6, 7, 11, whole.steps - 1] {
        let halves = plan(&place.path().join(format!("halves-{stop}")));
        fs::create_dir(&halves.folder).unwrap();
        let ended = run(&halves, &mut Table::new(), stop).unwrap();
        assert!(matches!(ended, Ended::Stopped(state) if state.step == stop));
        // What a killed run wrote after its last checkpoint.
        for name in [METRICS, TIMINGS] {
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(halves.folder.join(name))
                .unwrap();
            std::io::Write::write_all(&mut file, b"{\"step\": 99").unwrap();
        }
        fs::create_dir_all(halves.folder.join("checkpoints/.partial-000009")).unwrap();
        let mut other = Table::new();
        other.logits.fill(9.0);
        assert!(matches!(
            run(&halves, &mut other, u64::MAX),
            Ok(Ended::Done(_))
        ));
        assert_eq!(other.logits, expected.logits, "stopped after {stop}");
        assert_eq!(fs::read(halves.folder.join(METRICS)).unwrap(), metrics);
        assert_eq!(
            fs::read(halves.folder.join("model.safetensors")).unwrap(),
            fs::read(whole.folder.join("model.safetensors")).unwrap()
        );
    }
}

#[test]
fn metrics_say_what_was_kept() {
    let place = tempfile::tempdir().unwrap();
    let plan = plan(place.path());
    run(&plan, &mut Table::new(), u64::MAX).unwrap();
    let lines = lines(place.path());
    let steps: Vec<&Value> = lines
        .iter()
        .filter(|l| l.get("evaluation").is_none())
        .collect();
    assert_eq!(steps.len() as u64, plan.steps);
    let (mut seen, mut trained) = (0, 0);
    for (i, line) in steps.iter().enumerate() {
        let number = |name: &str| line[name].as_f64().unwrap();
        let (targets, kept) = (number("targets"), number("kept"));
        assert_eq!(line["step"], i as u64 + 1);
        assert_eq!(kept, (number("keep") * targets).round());
        seen += targets as u64;
        trained += kept as u64;
        assert_eq!(line["tokens_seen"], seen);
        assert_eq!(line["tokens_trained"], trained);
        let mean = |all: &str| match kept == targets {
            true => number(&format!("{all}_kept")),
            false => {
                let dropped = number(&format!("{all}_dropped"));
                (number(&format!("{all}_kept")) * kept + dropped * (targets - kept)) / targets
            }
        };
        assert!((number("loss") - mean("loss")).abs() < 1e-9);
        assert!((number("reference_loss") - mean("reference_loss")).abs() < 1e-9);
        // This trainee keeps by excess loss.
        assert_eq!(line["loss_selected"], line["loss_kept"]);
        assert_eq!(line["loss_unselected"], line["loss_dropped"]);
        if kept < targets {
            let excess =
                |of: &str| number(&format!("loss_{of}")) - number(&format!("reference_loss_{of}"));
            assert!(excess("kept") > excess("dropped"));
        }
        let looked = i > 0 && (i + 1) % 3 == 0;
        assert_eq!(line["changed"].is_number(), looked, "step {}", i + 1);
    }
    // Two epochs of each document's tokens but the first.
    let once: usize = documents().iter().map(|d| d.input_ids.len() - 1).sum();
    assert_eq!(seen, 2 * once as u64);
    let evaluations: Vec<&Value> = lines
        .iter()
        .filter(|l| l.get("evaluation").is_some())
        .collect();
    let at: Vec<u64> = evaluations
        .iter()
        .map(|l| l["step"].as_u64().unwrap())
        .collect();
    let mut expected: Vec<u64> = (0..=plan.steps).filter(|s| s % 5 == 0).collect();
    if !plan.steps.is_multiple_of(5) {
        expected.push(plan.steps);
    }
    assert_eq!(at, expected);
    let held: Vec<usize> = documents()[..5].iter().map(|d| d.input_ids.len()).collect();
    let first = evaluations[0];
    assert_eq!(first["tokens"], held.iter().map(|l| l - 1).sum::<usize>());
    assert_eq!(first["marked"], 3);
    assert_eq!(
        first["after"]["tokens"],
        held[0] - 2 + held[2] - 1 + held[3] - 4
    );
    assert!(evaluations[0]["loss"].as_f64() > evaluations.last().unwrap()["loss"].as_f64());
    let kept = Checkpoints::new(place.path(), 9).steps().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[1], plan.steps);
}

#[test]
fn a_step_that_is_no_number_names_the_batch_and_the_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let plan = plan(place.path());
    let mut table = Table::new();
    table.breaks_at = Some(9);
    let error = run(&plan, &mut table, u64::MAX).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("step 9: expected a finite gradient norm, got NaN"),
        "{said}"
    );
    assert!(said.contains("document "), "{said}");
    let good = place.path().join("checkpoints/step-000007");
    assert!(
        said.ends_with(&format!("the last good checkpoint is {}", good.display())),
        "{said}"
    );
    let list: Value =
        serde_json::from_slice(&fs::read(place.path().join("stopped.json")).unwrap()).unwrap();
    assert!(list["documents"].as_array().unwrap().len() > 2);
    // Resumes from there.
    table.breaks_at = None;
    assert!(matches!(
        run(&plan, &mut table, u64::MAX),
        Ok(Ended::Done(_))
    ));
}

#[test]
fn a_spike_stops_the_run() {
    let place = tempfile::tempdir().unwrap();
    let mut plan = plan(place.path());
    plan.spike = Some(0.5);
    let error = run(&plan, &mut Table::new(), u64::MAX).unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("step 17: expected a loss of at most 0.5 times "),
        "{said}"
    );
}

#[test]
fn a_full_disk_leaves_the_former_checkpoint() {
    let place = tempfile::tempdir().unwrap();
    let plan = plan(place.path());
    let mut table = Table::new();
    table.full_at = Some(8);
    let error = run(&plan, &mut table, u64::MAX).unwrap_err();
    assert!(matches!(error, RunError::Save { .. }), "{error}");
    let names: Vec<String> = fs::read_dir(place.path().join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["step-000007"]);
    table.full_at = None;
    let Ok(Ended::Done(state)) = run(&plan, &mut table, u64::MAX) else {
        panic!("it resumes from the previous one")
    };
    assert_eq!(state.step, plan.steps);
}

/// A tiny network that learns by excess loss, in micro-batches of `micro_rows` rows.
fn learner(place: &Path, steps: u64, micro_rows: usize) -> Learner {
    let config = place.join("config.json");
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32,
    });
    fs::write(&config, json.to_string()).unwrap();
    let options = LearnerOptions {
        objective: Objective::Slm {
            keep: KeepRatio::new(1.0).unwrap(),
        },
        mix_clm: 0.1,
        optimiser: AdamW::default(),
        schedule: Schedule {
            peak: 1e-2,
            floor: 0.1,
            warmup_steps: 3,
            steps,
            decay: Decay::Cosine,
        },
        micro_rows,
        gradient_checkpointing: false,
        beside: None,
        tokenizer: None,
    };
    let start = Start::Initial { config, seed: 7 };
    Learner::open(&start, candle_core::Device::Cpu, options).unwrap()
}

/// The files of a checkpoint's model and optimiser, and of the run's metrics.
fn bytes(folder: &Path, step: u64) -> Vec<Vec<u8>> {
    let checkpoint = Checkpoints::new(folder, 9).path(step);
    let files = ["model.safetensors", "optimiser.safetensors"].map(|name| checkpoint.join(name));
    let files = files.into_iter().chain([folder.join(METRICS)]);
    files.map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn a_network_goes_on_to_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let whole = plan(&place.path().join("whole"));
    fs::create_dir(&whole.folder).unwrap();
    let ended = train(&whole, &mut learner(place.path(), whole.steps, 2), u64::MAX).unwrap();
    assert!(matches!(ended, Ended::Done(_)));
    let halves = plan(&place.path().join("halves"));
    fs::create_dir(&halves.folder).unwrap();
    train(&halves, &mut learner(place.path(), halves.steps, 2), 10).unwrap();
    train(
        &halves,
        &mut learner(place.path(), halves.steps, 2),
        u64::MAX,
    )
    .unwrap();
    let (got, expected) = (
        bytes(&halves.folder, halves.steps),
        bytes(&whole.folder, whole.steps),
    );
    assert!(got == expected);
    let steps = lines(&whole.folder);
    let losses: Vec<f64> = steps
        .iter()
        .filter(|l| l.get("evaluation").is_none())
        .map(|l| l["loss"].as_f64().unwrap())
        .collect();
    assert!(losses.last() < losses.first(), "{losses:?}");
}

#[test]
fn parts_of_a_batch_are_ranked_as_one() {
    let place = tempfile::tempdir().unwrap();
    let [one, parts] = [4, 1].map(|micro_rows| {
        let plan = plan(&place.path().join(micro_rows.to_string()));
        fs::create_dir(&plan.folder).unwrap();
        train(&plan, &mut learner(place.path(), plan.steps, micro_rows), 6).unwrap();
        lines(&plan.folder)
    });
    for (one, parts) in one
        .iter()
        .zip(&parts)
        .filter(|(one, _)| one.get("evaluation").is_none())
    {
        assert_eq!(one["kept"], parts["kept"]);
        // Read, not computed: the same tokens give the same value.
        assert_eq!(
            one["reference_loss_kept"], parts["reference_loss_kept"],
            "{one}"
        );
        for name in ["objective", "loss", "gradient_norm"] {
            let (one, parts) = (one[name].as_f64().unwrap(), parts[name].as_f64().unwrap());
            assert!((one - parts).abs() < 1e-4 * one, "{name}: {one}, {parts}");
        }
    }
}
