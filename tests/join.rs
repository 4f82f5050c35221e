//! `select --join`: columns of other programs, written by pyarrow and pandas, checked with NumPy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rho_formats::ScoreType;
use serde_json::{Value, json};

use crate::support::{
    Random, Run, bytes_without_times, masks::masks, python::python, read_json, write,
};

const ORACLE: &str = include_str!("join.py");

#[track_caller]
fn oracle(command: &str, masks: &Path, third: &str) -> bool {
    let Some(python) = python() else {
        return false;
    };
    let output = Command::new(python)
        .args(["-c", ORACLE, command])
        .arg(masks)
        .arg(third)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    true
}

#[test]
fn columns_of_every_format_come_into_the_masks() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    for score_type in [ScoreType::Float32, ScoreType::Float16] {
        let folder = format!("{score_type:?}");
        let at = |name: &str| at(&folder).join(name);
        masks(&at("masks"), score_type);
        if !oracle("make", &at("masks"), &at("").display().to_string()) {
            return;
        }
        let tokens = || json!({"per": "token", "on": "token_hash", "name": "quality"});
        let document =
            |times: u32| json!({"per": "document", "on": "id", "name": "quality", "times": times});
        let with = |mut case: Value, more: Value| {
            let more = more.as_object().unwrap().clone();
            case.as_object_mut().unwrap().extend(more);
            case
        };
        let by = |keep: f64| json!({"by": ["quality"], "keep": keep, "direction": "highest"});
        let corpus = "--by column:quality --scope corpus --keep";
        let some = at("some.parquet").display().to_string();
        let cases = [
            ("double.parquet", format!("{corpus} 0.5"), with(tokens(), by(0.5))),
            ("double.parquet", format!("{corpus} 0.5 --memory 20kB"), with(tokens(), by(0.5))),
            ("float.parquet", String::new(), tokens()),
            ("half.parquet", format!("{corpus} 0.25 --memory 1"), with(tokens(), by(0.25))),
            ("file.arrow", String::new(), tokens()),
            ("half.arrow", String::new(), tokens()),
            ("stream.arrows", format!("{corpus} 1"), with(tokens(), by(1.0))),
            ("parts", "--memory 20kB".to_owned(), tokens()),
            ("lists.jsonl", "--as attention.q --column nested.q".to_owned(), with(tokens(), json!({"name": "attention.q"}))),
            ("some.parquet", "--join-missing null".to_owned(), with(tokens(), json!({"missing": some}))),
            ("document.parquet", format!("{corpus} 0.3"), with(document(1), by(0.3))),
            ("document.arrow", "--where mean(quality)>0.5".to_owned(), with(document(1), json!({"where": 0.5}))),
            (
                "document.jsonl.gz",
                "--documents --by column:quality --keep 0.4".to_owned(),
                with(with(document(1), by(0.4)), json!({"documents": true})),
            ),
            ("int.parquet", String::new(), document(256)),
            ("uint.parquet", String::new(), document(256)),
            ("int.arrow", "--drop-duplicates".to_owned(), json!(null)),
            (
                "double.parquet",
                "--by column:loss,quality --combine mean --direction lowest --scope corpus --keep 0.5".to_owned(),
                with(tokens(), json!({"by": ["loss", "quality"], "combine": "mean", "direction": "lowest", "keep": 0.5})),
            ),
            (
                "double.parquet",
                "--by column:quality,column:entropy --combine product --scope corpus --keep 0.2".to_owned(),
                with(tokens(), json!({"by": ["quality", "entropy"], "combine": "product", "direction": "highest", "keep": 0.2})),
            ),
            (
                "double.parquet",
                "--by column:loss,quality,entropy --combine max --scope corpus --keep 0.2".to_owned(),
                with(tokens(), json!({"by": ["loss", "quality", "entropy"], "combine": "max", "direction": "highest", "keep": 0.2})),
            ),
            (
                "double.parquet",
                "--by column:loss,quality --combine min --direction lowest --scope corpus --keep 0.2".to_owned(),
                with(tokens(), json!({"by": ["loss", "quality"], "combine": "min", "direction": "lowest", "keep": 0.2})),
            ),
        ];
        let mut made: Vec<(PathBuf, Value)> = Vec::new();
        for (i, (name, arguments, case)) in cases.into_iter().enumerate() {
            let out = at(&format!("out-{i}"));
            let on = match case["on"].as_str() {
                Some(on) => on.to_owned(),
                None => "id".to_owned(),
            };
            let mut run = Run::select(&at("masks"), &out, &["--on", &on, "--threads", "3"]);
            if !arguments.contains("--column") {
                run = run.args(&["--column", "quality"]);
            }
            let by_column = arguments.contains("column:");
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            let ended = run
                .args(&arguments)
                .arg("--join")
                .arg(at(name))
                .ends_with(0);
            assert!(ended.stderr.contains("  joined      "), "{}", ended.stderr);
            // Only our own scores are known to be in nats.
            let has_unit = ended.stderr.contains(" nats");
            assert!(!by_column || !has_unit, "{}", ended.stderr);
            if !case.is_null() {
                made.push((out, case));
            }
        }
        oracle("check", &at("masks"), &json!(made).to_string());
        let stats = Run::new(&["stats"]).arg(&made[0].0).ends_with(0).stdout;
        for title in ["\nloss, in nats, by source\n", "\nquality, by source\n"] {
            assert!(stats.contains(title), "{stats}");
        }
        // What was joined is a column like others.
        let rule = [
            "--by",
            "column:quality",
            "--keep",
            "0.5",
            "--scope",
            "corpus",
        ];
        Run::select(&at("out-2"), &at("again"), &rule).ends_with(0);
        let arrows = |folder: &str| {
            let mut all = bytes_without_times(&at(folder));
            all.retain(|name, _| name.ends_with(".arrow"));
            all
        };
        assert!(arrows("again") == arrows("out-0"));
        // In every format of mask files, read and written.
        for format in ["parquet", "arrow-file"] {
            let join = [
                "--on",
                "token_hash",
                "--column",
                "quality",
                "--format",
                format,
            ];
            let run = Run::select(&at("masks"), &at(format), &join);
            run.arg("--join").arg(at("double.parquet")).ends_with(0);
            let from = format!("from-{format}");
            Run::select(&at(format), &at(&from), &rule).ends_with(0);
            assert!(arrows(&from) == arrows("out-0"), "{format}");
            let documents = ["--documents", "--by", "column:quality", "--drop-duplicates"];
            for (of, out) in [
                (format, format!("d-{format}")),
                ("out-2", format!("e-{format}")),
            ] {
                Run::select(&at(of), &at(&out), &documents).ends_with(0);
            }
            let [d, e] = ["d", "e"].map(|name| arrows(&format!("{name}-{format}")));
            assert!(d == e, "{format}");
        }
        // Several names are those of columns, with or without the prefix.
        for (name, by) in [("a", "loss,column:quality"), ("b", "column:loss,quality")] {
            let rule = ["--by", by, "--combine", "mean", "--direction", "lowest"];
            Run::select(&at("out-2"), &at(name), &rule).ends_with(0);
        }
        assert!(arrows("a") == arrows("b"));
        // Weights by the numbers of others, signed or not, and by their rank.
        for (name, formula) in [("ranks", "rank"), ("clipped", "clipped")] {
            let rule = ["--by", "column:quality", "--weights", formula];
            Run::select(&at("out-2"), &at(name), &rule).ends_with(0);
        }
        let all = |folder: &str| crate::support::rows(&at(folder), "d.jsonl");
        for row in all("clipped") {
            // The scores are base_loss, loss, entropy and quality.
            let narrow = score_type == ScoreType::Float16;
            let quality = row.scores.last().filter(|_| !narrow);
            for (i, weight) in row.weights[0].iter().enumerate() {
                let is_scored = !row.scores[1][i].is_nan();
                if let Some(quality) = quality {
                    let expected = match quality[i].is_nan() || !is_scored {
                        true => 0.0,
                        false => quality[i],
                    };
                    assert_eq!(*weight, expected);
                }
            }
        }
        Run::new(&["stats"]).arg(at("again")).ends_with(0);
        Run::new(&["show", "--limit", "1"])
            .arg(at("again"))
            .ends_with(0);
    }
}

#[test]
fn killed_anywhere_it_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    if !oracle("make", &at("masks"), &place.path().display().to_string()) {
        return;
    }
    let run = |out: &str| {
        let rule = [
            "--by",
            "column:quality",
            "--scope",
            "corpus",
            "--memory",
            "20kB",
        ];
        let run = Run::select(&at("masks"), &at(out), &rule);
        run.args(&["--on", "token_hash", "--column", "quality", "--join"])
            .arg(at("double.parquet"))
    };
    run("whole").ends_with(0);
    let expected = bytes_without_times(&at("whole"));
    let mut random = Random(5);
    let mut killed = 0;
    for _ in 0..4 {
        let _ = fs::remove_dir_all(at("out"));
        loop {
            let mut run = run("out").0;
            let mut child = run
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            sleep(Duration::from_millis(u64::from(random.next() % 1500)));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success());
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        assert!(bytes_without_times(&at("out")) == expected);
    }
    assert!(killed > 0);
    let again = run("out").ends_with(0);
    assert!(again.stderr.contains("done already"), "{}", again.stderr);
    // Another file is another run.
    let copy = fs::read(at("double.parquet")).unwrap();
    write(&at("double.parquet"), copy);
    let ended = run("out").ends_with(2);
    assert!(ended.stderr.contains("double.parquet"), "{}", ended.stderr);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    masks(&at("masks"), ScoreType::Float32);
    if !oracle("bad", &at("masks"), &place.path().display().to_string()) {
        return;
    }
    let no = |name: &str, arguments: &[&str], expected: &[&str]| {
        let out = at("out");
        let _ = fs::remove_dir_all(&out);
        let run = Run::select(&at("masks"), &out, arguments);
        let ended = run.arg("--join").arg(at(name)).ends_with(2);
        for text in expected {
            assert!(
                ended.stderr.contains(text),
                "{name}: {text:?}: {}",
                ended.stderr
            );
        }
        assert!(!out.join("state.json").exists());
    };
    let usual = [
        "--on",
        "token_hash",
        "--column",
        "quality",
        "--join-missing",
        "null",
    ];
    let finite = "expected a finite number that 32 bits can hold, or null";
    let numbers = "expected a number, or a list of numbers";
    for (name, expected) in [
        (
            "nan.parquet",
            &["nan.parquet row 0", "item 1 is NaN", finite][..],
        ),
        ("infinite.parquet", &["item 4 is inf", finite]),
        (
            "infinite.arrow",
            &["infinite.arrow row 0", "item 1 is -inf", finite],
        ),
        ("large.parquet", &["item 0 is 1", finite]),
        (
            "short.parquet",
            &[
                "short.parquet row 0",
                "each of the 5 tokens of document ",
                "got 4",
            ],
        ),
        ("empty.parquet", &["each of the 5 tokens", "got 0"]),
        (
            "two.parquet",
            &[
                "two.parquet row 1",
                "expected one value for each token_hash",
                "row 0",
            ],
        ),
        ("decimal.parquet", &["of decimals", numbers]),
        ("decimals.parquet", &["of decimals", numbers]),
        ("decimal.arrow", &["a decimal", numbers]),
        ("text.parquet", &["is a string", numbers]),
        ("text.arrow", &["is a string", numbers]),
        ("bool.parquet", &["list of something else", numbers]),
        ("time.parquet", &["a time", numbers]),
        ("nested.parquet", &["a list of lists", numbers]),
        ("nothing.parquet", &["null", numbers]),
        (
            "floatkey.parquet",
            &[
                "expected an integer in the column \"token_hash\"",
                "got none",
            ],
        ),
        (
            "nullkey.parquet",
            &["row 0", "expected an integer in the column \"token_hash\""],
        ),
        (
            "wrongkey.parquet",
            &["a signed integer of 64 bits", "\"a hash\""],
        ),
        ("cut.parquet", &["cut.parquet"]),
        (
            "nan.jsonl",
            &["nan.jsonl row 0", "item 1 is not a finite number"],
        ),
        ("large.jsonl", &["1e999", "a finite number"]),
        ("text.jsonl", &["item 1 is a string"]),
        ("object.jsonl", &["is an object", numbers]),
        (
            "mixed.jsonl",
            &[
                "mixed.jsonl row 1",
                "expected a list as in the rows before, got a number",
            ],
        ),
        (
            "some.jsonl",
            &["some.jsonl row 1", "no field \"quality\"", "--column"],
        ),
        (
            "fraction.jsonl",
            &["expected an integer in the column \"token_hash\""],
        ),
        (
            "wide.jsonl",
            &["a signed integer of 64 bits", "18446744073709551615"],
        ),
        ("no.jsonl", &["no.jsonl row 0", "not JSON"]),
        ("plain.txt", &["got a text file, which has no fields"]),
    ] {
        no(name, &usual, expected);
    }
    no(
        "alone.parquet",
        &["--on", "token_hash", "--column", "quality"],
        &[
            "document ",
            "expected a row with the token hash",
            "alone.parquet, got none",
            "--join-missing null",
        ],
    );
    no(
        "alone.parquet",
        &["--on", "token_hash", "--column", "qualiti"],
        &["no field \"qualiti\"", "quality", "--column"],
    );
    no(
        "alone.parquet",
        &["--column", "quality"],
        &["--join", "--on"],
    );
    no("alone.parquet", &["--on", "id"], &["--join", "--column"]);
    no("gone.parquet", &usual, &["gone.parquet"]);
    for name in [
        "loss", "id", "target", "top_ids", "mask_x", "weight_x", "a b", "a,b",
    ] {
        no(
            "alone.parquet",
            &[&usual[..], &["--as", name]].concat(),
            &["--column", "--as"],
        );
    }
    let ended = Run::select(&at("masks"), &at("out"), &["--by", "loss", "--on", "id"]).ends_with(2);
    assert!(
        ended.stderr.contains("--on: expected --join"),
        "{}",
        ended.stderr
    );
    // It fits.
    let out = at("fits");
    let run = Run::select(&at("masks"), &out, &usual);
    run.arg("--join").arg(at("alone.parquet")).ends_with(0);
    assert_eq!(read_json(&out.join("summary.json"))["joined"]["rows"], 1);
}
