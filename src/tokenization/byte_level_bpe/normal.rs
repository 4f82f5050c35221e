//! The supported normalizers: none, or NFC.

use std::borrow::Cow;

use tokenizers::NormalizerWrapper;
use unicode_normalization_alignments::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// The normalizer of a tokenizer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Normal {
    /// None.
    Same,
    /// NFC: characters and their accents are composed.
    Nfc,
}

impl Normal {
    /// None for any other normalizer.
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

    /// The normalised text. The Unicode tables are those of the tokenizers crate.
    pub(super) fn apply(self, text: &str) -> Cow<'_, str> {
        // NFC leaves all characters below U+0300 unchanged; the first byte of U+0300 is 0xcc.
        let untouched = || {
            text.bytes().all(|byte| byte < 0xcc) || is_nfc_quick(text.chars()) == IsNormalized::Yes
        };
        if self == Self::Same || untouched() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.nfc().map(|(character, _)| character).collect())
    }
}
