//! What differs between the recorded settings of a run and those of the next one, by the names of options. Takes the
//! JSON of both, gives a line for each difference.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::cli;

/// Fields that say where the files are from and change none of their numbers: another build of the same version, the
/// same model under another path.
const PROVENANCE: [&str; 4] = [
    "metadata.program.commit",
    "metadata.reference.path",
    "metadata.reference.models[].path",
    "metadata.base.path",
];
/// The most characters of a value.
const VALUE: usize = 60;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// The option, or the setting if it follows from several options.
    pub(super) name: String,
    pub(super) before: String,
    pub(super) now: String,
    /// Whether it is about which tokens are selected, not about their scores.
    pub(super) selects: bool,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} before, {} now", self.name, self.before, self.now)
    }
}

/// The differences of a command's settings, each once, in the order of the settings.
pub(super) fn differences(command: &str, before: &Value, now: &Value) -> Vec<Difference> {
    let mut found = Found {
        options: options(command),
        differences: Vec::new(),
    };
    found.compare("", before, now);
    let mut seen = BTreeSet::new();
    found
        .differences
        .retain(|difference| seen.insert(difference.clone()));
    found.differences
}

/// The long names of a command's options.
fn options(command: &str) -> BTreeSet<String> {
    let cli = cli::command();
    let command = cli.find_subcommand(command);
    let arguments = command.into_iter().flat_map(clap::Command::get_arguments);
    arguments
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect()
}

struct Found {
    options: BTreeSet<String>,
    differences: Vec<Difference>,
}

impl Found {
    fn compare(&mut self, path: &str, before: &Value, now: &Value) {
        let any_index: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
        if before == now || PROVENANCE.contains(&any_index.as_str()) {
            return;
        }
        match (before, now) {
            (before, now) if path == "metadata.selections" => self.selections(before, now),
            (Value::Object(before), Value::Object(now)) => {
                let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
                keys.sort();
                keys.dedup();
                for key in keys {
                    let path = match path {
                        "" => key.clone(),
                        path => format!("{path}.{key}"),
                    };
                    let value =
                        |map: &Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                    self.compare(&path, &value(before), &value(now));
                }
            }
            (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
                for (i, (before, now)) in before.iter().zip(now).enumerate() {
                    self.compare(&format!("{path}[{i}]"), before, now);
                }
            }
            (before, now) if path == "command" => {
                // `score` records no name.
                let name = |command: &Value| Value::from(command.as_str().unwrap_or("score"));
                self.add(self.name(path), &name(before), &name(now), false);
            }
            (before, now) if path == "format" => {
                // That of streams is not recorded.
                let name = |format: &Value| Value::from(format.as_str().unwrap_or("arrow-stream"));
                self.add(self.name(path), &name(before), &name(now), false);
            }
            (before, now) => {
                let selects = path.starts_with("metadata.scope");
                self.add(self.name(path), before, now, selects);
            }
        }
    }

    fn add(&mut self, name: String, before: &Value, now: &Value, selects: bool) {
        self.differences.push(Difference {
            name,
            before: shown(before),
            now: shown(now),
            selects,
        });
    }

    /// The option that a setting comes from, else the setting.
    fn name(&self, path: &str) -> String {
        let path = path.strip_prefix("metadata.").unwrap_or(path);
        let path = path.strip_prefix("dynamics.").unwrap_or(path);
        let starts = |start: &str| {
            path.strip_prefix(start)
                .is_some_and(|rest| !rest.starts_with('_'))
        };
        let known = [
            ("reference.combine", "--combine"),
            ("reference.ignored_settings", "--ignore-setting"),
            ("base.ignored_settings", "--ignore-setting"),
            ("reference", "--model"),
            ("base", "--base"),
            ("tokenizer", "--tokenizer"),
            ("provider", "--device"),
            ("precision", "--precision"),
            ("bos", "--bos"),
            ("eos", "--eos"),
            ("verified", "--verified"),
            ("scope_tokens", "--batch"),
            ("scope", "--scope"),
            ("documents", "--documents"),
            ("joined", "--join"),
            ("duplicates", "--drop-duplicates"),
            ("program.version", "the version of rho-mask"),
            ("library_version", "ONNX Runtime"),
            ("command", "the command"),
        ];
        // The same names mean other things to other commands.
        let exists = |option: &str| match option.strip_prefix("--") {
            Some(option) => self.options.contains(option),
            None => true,
        };
        let known = known
            .iter()
            .find(|(start, option)| starts(start) && exists(option));
        if let Some((start, option)) = known {
            let rest = path[start.len()..].trim_start_matches(|c: char| !c.is_ascii_alphabetic());
            return match rest {
                "" | "rule" => (*option).to_owned(),
                rest => format!("{option} ({})", rest.replace('_', " ")),
            };
        }
        let option = path.replace('_', "-");
        match self.options.contains(&option) {
            true => format!("--{option}"),
            false => path.to_owned(),
        }
    }

    /// The rule: its name, else the options of its parts.
    fn selections(&mut self, before: &Value, now: &Value) {
        let none = Vec::new();
        let parts = |rule: &Value| rule.as_array().unwrap_or(&none).clone();
        let (before, now) = (parts(before), parts(now));
        let columns = |parts: &[Value]| -> Vec<Value> {
            parts.iter().map(|part| part["column"].clone()).collect()
        };
        if columns(&before) != columns(&now) {
            let name = |parts: &[Value]| {
                let last = parts.last().and_then(|part| part["column"].as_str());
                let last = last.map(|column| {
                    column
                        .trim_start_matches("mask_")
                        .replace("weight_", "weights by ")
                });
                last.map_or(Value::Null, Value::from)
            };
            self.add("--by".to_owned(), &name(&before), &name(&now), true);
            return;
        }
        let is_combined = before
            .iter()
            .any(|part| part["and"].is_array() || part["or"].is_array());
        let keep = |parts: &[Value]| -> Vec<Value> {
            parts
                .iter()
                .map(|part| part["keep_lowest"].clone())
                .collect()
        };
        let (kept_before, kept_now) = (keep(&before), keep(&now));
        let is_one = |kept: &[Value]| kept.len() > 1 && kept[0] == kept[1];
        let both = is_one(&kept_before) && is_one(&kept_now);
        for (before, now) in before.iter().zip(&now) {
            let nothing = Map::new();
            let fields = |part: &Value| part.as_object().unwrap_or(&nothing).clone();
            let (of_before, of_now) = (fields(before), fields(now));
            let keys: BTreeSet<&String> = of_before.keys().chain(of_now.keys()).collect();
            for key in keys {
                let (a, b) = (&before[key], &now[key]);
                if a == b {
                    continue;
                }
                let option = match key.as_str() {
                    "keep_lowest" if is_combined && !both => match before["by"].as_str() {
                        Some("loss") => "--keep-loss",
                        _ => "--keep-entropy",
                    },
                    "keep" | "keep_lowest" | "keep_highest" => "--keep",
                    "drop_lowest" => "--drop-easiest",
                    "drop_highest" => "--drop-hardest",
                    "at_least" => "--above",
                    "at_most" => "--below",
                    "columns" | "among" | "highest" => "--by",
                    "combine" => "--combine",
                    "by" => "--score",
                    "seed" => "--seed",
                    "keep_by" => "--keep-by",
                    "weights" | "exponent" => "--weights",
                    "temperature" => "--temperature",
                    "least" => "--min-weight",
                    "most" => "--max-weight",
                    other => other,
                };
                self.add(option.to_owned(), a, b, true);
            }
        }
    }
}

/// A value, short enough for a line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        // A model.
        Value::Object(fields) if fields.contains_key("name") => shown(&fields["name"]),
        other => other.to_string(),
    };
    match text.char_indices().nth(VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(command: &str, before: &Value, now: &Value, expected: &[&str]) -> bool {
        let found = differences(command, before, now);
        let told: Vec<String> = found.iter().map(Difference::to_string).collect();
        assert_eq!(told, expected);
        found.iter().all(|difference| difference.selects)
    }

    fn rule(parts: Value) -> Value {
        json!({"metadata": {"selections": parts, "scope": "batch", "scope_tokens": 100}})
    }

    fn intersection(loss: f64, entropy: f64) -> Value {
        rule(json!([
            {"column": "mask_loss", "by": "loss", "keep_lowest": loss},
            {"column": "mask_entropy", "by": "entropy", "keep_lowest": entropy},
            {"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]},
        ]))
    }

    #[test]
    fn a_selection_is_told_by_its_options() {
        let before = intersection(0.7, 0.7);
        for (now, expected) in [
            (intersection(0.5, 0.5), "--keep: 0.7 before, 0.5 now"),
            (intersection(0.5, 0.7), "--keep-loss: 0.7 before, 0.5 now"),
            (
                intersection(0.7, 0.6),
                "--keep-entropy: 0.7 before, 0.6 now",
            ),
            (
                rule(json!([{"column": "mask_loss", "by": "loss", "keep_lowest": 0.2}])),
                "--by: intersection before, loss now",
            ),
        ] {
            assert!(check("score", &before, &now, &[expected]));
        }
        let mut scope = before.clone();
        scope["metadata"]["scope"] = json!("document");
        scope["metadata"]["scope_tokens"] = json!(null);
        let expected = [
            "--scope: batch before, document now",
            "--batch: 100 before, none now",
        ];
        assert!(check("score", &before, &scope, &expected));
    }

    #[test]
    fn other_settings_are_told_by_their_options() {
        let before = json!({
            "metadata": {
                "reference": {"fingerprint": "a", "path": "x", "ignored_settings": []},
                "program": {"version": "1", "commit": "a"},
                "bos": {"rule": "auto", "tokens": [1]}, "context": 5, "provider": "cpu",
            },
            "text_field": "text", "score_dtype": "float32", "look_ahead_tokens": 5, "library_version": "1",
        });
        assert!(check("score", &before, &before, &[]));
        let now = json!({
            "metadata": {
                "reference": {"fingerprint": "b", "path": "y", "ignored_settings": ["k"]},
                "program": {"version": "2", "commit": "b"},
                "bos": {"rule": "never", "tokens": []}, "context": 6, "provider": "cuda",
            },
            "text_field": "body", "score_dtype": "float16", "look_ahead_tokens": 6, "library_version": "2",
        });
        let expected = [
            "ONNX Runtime: 1 before, 2 now",
            "look_ahead_tokens: 5 before, 6 now",
            "--bos: auto before, never now",
            "--bos (tokens): [1] before, [] now",
            "--context: 5 before, 6 now",
            "the version of rho-mask: 1 before, 2 now",
            "--device: cpu before, cuda now",
            "--model (fingerprint): a before, b now",
            "--ignore-setting: [] before, [\"k\"] now",
            "--score-dtype: float32 before, float16 now",
            "--text-field: text before, body now",
        ];
        assert!(!check("score", &before, &now, &expected));
        let (before, now) = (json!({}), json!({"format": "parquet"}));
        let expected = ["--format: arrow-stream before, parquet now"];
        check("merge", &before, &now, &expected);
        let (before, now) = (
            json!({"seed": 1, "unknown": 1}),
            json!({"seed": 2, "unknown": 2}),
        );
        let expected = ["--seed: 1 before, 2 now", "unknown: 1 before, 2 now"];
        check("select", &before, &now, &expected);
    }
}
