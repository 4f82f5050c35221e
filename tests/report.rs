//! `report`: the report of masks, in one HTML file; for training runs see `curves.rs`. `report/browser.py` checks what
//! happens in a browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use rho_formats::{MaskRow, ScoreType, read_masks};
use serde_json::{Value, json};

use crate::support::{
    Run, bundled::bundled, masks::masks, metadata, python::python, random_tokens, root, skipped,
    token_lines, write,
};

const IN_BROWSER: &str = "tests/report/browser.py";

/// The example, and the command that regenerates it.
const EXAMPLE: &str = "examples/report.html";
const AGAIN: &str = "rho-mask score examples/corpus/ --source-field source --out masks/ && rho-mask report masks/ --out examples/report.html --force";

/// `report MASKS --out -` with more arguments: the page.
fn report(masks: &Path, arguments: &[&str]) -> String {
    let run = Run::new(&["report", "--out", "-"]).arg(masks);
    run.args(arguments).ends_with(0).stdout
}

/// The text between two marks, at their first occurrence.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let from = text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len();
    let to = from + text[from..].find(end).unwrap();
    &text[from..to]
}

/// The data of the sampled documents.
fn data(html: &str) -> Value {
    serde_json::from_str(between(html, r#"id="documents-data">"#, "</script>")).unwrap()
}

/// The page without tags: text only.
fn text(html: &str) -> String {
    let body = between(html, "<body>", r#"<script type="application/json""#);
    let parts = body
        .split('<')
        .map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let text = parts.collect::<Vec<_>>().join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn all_rows(folder: &Path) -> Vec<MaskRow> {
    read_masks(folder).unwrap().map(Result::unwrap).collect()
}

/// Opens a report in Chromium; reports a skipped test if it, or a font, is missing.
pub(crate) fn in_browser(masks: &Path, page: &Path) {
    for program in ["chromium", "chromedriver"] {
        if Command::new(program).arg("--version").output().is_err() {
            skipped(&format!("no report in a browser: {program} is missing"));
            return;
        }
    }
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .arg("-B")
        .arg(root().join(IN_BROWSER))
        .args([masks, page])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", masks.display());
    let told = String::from_utf8_lossy(&output.stdout);
    for missing in told
        .lines()
        .filter_map(|line| line.strip_prefix("SKIPPED: "))
    {
        skipped(missing);
    }
}

#[test]
fn the_report_of_the_bundled_corpus() {
    let folder = &bundled().out;
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("report.html");
    let ended = Run::new(&["report"])
        .arg(folder)
        .arg("--out")
        .arg(&page)
        .ends_with(0);
    assert_eq!(ended.stdout, "");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.len() < 1_000_000, "{}", html.len());
    assert_eq!(
        html.trim_end(),
        report(folder, &[]).trim_end(),
        "the same masks, another page"
    );

    let rows = all_rows(folder);
    let shown = data(&html);
    assert_eq!(
        shown["masks"],
        json!(["mask_loss", "mask_entropy", "mask_intersection"])
    );
    assert_eq!(shown["colourings"][0]["name"], "mask_intersection");
    let documents = shown["documents"].as_array().unwrap();
    assert_eq!(documents.len(), 20);
    for document in documents {
        let row = rows.iter().find(|row| row.id == document["id"]).unwrap();
        assert_eq!(document["ids"], json!(row.input_ids), "{}", row.id);
        let drawn: String = document["text"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap())
            .collect();
        assert!(
            drawn.starts_with("<s>") && drawn.ends_with("</s>"),
            "{drawn}"
        );
        let kept: Vec<usize> = row
            .masks
            .iter()
            .map(|mask| mask.iter().filter(|&&kept| kept).count())
            .collect();
        assert_eq!(document["kept"], json!(kept), "{}", row.id);
    }
    let ids = |html: &str| -> Vec<String> {
        let shown = data(html);
        let documents = shown["documents"].as_array().unwrap().iter();
        documents
            .map(|d| d["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let other = ids(&report(folder, &["--seed", "1", "--documents", "7"]));
    assert_eq!(other.len(), 7);
    assert!(
        !other.iter().all(|id| ids(&html).contains(id)),
        "another seed, the same documents"
    );

    let text = text(&html);
    let mut expected = vec![
        "341".to_owned(),
        "144,386".to_owned(),
        "144,045 scored".to_owned(),
    ];
    let described = metadata(folder, "pages.jsonl");
    let fingerprint = described["reference"]["fingerprint"].as_str().unwrap();
    expected.extend(
        [
            fingerprint,
            "batch: whole documents",
            "the 70.0 % with the lowest loss",
            "51.2 %",
        ]
        .map(String::from),
    );
    for expected in expected {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    assert!(!text.contains("Note:"), "{text}");
    // Documents contain addresses, and one names the namespace of a drawing; nothing may be fetched from them.
    let plain = html.replace(r#" xmlns="http://www.w3.org/2000/svg""#, "");
    for address in [
        "=\"http", "='http", "=\"//", "url(h", "url(/", "@import", "srcset", " src=",
    ] {
        assert!(!plain.contains(address), "{address}");
    }
    in_browser(folder, &page);
}

#[test]
fn the_example_is_what_the_program_writes() {
    let example = fs::read_to_string(root().join(EXAMPLE)).unwrap();
    assert!(example.len() < 1_000_000);
    let place = tempfile::tempdir().unwrap();
    let masks = place.path().join("masks");
    let score = Run::new(&["score", "examples/corpus/", "--source-field", "source"]);
    score.arg("--out").arg(&masks).ends_with(0);
    let fresh = report(&masks, &[]);
    let hint = format!("make {EXAMPLE} anew: {AGAIN}");
    // Styles, scripts and titles must match; the last digits of numbers differ between processors.
    for (start, end) in [
        ("<style>", "</style>"),
        ("<script>", "</script>"),
        ("<nav", "</nav>"),
    ] {
        assert!(
            between(&example, start, end) == between(&fresh, start, end),
            "{start}: {hint}"
        );
    }
    let titles = |html: &str| -> Vec<String> {
        let titles = html.split("<h3>").skip(1);
        let titles = titles.filter_map(|rest| rest.split_once("</h3>"));
        titles.map(|(title, _)| title.to_owned()).collect()
    };
    assert_eq!(titles(&example), titles(&fresh), "{hint}");
    let (example, fresh) = (data(&example), data(&fresh));
    for key in ["scores", "masks", "weights", "pieces"] {
        assert_eq!(example[key], fresh[key], "{key}: {hint}");
    }
    let documents = |data: &Value| data["documents"].as_array().unwrap().clone();
    let pairs = documents(&example).into_iter().zip(documents(&fresh));
    for (old, new) in pairs {
        for key in ["id", "from", "text", "ids", "special"] {
            assert_eq!(old[key], new[key], "{key}: {hint}");
        }
        for (old, new) in old["scores"]
            .as_array()
            .unwrap()
            .iter()
            .zip(new["scores"].as_array().unwrap())
        {
            for (old, new) in old.as_array().unwrap().iter().zip(new.as_array().unwrap()) {
                let near = old
                    .as_f64()
                    .zip(new.as_f64())
                    .is_none_or(|(a, b)| (a - b).abs() < 0.01);
                assert!(
                    near && old.is_null() == new.is_null(),
                    "{old} {new}: {hint}"
                );
            }
        }
    }
}

#[test]
fn documents_have_no_power_over_the_page() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (
        place.path().join("\"><script>corpus & co.jsonl"),
        place.path().join("out"),
    );
    let texts = [
        "</script><script>document.title = 'taken'</script><!-- <script> ]]> &amp; \u{2028}",
        "<img src=x onerror=\"console.error('taken')\"> \u{202e}backwards\u{2066}",
        "\u{0}\u{1b}[31m\u{7f}\u{9b} a\r\n\tb \u{feff}\u{200b}",
        "שלום עולם, 中文 😀👩‍👩‍👧 é \u{301}",
        "",
    ];
    let lines = texts.iter().enumerate().map(|(i, text)| {
        let id = format!("<b onclick=alert({i})>&\"'</b>\u{202e}");
        json!({"id": id, "text": text.repeat(20), "source": "</script>"}).to_string() + "\n"
    });
    write(&corpus, lines.collect::<String>());
    Run::score(&corpus, &out)
        .args(&["--source-field", "source"])
        .ends_with(0);
    let page = place.path().join("report.html");
    Run::new(&["report"])
        .arg(&out)
        .arg("--out")
        .arg(&page)
        .ends_with(0);
    let html = fs::read_to_string(&page).unwrap();
    for taken in [
        "<b onclick",
        "<img",
        "'taken'</script>",
        "<!--",
        "\u{202e}",
        "\u{2066}",
        "\u{1b}",
        "\u{0}",
        "\u{2028}",
        "\u{9b}",
    ] {
        assert!(!html.contains(taken), "{taken:?}");
    }
    assert_eq!(html.matches("</script>").count(), 2);
    let shown = data(&html);
    let first: String = shown["documents"][0]["text"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t.as_str().unwrap())
        .collect();
    assert!(first.contains("</script><script>document.title"), "{first}");
    assert!(text(&html).contains("&lt;/script&gt;"), "the source");
    in_browser(&out, &page);
}

#[test]
fn all_columns_there_may_be() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    // Infinite and missing scores, documents without any token, ids without a tokenizer.
    masks(&at("wide"), ScoreType::Float32);
    masks(&at("half"), ScoreType::Float16);
    let select = |name: &str, arguments: &[&str]| {
        let run = Run::new(&["select"])
            .arg(at("wide"))
            .arg("--out")
            .arg(at(name));
        run.args(arguments).ends_with(0);
    };
    select("random", &["--by", "random", "--keep", "0.6"]);
    select(
        "excess",
        &["--by", "excess", "--keep", "0.6", "--scope", "corpus"],
    );
    select(
        "band",
        &[
            "--by",
            "band",
            "--drop-easiest",
            "10%",
            "--drop-hardest",
            "10%",
        ],
    );
    select("weights", &["--by", "excess", "--weights", "sigmoid"]);
    for (name, columns, said) in [
        ("wide", "mask_old", "excess"),
        ("half", "mask_old", "token ids are shown"),
        ("random", "mask_random", "60.0 % at random, seed 0"),
        (
            "excess",
            "mask_excess",
            "the 60.0 % with the highest excess",
        ),
        ("band", "mask_band", "all but the 10.0 % with the lowest"),
        (
            "weights",
            "weight_excess",
            "weights by excess: sigmoid, temperature 1 nats",
        ),
    ] {
        let html = report(&at(name), &["--documents", "6"]);
        let text = text(&html);
        assert!(
            text.contains(said) && text.contains("Note:"),
            "{name}: {text}"
        );
        let shown = data(&html);
        assert_eq!(
            shown["scores"],
            json!(["loss", "entropy", "base_loss", "excess"]),
            "{name}"
        );
        let both =
            [&shown["masks"], &shown["weights"]].map(|names| names.as_array().unwrap().clone());
        assert_eq!(both.concat(), [columns], "{name}");
        let page = at(&format!("{name}.html"));
        fs::write(&page, html).unwrap();
        // The others differ only in words and numbers.
        if ["wide", "excess", "weights"].contains(&name) {
            in_browser(&at(name), &page);
        }
    }
    // Thresholds are shown even for an excess that is not stored.
    assert!(text(&report(&at("excess"), &[])).contains("mask_excess ≥ "));
}

#[test]
fn masks_with_next_to_nothing() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let model = root().join("models/demo/model.onnx");
    for (name, documents) in [("none", vec![]), ("short", vec![vec![5], vec![]])] {
        let corpus = at(&format!("{name}.jsonl"));
        write(&corpus, token_lines(&documents));
        Run::score_tokens(&corpus, &model, &at(name)).ends_with(0);
        let html = report(&at(name), &[]);
        assert!(html.contains("No token has a score"), "{name}");
        let page = at(&format!("{name}.html"));
        fs::write(&page, html).unwrap();
        in_browser(&at(name), &page);
    }
    // A single file of a folder works too.
    let one = bundled().out.join("pages.jsonl.arrow");
    assert!(text(&report(&one, &["--mask", "loss"])).contains("kept by mask_loss"));
}

#[test]
fn an_unfinished_folder_says_so() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, out) = (place.path().join("corpus"), place.path().join("masks"));
    let model = root().join("models/demo/model.onnx");
    for (i, name) in (1..).zip(["a.jsonl", "b.jsonl", "c.jsonl"]) {
        let documents = [random_tokens(30 * i, 2000, i as u32)];
        write(&corpus.join(name), token_lines(&documents));
    }
    // One of two ranks; the other has not started.
    let run = Run::score_tokens(&corpus, &model, &out);
    run.args(&["--rank", "0", "--world-size", "2"]).ends_with(0);
    let html = report(&out, &[]);
    let text = text(&html);
    let note = text.find("not finished: ").expect("the note is missing");
    assert!(note < text.find("Overview documents").unwrap(), "{text}");
    let there = data(&html)["documents"].as_array().unwrap().len();
    assert!((1..3).contains(&there), "{there}");
    assert!(
        text.contains(&format!("not finished: {} of the shards", 3 - there)),
        "{text}"
    );
    let page = place.path().join("report.html");
    fs::write(&page, html).unwrap();
    in_browser(&out, &page);
}

#[test]
fn what_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let masks = &bundled().out;
    let refused = |masks: &Path, out: &Path, arguments: &[&str], expected: &[&str]| {
        let run = Run::new(&["report"]).arg(masks).arg("--out").arg(out);
        let ended = run.args(arguments).ends_with(2);
        for expected in expected {
            assert!(
                ended.stderr.contains(expected),
                "{expected}: {}",
                ended.stderr
            );
        }
    };
    write(&at("there.html"), "mine");
    refused(
        masks,
        &at("there.html"),
        &[],
        &["got one that exists", "hint: replace it with --force"],
    );
    assert_eq!(fs::read(at("there.html")).unwrap(), b"mine");
    refused(
        masks,
        &at("no/report.html"),
        &[],
        &["expected a folder", "hint:"],
    );
    refused(masks, place.path(), &[], &["got a folder", "hint:"]);
    refused(
        masks,
        &at("a.html"),
        &["--mask", "other"],
        &["mask_intersection", "hint:"],
    );
    refused(
        &root().join("examples"),
        &at("a.html"),
        &[],
        &["expected masks", "hint:"],
    );
    refused(
        &at("nothing"),
        &at("a.html"),
        &[],
        &["expected masks", "hint:"],
    );
    refused(
        masks,
        &at("a.html"),
        &["--documents", "1001"],
        &["--documents"],
    );
    let tokenizer = root().join("examples/README.md");
    let tokenizer = tokenizer.to_str().unwrap();
    refused(
        masks,
        &at("a.html"),
        &["--tokenizer", tokenizer],
        &["expected a tokenizer.json", "hint:"],
    );
    assert!(!at("a.html").exists());
    Run::new(&["report", "--force", "--documents", "0"])
        .arg(masks)
        .arg("--out")
        .arg(at("there.html"))
        .ends_with(0);
    let html = fs::read_to_string(at("there.html")).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && !html.contains("documents-data"));
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
