//! The estimates of a run, with a slow fake: while the models lag far behind the reader, the numbers must follow the
//! models.

use std::{fs, path::Path, thread::sleep, time::Duration};

use rho_formats::{Location, Shard, find_shards};
use rho_reference::{ReferenceError, Scorer, Scores, TokenWindow};
use serde_json::json;

use super::{Work, finish::FolderState, output::Output, run, store::Store, testing};
use crate::{
    cli::ProgressKind, groups::Group, plan::Plan, progress::Progress, selections::rule::Scope,
    stop::Stop,
};

/// Scores slowly, and looks at the progress before each batch.
struct Slow<'a> {
    progress: &'a Progress,
    stop: Stop,
    /// Stops the run after this many tokens.
    stop_after: usize,
    tokens: usize,
    /// Tokens scored, the share of the bytes and the estimate of all tokens.
    seen: Vec<(usize, f64, Option<u64>)>,
}

impl Scorer for Slow<'_> {
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        let (share, of) = self.progress.estimate();
        self.seen.push((self.tokens, share, of));
        // The first batch waits until the reader is as far ahead as it can be.
        let pause = if self.seen.len() == 1 { 300 } else { 1 };
        sleep(Duration::from_millis(pause));
        let scored = |window: &TokenWindow<'_>| window.tokens.len() - window.scored_from;
        self.tokens += windows.iter().map(scored).sum::<usize>();
        if self.tokens >= self.stop_after {
            self.stop.request();
        }
        let scores = |window: &TokenWindow<'_>| Scores {
            loss: vec![1.0; scored(window)],
            entropy: vec![1.0; scored(window)],
            ..Scores::default()
        };
        Ok(windows.iter().map(scores).collect())
    }
}

/// Documents of different lengths, and `padding` bytes for each that nothing reads.
fn lines(documents: usize, padding: usize) -> String {
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    (0..documents)
        .map(|_| {
            let ids: Vec<u64> = (0..2 + random(60)).map(|_| 20 + random(4000)).collect();
            json!({"ids": ids, "rest": "x".repeat(padding)}).to_string() + "\n"
        })
        .collect()
}

fn plan(out: &Path, shards: &[Shard]) -> Plan {
    Plan {
        scope: Scope::Document,
        ..testing::plan(out, shards)
    }
}

/// One run; also what it saw, and the tokens that it scored.
fn slow_run(
    plan: &Plan,
    shards: &[Shard],
    stop_after: usize,
) -> (Vec<(usize, f64, Option<u64>)>, usize) {
    let store = Store::open(plan, shards, false).unwrap();
    let progress = Progress::new(shards, store.my_groups(), ProgressKind::None);
    let finished = store.finished();
    finished
        .into_iter()
        .for_each(|shard| progress.done_before(shard));
    let stop = Stop::default();
    let work = Work {
        plan,
        shards,
        encoder: crate::content::Encoder::default(),
        progress: &progress,
        stop: &stop,
    };
    let mut slow = Slow {
        progress: &progress,
        stop: stop.clone(),
        stop_after,
        tokens: 0,
        seen: Vec::new(),
    };
    let saved = || -> u64 {
        let standing = FolderState::look(store.folder()).unwrap().unwrap();
        standing
            .records()
            .map(|(_, record)| record.counts.tokens)
            .sum()
    };
    let before = saved();
    let report = run(&work, &mut [vec![&mut slow]], &Output::Folder(&store)).unwrap();
    progress.finish();
    // Also of a run that was stopped: what is told is what is saved.
    let saved = saved() - before;
    assert_eq!((report.tokens, progress.tokens()), (saved, saved));
    (slow.seen, slow.tokens)
}

/// Checks every estimate after the first tenth of a run: the tokens of the run, and the share of the bytes, which goes
/// from `first` to 1.
#[track_caller]
fn is_true(what: &str, seen: &[(usize, f64, Option<u64>)], tokens: usize, first: f64) {
    let mut checked = 0;
    for (scored, share, of) in seen.iter().filter(|(scored, ..)| scored * 10 > tokens) {
        let is = first + (1.0 - first) * *scored as f64 / tokens as f64;
        assert!(
            (share - is).abs() < 0.05,
            "{what}: at {is} of the bytes, it says {share}"
        );
        let of = of.unwrap() as f64 / tokens as f64;
        assert!(
            (0.85..1.15).contains(&of),
            "{what}: at {is}, the estimate is {of} of the tokens"
        );
        checked += 1;
    }
    assert!(checked > 50, "{what}: only {checked} estimates");
}

#[test]
fn estimates_follow_what_is_scored() {
    let place = tempfile::tempdir().unwrap();
    // Less than the reader reads at once, and more; compressed to a few bytes of each hundred.
    for (name, documents, padding) in [("small", 1500, 0), ("padded", 1500, 4000)] {
        let text = lines(documents, padding);
        for ending in ["jsonl", "jsonl.zst"] {
            let what = format!("{name}.{ending}");
            let folder = place.path().join(&what);
            fs::create_dir_all(&folder).unwrap();
            let bytes = match ending {
                "jsonl" => text.clone().into_bytes(),
                _ => zstd::encode_all(text.as_bytes(), 3).unwrap(),
            };
            fs::write(folder.join(&what), bytes).unwrap();
            let shards = find_shards(&[folder]).unwrap().shards;
            let plan = plan(&place.path().join(format!("{what}-masks")), &shards);
            let (seen, tokens) = slow_run(&plan, &shards, usize::MAX);
            is_true(&what, &seen, tokens, 0.0);
        }
    }
}

#[test]
fn a_resumed_run_estimates_its_own_part() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("corpus");
    fs::create_dir(&corpus).unwrap();
    // Equal shards, so that bytes tell tokens: one is done, one is interrupted in its middle, two are left.
    let compressed = zstd::encode_all(lines(500, 100).as_bytes(), 3).unwrap();
    for shard in ["a", "b", "c", "d"] {
        fs::write(corpus.join(format!("{shard}.jsonl.zst")), &compressed).unwrap();
    }
    let shards = find_shards(&[corpus]).unwrap().shards;
    let whole = plan(&place.path().join("whole"), &shards);
    let (_, tokens) = slow_run(&whole, &shards, usize::MAX);
    let plan = plan(&place.path().join("masks"), &shards);
    slow_run(&plan, &shards, tokens * 3 / 8);
    let (seen, rest) = slow_run(&plan, &shards, usize::MAX);
    let first = 1.0 - rest as f64 / tokens as f64;
    assert!((0.3..0.4).contains(&first), "{first} was done before");
    is_true("resumed", &seen, rest, first);
}

#[test]
fn standard_input_has_no_end_to_estimate() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.jsonl"), lines(3, 0)).unwrap();
    let found = find_shards(&[folder.path().to_owned()]).unwrap().shards;
    let shard = |place| Shard {
        place,
        ..found[0].clone()
    };
    let of = |place| {
        let progress = Progress::new(
            &[shard(place)],
            &[Group::alone(0, "a.jsonl")],
            ProgressKind::None,
        );
        progress.start();
        progress.read(0, 10, 100);
        progress.scored(0, 5, 50.0);
        progress.estimate().1
    };
    assert_eq!(of(Location::StandardInput), None);
    assert!(of(Location::File).is_some());
}
