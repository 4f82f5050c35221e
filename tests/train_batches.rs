//! `train --dump-batches`: what the first steps train on, against the metrics and the texts of the corpus.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::root;
use crate::train::{on_masks, steps};

fn batches(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("batches.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The targets of a step: loss, reference loss, weight, and whether it is selected.
fn targets(lines: &[Value], step: u64) -> Vec<(f64, f64, f64, bool)> {
    let mut targets = Vec::new();
    for line in lines.iter().filter(|line| line["step"] == step) {
        let number = |name: &str, i: usize| line[name][i].as_f64();
        for i in 0..line["tokens"].as_array().unwrap().len() {
            let selected = line["selected"][i].as_bool().unwrap();
            let weight = number("weight", i).unwrap();
            match number("loss", i) {
                Some(loss) => {
                    let reference = number("reference_loss", i).unwrap();
                    targets.push((loss, reference, weight, selected));
                }
                None => assert!(!selected && weight == 0.0, "{line}"),
            }
        }
    }
    targets
}

#[test]
fn the_first_steps_are_written_as_they_were_trained() {
    let place = tempfile::tempdir().unwrap();
    let (out, plain) = (place.path().join("out"), place.path().join("plain"));
    let run =
        |out: &Path| on_masks(place.path(), "slm", out).args(&["--steps", "3", "--keep", "0.4"]);
    run(&out).args(&["--dump-batches", "2"]).ends_with(0);
    run(&plain).ends_with(0);
    for name in ["model.safetensors", "metrics.jsonl"] {
        assert!(fs::read(out.join(name)).unwrap() == fs::read(plain.join(name)).unwrap());
    }
    assert!(!plain.join("batches.jsonl").exists());

    let lines = batches(&out);
    assert!(
        lines
            .iter()
            .all(|line| [1, 2].contains(&line["step"].as_u64().unwrap()))
    );
    for metrics in &steps(&out)[..2] {
        let mut targets = targets(&lines, metrics["step"].as_u64().unwrap());
        assert_eq!(metrics["targets"], targets.len());
        let kept = targets.iter().filter(|target| target.3).count();
        assert_eq!(metrics["kept"], kept);
        let sum: f64 = targets.iter().map(|target| target.0).sum();
        let mean = sum / targets.len() as f64;
        assert!((mean - metrics["loss"].as_f64().unwrap()).abs() < 1e-6);
        let weights: f64 = targets.iter().map(|target| target.2).sum();
        let weighted: f64 = targets.iter().map(|target| target.0 * target.2).sum();
        let objective = metrics["objective"].as_f64().unwrap();
        assert!((weighted / weights - objective).abs() < 1e-5, "{metrics}");
        // The highest excess losses, in f32 as they are ranked.
        targets.sort_by(|a, b| {
            let excess = |t: &(f64, f64, f64, bool)| t.0 as f32 - t.1 as f32;
            excess(b).total_cmp(&excess(a))
        });
        let least = targets[kept - 1].0 as f32 - targets[kept - 1].1 as f32;
        for target in &targets {
            let excess = target.0 as f32 - target.1 as f32;
            assert!(
                target.3 == (excess >= least) || excess == least,
                "{target:?} {least}"
            );
        }
    }

    // The tokens are those of the corpus's texts.
    let pages = fs::read_to_string(root().join("examples/corpus/pages.jsonl")).unwrap();
    let page = |line: &str| {
        let page: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| page[name].as_str().unwrap().to_owned();
        (field("id"), field("text"))
    };
    let texts: BTreeMap<String, String> = pages.lines().map(page).collect();
    let mut found = 0;
    for line in &lines {
        let tokens: String = line["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap())
            .collect();
        let marked = line["text"].as_str().unwrap();
        assert_eq!(
            marked.replace(['⟦', '⟧'], ""),
            tokens.replace(['⟦', '⟧'], "")
        );
        let name = line["document"]
            .as_str()
            .unwrap()
            .split(" (")
            .next()
            .unwrap();
        if let Some(text) = texts.get(name) {
            found += 1;
            let own = tokens.trim_start_matches("<s>").trim_end_matches("</s>");
            assert!(
                text.contains(
                    own.trim_end_matches('\u{fffd}')
                        .trim_start_matches('\u{fffd}')
                ),
                "{name}: {own:?}"
            );
        }
    }
    assert!(found > 0);

    // A finished run cannot write them any more, and says so.
    let again = run(&plain).args(&["--dump-batches", "2"]).ends_with(0);
    assert!(
        again.stderr.contains("start over with --restart"),
        "{}",
        again.stderr
    );
    run(&plain)
        .args(&["--dump-batches", "1", "--restart"])
        .ends_with(0);
    let first: Vec<_> = lines
        .iter()
        .filter(|line| line["step"] == 1)
        .cloned()
        .collect();
    assert_eq!(batches(&plain), first);
}
