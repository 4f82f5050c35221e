//! A fast tokenizer for byte-level BPE that works word by word: the same ids as the tokenizers crate, many times as
//! fast.
//!
//! ```text
//! text ─ added ─► parts ─ normal ─► parts ─ steps ─► words ─ cache ─► ids
//!                                                      └─ the crate's own model, once per word
//! ```
//!
//! * `added`: special and other added tokens, matched first.
//! * `normal`: NFC, if the tokenizer has it.
//! * `steps`: the supported pre-tokenizers; `patterns`: hand-written matchers of well-known patterns; `classes`: their
//!   letters, numbers and white space.
//! * `cache`: the ids of earlier words.
//!
//! Only the steps around the model are reimplemented: the merges are the crate's. A word's ids depend only on the word,
//! so they can be cached, and long texts need no windows. The crate handles tokenizers of any other kind.

mod added;
mod cache;
mod classes;
mod normal;
mod patterns;
mod steps;
#[cfg(test)]
mod tests;

pub(crate) use cache::BYTES as CACHE_BYTES;

use std::sync::{Mutex, PoisonError};

use tokenizers::{Model as _, ModelWrapper, Tokenizer, models::bpe::BPE};

use super::{TokenizerError, long_texts};
use added::{Added, Part};
use cache::Cache;
use normal::Normal;
use steps::Steps;

/// A text on which both tokenizers must agree before this one is used.
const PROBE: &str =
    "It's 1234 o'clock,  DON'T\twait:\r\n\n  naïve 東京 x\u{301} 🙂 ١٢٣ ½ \u{a0}\u{3000}end.  ";

/// The steps of a tokenizer around its model.
pub(super) struct Words {
    added: Added,
    normal: Normal,
    steps: Steps,
    /// The character that stands for each byte in the vocabulary.
    characters: [char; 256],
    /// Idle caches; one cache exists for each text that was tokenised at the same time.
    caches: Mutex<Vec<Cache>>,
}

impl Words {
    /// None if the tokenizer is of another kind.
    pub(super) fn of(tokenizer: &Tokenizer) -> Option<Self> {
        model(tokenizer).filter(|model| model.dropout.is_none_or(|share| share == 0.0))?;
        let normal = Normal::of(tokenizer.get_normalizer())?;
        let words = Self {
            added: Added::of(tokenizer, normal)?,
            normal,
            steps: Steps::of(tokenizer.get_pre_tokenizer()?)?,
            characters: characters(),
            caches: Mutex::default(),
        };
        let theirs = tokenizer.encode_fast(PROBE, false).ok()?;
        let mut ours = Vec::new();
        words.encode(tokenizer, PROBE, &mut ours).ok()?;
        (ours == theirs.get_ids()).then_some(words)
    }

    /// Appends the token ids of a text, without special tokens around it, to `ids`.
    pub(super) fn encode(
        &self,
        tokenizer: &Tokenizer,
        text: &str,
        ids: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let caches = || self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = caches().pop();
        let mut cache = cache.unwrap_or_default();
        let mut failed = None;
        self.added.raw(text, &mut |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) => {
                let text = self.normal.apply(text);
                self.added.normalized(&text, &mut |part| match part {
                    Part::Token(id) => ids.push(id),
                    Part::Text(text) => self.steps.split(text, &mut |start, end| {
                        if failed.is_none() && !cache.find(text, start, end, ids) {
                            let word = self.miss(tokenizer, &text[start..end], &mut cache, ids);
                            failed = word.err();
                        }
                    }),
                });
            }
        });
        caches().push(cache);
        failed.map_or(Ok(()), Err)
    }

    /// The ids of a word that is not in the cache, from the model.
    fn miss(
        &self,
        tokenizer: &Tokenizer,
        word: &str,
        cache: &mut Cache,
        ids: &mut Vec<u32>,
    ) -> Result<(), TokenizerError> {
        let _alone = long_texts::alone(word.len())?;
        let mapped: String = word.bytes().map(|b| self.characters[b as usize]).collect();
        let tokens = tokenizer.get_model().tokenize(&mapped);
        let before = ids.len();
        ids.extend(tokens.map_err(TokenizerError)?.iter().map(|token| token.id));
        cache.keep(word, &ids[before..]);
        Ok(())
    }
}

fn model(tokenizer: &Tokenizer) -> Option<&BPE> {
    match tokenizer.get_model() {
        ModelWrapper::BPE(model) => Some(model),
        _ => None,
    }
}

/// GPT-2's alphabet: printable Latin-1 bytes map to themselves, the others, in order, to the characters after Latin-1.
pub(super) fn characters() -> [char; 256] {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        byte @ (b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) => char::from(byte),
        _ => others.next().unwrap_or_default(),
    })
}
