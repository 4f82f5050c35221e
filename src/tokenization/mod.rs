//! Tokenises text, with the special tokens of the plan, and turns tokens back into text for display.
//!
//! * `files`: reads tokenizer.json and the files beside it.
//! * `byte_level_bpe`: the fast tokenizer. `long_texts`: bounds the memory of the tokenizers crate.
//! * `limits`: its panics, and patterns that backtrack without end. `growth`: texts that multiply in the normalizer.
//! * `position`: the first token after a marker. `ranges`: the bytes of the text that each token holds.
//! * `token_bytes`: the bytes of tokens. `token_texts`: their text for display.
//! * `masks_copy`: the tokenizer.json in a masks folder.

mod byte_level_bpe;
mod files;
mod growth;
mod limits;
mod long_texts;
pub(crate) mod masks_copy;
mod position;
mod ranges;
pub(crate) mod token_bytes;
pub(crate) mod token_texts;

pub(crate) use byte_level_bpe::CACHE_BYTES;
pub use files::{FilesError, TokenizerFiles};
pub(crate) use long_texts::{BYTES_PER_BYTE, LARGEST_WINDOW, WINDOW};

use std::{borrow::Cow, sync::OnceLock};

use anyhow::Context as _;
use rho_checkpoint::Outline;
use tokenizers::Tokenizer;

use crate::{cli::SpecialToken, hinted_error::HintedError};
use byte_level_bpe::Words;
use growth::Growth;
use limits::{limited, limited_crate};
use token_bytes::TokenBytes;

/// A tokenizer and the special tokens that it puts around each text.
pub struct Tokenization {
    tokenizer: Tokenizer,
    /// The fast tokenizer, if it supports this kind of tokenizer.
    words: Option<Words>,
    growth: Growth,
    /// Tokens before each text (most often one or none).
    pub(crate) prefix: Vec<u32>,
    /// Tokens after each text.
    pub(crate) suffix: Vec<u32>,
    /// The tokenizer without its post-processor, for offsets.
    plain: OnceLock<Tokenizer>,
}

/// An error of the tokenizers crate, which returns boxed errors.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TokenizerError(#[source] pub(crate) Box<dyn std::error::Error + Send + Sync>);

impl Tokenization {
    /// Loads the tokenizer of these files and resolves the special tokens.
    pub(crate) fn load(
        files: &TokenizerFiles,
        bos: SpecialToken,
        eos: SpecialToken,
        config: &Outline,
    ) -> anyhow::Result<Self> {
        let shown = files.path().display();
        let mut tokenizer = files.tokenizer()?;
        // A tokenizer saved after training or inference may truncate and pad; documents are scored whole.
        let cuts = tokenizer.with_truncation(None).map_err(TokenizerError);
        cuts.with_context(|| format!("{shown}: cannot turn off truncation"))?;
        tokenizer.with_padding(None);
        let (before, after) =
            template(&tokenizer).with_context(|| format!("{shown}: cannot tokenize a text"))?;
        let settle = |when, template: Vec<u32>, name: &str, id: Option<u32>| match (when, id) {
            (SpecialToken::Never, _) => Ok(vec![]),
            (SpecialToken::Always, None) if template.is_empty() => Err(HintedError::error(
                format!("--{name} always: expected a token in {shown} or config.json, got none"),
                format!("add {name}_token_id to the model's config.json"),
            )),
            (SpecialToken::Always, Some(id)) if template.is_empty() => Ok(vec![id]),
            _ => Ok(template),
        };
        let prefix = settle(bos, before, "bos", config.bos)?;
        let suffix = settle(eos, after, "eos", config.eos)?;
        Ok(Self {
            prefix,
            suffix,
            ..Self::of(tokenizer)
        })
    }

    /// Wraps a tokenizer that neither truncates nor pads, without special tokens around the texts.
    pub fn of(tokenizer: Tokenizer) -> Self {
        // A panic is reported with the documents: this may not be one of them.
        let words = limited(0, || Ok(Words::of(&tokenizer)));
        Self {
            words: words.ok().flatten(),
            growth: Growth::of(&tokenizer),
            tokenizer,
            prefix: vec![],
            suffix: vec![],
            plain: OnceLock::new(),
        }
    }

    /// Whether the fast tokenizer is used, not the tokenizers crate.
    pub fn by_words(&self) -> bool {
        self.words.is_some()
    }

    /// Refuses special tokens around each text that are not in the model's vocabulary, since every document has them.
    pub(crate) fn must_frame(&self, vocabulary: usize) -> anyhow::Result<()> {
        for (name, tokens) in [("bos", &self.prefix), ("eos", &self.suffix)] {
            if let Err(beyond) = below(Some(self), tokens, vocabulary) {
                return Err(HintedError::error(
                    format!("the tokens around each text: {beyond}"),
                    format!(
                        "omit them with --{name} never, or name the model's own tokenizer with --tokenizer"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Token ids of a text, special tokens included.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.prefix.clone();
        self.encode_into(text, &mut ids)?;
        ids.extend_from_slice(&self.suffix);
        ids.shrink_to_fit();
        Ok(ids)
    }

    /// Token ids of a text, without special tokens around it.
    pub(crate) fn encode_alone(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut ids)?;
        ids.shrink_to_fit();
        Ok(ids)
    }

    fn encode_into(&self, text: &str, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        limited(text.len(), || match &self.words {
            Some(words) => words.encode(&self.tokenizer, text, ids),
            None => long_texts::encode(&self.tokenizer, &self.growth, text, ids),
        })
    }

    /// The ids of all tokens, ascending.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.tokenizer.get_vocab(true).into_values().collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The bytes of tokens, for display.
    pub(crate) fn pieces(&self) -> TokenBytes<'_> {
        TokenBytes::of(Cow::Borrowed(&self.tokenizer))
    }

    /// The byte offset in a text at which each of its tokens ends. The tokens are those of [`encode`](Self::encode)
    /// without the special tokens around them.
    pub(crate) fn ends(&self, text: &str) -> Result<Vec<usize>, TokenizerError> {
        let offsets = self.offsets(text)?;
        Ok(offsets.into_iter().map(|(_, end)| end).collect())
    }

    /// The byte offsets in a text at which each of its tokens starts and ends, as [`ends`](Self::ends).
    pub(crate) fn offsets(&self, text: &str) -> Result<Vec<(usize, usize)>, TokenizerError> {
        let encoding = limited(text.len(), || {
            self.growth.check(text)?;
            self.tokenizer.encode(text, false).map_err(TokenizerError)
        })?;
        Ok(encoding.get_offsets().to_vec())
    }
}

/// Checks token ids against the size of a model's vocabulary. A tokenizer may have more tokens, such as an added one
/// for padding that no text contains; only a document that contains such a token cannot be scored.
///
/// # Errors
/// A message with the first token beyond the vocabulary.
pub(crate) fn below(
    tokenization: Option<&Tokenization>,
    tokens: &[u32],
    vocabulary: usize,
) -> Result<(), String> {
    let mut numbered = tokens.iter().enumerate();
    let Some((i, &id)) = numbered.find(|&(_, &id)| id as usize >= vocabulary) else {
        return Ok(());
    };
    let text = tokenization.and_then(|of| of.tokenizer.id_to_token(id));
    let text = text.map_or_else(String::new, |text| format!(" ({text:?})"));
    Err(format!(
        "token {i}: expected an id below the vocabulary of {vocabulary}, got {id}{text}"
    ))
}

/// The tokens that the post-processor puts before and after a text.
fn template(tokenizer: &Tokenizer) -> Result<(Vec<u32>, Vec<u32>), TokenizerError> {
    const TEXT: &str = "a";
    let growth = limited(TEXT.len(), || Ok(Growth::of(tokenizer)))?;
    limited(TEXT.len(), || growth.check(TEXT))?;
    let encode = |special| limited_crate(TEXT.len(), || tokenizer.encode_fast(TEXT, special));
    let (encoding, plain) = (encode(true)?, encode(false)?);
    let (all, middle) = (encoding.get_ids(), plain.get_ids());
    let before = encoding
        .get_special_tokens_mask()
        .iter()
        .take_while(|&&special| special == 1)
        .count();
    let after = all.len().saturating_sub(before + middle.len());
    Ok((all[..before].to_vec(), all[all.len() - after..].to_vec()))
}
