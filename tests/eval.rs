//! `eval`: against the scores of `score`, of PyTorch, and of `train` for the same model; its statistics against NumPy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rho_mask::tokenization::Tokenization;
use serde_json::{Value, json};

use crate::support::{Run, beside, demo, python::python, rows, tiny::tiny, write};
use crate::train::{held_out, lines, on_masks, words};

/// The tolerance between PyTorch's float64 and the reference's f32.
const PARITY: f64 = 1e-4;

fn eval(model: &Path, data: &[&Path]) -> Run {
    let run = Run::new(&["eval", "--device", "cpu", "--json", "--model"]).arg(model);
    data.iter()
        .fold(run.args(&["--data"]), |run, path| run.arg(path))
}

fn report(run: Run) -> Value {
    serde_json::from_str(&run.ends_with(0).stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// Documents of different lengths, some of them with a marker.
fn texts(place: &Path) -> PathBuf {
    let path = place.join("texts.jsonl");
    let lines = (0..40).map(|i| {
        let words = "apples and pears ".repeat(i % 7);
        let answer = if i % 3 == 0 {
            format!("\nAnswer: {i} {words}")
        } else {
            String::new()
        };
        json!({"text": format!("Question {i}: {words}Süß?{answer}")}).to_string() + "\n"
    });
    write(&path, lines.collect::<String>());
    path
}

#[test]
fn losses_are_those_of_score() {
    let place = tempfile::tempdir().unwrap();
    let (model, data) = (tiny(&place.path().join("model")), texts(place.path()));
    let masks = place.path().join("masks");
    Run::score(&data, &masks)
        .args(&["--keep-text", "--keep", "0.5", "--model"])
        .arg(&model)
        .ends_with(0);
    let got = report(
        eval(&model, &[&data])
            .args(&["--after", "Answer: ", "--masks"])
            .arg(&masks),
    );
    let set = &got["sets"][0];
    let (mut all, mut kept, mut dropped) = ((0.0, 0), (0.0, 0), (0.0, 0));
    let (mut bytes, mut nats) = (0, 0.0);
    for row in rows(&masks, "texts.jsonl") {
        let last = row.input_ids.len() - 1;
        for (i, &loss) in row.scores[0].iter().enumerate().skip(1) {
            let sum = if row.masks[2][i] {
                &mut kept
            } else {
                &mut dropped
            };
            for (nats, count) in [&mut all, sum] {
                *nats += f64::from(loss);
                *count += 1;
            }
            // The last token is the end of the sequence; it has no bytes.
            nats += if i < last { f64::from(loss) } else { 0.0 };
        }
        bytes += row.text.unwrap().len();
    }
    let near = |got: &Value, expected: f64| {
        let got = number(got);
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    };
    let mean = |(nats, count): (f64, u64)| nats / count as f64;
    assert_eq!(set["tokens"], all.1);
    near(&set["loss"]["value"], mean(all));
    near(&set["perplexity"]["value"], mean(all).exp());
    assert_eq!(set["bytes"], bytes);
    near(
        &set["bits_per_byte"]["value"],
        nats / std::f64::consts::LN_2 / bytes as f64,
    );
    assert_eq!(set["masks"]["column"], "mask_intersection");
    assert_eq!(set["masks"]["unmatched"], 0);
    assert_eq!(set["masks"]["kept"]["tokens"], kept.1);
    near(&set["masks"]["kept"]["loss"]["value"], mean(kept));
    near(&set["masks"]["dropped"]["loss"]["value"], mean(dropped));
    assert_eq!(set["after"]["documents"], 14);

    // Masks of other text do not match these tokens.
    let other = place.path().join("other.jsonl");
    write(
        &other,
        "{\"text\": \"something else\"}\n{\"text\": \"and more\"}\n",
    );
    let both = report(eval(&model, &[&data, &other]).arg("--masks").arg(&masks));
    assert_eq!(both["sets"][1]["masks"]["unmatched"], 2);
    assert_eq!(both["sets"][0]["loss"], set["loss"]);
    let ended = eval(&model, &[&other])
        .arg("--masks")
        .arg(&masks)
        .ends_with(2);
    assert!(
        ended.stderr.contains("got none of their tokens"),
        "{}",
        ended.stderr
    );
    let ended = eval(&model, &[&other])
        .args(&["--after", "Answer"])
        .ends_with(2);
    assert!(
        ended.stderr.contains("found it in none"),
        "{}",
        ended.stderr
    );

    let table = Run::new(&["eval", "--model"])
        .arg(&model)
        .arg("--data")
        .arg(&data);
    let table = table.ends_with(0).stdout;
    assert!(
        table.contains("bits per byte") && table.contains("texts"),
        "{table}"
    );
    assert!(table.contains(&format!("{:.4} [", mean(all))), "{table}");
}

#[test]
fn intervals_are_those_of_numpy() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let (model, data) = (tiny(&place.path().join("model")), texts(place.path()));
    let (masks, json) = (place.path().join("masks"), place.path().join("eval.json"));
    let score = Run::score(&data, &masks)
        .args(&["--keep-text", "--model"])
        .arg(&model);
    score.ends_with(0);
    let measured = eval(&model, &[&data])
        .arg("--masks")
        .arg(&masks)
        .ends_with(0);
    write(&json, measured.stdout);
    let output = Command::new(python)
        .args(["-c", include_str!("eval.py")])
        .args([&masks, &json])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn losses_are_those_of_pytorch() {
    let Some(parity) = beside("parity") else {
        return;
    };
    for family in ["llama", "gpt2", "qwen2", "gpt_neox"] {
        let folder = parity.join(family);
        let expected = folder.join("expected.jsonl");
        let text = fs::read_to_string(&expected).unwrap();
        let losses: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .flat_map(|row| row["loss"].as_array().unwrap().clone())
            .filter_map(|loss| loss.as_f64())
            .collect();
        let run = eval(&folder.join("hf"), &[&expected]).args(&["--tokens-field", "input_ids"]);
        let set = report(run)["sets"][0].clone();
        assert_eq!(set["tokens"], losses.len(), "{family}");
        assert_eq!(set["bits_per_byte"], Value::Null, "{family}");
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let got = number(&set["loss"]["value"]);
        assert!((got - mean).abs() < PARITY, "{family}: {got} {mean}");
    }
}

#[test]
fn a_trained_model_is_measured_as_train_measures_it() {
    let place = tempfile::tempdir().unwrap();
    let (out, data) = (place.path().join("clm"), held_out(place.path()));
    on_masks(place.path(), "clm", &out)
        .args(&words("--steps 8 --eval-every 8"))
        .args(&["--eval-after", "Answer: ", "--eval"])
        .arg(&data)
        .ends_with(0);
    let lines = lines(&out);
    let last = lines
        .iter()
        .rfind(|line| line["evaluation"] == "held-out")
        .unwrap();
    let got = report(eval(&out, &[&data]).args(&["--after", "Answer: "]));
    let set = &got["sets"][0];
    assert_eq!(set["name"], "held-out");
    for (got, expected) in [(set, last), (&set["after"], &last["after"])] {
        assert_eq!(got["tokens"], expected["tokens"]);
        let (got, expected) = (number(&got["loss"]["value"]), number(&expected["loss"]));
        assert!((got - expected).abs() < PARITY, "{got} {expected}");
    }
}

#[test]
fn choices_are_ranked_by_likelihood() {
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let questions: Vec<(String, [String; 3], usize)> = (0..12)
        .map(|i| {
            let choices = [
                format!("{i}"),
                format!("{} apples", i + 1),
                "none of these, I think".to_owned(),
            ];
            (format!("What is {i} + 0?"), choices, i % 3)
        })
        .collect();
    let lines = questions
        .iter()
        .zip(0..)
        .map(|((question, choices, right), i)| {
            let answer = match i % 3 {
                0 => json!(right),
                1 => json!(["A", "B", "C"][*right]),
                _ => json!(choices[*right]),
            };
            json!({"question": question, "choices": choices, "answer": answer}).to_string() + "\n"
        });
    let file = place.path().join("questions.jsonl");
    write(&file, lines.collect::<String>());
    let got = report(eval(&model, &[&file]).args(&["--choices", "--after", "A: "]));

    // Each choice after its question, as documents that `score` scores.
    let context = |question: &str| format!("{question}\nA: ");
    let documents = questions.iter().flat_map(|(question, choices, _)| {
        let texts = choices.each_ref().map(|choice| context(question) + choice);
        texts.map(|text| json!({"text": text}).to_string() + "\n")
    });
    let (corpus, masks) = (
        place.path().join("choices.jsonl"),
        place.path().join("masks"),
    );
    write(&corpus, documents.collect::<String>());
    Run::score(&corpus, &masks)
        .arg("--model")
        .arg(&model)
        .ends_with(0);
    let scored = rows(&masks, "choices.jsonl");
    let tokenizer = tokenizers::Tokenizer::from_file(demo().join("tokenizer.json")).unwrap();
    let tokenization = Tokenization::of(tokenizer);
    let (mut right, mut right_by_bytes) = (0, 0);
    for ((question, choices, answer), rows) in questions.iter().zip(scored.chunks(3)) {
        // The space before a choice belongs to it, as in lm-evaluation-harness. The beginning takes one token.
        let context = context(question);
        let first = 1 + tokenization.encode(context.trim_end()).unwrap().len();
        let sum = |row: &rho_formats::MaskRow| -> f32 {
            row.scores[0][first..row.input_ids.len() - 1].iter().sum()
        };
        let sums: Vec<f32> = rows.iter().map(sum).collect();
        let least = |costs: &[f32]| {
            (0..3)
                .min_by(|&a, &b| costs[a].total_cmp(&costs[b]))
                .unwrap()
        };
        let per_byte: Vec<f32> = sums
            .iter()
            .zip(choices)
            .map(|(s, c)| s / c.len() as f32)
            .collect();
        right += usize::from(least(&sums) == *answer);
        right_by_bytes += usize::from(least(&per_byte) == *answer);
    }
    let set = &got["sets"][0];
    assert_eq!(set["questions"], 12);
    let share = |count: usize| count as f64 / 12.0;
    assert_eq!(number(&set["accuracy"]["value"]), share(right));
    assert_eq!(
        number(&set["accuracy_normalised"]["value"]),
        share(right_by_bytes)
    );

    write(
        &file,
        "{\"question\": \"a\", \"choices\": [\"b\"], \"answer\": \"C\"}\n",
    );
    let ended = eval(&model, &[&file]).arg("--choices").ends_with(2);
    assert!(
        ended
            .stderr
            .contains("questions.jsonl line 1: expected an answer"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
}
