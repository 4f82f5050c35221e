//! Normalising, as far as it is done here: not at all, or to NFC.

use std::borrow::Cow;

use tokenizers::NormalizerWrapper;
use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// What the tokenizer does to a text before it is split.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Normal {
    /// Nothing.
    Same,
    /// Characters and their accents put together where Unicode has them as one.
    Nfc,
}

impl Normal {
    /// None for any other.
    pub(super) fn of(normalizer: Option<&NormalizerWrapper>) -> Option<Self> {
        match normalizer {
            None => Some(Self::Same),
            Some(NormalizerWrapper::NFC(_)) => Some(Self::Nfc),
            Some(NormalizerWrapper::Sequence(sequence)) => {
                let mut all = Self::Same;
                for one in sequence.as_ref() {
                    if Self::of(Some(one))? == Self::Nfc {
                        all = Self::Nfc;
                    }
                }
                Some(all)
            }
            Some(_) => None,
        }
    }

    /// The text as the tokenizer splits it. The tables are those that the tokenizers crate uses.
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        // All characters below U+0300, whose first byte is 0xcc, are what they are made of.
        let untouched = || {
            text.bytes().all(|byte| byte < 0xcc) || is_nfc_quick(text.chars()) == IsNormalized::Yes
        };
        if self == Self::Same || untouched() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.nfc().map(|(character, _)| character).collect())
    }
}
