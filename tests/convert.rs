//! `convert`: masks in other formats, read back with the libraries of those formats.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use rho_formats::ScoreType;
use serde_json::{Value, json};

use crate::support::{
    Ended, Run, files,
    masks::{five_tokens, masks},
    python::python,
    read_json, write,
};

const ORACLE: &str = concat!(
    include_str!("convert_arrays.py"),
    include_str!("convert.py")
);

/// The targets, and the options each needs for the masks of these tests.
const TARGETS: [(&str, &[&str]); 11] = [
    ("labels", &[]),
    ("olmo", EOS),
    ("levanter", EOS),
    ("neox", EOS),
    // Many shards.
    ("mds", &["--dtype", "u32", "--shard-size", "10kB"]),
    ("litdata", &["--eos-id", "50", "--shard-size", "10kB"]),
    ("torchtitan", EOS),
    ("torchtune", &[]),
    ("parquet", &[]),
    ("jsonl", &[]),
    ("webdataset", &[]),
];
/// A token id that is not in the masks: no document contains it or ends with it.
const EOS: &[&str] = &["--eos-id", "50"];

/// `convert MASKS --to TARGET --out OUT` with more arguments.
fn convert(from: &Path, to: &str, out: &Path, arguments: &[&str]) -> Run {
    let run = Run::new(&["convert"]).arg(from).args(&["--to", to]);
    run.arg("--out").arg(out).args(arguments)
}

/// A finished masks folder: several shards, files and kinds of scores; random masks, and weights.
fn selected(place: &Path, score_type: ScoreType) -> std::path::PathBuf {
    let (scored, out) = (place.join("scored"), place.join("masks"));
    masks(&scored, score_type);
    let select = Run::new(&["select"]).arg(&scored).arg("--out").arg(&out);
    select
        .args(&["--by", "intersection", "--keep-loss", "0.6"])
        .ends_with(0);
    out
}

fn check(python: &Path, masks: &Path, cases: &[Value]) {
    let mut oracle = Command::new(python);
    oracle.arg("-c").arg(ORACLE).arg(masks);
    let output = oracle.arg(json!(cases).to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Every file with its bytes.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let content = |name: String| (name.clone(), fs::read(folder.join(name)).unwrap());
    files(folder).into_iter().map(content).collect()
}

fn refused(ended: &Ended, what: &[&str]) {
    let said = &ended.stderr;
    assert!(
        said.lines().any(|line| line.starts_with("error: ")),
        "{said}"
    );
    for what in what {
        assert!(said.contains(what), "expected {what:?} in {said}");
    }
}

/// Checks the shift, the polarity and the last token in every format.
#[test]
fn the_five_tokens() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    five_tokens(&at("masks"));
    let ids = [464, 3290, 3332, 319, 262];
    let ended = [464, 3290, 3332, 319, 262, 0];
    let mask = [false, true, false, true, true];
    let own = json!({"input_ids": ids, "mask_intersection": mask, "weight_loss": [0.0, 0.5, 0.0, 1.0, 0.25]});
    let with_end = json!({"input_ids": ended, "mask": [false, true, false, true, true, false]});
    let mut cases = Vec::new();
    for (to, arguments, expected) in [
        (
            "labels",
            &[][..],
            json!({"input_ids": ids, "attention_mask": [1, 1, 1, 1, 1], "labels": [-100, 3290, -100, 319, 262]}),
        ),
        (
            "labels",
            &["--length", "8"],
            json!({
                "input_ids": [464, 3290, 3332, 319, 262, 0, 0, 0],
                "attention_mask": [1, 1, 1, 1, 1, 0, 0, 0],
                "labels": [-100, 3290, -100, 319, 262, -100, -100, -100],
                "position_ids": [0, 1, 2, 3, 4, 0, 1, 2],
                "seq_lengths": [5, 3],
            }),
        ),
        (
            "levanter",
            &["--eos-id", "0"],
            json!({"input_ids": ended, "loss_weights": [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]}),
        ),
        (
            "levanter",
            &["--eos-id", "0", "--weights", "weight_loss", "--length", "7"],
            json!({
                "input_ids": [464, 3290, 3332, 319, 262, 0, 0],
                "loss_weights": [0.5, 0.0, 1.0, 0.25, 0.0, 0.0, 0.0],
            }),
        ),
        (
            // The document ends with this token: none is added, and its own bit stays.
            "levanter",
            &["--eos-id", "262"],
            json!({"input_ids": ids, "loss_weights": [1.0, 0.0, 1.0, 1.0, 0.0]}),
        ),
        (
            "torchtitan",
            &["--eos-id", "0"],
            json!({"input": ended, "labels": [3290, -100, 319, 262, -100, -100], "positions": [0, 1, 2, 3, 4, 5]}),
        ),
        (
            "torchtune",
            &[],
            json!({"tokens": ids, "mask": [true, false, true, false, false]}),
        ),
        ("mds", &[], json!({"input_ids": ids, "mask": mask})),
        ("olmo", &["--eos-id", "0"], with_end.clone()),
        ("neox", &["--eos-id", "0"], with_end.clone()),
        ("litdata", &["--eos-id", "0"], with_end.clone()),
        ("parquet", &[], own.clone()),
        ("jsonl", &[], own.clone()),
        ("webdataset", &[], own.clone()),
    ] {
        let out = at(&format!("{}-{}", to, cases.len()));
        let ended = convert(&at("masks"), to, &out, arguments).ends_with(0);
        // The program warns of what would go wrong silently in training.
        let packed = to == "labels" && !arguments.is_empty();
        assert_eq!(
            ended.lines_with("model.config.use_cache = False").len(),
            usize::from(packed)
        );
        cases.push(json!({"folder": out, "to": to, "rows": [expected]}));
    }
    check(&python, &at("masks"), &cases);
}

/// Thousands of documents of all lengths and kinds, in shards of several files, one of them empty.
#[test]
fn everything_comes_back_as_the_libraries_of_others_read_it() {
    let Some(python) = python() else { return };
    for (score_type, length) in [(ScoreType::Float32, "17"), (ScoreType::Float16, "64")] {
        let place = tempfile::tempdir().unwrap();
        let masks = selected(place.path(), score_type);
        let column = "mask_intersection";
        let mut cases = Vec::new();
        for (to, arguments) in TARGETS {
            let own = ["parquet", "jsonl", "webdataset"].contains(&to);
            let packs = ["labels", "levanter", "torchtitan"].contains(&to);
            let variants: &[&[&str]] = match (own, packs) {
                (true, _) => &[&[], &["--mask", "mask_loss"]],
                (_, true) => &[&[], &["--length", length]],
                _ => &[&[]],
            };
            for (i, variant) in variants.iter().enumerate() {
                let out = place.path().join(format!("{to}-{i}"));
                let run = convert(&masks, to, &out, arguments);
                run.args(variant).ends_with(0);
                let mut case = json!({"folder": out, "to": to});
                match (own, variant.get(1)) {
                    (true, Some(named)) => case["column"] = json!(named),
                    (true, None) => {}
                    (false, packed) => {
                        case["column"] = json!(column);
                        if packed.is_some() {
                            case["length"] = json!(length.parse::<u32>().unwrap());
                        }
                        if arguments.contains(&"--eos-id") {
                            case["eos"] = json!(50);
                        }
                    }
                }
                let summary = read_json(&out.join("summary.json"));
                let (documents, left_out) = (&summary["documents"], &summary["left_out"]);
                assert_eq!(documents, 2901, "{to}");
                assert_eq!(own, left_out == 0, "{to}: {summary}");
                cases.push(case);
            }
        }
        check(&python, &masks, &cases);
    }
}

/// Masks written by `score` with all its options: compressed, half precision, with texts and sources. Documents lack
/// end-of-sequence tokens, whose id is found in the tokenizer beside the masks.
#[test]
fn what_score_wrote_without_the_last_tokens() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let pages = Path::new("examples/corpus/pages.jsonl");
    Run::score(pages, &at("masks"))
        .args(&["--compression", "zstd", "--score-dtype", "float16"])
        .args(&["--keep-text", "--source-field", "source", "--eos", "never"])
        .ends_with(0);
    let mut cases = Vec::new();
    for (to, _) in TARGETS {
        convert(&at("masks"), to, &at(to), &[]).ends_with(0);
        let own = ["parquet", "jsonl", "webdataset"].contains(&to);
        let ends = ["olmo", "levanter", "neox", "litdata", "torchtitan"].contains(&to);
        let summary = read_json(&at(to).join("summary.json"));
        let documents = summary["documents"].as_u64().unwrap();
        assert_eq!(summary["ended"], if ends { documents } else { 0 }, "{to}");
        let mut case = json!({"folder": at(to), "to": to});
        if !own {
            case["column"] = json!("mask_intersection");
        }
        if ends {
            let said = read_json(&at(to).join("rho_mask.json"));
            let eos = said["convert"]["documents_end"]["token"].clone();
            let tokenizer = read_json(&at(to).join("tokenizer.json"));
            assert_eq!(tokenizer["model"]["vocab"]["</s>"], eos);
            case["eos"] = eos;
        }
        cases.push(case);
    }
    if let Some(python) = python() {
        check(&python, &at("masks"), &cases);
    }
}

#[test]
fn a_stream_holds_what_the_files_hold() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = selected(place.path(), ScoreType::Float32);
    let stream = |to: &str| -> Vec<u8> {
        let mut run = convert(&masks, to, Path::new("-"), &[]);
        let output = run.0.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("tokens"), "{said}");
        output.stdout
    };
    let shards = ["b/two.jsonl", "a", "c.txt", "d.jsonl"];
    for (to, ending, ends) in [("jsonl", "jsonl", 0), ("webdataset", "tar", 1024)] {
        convert(&masks, to, &at(to), &[]).ends_with(0);
        let mut joined = Vec::new();
        for shard in shards {
            joined.extend(fs::read(at(to).join(format!("{shard}.{ending}"))).unwrap());
            joined.truncate(joined.len() - ends);
        }
        joined.extend(vec![0; ends]);
        assert!(stream(to) == joined, "{to}");
    }
    convert(&masks, "labels", &at("labels"), &[]).ends_with(0);
    let arrow = at("labels.arrow");
    write(&arrow, stream("labels"));
    if let Some(python) = python() {
        let case = json!({"folder": arrow, "to": "labels", "same_as": at("labels")});
        check(&python, &masks, &[case]);
    }
}

/// A reader that closes the pipe ends the run without an error; while it reads nothing, the run waits instead of
/// buffering.
#[cfg(unix)]
#[test]
fn a_reader_that_goes_and_one_that_waits() {
    let place = tempfile::tempdir().unwrap();
    let masks = selected(place.path(), ScoreType::Float32);
    for to in ["jsonl", "labels", "webdataset"] {
        let mut run = convert(&masks, to, Path::new("-"), &["--progress", "none"]);
        let piped = run.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        // The output exceeds the pipe's buffer, so the program waits.
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(
            child.try_wait().unwrap().is_none(),
            "{to}: it ended before its output was read"
        );
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), &*said), (Some(0), ""), "{to}");
    }
}

#[test]
fn threads_and_another_run_change_nothing() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = selected(place.path(), ScoreType::Float32);
    for (to, arguments) in TARGETS {
        let out = |kind: &str| at(&format!("{to}-{kind}"));
        let one = [arguments, &["--threads", "1"]].concat();
        let three = [arguments, &["--threads", "3"]].concat();
        convert(&masks, to, &out("one"), &one).ends_with(0);
        let ended = convert(&masks, to, &out("three"), &three).ends_with(0);
        assert!(ended.stderr.contains("wrote "), "{}", ended.stderr);
        let expected = bytes(&out("one"));
        assert!(bytes(&out("three")) == expected, "{to}");
        let again = convert(&masks, to, &out("three"), &one).ends_with(0);
        let said = "all shards are done already";
        assert!(again.stderr.contains(said), "{}", again.stderr);
        assert!(bytes(&out("three")) == expected, "{to}");

        // A missing file is written again.
        let name = expected.keys().find(|name| name.contains("d.jsonl"));
        fs::remove_file(out("three").join(name.unwrap())).unwrap();
        convert(&masks, to, &out("three"), &one).ends_with(0);
        assert!(bytes(&out("three")) == expected, "{to}");
    }
    let done = at("jsonl-one");
    for (name, bytes) in bytes(&done) {
        assert!(!bytes.is_empty() || name == "a.jsonl", "{name}");
    }
}

#[test]
fn another_plan_is_refused_and_started_over() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = selected(place.path(), ScoreType::Float32);
    let out = at("out");
    convert(&masks, "labels", &out, &[]).ends_with(0);
    let before = bytes(&out);
    for (to, arguments) in [
        ("jsonl", &[][..]),
        ("labels", &["--length", "64"]),
        ("labels", &["--mask", "mask_loss"]),
    ] {
        let ended = convert(&masks, to, &out, arguments).ends_with(2);
        refused(&ended, &["got another plan", "--restart"]);
    }
    assert!(bytes(&out) == before, "a refusal changed something");

    // Other masks with the same names are another input.
    let other = at("other");
    let select = Run::new(&["select"]).arg(at("scored")).arg("--out");
    select.arg(&other).args(&["--by", "loss"]).ends_with(0);
    let ended = convert(&other, "labels", &out, &[]).ends_with(2);
    refused(&ended, &["got another plan"]);

    convert(&masks, "jsonl", &out, &["--restart"]).ends_with(0);
    convert(&masks, "jsonl", &at("fresh"), &[]).ends_with(0);
    assert!(
        bytes(&out) == bytes(&at("fresh")),
        "something was left over"
    );
    // Converted files do not replace masks, and are not masks.
    let ended = convert(&masks, "jsonl", &other, &["--restart"]).ends_with(2);
    refused(&ended, &["one of `convert`, got one of masks"]);
    let select = Run::new(&["select"]).arg(&masks).arg("--out").arg(&out);
    let ended = select.args(&["--by", "loss", "--restart"]).ends_with(2);
    refused(&ended, &["one of masks, got one of `convert`"]);
    let score = Run::score(Path::new("examples/corpus"), &out);
    let ended = score.args(&["--restart"]).ends_with(2);
    refused(&ended, &["one of masks, got one of `convert`"]);
    assert!(bytes(&out) == bytes(&at("fresh")));
}

#[test]
fn what_a_target_cannot_express_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = at("masks");
    five_tokens(&masks);
    for (to, arguments, what) in [
        ("labels", &["--weights", "weight_loss"][..], "--weights"),
        ("torchtitan", &["--weights", "weight_loss"], "--weights"),
        ("torchtune", &["--length", "8"], "--length"),
        ("parquet", &["--length", "8"], "--length"),
        ("jsonl", &["--eos-id", "0"], "--eos-id"),
        ("labels", &["--eos-id", "0"], "--eos-id"),
        ("labels", &["--dtype", "u16"], "--dtype"),
        ("litdata", &["--dtype", "u16"], "--dtype"),
        ("olmo", &["--length", "8"], "--length"),
        ("neox", &["--weights", "weight_loss"], "--weights"),
        ("mds", &["--eos-id", "0"], "--eos-id"),
        ("jsonl", &["--shard-size", "1MB"], "--shard-size"),
    ] {
        let ended = convert(&masks, to, &at("out"), arguments).ends_with(2);
        let cannot = format!("that --to {to} can express");
        refused(&ended, &[what, &cannot, "hint: "]);
    }
    for (to, arguments, what) in [
        ("labels", &["--length", "1"][..], "at least 2 tokens, got 1"),
        ("labels", &["--threads", "0"], "at least 1, got 0"),
        (
            "labels",
            &["--mask", "mask_loss"],
            "a column of masks \"mask_loss\", got mask_intersection",
        ),
        (
            "levanter",
            &["--eos-id", "0", "--weights", "loss"],
            "a column of weights \"loss\", got weight_loss",
        ),
        ("levanter", &[], "whose end-of-sequence token is known"),
        (
            "levanter",
            &["--eos-id", "50257"],
            "one of the reference's 50257 tokens, got 50257",
        ),
    ] {
        let ended = convert(&masks, to, &at("out"), arguments).ends_with(2);
        refused(&ended, &[what, "hint: "]);
    }
    for to in ["levanter", "parquet", "torchtune"] {
        let ended = convert(&masks, to, Path::new("-"), &[]).ends_with(2);
        refused(&ended, &["--out -", "it is not one stream"]);
        assert_eq!(ended.stdout, "");
    }
    assert!(!at("out").exists(), "something was written");
}

#[test]
fn masks_that_are_not_whole_and_folders_that_are_not_empty() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = selected(place.path(), ScoreType::Float32);
    let out = at("out");
    let refuse = |what: &[&str]| refused(&convert(&masks, "jsonl", &out, &[]).ends_with(2), what);

    write(&out.join("mine.txt"), "mine");
    refuse(&["expected an empty folder, found mine.txt", "hint: "]);
    assert_eq!(files(&out), ["mine.txt"]);
    fs::remove_file(out.join("mine.txt")).unwrap();
    fs::remove_dir(&out).unwrap();
    for inside in [masks.clone(), masks.join("in/it"), place.path().to_owned()] {
        let ended = convert(&masks, "jsonl", &inside, &[]).ends_with(2);
        refused(&ended, &["expected another folder than"]);
    }

    // A listed file is missing; the list is missing; the summary is missing.
    fs::rename(masks.join("d.jsonl.arrow"), at("kept")).unwrap();
    refuse(&["d.jsonl.arrow"]);
    fs::rename(at("kept"), masks.join("d.jsonl.arrow")).unwrap();
    for name in ["summary.json", "state.json"] {
        fs::rename(masks.join(name), at("kept")).unwrap();
        refuse(&["expected a finished masks folder", name]);
        fs::rename(at("kept"), masks.join(name)).unwrap();
    }
    // Damage is found before any file gets its final name.
    let mut damaged = fs::read(masks.join("d.jsonl.arrow")).unwrap();
    let middle = damaged.len() / 3;
    damaged[middle..middle + 64].fill(0xff);
    fs::write(masks.join("d.jsonl.arrow"), &damaged).unwrap();
    refuse(&["d.jsonl.arrow"]);
    assert!(!out.join("d.jsonl.jsonl").exists() && !out.join("summary.json").exists());

    let ended = convert(&at("nowhere"), "jsonl", &at("new"), &[]).ends_with(2);
    refused(&ended, &["expected a masks folder, got nothing"]);
    assert!(!at("new").exists());
}

#[test]
fn masks_of_another_version_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    five_tokens(&at("masks"));
    let path = at("masks").join("five.jsonl.arrow");
    let file = fs::read(&path).unwrap();
    let (old, new) = (b"\"format_version\":1", b"\"format_version\":2");
    let found = file.windows(old.len()).position(|bytes| bytes == old);
    let mut file = file.clone();
    file[found.unwrap()..][..new.len()].copy_from_slice(new);
    fs::write(&path, file).unwrap();
    let ended = convert(&at("masks"), "labels", &at("out"), &[]).ends_with(2);
    refused(
        &ended,
        &["expected masks of format version 1, got 2", "hint: "],
    );
    assert!(!at("out").exists());
}

/// The metadata beside the files records what was done to the masks.
#[test]
fn the_metadata_says_what_was_done() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    five_tokens(&at("masks"));
    let made = |to: &str, arguments: &[&str]| -> Value {
        let out = at(&format!("{to}{}", arguments.len()));
        convert(&at("masks"), to, &out, arguments).ends_with(0);
        let made = read_json(&out.join("rho_mask.json"));
        assert_eq!(made["reference"]["vocabulary"], 50257);
        made["convert"].clone()
    };
    let as_they_are = json!({"rule": "as in the masks"});
    let ended = json!({
        "rule": "added where a document does not end with it, and not kept there",
        "token": 50256,
    });
    let expected =
        json!({"to": "labels", "documents_end": as_they_are, "mask": "mask_intersection"});
    assert_eq!(made("labels", &[]), expected);
    let arguments = [
        "--eos-id",
        "50256",
        "--length",
        "8",
        "--weights",
        "weight_loss",
    ];
    let expected = json!({
        "to": "levanter", "documents_end": ended, "weights": "weight_loss", "length": 8,
        "padding": {"token": 50256},
    });
    assert_eq!(made("levanter", &arguments), expected);
    let columns = json!([
        "id",
        "shard",
        "row",
        "token_hash",
        "input_ids",
        "loss",
        "entropy",
        "weight_loss"
    ]);
    let expected = json!({"to": "jsonl", "documents_end": as_they_are, "columns": columns});
    assert_eq!(made("jsonl", &["--weights", "weight_loss"]), expected);
}
