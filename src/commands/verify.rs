//! `verify`: compares losses and entropies with those of Transformers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_reference::fingerprint::fingerprint;
use rho_runtime::LibraryOptions;

use super::Outcome;
use crate::{
    cli::{PrecisionChoice, ProgressArgs, ProgressKind, VerifyArgs},
    demo, files,
    hinted_error::HintedError,
    hub::{self, Need},
    numbers::grouped,
    pipeline::{Work, windows::windows},
    plan::{self, Prepared, ScoringRequest},
    progress::Progress,
    stop::Stop,
    terminal,
    verify::{
        TokenScores,
        difference::{agreement, difference, entropy, loss},
        our_scores::{self, Scored},
        result::{
            AllVersions, Batches, Counted, FORMAT_VERSION, Files, Verification, VerifiedModel,
        },
        sample::Sample,
        transformers::{Class, Settings, Transformers, Versions, Window},
    },
};

/// Width of tables that are not written to a terminal.
const WIDTH: usize = 140;
/// In nats. In f32 both compute the same except for rounding: tests hold every family to 1e-4 on small models. Large
/// models sum more terms, so they are allowed ten times that. A misread setting changes some token by far more.
const TOLERANCE: f64 = 1e-3;
/// The share of the tolerance by which scores may differ between batches. Only rounding differs, because sums run in
/// another order. On the CPU the models of the tests do not differ at all.
const OF_BATCHES: f64 = 0.1;

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<Outcome> {
    match verified(args)? {
        Some(finding) => {
            // First the file: a reader of the tables may close the pipe.
            let text = serde_json::to_string_pretty(&finding)? + "\n";
            files::write_atomic_shared(&args.out, &text)?;
            let width = terminal::data_width().unwrap_or(WIDTH);
            terminal::data(finding.tables(width).trim_end())?;
            terminal::line(&format!("wrote {}", args.out.display()));
            terminal::line(&finding.verdict());
            Ok(match finding.passed {
                true => Outcome::Done,
                false => Outcome::Incomplete,
            })
        }
        None => {
            terminal::line("stopped: an unfinished comparison is not saved");
            Ok(Outcome::Interrupted)
        }
    }
}

/// Compares; none if it was stopped.
fn verified(args: &VerifyArgs) -> anyhow::Result<Option<Verification>> {
    if args.documents == 0 {
        return Err(HintedError::error(
            "--documents: expected at least 1, got 0",
            "64 is the default",
        ));
    }
    if args.corpus.iter().any(|path| path.as_os_str() == "-") {
        return Err(HintedError::error(
            "--corpus: expected files or folders, got standard input",
            "write it to a file",
        ));
    }
    if args.out.is_dir() {
        return Err(HintedError::error(
            format!(
                "--out {}: expected a file to write, got a folder",
                args.out.display()
            ),
            "name a file in it, such as verify.json",
        ));
    }
    // Refuses a missing tolerance early. The precision of `auto` is known only when the model is open.
    match args.model_args.precision {
        PrecisionChoice::Bf16 => tolerance(args, "bf16")?,
        PrecisionChoice::Int8 => tolerance(args, "int8")?,
        PrecisionChoice::F32 | PrecisionChoice::Auto => tolerance(args, "f32")?,
    };
    let corpus = corpus(args)?;
    let checkpoint = checkpoint(args)?;
    let stop = Stop::at_signals()?;
    // Report what Python lacks before minutes are spent on scoring.
    let Some((mut transformers, versions)) = Transformers::start(&args.python, &stop)? else {
        return Ok(None);
    };
    let prepared = plan::resolve(&ScoringRequest {
        input: args.input.clone(),
        sample_seed: args.seed.unwrap_or(0),
        progress: ProgressArgs {
            progress: ProgressKind::None,
        },
        threads: args.threads,
        ..ScoringRequest::scores(corpus, args.model.clone(), args.model_args.clone())
    })?;
    let plan = &prepared.plan;
    let tolerance = tolerance(args, &plan.precision)?;
    let Some(sample) = sample(&prepared, args.documents, &stop)? else {
        return Ok(None);
    };
    terminal::line(&format!(
        "scoring {} documents with rho-mask, with 4 kinds of batches",
        grouped(sample.documents.len() as u64)
    ));
    let Some(scored) = our_scores::score(&prepared, &sample, &stop)? else {
        return Ok(None);
    };
    terminal::line(&format!(
        "scoring them with Transformers {} in {}, one window at a time",
        versions.transformers,
        args.dtype.torch()
    ));
    let settings = Settings {
        checkpoint: &checkpoint,
        dtype: args.dtype.torch(),
        threads: plan.threads,
    };
    let Some(class) = transformers.load(&settings)? else {
        return Ok(None);
    };
    if let Some(first) = class.unused.first() {
        let count = grouped(class.unused.len() as u64);
        terminal::line(&format!(
            "note: {} does not read {count} tensors of the checkpoint, such as {first}",
            class.class
        ));
    }
    let Some((expected, windows)) = expected(&prepared, &sample, &mut transformers, &stop)? else {
        return Ok(None);
    };
    drop(transformers);
    let compared = Compared {
        sample: &sample,
        scored: &scored,
        expected: &expected,
        windows,
        checkpoint: Files {
            name: name(&checkpoint),
            fingerprint: fingerprint(&weights(&checkpoint)?)
                .context("cannot read the checkpoint to take its fingerprint")?,
        },
    };
    let mut finding = compared.finding(args, &prepared, tolerance, (class, versions))?;
    finding.judge();
    Ok(Some(finding))
}

/// The corpus of the arguments, or the bundled documents.
fn corpus(args: &VerifyArgs) -> anyhow::Result<Vec<PathBuf>> {
    if !args.corpus.is_empty() {
        return Ok(args.corpus.clone());
    }
    let cache = LibraryOptions::from_environment().cache;
    if args.input.text.tokens_field.is_some() || cache.as_os_str().is_empty() {
        return Err(HintedError::error(
            "--corpus: expected documents to compare, got none",
            "name files or folders as `score` reads them",
        ));
    }
    Ok(vec![demo::documents(&cache)?])
}

/// The absolute path of the checkpoint that Transformers loads.
fn checkpoint(args: &VerifyArgs) -> anyhow::Result<PathBuf> {
    let typed = args.checkpoint.as_ref().unwrap_or(&args.model);
    let path = &hub::resolve(typed, Need::Model)?;
    let shown = typed.display();
    let is_there = path.join("config.json").is_file() && weights(path)?.len() > 1;
    if is_there {
        return std::path::absolute(path).with_context(|| format!("{shown}: no such path"));
    }
    let expected = "expected a checkpoint for Transformers (config.json and .safetensors files)";
    Err(match &args.checkpoint {
        Some(_) => HintedError::error(
            format!("--checkpoint {shown}: {expected}, got none"),
            "name the folder that the reference was exported from",
        ),
        None => HintedError::error(
            format!("--model {shown}: {expected}, got none"),
            "an ONNX reference is compared with the checkpoint that it was exported from: name that with --checkpoint",
        ),
    })
}

/// config.json and the files with weights, sorted by name.
fn weights(checkpoint: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![checkpoint.join("config.json")];
    let entries = fs::read_dir(checkpoint).into_iter().flatten();
    for entry in entries {
        let path = entry
            .with_context(|| format!("{}: cannot be listed", checkpoint.display()))?
            .path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            files.push(path);
        }
    }
    files[1..].sort();
    Ok(files)
}

/// The last part of a path.
fn name(path: &Path) -> String {
    let last = path.file_name().unwrap_or(path.as_os_str());
    last.to_string_lossy().into_owned()
}

/// Nats by which scores may differ from those of Transformers, and between batches.
fn tolerance(args: &VerifyArgs, precision: &str) -> anyhow::Result<(f64, f64)> {
    let usual = (precision == "f32").then_some(TOLERANCE);
    let Some(tolerance) = args.tolerance.or(usual) else {
        return Err(HintedError::error(
            format!(
                "--tolerance: expected a number of nats for a model computed in {precision}, got none"
            ),
            "only f32 has a default: how much other precisions change a score depends on the model; start with 0.5 for \
             int8",
        ));
    };
    let batches = args.batch_tolerance.unwrap_or(tolerance * OF_BATCHES);
    Ok((tolerance, batches))
}

/// The documents; none if it was stopped.
fn sample(prepared: &Prepared, count: usize, stop: &Stop) -> anyhow::Result<Option<Sample>> {
    let progress = Progress::new(&prepared.shards, &[], ProgressKind::None);
    let work = Work {
        plan: &prepared.plan,
        shards: &prepared.shards,
        encoder: prepared.encoder(),
        progress: &progress,
        stop,
    };
    let Some(sample) = Sample::draw(&work, count)? else {
        return Ok(None);
    };
    if sample.documents.len() < count {
        terminal::line(&format!(
            "note: the corpus has {} documents, not {count}",
            sample.documents.len()
        ));
    }
    if sample.passed_over > 0 {
        terminal::line(&format!(
            "note: skipped {} rows that hold nothing to score",
            sample.passed_over
        ));
    }
    Ok(Some(sample))
}

/// The scores of Transformers and the number of windows; none if it was stopped.
fn expected(
    prepared: &Prepared,
    sample: &Sample,
    transformers: &mut Transformers,
    stop: &Stop,
) -> anyhow::Result<Option<(Vec<TokenScores>, usize)>> {
    let plan = &prepared.plan;
    let cut = |tokens: &[u32]| windows(tokens.len(), plan.context, plan.overlap);
    let documents = sample.documents.iter();
    let windows: usize = documents.map(|s| cut(&s.document.tokens).len()).sum();
    let style = "{bar:30} {pos}/{len} windows {eta}";
    let bar = terminal::Bar::if_watched(windows as u64, style);
    let mut all = Vec::new();
    for sampled in &sample.documents {
        let tokens = &sampled.document.tokens;
        let mut scores = TokenScores {
            loss: vec![f64::NAN; tokens.len()],
            entropy: vec![f64::NAN; tokens.len()],
        };
        for span in cut(tokens) {
            let window = Window {
                tokens: &tokens[span.range.clone()],
                scored_from: span.scored_from - span.range.start,
            };
            let computed = match stop.requested() {
                true => None,
                false => transformers.score(&window)?,
            };
            let Some(computed) = computed else {
                bar.finish();
                return Ok(None);
            };
            let kinds = [
                ("loss", &mut scores.loss, computed.loss),
                ("entropy", &mut scores.entropy, computed.entropy),
            ];
            for (kind, scores, computed) in kinds {
                for (token, computed) in (span.scored_from..).zip(computed) {
                    scores[token] = computed.with_context(|| {
                        format!(
                            "{} row {}, token {token}: expected a finite {kind} from Transformers, got none",
                            prepared.shards[sampled.shard].name, sampled.document.row
                        )
                    })?;
                }
            }
            bar.inc(1);
        }
        all.push(scores);
    }
    bar.finish();
    Ok(Some((all, windows)))
}

/// Scores of both sides.
struct Compared<'a> {
    sample: &'a Sample,
    scored: &'a Scored,
    expected: &'a [TokenScores],
    windows: usize,
    checkpoint: Files,
}

impl Compared<'_> {
    /// The result of the comparison, not judged yet.
    fn finding(
        self,
        args: &VerifyArgs,
        prepared: &Prepared,
        (tolerance, batch_tolerance): (f64, f64),
        (oracle, python): (Class, Versions),
    ) -> anyhow::Result<Verification> {
        let shards: Vec<&str> = prepared.shards.iter().map(|s| s.name.as_str()).collect();
        let own = self.scored.scores.as_slice();
        let apart = |kind, pair| difference(&self.sample.documents, &shards, kind, pair);
        let others = self.scored.others.iter();
        let batches = others.map(|(batching, scores)| Batches {
            name: batching.name.to_owned(),
            batch_tokens: batching.batch_tokens,
            loss: apart(loss, (own, scores)),
            entropy: apart(entropy, (own, scores)),
        });
        let tokens = self
            .sample
            .documents
            .iter()
            .map(|s| s.document.tokens.len());
        let documents = self.sample.documents.len();
        let tokens: usize = tokens.sum();
        let masks = args
            .keep
            .iter()
            .map(|&keep| agreement(keep, (own, self.expected)));
        Ok(Verification {
            format_version: FORMAT_VERSION,
            passed: false,
            model: VerifiedModel::of(&prepared.plan)?,
            checkpoint: self.checkpoint,
            oracle,
            versions: AllVersions {
                rho_mask: env!("CARGO_PKG_VERSION").to_owned(),
                onnxruntime: prepared.plan.library_version.clone().unwrap_or_default(),
                python,
            },
            sample: Counted {
                documents,
                tokens,
                // All but the first token of each.
                scored: tokens - documents,
                windows: self.windows,
                cut: self.sample.cut,
            },
            tolerance,
            loss: apart(loss, (own, self.expected)),
            entropy: apart(entropy, (own, self.expected)),
            masks: masks.collect(),
            batch_tolerance,
            batches: batches.collect(),
        })
    }
}
