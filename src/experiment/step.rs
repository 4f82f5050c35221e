//! A step of an experiment: a command of this program, or a small task between two of them, with a folder of its own that is
//! called after what it is made of.
//!
//! The fingerprint of a step is of its options and of its inputs, and the input that another step makes is known by that
//! step's fingerprint. So all of them are known before anything is run, and a step is done again where something before it
//! has changed, and nowhere else.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{file::Part, fingerprint};

/// Fingerprints of an earlier way to do steps do not count.
const VERSION: u64 = 1;

/// Something that a step reads.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) fingerprint: String,
}

/// A word of a command.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// As it is.
    Text(String),
    /// A path, known by what is there.
    Input(Input),
    /// One that changes nothing in what comes out, such as the number of threads.
    Aside(String),
}

/// What a step does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A command of this program, without the option for its folder.
    Command(Vec<Word>),
    /// Documents of files to one file of JSON lines.
    Data(Data),
    /// A finished model's answers to questions.
    Ask { model: Input, words: Vec<Word> },
}

/// Which documents.
#[derive(Debug, Clone)]
pub(super) struct Data {
    /// What the file is called, without its ending.
    pub(super) name: String,
    pub(super) files: Vec<Input>,
    pub(super) part: Option<Part>,
    /// So large a share of the bytes from these files, by chance and as often as needed.
    pub(super) mixed: Option<(f64, Vec<Input>)>,
}

/// A step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// What people call it.
    pub(super) name: String,
    pub(super) fingerprint: String,
    /// Where it writes.
    pub(super) folder: PathBuf,
    pub(super) work: Work,
    /// Its checkpoints are of no use when it is done.
    pub(super) sheds_checkpoints: bool,
}

impl Step {
    /// A step in the folder of all steps.
    pub(super) fn new(steps: &Path, name: &str, work: Work) -> Self {
        let fingerprint = fingerprint::of(&work.made_of());
        Self {
            name: name.to_owned(),
            folder: steps.join(format!("{name}-{fingerprint}")),
            fingerprint,
            work,
            sheds_checkpoints: false,
        }
    }

    /// What it makes, for another step.
    pub(super) fn output(&self) -> Input {
        self.file("")
    }

    /// A file in its folder, for another step.
    pub(super) fn file(&self, name: &str) -> Input {
        Input {
            path: match name {
                "" => self.folder.clone(),
                name => self.folder.join(name),
            },
            fingerprint: format!("{}/{name}", self.fingerprint),
        }
    }

    /// The last part of its folder.
    pub(super) fn folder_name(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

impl Data {
    /// The file in the step's folder.
    pub(super) fn file(&self) -> String {
        format!("{}.jsonl", self.name)
    }
}

impl Work {
    /// Everything that its result follows from.
    fn made_of(&self) -> Value {
        let input = |input: &Input| json!({"input": input.fingerprint});
        let inputs = |inputs: &[Input]| inputs.iter().map(input).collect::<Vec<_>>();
        let words = |words: &[Word]| -> Vec<Value> {
            let words = words.iter().filter_map(|word| match word {
                Word::Text(text) => Some(json!(text)),
                Word::Input(one) => Some(input(one)),
                Word::Aside(_) => None,
            });
            words.collect()
        };
        let work = match self {
            Self::Command(command) => json!({"command": words(command)}),
            Self::Data(data) => json!({
                "name": data.name,
                "files": inputs(&data.files),
                "part": data.part,
                "mixed": data.mixed.as_ref().map(|(share, files)| json!([share, inputs(files)])),
            }),
            Self::Ask {
                model,
                words: asked,
            } => {
                json!({"ask": input(model), "words": words(asked)})
            }
        };
        json!({"version": VERSION, "work": work})
    }
}

/// A command as it grows.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Vec<Word>);

impl Words {
    /// One word, or several with spaces between them.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0
            .extend(text.split(' ').map(|word| Word::Text(word.to_owned())));
        self
    }

    /// An option with a value; neither where there is none.
    pub(super) fn option(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(Word::Text(format!("--{name}")));
            self.0.push(Word::Text(value.to_string()));
        }
        self
    }

    /// An option whose value changes nothing in what comes out.
    pub(super) fn aside(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(Word::Aside(format!("--{name}")));
            self.0.push(Word::Aside(value.to_string()));
        }
        self
    }

    /// Inputs after an option; neither where there are none.
    pub(super) fn inputs(mut self, name: &str, inputs: &[Input]) -> Self {
        if !inputs.is_empty() && !name.is_empty() {
            self.0.push(Word::Text(format!("--{name}")));
        }
        self.0.extend(inputs.iter().cloned().map(Word::Input));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(rate: f64, threads: u64, input: &str) -> String {
        let input = Input {
            path: format!("somewhere/{threads}").into(),
            fingerprint: input.to_owned(),
        };
        let words = Words::default()
            .text("train --objective clm")
            .option("learning-rate", Some(rate))
            .aside("threads", Some(threads))
            .inputs("corpus", &[input]);
        Step::new(Path::new("steps"), "clm", Work::Command(words.0)).fingerprint
    }

    #[test]
    fn what_changes_the_result_changes_the_fingerprint() {
        let first = step(0.1, 1, "a");
        assert_eq!(
            first,
            step(0.1, 2, "a"),
            "places and threads change nothing"
        );
        assert_ne!(first, step(0.2, 1, "a"));
        assert_ne!(first, step(0.1, 1, "b"));
        assert_eq!(first.len(), 12);
    }
}
