//! The text to display for each token of a document.
//!
//! A byte-level tokenizer may split a character. Such a character is displayed once, with the token that *completes*
//! it, because only then it is known; the tokens before display nothing of it.
//!
//! ```text
//! tokens     " \xf0\x9f"   "\x98"   "\x80 ok"
//! displayed  " "           ""       "😀 ok"
//! ```
//!
//! Bytes that cannot be part of a character are displayed as U+FFFD, with the token that holds the last of them.
//! `layout`, in `show`, replaces what is not safe to print on a terminal.

use super::token_bytes::TokenBytes;

/// The text of a document, divided at the ends of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenTexts {
    text: String,
    /// The end of each token's text.
    ends: Vec<usize>,
    /// Number of characters whose bytes are in several tokens.
    pub(crate) split: usize,
}

impl TokenTexts {
    /// The text of these tokens. Without a tokenizer, and for ids that it does not have, the text is the id.
    pub(crate) fn of(tokens: &[u32], pieces: Option<&TokenBytes<'_>>) -> Self {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(tokens.len());
        let mut at_beginning = pieces.is_some_and(|pieces| pieces.drops_leading_space);
        for (i, &token) in tokens.iter().enumerate() {
            match pieces.map(|pieces| (pieces.bytes(token), pieces.is_special(token))) {
                Some((Some(piece), special)) => {
                    let dropped = at_beginning && !special && piece.starts_with(b" ");
                    bytes.extend_from_slice(&piece[usize::from(dropped)..]);
                    at_beginning &= special;
                }
                Some((None, _)) => bytes.extend_from_slice(format!("⟨{token}⟩").as_bytes()),
                None if i == 0 => bytes.extend_from_slice(token.to_string().as_bytes()),
                None => bytes.extend_from_slice(format!(" {token}").as_bytes()),
            }
            ends.push(bytes.len());
        }
        Self::cut(&bytes, &ends)
    }

    /// The text of these bytes, where `byte_ends` are the ends of the tokens.
    fn cut(bytes: &[u8], byte_ends: &[usize]) -> Self {
        let mut drawn = Self {
            text: String::with_capacity(bytes.len()),
            ends: Vec::with_capacity(byte_ends.len()),
            split: 0,
        };
        let mut at = 0;
        // A character belongs to the token that holds its last byte: tokens that end before it are complete.
        let mut put = |drawn: &mut Self, character: char, length: usize| {
            let begin = at;
            at += length;
            let mut split = false;
            while let Some(&end) = byte_ends.get(drawn.ends.len()).filter(|&&end| end < at) {
                split |= end > begin;
                drawn.ends.push(drawn.text.len());
            }
            drawn.text.push(character);
            drawn.split += usize::from(split && character != char::REPLACEMENT_CHARACTER);
        };
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                put(&mut drawn, character, character.len_utf8());
            }
            if !chunk.invalid().is_empty() {
                let length = chunk.invalid().len();
                put(&mut drawn, char::REPLACEMENT_CHARACTER, length);
            }
        }
        drawn.ends.resize(byte_ends.len(), drawn.text.len());
        drawn
    }

    /// The text to display for a token, unchanged from the document and not yet safe to print on a terminal.
    pub(crate) fn token(&self, i: usize) -> &str {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[i]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(tokens: &[&[u8]]) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for token in tokens {
            bytes.extend_from_slice(token);
            ends.push(bytes.len());
        }
        let drawn = TokenTexts::cut(&bytes, &ends);
        assert_eq!(drawn.ends.len(), tokens.len());
        (0..drawn.ends.len())
            .map(|i| drawn.token(i).to_owned())
            .collect()
    }

    #[test]
    fn a_character_is_drawn_with_the_token_that_completes_it() {
        assert_eq!(
            cut(&[b" \xf0\x9f", b"\x98", b"\x80 ok", b"", b"!"]),
            [" ", "", "😀 ok", "", "!"]
        );
        // A token that ends one character and starts another.
        assert_eq!(
            cut(&[b"\xe4\xb8", b"\xad\xe6", b"\x96\x87"]),
            ["", "中", "文"]
        );
        assert_eq!(cut(&[]), [""; 0]);
    }

    #[test]
    fn bytes_of_no_character_are_drawn_where_they_end() {
        // A character that is never completed is displayed with its own token, not with the next.
        assert_eq!(cut(&[b"a\xe4\xb8", b"b"]), ["a\u{fffd}", "b"]);
        assert_eq!(
            cut(&[b"\xff", b"\x80", b"\xf0\x9f"]),
            ["\u{fffd}", "\u{fffd}", "\u{fffd}"]
        );
        assert_eq!(cut(&[b"\xf0", b"\x9f", b"x"]), ["", "\u{fffd}", "x"]);
    }

    #[test]
    fn split_characters_are_counted() {
        let count = |bytes: &[u8], ends: &[usize]| TokenTexts::cut(bytes, ends).split;
        assert_eq!(count("😀".as_bytes(), &[1, 2, 4]), 1);
        assert_eq!(count("😀é".as_bytes(), &[4, 5, 6]), 1);
        assert_eq!(count("a😀é".as_bytes(), &[1, 5, 7]), 0);
    }

    #[test]
    fn without_a_tokenizer_ids_are_drawn() {
        let drawn = TokenTexts::of(&[7, 11], None);
        assert_eq!((drawn.token(0), drawn.token(1)), ("7", " 11"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(2404_07965), ..ProptestConfig::default() })]

        #[test]
        fn together_the_tokens_draw_the_text(
            text in "(\\PC|[a-c]|\u{1f600}|é){0,12}",
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
        ) {
            let mut bytes = text.into_bytes();
            for (at, byte) in noise {
                bytes.insert(at.index(bytes.len() + 1), byte);
            }
            let mut ends: Vec<usize> = ends.iter().map(|end| end.index(bytes.len() + 1)).collect();
            ends.push(bytes.len());
            ends.sort_unstable();
            let drawn = TokenTexts::cut(&bytes, &ends);
            let all: String = (0..drawn.ends.len()).map(|i| drawn.token(i)).collect();
            assert_eq!(all, String::from_utf8_lossy(&bytes));
            // A token displays nothing that starts after its last byte.
            for (i, end) in ends.iter().enumerate() {
                let so_far: String = (0..=i).map(|i| drawn.token(i)).collect();
                assert!(String::from_utf8_lossy(&bytes[..*end]).starts_with(so_far.trim_end_matches('\u{fffd}')));
            }
        }
    }
}
