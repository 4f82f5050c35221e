//! Our tokens as a server may write them. Servers write a token as its text, as it stands in the vocabulary, or as
//! `token_id:7`; of a part of a character they write a replacement character, or nothing.

use std::{borrow::Cow, collections::BTreeMap};

use crate::tokenization::Tokenization;

/// The tokens of a tokenizer.
pub(super) struct TokenTable {
    /// By id.
    entries: BTreeMap<u32, Entry>,
}

struct Entry {
    /// Its bytes in a text.
    bytes: Vec<u8>,
    /// As it stands in the vocabulary.
    stored: String,
    special: bool,
}

impl TokenTable {
    /// All tokens of a tokenizer.
    pub(super) fn of(tokenization: &Tokenization) -> Self {
        let pieces = tokenization.pieces();
        let entry = |id: u32| {
            Some(Entry {
                bytes: pieces.bytes(id)?,
                stored: pieces.stored(id)?,
                special: pieces.is_special(id),
            })
        };
        let ids = tokenization.ids().into_iter();
        Self {
            entries: ids.filter_map(|id| Some((id, entry(id)?))).collect(),
        }
    }

    /// Without any token: all texts agree.
    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// The ids of tokens that stand for text.
    pub(super) fn of_text(&self) -> Vec<u32> {
        let of_text = self.entries.iter().filter(|(_, entry)| !entry.special);
        of_text.map(|(&id, _)| id).collect()
    }

    /// The only token that a server may have written so.
    pub(super) fn id(&self, written: &str) -> Option<u32> {
        if let Some(id) = written.strip_prefix("token_id:") {
            return id.parse().ok();
        }
        let entries = || self.entries.iter();
        let only = |is: &dyn Fn(&Entry) -> bool| {
            let mut ids = entries().filter(|(_, entry)| is(entry)).map(|(&id, _)| id);
            ids.next().filter(|_| ids.next().is_none())
        };
        let as_text = |entry: &Entry| entry.bytes == written.as_bytes() && !written.is_empty();
        only(&as_text).or_else(|| only(&|entry: &Entry| entry.stored == written))
    }

    /// The text of a token, in quotes.
    pub(super) fn quoted(&self, id: u32) -> String {
        match self.entries.get(&id) {
            Some(entry) => format!("{:?}", String::from_utf8_lossy(&entry.bytes)),
            None => format!("token {id}"),
        }
    }

    /// Whether what a server wrote may be this token.
    pub(super) fn agrees(&self, id: u32, written: &str) -> bool {
        if let Some(other) = written.strip_prefix("token_id:") {
            return other.parse() == Ok(id);
        }
        let entry = self.entries.get(&id);
        entry.is_none_or(|entry| entry.agrees(written))
    }
}

impl Entry {
    fn agrees(&self, written: &str) -> bool {
        if written == self.stored || escaped(written).as_ref() == Some(&self.bytes) {
            return true;
        }
        match String::from_utf8_lossy(&self.bytes) {
            Cow::Borrowed(text) => {
                // A token that is decoded by itself is the start of a text, where many decoders drop a space.
                let bare = text.strip_prefix(' ').unwrap_or(text);
                written == text || written == bare || (self.special && written.is_empty())
            }
            // A part of a character has no text of its own.
            Cow::Owned(_) => {
                let of_text = self.bytes.utf8_chunks().map(|chunk| chunk.valid());
                let without: String = of_text.collect();
                let is_replaced = written.contains(char::REPLACEMENT_CHARACTER);
                is_replaced || written == without
            }
        }
    }
}

/// The bytes of `bytes:\xf0\x9f`, as OpenAI writes a part of a character; none of other texts.
fn escaped(written: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = written.strip_prefix("bytes:")?;
    while let Some(character) = rest.chars().next() {
        match rest.strip_prefix("\\x").and_then(|hex| hex.get(..2)) {
            Some(hex) => {
                bytes.push(u8::from_str_radix(hex, 16).ok()?);
                rest = &rest[4..];
            }
            None => {
                let (plain, after) = rest.split_at(character.len_utf8());
                bytes.extend_from_slice(plain.as_bytes());
                rest = after;
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_known_in_every_form() {
        let entry = |bytes: &[u8], stored: &str, special| {
            let bytes = bytes.to_vec();
            let stored = stored.to_owned();
            Entry {
                bytes,
                stored,
                special,
            }
        };
        let table = TokenTable {
            entries: BTreeMap::from([
                (0, entry(b" the", "\u{120}the", false)),
                (1, entry(b"\xf0\x9f", "\u{f0}\u{178}", false)),
                (2, entry(b"</s>", "</s>", true)),
            ]),
        };
        for (id, written) in [
            (0, " the"),
            (0, "the"),
            (0, "\u{120}the"),
            (0, "token_id:0"),
            (1, "\u{fffd}"),
            (1, ""),
            (1, r"bytes:\xf0\x9f"),
            (2, "</s>"),
            (2, ""),
            (3, "anything"),
            (9, "anything"),
        ] {
            assert!(table.agrees(id, written), "{id} {written}");
        }
        for (id, written) in [
            (0, "token_id:1"),
            (0, ""),
            (0, "The"),
            (0, " they"),
            (1, "a"),
            (1, r"bytes:\xf0\x9e"),
            (1, r"bytes:\xf0\x"),
            (1, r"bytes:\xf0\x+f"),
            (2, "<s>"),
            (3, "token_id:4"),
        ] {
            assert!(!table.agrees(id, written), "{id} {written}");
        }
        assert_eq!(table.of_text(), [0, 1]);
        for (written, id) in [
            (" the", Some(0)),
            ("\u{120}the", Some(0)),
            ("token_id:7", Some(7)),
            ("", None),
            ("the", None),
        ] {
            assert_eq!(table.id(written), id, "{written:?}");
        }
    }
}
