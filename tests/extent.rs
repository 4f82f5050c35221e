//! `report` of numbers without extent: equal, huge, tiny or missing ones in each file that a page is drawn from. Files
//! may have been written by others, and runs diverge: each page comes soon, and no number on it is long.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rho_formats::{MaskRow, MaskSchema, ScoreType};
use serde_json::{Value, json};

use crate::{
    report::in_browser,
    support::{masks::one_shard, write},
};

/// Numbers in JSON, in place of all numbers that may be fractions, and in place of counts.
const ODD: [(f64, u64); 7] = [
    (0.0, 0),
    (1.0, 1),
    (1e308, u64::MAX),
    (-1e308, 3),
    (5e-324, 1),
    (1.000_000_000_000_000_2, 1 << 62),
    (-0.0, 1_000_000_000_000),
];

/// The page of these paths. It must come soon.
fn page(path: &Path, out: &Path) -> String {
    let mut report = Command::new(env!("CARGO_BIN_EXE_rho-mask"));
    report.args(["report", "--force"]).arg(path);
    report.arg("--out").arg(out).stderr(Stdio::piped());
    let mut child = report.spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{}: no page in a minute", path.display());
        }
        sleep(Duration::from_millis(10));
    }
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}: {said}", path.display());
    let html = fs::read_to_string(out).unwrap();
    assert!(html.len() < 3_000_000, "{} bytes", html.len());
    // 2^64 has 20 digits, with commas 26.
    let (_, body) = html.split_once("</style>").unwrap();
    let (shown, _) = body.split_once("<script").unwrap();
    let longest = shown.split(|c: char| !(c.is_ascii_digit() || c == ','));
    let longest = longest.max_by_key(|number| number.len()).unwrap();
    assert!(longest.len() <= 26, "{}: {longest}", path.display());
    for wrong in [">NaN", ">inf", "=\"NaN", "=\"inf"] {
        assert!(!shown.contains(wrong), "{}: {wrong}", path.display());
    }
    html
}

/// Masks with these losses, as `score` writes them, or as `dynamics` does.
fn scored(out: &Path, names: &[&str], scores: &[Vec<f32>], dynamics: bool) {
    let schema = MaskSchema {
        scores: names.iter().map(|name| (*name).to_owned()).collect(),
        score_type: ScoreType::Float32,
        masks: if dynamics {
            vec![]
        } else {
            vec!["mask_loss".to_owned()]
        },
        weights: Vec::new(),
        text: false,
        source: false,
        target: false,
        top: None,
        metadata: match dynamics {
            true => json!({"format_version": 1, "dynamics": {"checkpoints": []}}),
            false => json!({"format_version": 1}),
        },
    };
    let length = scores[0].len();
    let row = MaskRow {
        id: "document".to_owned(),
        row: 0,
        input_ids: (0..length as u32).collect(),
        scores: scores.to_vec(),
        masks: if dynamics {
            vec![]
        } else {
            vec![vec![true; length]]
        },
        weights: Vec::new(),
        text: None,
        source: None,
        target: None,
        top: None,
    };
    one_shard(out, "one.jsonl", &schema, &[row]);
}

#[test]
fn masks() {
    let place = tempfile::tempdir().unwrap();
    let odd = [
        0.0,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        f32::INFINITY,
        1e-45,
    ];
    for (i, (a, b)) in odd.iter().flat_map(|a| odd.map(|b| (*a, b))).enumerate() {
        let out = place.path().join(format!("masks-{i}"));
        let losses: Vec<f32> = (0..9).map(|i| [f32::NAN, a, b][i.min(1 + i % 2)]).collect();
        let others: Vec<f32> = losses.iter().rev().copied().collect();
        scored(
            &out,
            &["loss", "entropy", "base_loss"],
            &[losses.clone(), others, losses],
            false,
        );
        page(&out, &place.path().join("page.html"));
    }
}

/// What `dynamics` found, with these numbers.
fn summary(number: f64, count: u64) -> Value {
    let columns = ["loss_1", "loss_2", "loss_3"];
    // Numbers of 32 bits: larger ones are refused.
    let single = number.clamp(-3.4e38, 3.4e38);
    let checkpoints = columns.map(|column| {
        json!({"column": column, "mean_loss": number, "name": "step", "perplexity": number, "step": count, "x": number})
    });
    let category = |name: &str| json!({"curve": [number, null, number], "name": name, "paper": number, "share": number, "tokens": count});
    let categories = ["H->L", "L->L", "H->H", "L->H"].map(category);
    let tokens = [3, 4, 3].map(|id| {
        json!({
            "after": " after", "before": "before ", "category": "H->L", "document": "document", "id": id,
            "l_end": number, "l_start": number, "losses": [single, single, single], "row": 0, "shard": "one.jsonl",
            "slope": number, "text": "token", "token": 1, "variance": number,
        })
    });
    let times =
        columns.map(|column| json!({"bounds": ([single; 4]), "column": column, "share": number}));
    json!({
        "broken_shards": count, "categories": categories,
        "checkpoints": checkpoints, "documents": count, "fitted": count, "fluctuating": tokens,
        "preference": {"by": "excess", "times": times}, "reference": {"mean_loss": number, "perplexity": number},
        "rejected": count, "threshold": number, "shards": count, "tokens": count,
        // A row is missing, and one is short.
        "selection": {
            "keep": number, "tokens": [count], "lowest_excess": [single],
            "perplexity": [[number, number, number], [number]],
        },
    })
}

#[test]
fn dynamics() {
    let place = tempfile::tempdir().unwrap();
    let (out, html) = (
        place.path().join("dynamics"),
        place.path().join("page.html"),
    );
    let losses = vec![f32::NAN, f32::MAX, 0.0, f32::INFINITY, 1e-45];
    let names = ["loss_1", "loss_2", "loss_3", "reference_loss", "variance"];
    scored(&out, &names, &vec![losses; names.len()], true);
    for (number, count) in ODD {
        write(
            &out.join("summary.json"),
            summary(number, count).to_string(),
        );
        let found = page(&out, &html);
        assert!(found.contains("Tokens that fluctuate"));
        // Each token once, with its occurrences.
        let list = found.split("<table class=\"contexts").nth(1).unwrap();
        let (list, _) = list.split_once("</table>").unwrap();
        assert_eq!(
            list.matches("<th class=\"number\" scope=\"row\"").count(),
            2
        );
        assert_eq!(list.matches("1 more").count(), 1);
    }
}

#[test]
fn training_runs() {
    let place = tempfile::tempdir().unwrap();
    let html = place.path().join("page.html");
    for (i, (number, count)) in ODD.iter().enumerate() {
        let run = place.path().join(format!("run-{i}"));
        let step = |step: u64| {
            json!({
                "step": step, "tokens_seen": count, "tokens_trained": count, "targets": count, "kept": count,
                "loss": number, "loss_kept": number, "loss_dropped": -number, "reference_loss": number,
                "loss_selected": number, "loss_unselected": number, "learning_rate": number,
                "gradient_norm": number, "changed": number, "keep": number,
            })
        };
        let evaluation =
            json!({"step": 2, "evaluation": "set", "loss": number, "after": {"loss": number}});
        let lines = [step(1), step(2), step(*count), evaluation];
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        write(&run.join("metrics.jsonl"), lines);
        let timing = json!({"step": 1, "seconds": number, "total": number});
        write(&run.join("timings.jsonl"), format!("{timing}\n"));
        page(&run, &html);
    }
}

/// The results of an experiment with these numbers.
fn results(number: f64, count: u64) -> Value {
    let mean = json!({"mean": number, "half_width": number});
    let with = |more: Value| {
        let mut all = mean.as_object().unwrap().clone();
        all.extend(more.as_object().unwrap().clone());
        Value::Object(all)
    };
    let names = ["clm", "slm", "random"];
    let point =
        json!({"step": count, "tokens_seen": count, "mean": number, "low": number, "high": number});
    let difference = with(json!({"verdict": "lower"}));
    let arms = names.map(|name| {
        json!({
            "name": name, "objective": name, "keep": number, "described": "an arm", "same_batches": true,
            "runs": [{"seed": 0, "folder": "a", "steps": count, "tokens_seen": count, "tokens_trained": count, "seconds": number}],
            "evaluations": [{"set": "set", "after": false, "points": [point, point]}],
            "losses": [{"loss": "loss_selected", "steps_per_point": count, "points": [point, point]}],
        })
    });
    let compared = names.map(|arm| {
        let difference = if arm == "clm" {
            Value::Null
        } else {
            difference.clone()
        };
        with(json!({"arm": arm, "values": [number], "difference": difference}))
    });
    let comparisons = ["tokens_seen", "tokens_trained", "seconds"].map(|axis| {
        json!({"axis": axis, "at": number, "set": "set", "after": false, "base": number, "arms": compared})
    });
    let answering = names.map(|arm| {
        let difference = if arm == "clm" {
            Value::Null
        } else {
            difference.clone()
        };
        json!({"arm": arm, "mean": mean, "values": [number], "difference": difference})
    });
    let ratio = with(json!({"keep": number, "values": [number]}));
    let laws = names.map(|arm| {
        let fit = json!({"a": number, "c": number, "r_squared": number, "points": 3});
        json!({"arm": arm, "selected": (if arm == "random" { Value::Null } else { fit.clone() }), "unselected": fit})
    });
    let points = names.map(|arm| {
        json!({"arm": arm, "seed": 0, "step": count, "selected": number, "unselected": number, "score": number})
    });
    json!({
        "format_version": 2, "experiment": "odd", "version": "0", "seeds": [0], "baseline": "clm", "after": null,
        "complete": true, "arms_planned": count, "steps": [{"name": "a", "folder": "a", "seconds": number}],
        "arms": arms, "comparisons": comparisons,
        "answers": [{"set": "set", "questions": count, "measure": "accuracy", "arms": answering}],
        "sweep": {
            "objective": "slm", "tokens_seen": count, "seeds": [0],
            "sets": [{"set": "set", "after": false, "ratios": [ratio, ratio]}],
        },
        "downstream": {"set": "set", "after": false, "law": "a law", "arms": laws, "points": points},
        "read_as": "a note",
    })
}

#[test]
fn experiments() {
    let place = tempfile::tempdir().unwrap();
    let (out, html) = (
        place.path().join("experiment"),
        place.path().join("page.html"),
    );
    fs::create_dir_all(out.join("steps")).unwrap();
    for (number, count) in ODD {
        write(
            &out.join("results.json"),
            results(number, count).to_string(),
        );
        let found = page(&out, &html);
        // One law per arm that has one.
        assert!(found.contains("random: too few points for a law"));
        assert!(found.matches("slm: a = ").count() >= 1, "{number}");
    }
    in_browser(&out, &html);
}
