//! Tests the pipeline with a fake scorer: laws that hold for any model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use rho_formats::{MaskRow, Shard, find_shards, read_masks};
use rho_reference::{ReferenceError, Scorer, Scores, TokenWindow};
use rho_selection::{Batches, KeepRatio};
use serde_json::{Value, json};

use super::{
    Panel, Work,
    finish::FolderState,
    output::Output,
    record::Counts,
    run,
    store::Store,
    testing::{self, rule},
};
use crate::{
    cli::ProgressKind, plan::Plan, progress::Progress, selections::rule::Scope, stop::Stop,
};

/// The token for which the fake returns no finite scores.
const NOT_A_NUMBER: u32 = 13;
/// The token at which the fake fails with an error.
const BREAKS: u32 = 14;

/// A fake whose scores depend on a token and the one before it, with many ties. It checks its inputs.
struct Fake {
    context: usize,
    budget: usize,
    /// Every model has its own scores.
    model: usize,
}

impl Scorer for Fake {
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        let longest = windows
            .iter()
            .map(|p| p.tokens.len())
            .max()
            .expect("a batch holds a window");
        assert!(
            longest <= self.context
                && (windows.len() == 1 || windows.len() * longest <= self.budget)
        );
        let score = |window: &TokenWindow<'_>| {
            assert!((1..window.tokens.len()).contains(&window.scored_from));
            let scored = (window.scored_from..window.tokens.len())
                .map(|i| (window.tokens[i - 1], window.tokens[i]));
            let number = |before: u32, token: u32, factor: u32| match token {
                NOT_A_NUMBER => f32::NAN,
                _ => {
                    let mixed = before.wrapping_mul(31) ^ token.wrapping_mul(factor);
                    ((mixed + self.model as u32 * 5) % 97) as f32 / 8.0
                }
            };
            Scores {
                loss: scored
                    .clone()
                    .map(|(before, token)| number(before, token, 7919))
                    .collect(),
                entropy: scored
                    .map(|(before, token)| number(before, token, 104_729))
                    .collect(),
                ..Scores::default()
            }
        };
        if windows.iter().any(|p| p.tokens.contains(&BREAKS)) {
            return Err(ReferenceError::UnknownVocabulary {
                path: PathBuf::from("the fake broke"),
            });
        }
        Ok(windows.iter().map(score).collect())
    }
}

/// Uses larger read-ahead blocks than the plan of the tests, and smaller scopes.
fn plan(out: &Path, shards: &[Shard]) -> Plan {
    Plan {
        look_ahead_documents: 10,
        look_ahead_tokens: 300,
        scope: Scope::Batch(200),
        ..testing::plan(out, shards)
    }
}

/// A corpus in a temporary folder, from a list of documents per shard.
struct Corpus(tempfile::TempDir);

impl Corpus {
    fn new(shards: &[Vec<Vec<u32>>]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (i, documents) in shards.iter().enumerate() {
            let lines: String = documents
                .iter()
                .map(|ids| json!({"ids": ids}).to_string() + "\n")
                .collect();
            fs::write(folder.path().join(format!("{i}.jsonl")), lines).unwrap();
        }
        Self(folder)
    }

    /// Scores it with the fake. Returns the counts and the masks folder.
    fn score(&self, change: impl Fn(&mut Plan)) -> (anyhow::Result<Counts>, tempfile::TempDir) {
        self.score_on(1, change)
    }

    /// Scores it with this many fakes at once.
    fn score_on(
        &self,
        devices: usize,
        change: impl Fn(&mut Plan),
    ) -> (anyhow::Result<Counts>, tempfile::TempDir) {
        let out = tempfile::tempdir().unwrap();
        let shards = find_shards(&[self.0.path().to_owned()]).unwrap().shards;
        let mut plan = plan(out.path(), &shards);
        change(&mut plan);
        let store = Store::open(&plan, &shards, false).unwrap();
        let progress = Progress::new(&shards, store.my_groups(), ProgressKind::None);
        let stop = Stop::default();
        let work = Work {
            plan: &plan,
            shards: &shards,
            encoder: crate::content::Encoder::default(),
            progress: &progress,
            stop: &stop,
        };
        let fake = |model| Fake {
            context: plan.context,
            budget: plan.batch_tokens,
            model,
        };
        let panel = |_| (0..plan.models().count()).map(fake).collect();
        let mut fakes: Vec<Vec<Fake>> = (0..devices).map(panel).collect();
        let mut scorers: Vec<Panel<'_>> = Vec::new();
        for panel in &mut fakes {
            scorers.push(panel.iter_mut().map(|fake| fake as _).collect());
        }
        let counts =
            run(&work, &mut scorers, &Output::Folder(&store)).map(|report| report.totals.counts);
        if counts.is_ok() {
            let standing = FolderState::look(store.folder()).unwrap().unwrap();
            standing.finish(store.folder()).unwrap();
        }
        (counts, out)
    }
}

fn rows(masks: &tempfile::TempDir) -> Vec<MaskRow> {
    read_masks(masks.path())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The mask files with their bytes.
fn files(masks: &tempfile::TempDir) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(masks.path())
        .unwrap()
        .map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|e| e == "arrow"))
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .map(|(name, bytes)| (name.rsplit('/').next().unwrap().to_owned(), bytes))
        .collect();
    files.sort();
    files
}

fn rejected(masks: &tempfile::TempDir) -> Vec<Value> {
    let text = fs::read_to_string(masks.path().join("rejected.jsonl")).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Shards of documents of random tokens, from empty to several windows long, without the fake's special tokens.
fn corpora() -> impl Strategy<Value = Vec<Vec<Vec<u32>>>> {
    let document = prop_oneof![
        4 => prop::collection::vec(20u32..5000, 0..40),
        1 => prop::collection::vec(20u32..5000, 100..260),
    ];
    prop::collection::vec(prop::collection::vec(document, 0..40), 1..4)
}

fn seeded(cases: u32) -> ProptestConfig {
    let rng_seed = proptest::test_runner::RngSeed::Fixed(2404);
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed,
        ..ProptestConfig::default()
    }
}

/// The kept tokens of one scope must be `round(k * scored)`, of scored tokens only.
fn check_scope(
    rows: &[MaskRow],
    (keep_loss, keep_entropy): (f64, f64),
) -> Result<(), TestCaseError> {
    let column = |get: fn(&MaskRow) -> &Vec<bool>| -> Vec<bool> {
        rows.iter().flat_map(|r| get(r).clone()).collect()
    };
    let (loss, entropy, both) = (
        column(|r| &r.masks[0]),
        column(|r| &r.masks[1]),
        column(|r| &r.masks[2]),
    );
    let scores: Vec<f32> = rows.iter().flat_map(|r| r.scores[0].clone()).collect();
    let scored = scores.iter().filter(|s| !s.is_nan()).count();
    let kept = |mask: &[bool]| mask.iter().filter(|&&k| k).count();
    prop_assert_eq!(kept(&loss), KeepRatio::new(keep_loss).unwrap().kept(scored));
    prop_assert_eq!(
        kept(&entropy),
        KeepRatio::new(keep_entropy).unwrap().kept(scored)
    );
    for i in 0..scores.len() {
        prop_assert_eq!(both[i], loss[i] && entropy[i]);
        prop_assert!(!(scores[i].is_nan() && (loss[i] || entropy[i])));
    }
    Ok(())
}

proptest! {
    #![proptest_config(seeded(24))]

    #[test]
    fn batch_size_and_threads_change_nothing(shards in corpora(), document_scope in any::<bool>()) {
        let corpus = Corpus::new(&shards);
        let scope = if document_scope { Scope::Document } else { Scope::Batch(200) };
        let mut before = None;
        // A budget of 1 gives batches of one window; 64 windows of the longest context fit into 2048.
        for (batch_tokens, threads) in [(1, 1), (1, 4), (64 * 32, 1), (64 * 32, 4)] {
            let (report, masks) = corpus.score(|plan| {
                (plan.batch_tokens, plan.threads, plan.scope) = (batch_tokens, threads, scope);
            });
            prop_assert!(report.is_ok());
            let files = files(&masks);
            prop_assert_eq!(before.get_or_insert(files.clone()), &files);
        }
    }

    #[test]
    fn each_scope_keeps_its_share(shards in corpora(), keep_loss in 0.0..=1.0f64, keep_entropy in 0.0..=1.0f64) {
        let corpus = Corpus::new(&shards);
        for scope in [Scope::Document, Scope::Batch(200)] {
            let set = |plan: &mut Plan| (plan.rule, plan.scope) = (rule(keep_loss, keep_entropy), scope);
            let (report, masks) = corpus.score(set);
            for (i, documents) in shards.iter().enumerate() {
                let rows: Vec<MaskRow> =
                    read_masks(masks.path().join(format!("{i}.jsonl.arrow"))).unwrap().collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(&rows.iter().map(|r| r.input_ids.clone()).collect::<Vec<_>>(), documents);
                let mut batches = Batches::new(200);
                let mut start = 0;
                for (at, row) in rows.iter().enumerate() {
                    let another = scope == Scope::Document || batches.starts_another(row.input_ids.len());
                    if another {
                        check_scope(&rows[start..at], (keep_loss, keep_entropy))?;
                        start = at;
                    }
                }
                check_scope(&rows[start..], (keep_loss, keep_entropy))?;
            }
            let summary = report.unwrap();
            let tokens: usize = shards.iter().flatten().map(Vec::len).sum();
            let scored: usize = shards.iter().flatten().map(|d| d.len().saturating_sub(1)).sum();
            prop_assert_eq!((summary.tokens, summary.scored), (tokens as u64, scored as u64));
        }
    }
}

#[test]
fn every_token_but_the_first_is_scored() {
    let long: Vec<u32> = (0..500).map(|i| 100 + i % 300).collect();
    let (_, masks) = Corpus::new(&[vec![long, vec![], vec![7], vec![7, 8]]]).score(|_| {});
    let unscored: Vec<Vec<usize>> = rows(&masks)
        .iter()
        .map(|row| {
            row.scores[0]
                .iter()
                .enumerate()
                .filter(|(_, s)| s.is_nan())
                .map(|(i, _)| i)
                .collect()
        })
        .collect();
    assert_eq!(unscored, [vec![0], vec![], vec![0], vec![0]]);
}

#[test]
fn a_document_without_numbers_is_left_out_and_recorded() {
    let corpus = Corpus::new(&[vec![
        vec![20, 21],
        vec![20, 30, NOT_A_NUMBER, 31],
        vec![20, 9999],
        vec![40, 41],
    ]]);
    let (report, masks) = corpus.score(|_| {});
    let summary = report.unwrap();
    assert_eq!((summary.documents, summary.rejected), (2, 2));
    let rejected = rejected(&masks);
    let reasons: Vec<_> = rejected
        .iter()
        .map(|r| (r["row"].as_i64().unwrap(), r["reason"].as_str().unwrap()))
        .collect();
    assert!(
        reasons.contains(&(
            1,
            "token 2: expected a finite loss from the reference, got NaN"
        )),
        "{reasons:?}"
    );
    assert!(
        reasons.contains(&(
            2,
            "token 1: expected an id below the vocabulary of 5000, got 9999"
        )),
        "{reasons:?}"
    );
    assert_eq!(
        rows(&masks).iter().map(|r| r.row).collect::<Vec<_>>(),
        [0, 3]
    );
}

#[test]
fn what_was_written_before_an_error_stays() {
    let corpus = Corpus::new(&[
        vec![vec![20, 21]],
        vec![vec![20, BREAKS]],
        vec![vec![22, 23]],
    ]);
    let (report, masks) = corpus.score(|_| {});
    let error = format!("{:#}", report.unwrap_err());
    assert!(
        error.contains("1.jsonl row 0") && error.contains("the fake broke"),
        "{error}"
    );
    let first = read_masks(masks.path().join("0.jsonl.arrow")).unwrap();
    assert_eq!(first.count(), 1);
}

#[test]
fn padding_stays_small() {
    let documents = (0..400)
        .map(|i: u32| vec![50; 2 + (i * 7919 % 31) as usize])
        .collect();
    let (report, _) = Corpus::new(&[documents]).score(|plan| {
        (
            plan.batch_tokens,
            plan.look_ahead_documents,
            plan.look_ahead_tokens,
            plan.scope,
        ) = (256, 400, 100_000, Scope::Batch(100_000));
    });
    let padding = report.unwrap();
    let padding = padding.padding as f64 / (padding.padding + padding.batch_tokens) as f64;
    assert!(padding < 0.05, "padding {padding}");
}

#[test]
fn several_devices_give_the_same_masks() {
    let document = |d: u32| (0..d * 37 % 90).map(|t| 20 + (d * t) % 500).collect();
    let corpus = Corpus::new(&[(0..40).map(document).collect(), vec![document(5)]]);
    let (one, alone) = corpus.score_on(1, |_| {});
    let (three, together) = corpus.score_on(3, |_| {});
    assert_eq!(one.unwrap(), three.unwrap());
    // Compared as text, because NaN equals nothing.
    let told = |masks| format!("{:?}", rows(masks));
    assert!(told(&alone) == told(&together));

    let corpus = Corpus::new(&[vec![document(8), vec![20, BREAKS, 21], document(9)]]);
    let (broken, _) = corpus.score_on(3, |_| {});
    let said = format!("{:#}", broken.unwrap_err());
    assert!(
        said.contains("0.jsonl row 2") && said.contains("the fake broke"),
        "{said}"
    );
}

#[test]
fn several_models_on_several_devices_give_the_same_masks() {
    let document = |d: u32| (0..d * 37 % 90).map(|t| 20 + (d * t) % 500).collect();
    let corpus = Corpus::new(&[(0..40).map(document).collect(), vec![document(5)]]);
    let models = |plan: &mut Plan| {
        let model = plan.references[0].clone();
        plan.references.push(model.clone());
        plan.base = Some(model);
        plan.combine = Some("max".to_owned());
        plan.scores = plan.columns().names();
    };
    let (one, alone) = corpus.score_on(1, models);
    let (three, together) = corpus.score_on(3, models);
    let counts = one.unwrap();
    assert_eq!(counts, three.unwrap());
    assert!(files(&alone) == files(&together));
    // Each model scored each batch once.
    let (single, of_first) = corpus.score_on(1, |_| {});
    assert_eq!(counts.batches, single.unwrap().batches);
    for (all, first) in rows(&alone).iter().zip(rows(&of_first)) {
        let bits = |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(all.scores.len(), 8);
        assert_eq!(bits(&all.scores[4]), bits(&first.scores[0]));
        for i in 1..all.input_ids.len() {
            let own = [all.scores[4][i], all.scores[6][i]];
            assert_eq!(all.scores[0][i], own[0].max(own[1]));
            assert_eq!(all.scores[3][i], all.scores[2][i] - all.scores[0][i]);
        }
    }
}
