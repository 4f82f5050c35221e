//! What a run says about its result: rejected rows and their reasons, another plan by its options, what created masks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{Run, metadata, read_json, rows, tiny::tiny, write};

fn score(place: &Path, corpus: &Path, out: &str) -> Run {
    let model = place.join("model");
    if !model.exists() {
        tiny(&model);
    }
    Run::score(corpus, &place.join(out))
        .arg("--model")
        .arg(model)
}

/// A corpus whose rows have no field `text`, for three reasons and a rare fourth.
fn without_documents(place: &Path) -> PathBuf {
    let corpus = place.join("corpus");
    let rows = [
        "{\"body\": \"x\"}",
        "[1]",
        "{\"body\": \"y\"}",
        "no JSON",
        "[2]",
        "{\"body\": \"z\"}",
        "{\"text\": 5}",
    ];
    write(&corpus.join("a.jsonl"), rows.join("\n"));
    corpus
}

#[test]
fn a_corpus_without_a_document_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let corpus = without_documents(place.path());
    for (out, more) in [("batch", &[][..]), ("of-all", &["--scope", "corpus"])] {
        // Again, it is the same.
        for _ in 0..2 {
            let ended = score(place.path(), &corpus, out).args(more).ends_with(2);
            let errors = ended.lines_with("error: ");
            assert_eq!(errors.len(), 1, "{}", ended.stderr);
            assert!(errors[0].contains("all"), "{}", ended.stderr);
        }
        let rejected = fs::read_to_string(place.path().join(out).join("rejected.jsonl")).unwrap();
        assert_eq!(rejected.lines().count(), 7);
    }
    let first = score(place.path(), &corpus, "first").ends_with(2);
    let error = first.lines_with("error: ")[0];
    assert!(
        error.contains("3 times: no field \"text\"") && error.contains("a.jsonl row 0"),
        "{error}"
    );
    assert!(first.stderr.contains("--text-field"), "{}", first.stderr);
    // The masks on standard output are no text.
    let mut stream = Run::score(&corpus, Path::new("-"))
        .arg("--model")
        .arg(place.path().join("model"));
    let output = stream.0.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("3 times: no field \"text\""), "{said}");
}

/// A stream has no list of rejected rows: the first ten are printed.
#[test]
fn a_stream_prints_the_first_rejected_rows() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("c.jsonl");
    write(
        &corpus,
        "{\"text\": \"Two and two are four.\"}\n".to_owned() + &"[3]\n".repeat(15),
    );
    let mut stream = Run::score(&corpus, Path::new("-"));
    let output = stream.0.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let rows = said.lines().filter(|line| line.starts_with("c.jsonl row "));
    assert_eq!(rows.count(), 10, "{said}");
    assert_eq!(said.matches("more rows are rejected").count(), 1, "{said}");
}

#[test]
fn the_most_common_reasons_are_in_the_summary() {
    let place = tempfile::tempdir().unwrap();
    let corpus = without_documents(place.path());
    write(
        &corpus.join("b.jsonl"),
        "{\"text\": \"Two and two are four.\"}\n[3]",
    );
    // Read as gzip, this breaks at once.
    write(&corpus.join("c.jsonl.gz"), "\u{1}\u{2} nothing");
    let out = place.path().join("masks");
    let shown = |stderr: &str| -> Vec<String> {
        let lines = stderr
            .lines()
            .skip_while(|line| !line.starts_with("  documents   1, 8 rejected"));
        let lines = lines
            .skip(1)
            .take_while(|line| !line.starts_with("  tokens"));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    for time in 0..2 {
        let ended = score(place.path(), &corpus, "masks").ends_with(1);
        let shown = shown(&ended.stderr);
        assert_eq!(shown.len(), 3, "time {time}: {}", ended.stderr);
        assert!(
            shown
                .iter()
                .take(2)
                .all(|line| line.starts_with("3 times: ")),
            "{shown:?}"
        );
        assert!(shown[2].starts_with("once: "), "{shown:?}");
        assert!(
            shown.iter().any(|line| line.contains("(a.jsonl row 0)")),
            "{shown:?}"
        );
    }
    let reasons = read_json(&out.join("summary.json"))["rejected_reasons"].clone();
    let counts: Vec<&Value> = reasons
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| &reason["count"])
        .collect();
    assert_eq!(counts, [&json!(3), &json!(3), &json!(1)]);
    assert_eq!(
        (&reasons[0]["shard"], &reasons[0]["row"]),
        (&json!("a.jsonl"), &json!(0))
    );
}

#[test]
fn masks_name_what_created_them() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("c.jsonl");
    write(&corpus, "{\"text\": \"Two and two are four.\"}\n".repeat(9));
    let ended = score(place.path(), &corpus, "masks").ends_with(0);
    let (out, model) = (place.path().join("masks"), place.path().join("model"));
    let made = metadata(&out, "c.jsonl");
    assert_eq!(made["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(made["reference"]["path"], model.to_str().unwrap());
    let summary = read_json(&out.join("summary.json"));
    assert_eq!(summary["program"], made["program"]);
    assert_eq!(summary["models"], json!([model.to_str().unwrap()]));
    // The commit that git says, where there is git.
    let git = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    if let Some(commit) = git.ok().filter(|git| git.status.success()) {
        let commit = String::from_utf8(commit.stdout).unwrap();
        let named = made["program"]["commit"].as_str().unwrap();
        assert_eq!(named.trim_end_matches("-dirty"), commit.trim());
        assert!(ended.stderr.contains(&commit[..12]), "{}", ended.stderr);
    }
    let program = format!("  program     rho-mask {}", env!("CARGO_PKG_VERSION"));
    assert!(ended.stderr.contains(&program), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains(&format!("  model       {}\n", model.display())),
        "{}",
        ended.stderr
    );

    // The same model under another path is the same plan, and the files stay as they are.
    let moved = place.path().join("moved");
    fs::rename(&model, &moved).unwrap();
    let again = Run::score(&corpus, &out)
        .arg("--model")
        .arg(&moved)
        .ends_with(0);
    assert!(
        again.stderr.contains("all shards are masked already"),
        "{}",
        again.stderr
    );
    assert_eq!(metadata(&out, "c.jsonl"), made);
}

#[test]
fn another_plan_is_told_by_its_options() {
    let place = tempfile::tempdir().unwrap();
    let corpus = place.path().join("c.jsonl");
    write(&corpus, "{\"text\": \"Two and two are four.\"}\n".repeat(9));
    let run = |more: &[&str]| score(place.path(), &corpus, "masks").args(more);
    run(&[]).ends_with(0);
    for (more, told, selects) in [
        (
            &["--keep", "0.5"][..],
            "got another plan: --keep: 0.7 before, 0.5 now\n",
            true,
        ),
        (
            &["--keep-loss", "0.5"],
            "--keep-loss: 0.7 before, 0.5 now\n",
            true,
        ),
        (
            &["--by", "loss"],
            "--by: intersection before, loss now\n",
            true,
        ),
        (
            &["--scope", "document"],
            "--scope: batch before, document now; --batch: 1048576 before, none now\n",
            true,
        ),
        (
            &["--by", "random", "--seed", "4"],
            "--by: intersection before, random now\n",
            true,
        ),
        (
            &["--context", "64", "--keep", "0.5"],
            "--context: 512 before, 64 now",
            false,
        ),
        (
            &["--score-dtype", "float16"],
            "--score-dtype: float32 before, float16 now\n",
            false,
        ),
        (
            &["--format", "parquet"],
            "--format: arrow-stream before, parquet now\n",
            false,
        ),
        (
            &["--text-field", "body"],
            "--text-field: text before, body now\n",
            false,
        ),
        (
            &["--max-document-bytes", "99"],
            "--max-document-bytes: 268435456 before, 99 now\n",
            false,
        ),
        (&["--bos", "never"], "--bos: auto before, never now", false),
        (
            &["--keep-text"],
            "--keep-text: false before, true now\n",
            false,
        ),
    ] {
        let ended = run(more).ends_with(2);
        assert!(
            ended.stderr.contains(told),
            "expected {told:?} in {}",
            ended.stderr
        );
        let hint = ended.lines_with("hint: ")[0];
        assert_eq!(
            hint.contains("`rho-mask select`"),
            selects,
            "{more:?}: {hint}"
        );
        assert_eq!(hint.contains("--restart"), !selects, "{more:?}: {hint}");
    }
    // What the hint promises is true: the same masks without scoring.
    let (masks, selected) = (place.path().join("masks"), place.path().join("selected"));
    Run::new(&["select", "--keep", "0.5", "--by", "intersection"])
        .arg(&masks)
        .arg("--out")
        .arg(&selected)
        .ends_with(0);
    score(place.path(), &corpus, "anew")
        .args(&["--keep", "0.5"])
        .ends_with(0);
    let masks = |out: &Path| -> Vec<_> {
        let rows = rows(out, "c.jsonl").into_iter();
        rows.map(|row| (row.input_ids, row.masks)).collect()
    };
    assert_eq!(masks(&selected), masks(&place.path().join("anew")));
}
