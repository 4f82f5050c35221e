//! Runs pre-tokenizers one after the other: each splits the parts that the previous one left.

use tokenizers::{
    PreTokenizerWrapper, SplitDelimiterBehavior,
    pre_tokenizers::split::{Split, SplitPattern},
};

use super::{
    classes::Classes,
    patterns::{CL100K, GPT2, QWEN2, Scan},
};

/// The pre-tokenizers of a byte-level tokenizer, without the mapping of bytes to characters.
pub(super) struct Steps {
    steps: Vec<Step>,
    classes: Classes,
}

enum Step {
    /// The pattern of GPT-2.
    Gpt2,
    /// The pattern of cl100k, with at most this many digits in a word.
    Cl100k(usize),
    /// Splits off numeric characters, one by one or in runs.
    Digits { each: bool },
    /// Any other pattern, matched by the crate's regex library.
    Pattern(Box<Split>),
}

/// Receives the start and the end of a part of a text.
type Give<'a> = &'a mut dyn FnMut(usize, usize);

impl Steps {
    /// None if there is another pre-tokenizer among them, or if the last one does not map bytes.
    pub(super) fn of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Self> {
        let all = match pre_tokenizer {
            PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref(),
            one => std::slice::from_ref(one),
        };
        let (PreTokenizerWrapper::ByteLevel(bytes), before) = all.split_last()? else {
            return None;
        };
        if bytes.add_prefix_space {
            return None;
        }
        let mut steps: Vec<Step> = before.iter().map(step).collect::<Option<_>>()?;
        if bytes.use_regex {
            steps.push(Step::Gpt2);
        }
        let classes = Classes::new()?;
        Some(Self { steps, classes })
    }

    /// Passes the words of a text to `give`, from left to right.
    pub(super) fn split(&self, text: &str, give: Give<'_>) {
        self.rest(&self.steps, text, (0, text.len()), give);
    }

    fn rest(&self, steps: &[Step], text: &str, (start, end): (usize, usize), give: Give<'_>) {
        let Some((step, rest)) = steps.split_first() else {
            if start < end {
                give(start, end);
            }
            return;
        };
        if rest.is_empty() {
            self.one(step, text, (start, end), give);
        } else {
            let mut next = |start, end| self.rest(rest, text, (start, end), give);
            self.one(step, text, (start, end), &mut next);
        }
    }

    fn one(&self, step: &Step, text: &str, (start, end): (usize, usize), give: Give<'_>) {
        let scan = Scan {
            classes: &self.classes,
            bytes: text.as_bytes(),
            end,
        };
        let mut at = start;
        match step {
            Step::Gpt2 => {
                while at < end {
                    let after = scan.gpt2(at);
                    give(at, after);
                    at = after;
                }
            }
            Step::Cl100k(digits) => {
                while at < end {
                    let after = scan.cl100k(at, *digits);
                    give(at, after);
                    at = after;
                }
            }
            Step::Digits { each } => self.digits(*each, text.as_bytes(), (start, end), give),
            Step::Pattern(split) => {
                for (from, to) in split.regex.find_iter(&text[start..end]) {
                    if at < start + from {
                        give(at, start + from);
                    }
                    if from < to {
                        give(start + from, start + to);
                    }
                    at = start + to;
                }
                if at < end {
                    give(at, end);
                }
            }
        }
    }

    fn digits(&self, each: bool, bytes: &[u8], (start, end): (usize, usize), give: Give<'_>) {
        let (mut done, mut at) = (start, start);
        let mut before = false;
        while at < end {
            let (numeric, length) = self.classes.numeric(bytes, at);
            if at > done && (numeric != before || (numeric && each)) {
                give(done, at);
                done = at;
            }
            before = numeric;
            at += length;
        }
        if done < end {
            give(done, end);
        }
    }
}

fn step(pre_tokenizer: &PreTokenizerWrapper) -> Option<Step> {
    match pre_tokenizer {
        PreTokenizerWrapper::Digits(digits) => Some(Step::Digits {
            each: digits.individual_digits,
        }),
        // `Isolated` keeps matches and gaps alike, so it does not matter which parts matched.
        PreTokenizerWrapper::Split(split) if split.behavior == SplitDelimiterBehavior::Isolated => {
            Some(match &split.pattern {
                SplitPattern::Regex(pattern) if pattern == GPT2 => Step::Gpt2,
                SplitPattern::Regex(pattern) if pattern == CL100K => Step::Cl100k(3),
                SplitPattern::Regex(pattern) if pattern == QWEN2 => Step::Cl100k(1),
                _ => Step::Pattern(Box::new(split.clone())),
            })
        }
        _ => None,
    }
}
