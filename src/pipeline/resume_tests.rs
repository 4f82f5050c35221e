//! Tests interruptions and ranks: the output is identical to the byte, and finished work is not scored again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rho_formats::{ScoreType, Shard, find_shards, read_masks};
use rho_reference::{ReferenceError, Scorer, Scores, TokenWindow, Top, fingerprint::fingerprint};

use super::{
    Report, Work,
    finish::{FolderState, RankTimes},
    output::Output,
    run,
    store::Store,
    summary::{Subject, Summary},
    testing::{plan, rule},
};
use crate::{
    cli::ProgressKind, document::Document, hint, hinted_error, masks::files::Masks, plan::Plan,
    progress::Progress, selections::rule::Scope, stats::gather, stop::Stop,
};

/// A fake whose scores depend on a token and the one before it. After some batches it stops the run or fails.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) stop_after: Option<usize>,
    pub(super) break_after: Option<usize>,
    pub(super) stop: Stop,
    pub(super) batches: usize,
    /// How many of the most likely tokens it returns.
    pub(super) top: usize,
}

impl Scorer for Fake {
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        if self.break_after == Some(self.batches) {
            return Err(ReferenceError::UnknownVocabulary {
                path: PathBuf::from("the fake broke"),
            });
        }
        self.batches += 1;
        if self.stop_after == Some(self.batches) {
            self.stop.request();
        }
        // A score that also depends on the batch, as in real models in the last bits.
        let together = windows.iter().map(|p| p.tokens.len()).sum::<usize>() as f32 / 1e4;
        let score = |window: &TokenWindow<'_>| {
            let scored = window.scored_from..window.tokens.len();
            let number = |i: usize, factor: u32| {
                let (before, token) = (window.tokens[i - 1], window.tokens[i]);
                if token == 13 {
                    return f32::NAN;
                }
                (before.wrapping_mul(31) ^ token.wrapping_mul(factor)) as f32 % 97.0 + together
            };
            let likely = scored
                .clone()
                .flat_map(|i| (0..self.top as u32).map(move |k| (i, k)));
            Scores {
                loss: scored.clone().map(|i| number(i, 7919)).collect(),
                entropy: scored.map(|i| number(i, 104_729)).collect(),
                top: Top {
                    ids: likely.clone().map(|(i, k)| window.tokens[i] + k).collect(),
                    logprobs: likely.map(|(i, k)| -number(i, 31 + k)).collect(),
                },
            }
        };
        Ok(windows.iter().map(score).collect())
    }
}

/// Shards of several read-ahead blocks and scopes, with bad rows, blank lines, empty and unscorable documents.
fn corpus(folder: &Path) -> Vec<Shard> {
    let mut state = 2404_07965u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for (shard, rows) in [
        ("a.jsonl", 60),
        ("b/c.jsonl", 25),
        ("d.jsonl", 0),
        ("e.jsonl", 9),
    ] {
        let mut lines = String::new();
        for row in 0..rows {
            let length = match random(8) {
                0 => random(2),
                1 => 100 + random(150),
                _ => random(40),
            };
            let ids: Vec<u64> = (0..length).map(|_| 20 + random(4000)).collect();
            lines += &match random(9) {
                0 => "no json\n".to_owned(),
                1 => "\n".to_owned(),
                2 => format!("{{\"ids\":[7,{row},13]}}\n"),
                _ => format!("{{\"ids\":{ids:?},\"id\":\"{shard}-{row}\"}}\n"),
            };
        }
        let path = folder.join(shard);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, lines).unwrap();
    }
    find_shards(&[folder.to_owned()]).unwrap().shards
}

/// One run, as `score` does it.
pub(super) fn start(plan: &Plan, shards: &[Shard], fake: &mut Fake) -> anyhow::Result<Report> {
    let store = Store::open(plan, shards, false)?;
    let progress = Progress::new(shards, store.my_groups(), ProgressKind::None);
    let stop = fake.stop.clone();
    fake.top = plan.top.unwrap_or(0);
    let work = Work {
        plan,
        shards,
        encoder: crate::content::Encoder::default(),
        progress: &progress,
        stop: &stop,
    };
    let report = run(&work, &mut [vec![fake]], &Output::Folder(&store))?;
    let standing = FolderState::look(store.folder())?.unwrap();
    if plan.world_size == 1 || standing.missing().is_empty() {
        standing.finish(store.folder())?;
    }
    Ok(report)
}

pub(super) fn finished(plan: &Plan, shards: &[Shard]) -> (Vec<(String, Vec<u8>)>, usize) {
    let mut fake = Fake::default();
    start(plan, shards, &mut fake).unwrap();
    (files(&plan.out), fake.batches)
}

/// Every file with its bytes, except locks; times are removed from the summary.
pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(top: &Path, folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            if path.is_dir() && name != ".rho-mask/locks" {
                walk(top, &path, files);
            } else if path.is_file() {
                let mut bytes = fs::read(&path).unwrap();
                if name == "summary.json" {
                    let mut summary: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                    summary.as_object_mut().unwrap().remove("speed").unwrap();
                    bytes = summary.to_string().into_bytes();
                }
                files.push((name, bytes));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

/// The same, without the files that only rho-mask reads.
pub(super) fn visible(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = files(folder);
    files.retain(|(name, _)| !name.starts_with(".rho-mask"));
    files
}

#[track_caller]
pub(super) fn assert_same(got: &[(String, Vec<u8>)], expected: &[(String, Vec<u8>)], what: &str) {
    let names = |files: &[(String, Vec<u8>)]| -> Vec<String> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(got), names(expected), "{what}");
    for ((name, got), (_, expected)) in got.iter().zip(expected) {
        assert!(got == expected, "{what}: {name} differs");
    }
}

#[test]
fn stopped_and_broken_anywhere_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    for (name, scope, shard_bytes, score_type) in [
        ("batch", Scope::Batch(700), 1 << 30, ScoreType::Float32),
        ("document", Scope::Document, 1 << 30, ScoreType::Float32),
        ("split", Scope::Batch(700), 12_000, ScoreType::Float16),
    ] {
        let with = |out: String| Plan {
            scope,
            shard_bytes,
            score_type,
            // Ids that some documents have, also while they wait for the end of their scope.
            source_field: (name == "split").then(|| "id".to_owned()),
            top: (name == "split").then_some(3),
            ..plan(&place.path().join(out), &shards)
        };
        let (expected, batches) = finished(&with(format!("{name}-whole")), &shards);
        assert!(batches > 40, "{batches}");
        for breaks in [false, true] {
            for at in [1, 2, 3, 5, 8, 13, 21, batches - 1] {
                let plan = with(format!("{name}-{breaks}-{at}"));
                let mut scored = 0;
                let mut starts = 0;
                loop {
                    starts += 1;
                    assert!(starts < 200, "no end at {at}");
                    // A run that never completes a block makes no progress, so each run goes a little further.
                    let after = Some(at + starts);
                    let mut fake = match breaks {
                        true => Fake {
                            break_after: after,
                            ..Fake::default()
                        },
                        false => Fake {
                            stop_after: after,
                            ..Fake::default()
                        },
                    };
                    let ended = start(&plan, &shards, &mut fake);
                    scored += fake.batches;
                    assert!(breaks || ended.is_ok());
                    if ended.is_ok() && !fake.stop.requested() {
                        break;
                    }
                }
                assert_same(
                    &files(&plan.out),
                    &expected,
                    &format!("{name}, {breaks}, {at}"),
                );
                // Each run scores again at most one read-ahead block (its windows: 200 tokens and a document) and the
                // blocks that waited in the channels behind it.
                assert!(
                    scored <= batches + starts * 40,
                    "{scored} of {batches} in {starts}"
                );
                let mut fake = Fake::default();
                start(&plan, &shards, &mut fake).unwrap();
                assert_eq!(fake.batches, 0);
                assert_same(&files(&plan.out), &expected, "again");
            }
        }
    }
}

#[test]
fn one_rank_or_seven() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let tokenizer = place.path().join("tokenizer.json");
    fs::write(&tokenizer, "{}").unwrap();
    let fingerprint = fingerprint(std::slice::from_ref(&tokenizer)).unwrap();
    let plan = |out: &Path| Plan {
        tokenizer: Some(tokenizer.clone()),
        tokenizer_fingerprint: Some(fingerprint.clone()),
        ..plan(out, &shards)
    };
    let whole = plan(&place.path().join("one"));
    finished(&whole, &shards);
    assert_eq!(fs::read(whole.out.join("tokenizer.json")).unwrap(), b"{}");
    let expected = visible(&whole.out);
    for world_size in [3, 7] {
        let out = place.path().join(world_size.to_string());
        for rank in (0..world_size).rev() {
            assert!(!out.join("summary.json").exists());
            let ranked = Plan {
                rank,
                world_size,
                ..plan(&out)
            };
            start(&ranked, &shards, &mut Fake::default()).unwrap();
        }
        assert_same(&visible(&out), &expected, "ranks");
    }
}

#[test]
fn what_is_done_of_a_stopped_run_can_be_looked_at() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let all = |out: &Path| -> Vec<Document> {
        let masks = Masks::open(out).unwrap();
        let places = masks.sample(usize::MAX, 0).unwrap();
        let counted = gather(&masks, 3).unwrap().total;
        assert_eq!(counted.documents, places.len() as u64);
        masks.documents(&places).unwrap()
    };
    for (name, scope, shard_bytes) in [
        ("batch", Scope::Batch(700), 1 << 30),
        ("document", Scope::Document, 12_000),
    ] {
        let with = |out: String| Plan {
            scope,
            shard_bytes,
            ..plan(&place.path().join(out), &shards)
        };
        let whole = with(name.to_owned());
        let (_, batches) = finished(&whole, &shards);
        let expected = all(&whole.out);
        let mut counts = Vec::new();
        for after in (1..batches).step_by(3) {
            let plan = with(format!("{name}-{after}"));
            let mut fake = Fake {
                stop_after: Some(after),
                ..Fake::default()
            };
            start(&plan, &shards, &mut fake).unwrap();
            let missing = Masks::open(&plan.out).unwrap().missing;
            // The last block is scored before the run notices the stop.
            assert_eq!(missing.is_empty(), plan.out.join("summary.json").exists());
            let got = all(&plan.out);
            // A shard may be ahead of others; within a shard, whole documents are in order.
            for (first, shard) in shards.iter().enumerate() {
                let of = |documents: &[Document]| -> Vec<Document> {
                    let of = documents.iter().filter(|d| d.shard == shards[first].name);
                    of.cloned().collect()
                };
                let (got, expected) = (of(&got), of(&expected));
                assert_eq!(
                    format!("{got:?}"),
                    format!("{:?}", &expected[..got.len()]),
                    "{}",
                    shard.name
                );
            }
            counts.push(got.len());
        }
        assert!(counts.is_sorted(), "{counts:?}");
        counts.dedup();
        assert!(counts.len() > 3, "{counts:?}");
        assert_eq!(counts[0], 0);
    }
}

#[test]
fn another_plan_another_input_another_run_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let corpus_folder = place.path().join("corpus");
    let shards = corpus(&corpus_folder);
    let plan = plan(&place.path().join("masks"), &shards);
    let mut fake = Fake {
        stop_after: Some(12),
        ..Fake::default()
    };
    start(&plan, &shards, &mut fake).unwrap();
    let refused = |plan: &Plan, shards: &[Shard]| {
        let error = start(plan, shards, &mut Fake::default()).unwrap_err();
        (error.to_string(), hint::of(&error).unwrap())
    };
    let other = Plan {
        context: 16,
        rule: rule(0.5, 0.6),
        ..plan.clone()
    };
    let (error, hint) = refused(&other, &shards);
    assert!(error.contains("--context: 32 before, 16 now"), "{error}");
    let keep = "--keep-loss: 0.7 before, 0.5 now";
    assert!(error.contains(keep), "{error}");
    assert!(hint.contains("--restart"), "{hint}");
    let (error, _) = refused(&plan, &shards[1..]);
    assert!(
        error.contains("shards: 4 before, 3 now (a.jsonl is missing now)"),
        "{error}"
    );

    let store = Store::open(&plan, &shards, false).unwrap();
    let (error, _) = refused(&plan, &shards);
    assert!(error.contains("another run is writing to it"), "{error}");
    let ranked = Plan {
        rank: 1,
        world_size: 2,
        ..plan.clone()
    };
    assert!(refused(&ranked, &shards).0.contains("another run"));
    drop(store);

    let path = corpus_folder.join("a.jsonl");
    let before = fs::read(&path).unwrap();
    fs::write(&path, [&before[..], b"{}\n"].concat()).unwrap();
    let (error, hint) = refused(&plan, &shards);
    let sizes = format!("{} bytes before, {} now", before.len(), before.len() + 3);
    assert!(
        error.contains("a.jsonl") && error.contains(&sizes),
        "{error}"
    );
    assert!(hint.contains("--restart"), "{hint}");

    fs::write(plan.out.join("own.txt"), "mine").unwrap();
    let shards = find_shards(&[corpus_folder]).unwrap().shards;
    drop(Store::open(&other, &shards, true).unwrap());
    let (mut left, _) = finished(&other, &shards);
    left.retain(|(name, _)| name != "own.txt" && !name.starts_with(".rho-mask"));
    let anew = Plan {
        out: place.path().join("anew"),
        ..other
    };
    finished(&anew, &shards);
    assert_same(&left, &visible(&anew.out), "restarted");
}

#[test]
fn a_broken_shard_is_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("corpus");
    fs::create_dir(&folder).unwrap();
    let rows: String = (0..12_000)
        .map(|row| {
            format!(
                "{{\"ids\":[{},{row},{}]}}\n",
                row * 7 % 5000,
                row * 31 % 5000
            )
        })
        .collect();
    let whole = zstd::encode_all(rows.as_bytes(), 1).unwrap();
    fs::write(folder.join("a.jsonl.zst"), &whole[..whole.len() * 2 / 3]).unwrap();
    fs::write(folder.join("b.jsonl"), "{\"ids\":[1,2,3]}\n").unwrap();
    let find = || find_shards(std::slice::from_ref(&folder)).unwrap().shards;
    let plan = plan(&place.path().join("masks"), &find());
    let report = start(&plan, &find(), &mut Fake::default()).unwrap();
    let summary = Summary::of(&report.totals, &Subject::of(&plan), &[RankTimes::default()]);
    assert!(summary.incomplete() && summary.broken_shards == 1 && summary.shards == 2);
    let kept = read_masks(plan.out.join("a.jsonl.zst.arrow"))
        .unwrap()
        .count();
    let rejected = fs::read_to_string(plan.out.join("rejected.jsonl")).unwrap();
    assert!(rejected.contains("the shard ends early"), "{rejected}");

    // Still broken: it is tried again with the same result, and the other shard is not touched.
    let before = files(&plan.out);
    let mut fake = Fake::default();
    start(&plan, &find(), &mut fake).unwrap();
    assert!(kept > 1_000 && fake.batches > 0);
    assert_same(&files(&plan.out), &before, "tried again");

    fs::write(folder.join("a.jsonl.zst"), &whole).unwrap();
    start(&plan, &find(), &mut Fake::default()).unwrap();
    let anew = Plan {
        out: place.path().join("anew"),
        ..plan.clone()
    };
    finished(&anew, &find());
    // The sizes are those that the first run recorded.
    assert_same(&visible(&plan.out), &visible(&anew.out), "mended");
}

#[test]
fn bad_rows_stop_a_run_where_that_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("corpus");
    fs::create_dir(&folder).unwrap();
    let rows: String = (0..3_000)
        .map(|row| match row % 10 {
            3 => format!("{{\"text\":\"{row}\"}}\n"),
            7 if row % 20 == 7 => "nonsense\n".to_owned(),
            _ => format!("{{\"ids\":[1,{row}]}}\n"),
        })
        .collect();
    fs::write(folder.join("a.jsonl"), rows).unwrap();
    let shards = find_shards(&[folder]).unwrap().shards;
    let of = |out: &str, strict, max_rejected| Plan {
        strict,
        max_rejected,
        ..plan(&place.path().join(out), &shards)
    };
    let error = start(&of("strict", true, 1.0), &shards, &mut Fake::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("a.jsonl row 3: no field \"ids\""),
        "{error}"
    );
    let error = start(&of("most", false, 0.05), &shards, &mut Fake::default()).unwrap_err();
    let said = format!("{error} {}", hinted_error::details(&error).join("\n"));
    assert!(
        said.contains("expected at most 5.000 % rejected rows, got 15"),
        "{said}"
    );
    let (first, second) = (
        said.find("no field").unwrap(),
        said.find("not JSON").unwrap(),
    );
    assert!(first < second, "{said}");
    start(&of("most", false, 0.2), &shards, &mut Fake::default()).unwrap();
    finished(&of("whole", false, 1.0), &shards);
    let (most, whole) = (place.path().join("most"), place.path().join("whole"));
    assert_same(&visible(&most), &visible(&whole), "resumed");
}

#[test]
fn an_input_that_grows_and_an_output_that_goes() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let grown = plan(&place.path().join("grown"), &shards);

    struct Meddling<'a>(&'a (dyn Fn() + Sync));
    impl Scorer for Meddling<'_> {
        fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
            (self.0)();
            Fake::default().score(windows)
        }
    }
    let meddled = |plan: &Plan, meddle: &(dyn Fn() + Sync)| {
        let store = Store::open(plan, &shards, false).unwrap();
        let progress = Progress::new(&shards, store.my_groups(), ProgressKind::None);
        let work = Work {
            plan,
            shards: &shards,
            encoder: crate::content::Encoder::default(),
            progress: &progress,
            stop: &Stop::default(),
        };
        run(
            &work,
            &mut [vec![&mut Meddling(meddle)]],
            &Output::Folder(&store),
        )
    };
    let path = place.path().join("corpus/a.jsonl");
    let once = std::sync::atomic::AtomicBool::new(true);
    let report = meddled(&grown, &|| {
        if once.swap(false, std::sync::atomic::Ordering::Relaxed) {
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text + "{\"ids\":[1]}\n").unwrap();
        }
    });
    let totals = report.unwrap().totals;
    assert_eq!(totals.broken_shards, 1);
    start(&grown, &shards, &mut Fake::default()).unwrap();
    let anew = plan(&place.path().join("anew"), &shards);
    finished(&anew, &shards);
    assert_same(&visible(&grown.out), &visible(&anew.out), "read again");

    let gone = plan(&place.path().join("gone"), &shards);
    let error = meddled(&gone, &|| {
        let _ = fs::remove_dir_all(&gone.out);
    });
    let error = error.unwrap_err();
    assert!(
        hint::of(&error).unwrap().contains("is missing"),
        "{error:?}"
    );
}
