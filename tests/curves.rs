//! `report` of training runs: the numbers of its tables are those of `metrics.jsonl`, alone and side by side.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::{
    report::{between, in_browser},
    support::{Run, bundled::bundled, write},
    train::{held_out, lines, on_masks, steps, words},
};

/// A short run that writes every metric.
fn run(place: &Path, objective: &str) -> std::path::PathBuf {
    let out = place.join(objective);
    on_masks(place, objective, &out)
        .args(&words("--steps 30 --changed-every 7 --eval-every 10"))
        .args(&["--eval-after", "Answer: ", "--eval"])
        .arg(held_out(place))
        .ends_with(0);
    out
}

fn report(runs: &[&Path]) -> String {
    let start = Run::new(&["report", "--out", "-"]);
    let run = runs.iter().fold(start, |run, path| run.arg(path));
    run.ends_with(0).stdout
}

fn refused(arguments: &[&Path], expected: &[&str]) {
    let start = Run::new(&["report", "--out", "-"]);
    let run = arguments.iter().fold(start, |run, path| run.arg(path));
    let ended = run.ends_with(2);
    assert_eq!(ended.stdout, "");
    for expected in expected {
        let said = &ended.stderr;
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// The table under the figure with this title: its header, its rows.
fn table(html: &str, title: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let table = between(
        html,
        &format!("<summary>Numbers: {title}</summary>"),
        "</details>",
    );
    let mut rows = table.split("<tr>").skip(1).map(|row| {
        let cells = row.split("</th>").flat_map(|cells| cells.split("</td>"));
        let text = |cell: &str| {
            let parts = cell.split('<').skip(1);
            parts
                .map(|part| part.split_once('>').expect("a tag ends").1)
                .collect::<String>()
        };
        let mut cells: Vec<String> = cells.map(text).collect();
        // The end of the row comes after its last cell.
        cells.pop();
        cells
    });
    let header = rows.next().expect("a table has a header");
    (header, rows.collect())
}

/// The expected rows of a table for these fields: one for each line that has at least one of them.
fn expected(lines: &[Value], fields: &[&str], write: impl Fn(f64) -> String) -> Vec<Vec<String>> {
    let rows = lines
        .iter()
        .filter(|line| fields.iter().any(|f| !line[f].is_null()));
    let rows = rows.map(|line| {
        let places = ["step", "tokens_seen"].map(|place| line[place].to_string());
        let values = fields
            .iter()
            .map(|f| line[f].as_f64().map(&write).unwrap_or_default());
        places.into_iter().chain(values).collect()
    });
    rows.collect()
}

fn nats(value: f64) -> String {
    format!("{value:.4}")
}

#[test]
fn the_tables_are_the_metrics() {
    let place = tempfile::tempdir().unwrap();
    let out = run(place.path(), "slm");
    let page = place.path().join("curves.html");
    let ended = Run::new(&["report", "--out"])
        .arg(&page)
        .arg(&out)
        .ends_with(0);
    assert_eq!(ended.stdout, "");
    let html = fs::read_to_string(&page).unwrap();
    let steps = steps(&out);
    assert_eq!(steps.len(), 30);

    let three = |of: &str| [of.to_owned(), format!("{of}_kept"), format!("{of}_dropped")];
    for (title, fields, names) in [
        (
            "Own loss",
            three("loss").to_vec(),
            vec!["all", "kept", "dropped"],
        ),
        (
            "Loss under the reference",
            three("reference_loss").to_vec(),
            vec!["all", "kept", "dropped"],
        ),
        (
            "Selected and unselected tokens",
            ["loss_selected", "loss_unselected"]
                .map(str::to_owned)
                .to_vec(),
            vec!["selected", "unselected"],
        ),
        (
            "Gradient norm",
            vec!["gradient_norm".to_owned()],
            vec!["gradient norm"],
        ),
    ] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let (header, rows) = table(&html, title);
        assert_eq!(header[..2], ["steps", "tokens seen"], "{title}");
        assert_eq!(header[2..], names, "{title}");
        assert_eq!(rows, expected(&steps, &fields, nats), "{title}");
        assert_eq!(rows.len(), 30, "{title}");
    }
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    let changed = expected(&steps, &["changed"], percent);
    assert_eq!(table(&html, "Changed selection").1, changed);
    assert_eq!(changed.len(), 4, "after step 7, 14, 21 and 28");
    let whole = |count: f64| format!("{count:.0}");
    let trained = expected(&steps, &["tokens_trained", "tokens_seen"], whole);
    assert_eq!(table(&html, "Tokens trained on").1, trained);
    let rates = expected(&steps, &["learning_rate"], |rate| format!("{rate:.3e}"));
    assert_eq!(table(&html, "Learning rate").1, rates);
    for (row, step) in table(&html, "Share kept").1.iter().zip(&steps) {
        let kept = step["kept"].as_f64().unwrap() / step["targets"].as_f64().unwrap();
        assert_eq!(row[2..], [percent(kept), "60.00 %".to_owned()]);
    }
    assert_eq!(table(&html, "Speed").1.len(), 30);

    let mut evaluations = lines(&out);
    evaluations.retain(|line| line.get("evaluation").is_some());
    let evaluated: Vec<Vec<String>> = evaluations
        .iter()
        .map(|line| {
            let losses = [&line["loss"], &line["after"]["loss"]];
            let losses = losses.map(|loss| nats(loss.as_f64().unwrap()));
            std::iter::once(line["step"].to_string())
                .chain(losses)
                .collect()
        })
        .collect();
    let (header, rows) = table(&html, "Held out: held-out");
    assert_eq!(header, ["steps", "all", "after the marker"]);
    assert_eq!(rows, evaluated);
    assert_eq!(rows.len(), 4);
    assert!(!html.contains("is not finished"));
    let figures = html.matches("<figure>").count();
    assert_eq!(html.matches(r#"role="img" aria-label=""#).count(), figures);
    in_browser(&out, &page);
}

#[test]
fn a_run_that_is_being_written_and_one_that_is_broken() {
    let place = tempfile::tempdir().unwrap();
    let out = run(place.path(), "clm");
    let before = table(&report(&[&out]), "Own loss").1;
    let metrics = out.join("metrics.jsonl");
    let whole = fs::read_to_string(&metrics).unwrap();
    fs::remove_file(out.join("summary.json")).unwrap();
    write(&metrics, format!("{whole}{{\"step\":31,\"tokens_se"));
    let html = report(&[&out]);
    assert_eq!(table(&html, "Own loss").1, before);
    assert!(html.contains("clm is not finished: 30 of 30 steps are done."));

    let count = whole.lines().count();
    write(&metrics, format!("{whole}{{\"step\":31,\"tokens_se\n"));
    let line = format!("line {}: expected a JSON object", count + 1);
    refused(&[&out], &["metrics.jsonl", &line]);
    write(&metrics, "");
    refused(&[&out], &["expected a step in metrics.jsonl", "hint:"]);
    fs::remove_file(&metrics).unwrap();
    refused(&[&out], &["expected a step in metrics.jsonl", "hint:"]);
}

#[test]
fn runs_side_by_side() {
    let place = tempfile::tempdir().unwrap();
    let (slm, clm) = (run(place.path(), "slm"), run(place.path(), "clm"));
    let html = report(&[&slm, &clm]);
    let (header, rows) = table(&html, "Selected and unselected tokens: unselected");
    assert_eq!(header, ["steps", "tokens seen", "slm", "clm"]);
    let of = |out: &Path| expected(&steps(out), &["loss_unselected"], nats);
    // The same batches: both have the same steps.
    let both = of(&slm)
        .into_iter()
        .zip(of(&clm))
        .map(|(slm, clm)| [&slm[..], &clm[2..]].concat());
    assert_eq!(rows, both.collect::<Vec<_>>());
    let dropped = table(&html, "Own loss: dropped").1;
    assert!(
        dropped
            .iter()
            .all(|row| row[3].is_empty() && !row[2].is_empty())
    );
    assert!(html.contains("Not recorded: clm."));

    let masks = &bundled().out;
    refused(&[&slm, masks], &["expected one masks folder", "hint:"]);
    refused(&[slm.as_path(); 5], &["at most 4", "got 5", "hint:"]);
    let seed = Path::new("--seed=1");
    refused(&[&slm, seed], &["--seed", "got a training run", "hint:"]);
    let neither = [
        "masks (.arrow files)",
        "training run (metrics.jsonl)",
        "got neither",
    ];
    refused(&[place.path()], &neither);
}
