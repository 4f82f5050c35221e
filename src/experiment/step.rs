//! A step of an experiment: a command of this program, or a small task between two commands. Its folder is named after
//! a fingerprint of its inputs.
//!
//! The fingerprint covers a step's options and inputs. An input that another step makes is identified by that step's
//! fingerprint. So all fingerprints are known before anything runs, and exactly those steps are done again that changed
//! or depend on a changed step.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{file::Part, fingerprint};

/// Raised when steps are done differently: earlier fingerprints then no longer match.
const VERSION: u64 = 1;

/// An input of a step.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) fingerprint: String,
}

/// An argument of a command.
#[derive(Debug, Clone)]
pub(super) enum Word {
    /// Plain text.
    Text(String),
    /// A path, identified by its contents.
    Input(Input),
    /// An argument that does not change the result, such as the number of threads.
    PassThrough(String),
}

/// What a step does.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A command of this program, without the option for its output folder.
    Command(Vec<Word>),
    /// Documents of several files written to one file of JSON lines.
    Data(Data),
    /// A finished model's answers to questions.
    Ask { model: Input, words: Vec<Word> },
}

/// The documents to write.
#[derive(Debug, Clone)]
pub(super) struct Data {
    /// The name of the file, without its extension.
    pub(super) name: String,
    pub(super) files: Vec<Input>,
    pub(super) part: Option<Part>,
    /// The share of the bytes to take from these other files, at random and as often as needed.
    pub(super) mixed: Option<(f64, Vec<Input>)>,
}

/// A step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The human-readable name.
    pub(super) name: String,
    pub(super) fingerprint: String,
    /// The folder it writes to.
    pub(super) folder: PathBuf,
    pub(super) work: Work,
    /// Whether its checkpoints are removed when it is done.
    pub(super) sheds_checkpoints: bool,
}

impl Step {
    /// The command line of a step; a description for the small tasks.
    pub(super) fn words(&self) -> Vec<String> {
        let inputs = |inputs: &[Input]| -> Vec<String> {
            let paths = inputs.iter().map(|input| input.path.display().to_string());
            paths.collect()
        };
        match &self.work {
            Work::Command(words) => typed(words, Some(&self.folder)),
            Work::Data(data) => {
                let mut words = vec!["documents of".to_owned()];
                words.extend(inputs(&data.files));
                words.extend(data.part.map(|part| format!("part {part}")));
                if let Some((share, files)) = &data.mixed {
                    words.push(format!("with {share} of the bytes from"));
                    words.extend(inputs(files));
                }
                words
            }
            Work::Ask { model, words } => {
                let mut typed = typed(words, None);
                typed.extend(["--model".to_owned(), model.path.display().to_string()]);
                typed
            }
        }
    }

    /// A step with its folder in `steps`.
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

    /// Its output folder, as an input of another step.
    pub(super) fn output(&self) -> Input {
        self.file("")
    }

    /// A file in its folder, as an input of another step.
    pub(super) fn file(&self, name: &str) -> Input {
        Input {
            path: match name {
                "" => self.folder.clone(),
                name => self.folder.join(name),
            },
            fingerprint: format!("{}/{name}", self.fingerprint),
        }
    }

    /// The name of its folder.
    pub(super) fn folder_name(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

fn typed(words: &[Word], out: Option<&Path>) -> Vec<String> {
    let words = words.iter().map(|word| match word {
        Word::Text(text) | Word::PassThrough(text) => text.clone(),
        Word::Input(input) => input.path.display().to_string(),
    });
    let mut words: Vec<String> = words.collect();
    if let Some(out) = out {
        words.extend(["--out".to_owned(), out.display().to_string()]);
    }
    words
}

impl Data {
    /// The name of the file in the step's folder.
    pub(super) fn file(&self) -> String {
        format!("{}.jsonl", self.name)
    }
}

impl Work {
    /// Everything the result depends on.
    fn made_of(&self) -> Value {
        let input = |input: &Input| json!({"input": input.fingerprint});
        let inputs = |inputs: &[Input]| inputs.iter().map(input).collect::<Vec<_>>();
        let words = |words: &[Word]| -> Vec<Value> {
            let words = words.iter().filter_map(|word| match word {
                Word::Text(text) => Some(json!(text)),
                Word::Input(one) => Some(input(one)),
                Word::PassThrough(_) => None,
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

/// Builds the arguments of a command.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Vec<Word>);

impl Words {
    /// One argument, or several separated by spaces.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.0
            .extend(text.split(' ').map(|word| Word::Text(word.to_owned())));
        self
    }

    /// An option with its value; nothing for None.
    pub(super) fn option(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(Word::Text(format!("--{name}")));
            self.0.push(Word::Text(value.to_string()));
        }
        self
    }

    /// An option whose value does not change the result.
    pub(super) fn aside(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.push(Word::PassThrough(format!("--{name}")));
            self.0.push(Word::PassThrough(value.to_string()));
        }
        self
    }

    /// Inputs after an option; nothing for no inputs.
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
        assert_eq!(first, step(0.1, 2, "a"), "paths and threads change nothing");
        assert_ne!(first, step(0.2, 1, "a"));
        assert_ne!(first, step(0.1, 1, "b"));
        assert_eq!(first.len(), 12);
    }
}
