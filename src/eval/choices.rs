//! Multiple choice by likelihood. Each choice of a question makes a document: the question with this choice. The loss
//! of the choice's tokens is compared.
//!
//! The tokens of a choice are those that extend beyond the context before it. Most tokenizers put the space before a
//! word into its first token, so it counts; with the others it does not. Accuracy takes the choice of highest
//! likelihood. Length-normalised accuracy takes the highest likelihood per UTF-8 byte of the choice; for ASCII this is
//! `acc_norm` of lm-evaluation-harness, which divides by characters. Ties go to the first choice, as there.

use std::{
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::text::Sum;
use crate::{hinted_error::HintedError, pipeline::TokenDocument, tokenization::Tokenization};

/// A question as a line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    question: String,
    choices: Vec<String>,
    answer: Value,
}

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The text before every choice.
    context: String,
    choices: Vec<String>,
    right: usize,
}

/// A document of a question: its choice and the range of the choice's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChoiceSpan {
    pub(crate) question: usize,
    choice: usize,
    first: usize,
    end: usize,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Answered {
    /// Whether the likeliest choice is the right one.
    pub(crate) right: bool,
    /// Whether the likeliest per byte is.
    pub(crate) right_by_bytes: bool,
    /// The loss of the right choice's tokens.
    pub(crate) answer: Sum,
}

/// Reads a file of JSON lines.
pub(crate) fn read(path: &Path, marker: Option<&str>) -> anyhow::Result<Vec<Question>> {
    let shown = path.display();
    let file = rho_files::open_named(path).with_context(|| format!("{shown}: cannot be read"))?;
    let mut questions = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line.with_context(|| {
            format!("{shown} line {number}: expected JSON lines in UTF-8, not compressed")
        })?;
        if line.trim().is_empty() {
            continue;
        }
        let question = question(&line, marker);
        questions.push(question.map_err(|problem| {
            HintedError::error(
                format!("{shown} line {number}: {problem}"),
                r#"write lines such as {"question": "...", "choices": ["...", "..."], "answer": 0, "B" or the text of a choice}"#,
            )
        })?);
    }
    match questions.is_empty() {
        true => Err(HintedError::error(
            format!("{shown}: expected questions, got none"),
            "name a file of JSON lines with question, choices and answer",
        )),
        false => Ok(questions),
    }
}

fn question(line: &str, marker: Option<&str>) -> Result<Question, String> {
    let line: Line =
        serde_json::from_str(line).map_err(|error| format!("expected a question, got {error}"))?;
    let right = right(&line.answer, &line.choices)?;
    if let Some(i) = line.choices.iter().position(String::is_empty) {
        return Err(format!("expected a text, got choice {i} empty"));
    }
    let mut context = line.question;
    match marker {
        // The question may already end with the marker.
        Some(marker) if context.ends_with(marker) => {}
        Some(marker) => context = format!("{context}\n{marker}"),
        None if context.ends_with(char::is_whitespace) => {}
        None => context.push(' '),
    }
    Ok(Question {
        context,
        choices: line.choices,
        right,
    })
}

/// The index of the right choice, given as its text, its letter (A is the first) or its index (from 0), tried in this
/// order.
fn right(answer: &Value, choices: &[String]) -> Result<usize, String> {
    let by_text = |text: &str| choices.iter().position(|choice| choice == text);
    let found = match answer {
        Value::String(text) => by_text(text).or_else(|| {
            let text = text.trim();
            match text.as_bytes() {
                [letter] if letter.is_ascii_alphabetic() => {
                    Some(usize::from(letter.to_ascii_uppercase() - b'A'))
                }
                _ => text.parse().ok(),
            }
        }),
        Value::Number(number) => number.as_u64().and_then(|i| usize::try_from(i).ok()),
        _ => None,
    };
    match found.filter(|&i| i < choices.len()) {
        Some(right) => Ok(right),
        None => Err(format!(
            "expected an answer that is an index, a letter or the text of one of {} choices, got {answer}",
            choices.len()
        )),
    }
}

/// A document for each choice of each question.
pub(crate) fn documents(
    questions: &[Question],
    tokenization: &Tokenization,
) -> anyhow::Result<Vec<(ChoiceSpan, TokenDocument)>> {
    let mut documents = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        for (choice, text) in question.choices.iter().enumerate() {
            let whole = format!("{}{text}", question.context);
            let tokens = tokenization.encode(&whole).context("cannot tokenize")?;
            let first = tokenization.first_beyond(&whole, question.context.len(), &tokens)?;
            let asked = ChoiceSpan {
                question: number,
                choice,
                first: first.unwrap_or(tokens.len()),
                end: tokens.len() - tokenization.suffix.len(),
            };
            let document = TokenDocument {
                member: 0,
                id: String::new(),
                row: documents.len() as i64,
                tokens,
                text: None,
                target: None,
                after_text: None,
                source: None,
            };
            documents.push((asked, document));
        }
    }
    Ok(documents)
}

/// The answers, from the losses of each document. None for a question if one of its choices could not be scored.
pub(crate) fn answers(
    questions: &[Question],
    asked: &[(ChoiceSpan, Option<Vec<f32>>)],
) -> Vec<Option<Answered>> {
    let mut sums: Vec<Vec<Option<Sum>>> = questions
        .iter()
        .map(|question| vec![None; question.choices.len()])
        .collect();
    for (asked, loss) in asked {
        let loss = loss.as_ref().and_then(|l| l.get(asked.first..asked.end));
        let sum = loss.map(|loss| Sum::of(loss.iter().copied()));
        sums[asked.question][asked.choice] = sum.filter(|sum| sum.tokens > 0);
    }
    let answers = questions.iter().zip(sums).map(|(question, sums)| {
        let sums: Vec<Sum> = sums.into_iter().collect::<Option<_>>()?;
        let least = |costs: &mut dyn Iterator<Item = f64>| {
            let costs = costs.enumerate();
            costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
        };
        let bytes = question.choices.iter().map(|choice| choice.len() as f64);
        let mut costs = sums.iter().map(|sum| sum.nats);
        let mut per_byte = sums.iter().zip(bytes).map(|(sum, bytes)| sum.nats / bytes);
        Some(Answered {
            right: least(&mut costs) == Some(question.right),
            right_by_bytes: least(&mut per_byte) == Some(question.right),
            answer: sums[question.right],
        })
    });
    answers.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_named_in_three_ways() {
        let choices = ["12", "B", "7"].map(String::from);
        for (answer, expected) in [
            (json!(2), Some(2)),
            (json!("c"), Some(2)),
            // A text takes precedence over a letter.
            (json!("B"), Some(1)),
            (json!("7"), Some(2)),
            (json!("1"), Some(1)),
            (json!(3), None),
            (json!("D"), None),
            (json!(null), None),
        ] {
            assert_eq!(right(&answer, &choices).ok(), expected, "{answer}");
        }
    }

    #[test]
    fn a_marker_stands_between() {
        let line = |question: &str| {
            json!({"question": question, "choices": ["a", "b"], "answer": 0}).to_string()
        };
        for (written, marker, expected) in [
            ("2 + 2?", None, "2 + 2? "),
            ("2 + 2?\n", None, "2 + 2?\n"),
            ("2 + 2?", Some("Answer: "), "2 + 2?\nAnswer: "),
            ("2 + 2? Answer: ", Some("Answer: "), "2 + 2? Answer: "),
        ] {
            let question = question(&line(written), marker).unwrap();
            assert_eq!(question.context, expected);
        }
    }

    #[test]
    fn the_likeliest_and_the_likeliest_per_byte() {
        let questions = [Question {
            context: "?".into(),
            choices: vec!["aaaaaaaa".into(), "b".into(), "c".into()],
            right: 0,
        }];
        let asked = |choice, loss: &[f32]| {
            let asked = ChoiceSpan {
                question: 0,
                choice,
                first: 1,
                end: loss.len(),
            };
            (asked, Some(loss.to_vec()))
        };
        let mut all = vec![
            asked(0, &[f32::NAN, 2.0, 2.0]),
            asked(1, &[f32::NAN, 3.0]),
            asked(2, &[f32::NAN, 3.0]),
        ];
        let expected = Answered {
            right: false,
            right_by_bytes: true,
            answer: Sum {
                nats: 4.0,
                tokens: 2,
            },
        };
        assert_eq!(answers(&questions, &all), [Some(expected)]);
        all[1].1 = None;
        assert_eq!(answers(&questions, &all), [None]);
    }
}
