//! Tokens as the strings of an answer, and where they begin in its text.

use std::fmt::Write as _;

use crate::tokenization::{Tokenization, token_bytes::TokenBytes, token_texts::TokenTexts};

/// The strings of single tokens.
pub(super) struct TokenStrings<'a> {
    pieces: Option<TokenBytes<'a>>,
    as_ids: bool,
}

/// The text of a prompt, and the offset in it, in characters, at which each token begins.
pub(super) struct Placed {
    pub(super) text: String,
    /// None if it cannot be known.
    pub(super) offsets: Option<Vec<usize>>,
}

impl<'a> TokenStrings<'a> {
    /// Those of a tokenizer. With `as_ids`, or without a tokenizer, they are `token_id:7`.
    pub(super) fn of(tokenization: Option<&'a Tokenization>, as_ids: bool) -> Self {
        Self {
            pieces: tokenization.map(Tokenization::pieces),
            as_ids,
        }
    }

    /// The text of a token; `bytes:\xf0\x9f` if its bytes are no text by themselves, as OpenAI writes them.
    pub(super) fn string(&self, id: u32) -> String {
        let bytes = self.pieces.as_ref().filter(|_| !self.as_ids);
        let Some(bytes) = bytes.and_then(|pieces| pieces.bytes(id)) else {
            return format!("token_id:{id}");
        };
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let mut text = "bytes:".to_owned();
                for byte in error.as_bytes() {
                    let _ = write!(text, "\\x{byte:02x}");
                }
                text
            }
        }
    }

    /// Whether a token stands for no text, such as the end of a sequence.
    pub(super) fn is_special(&self, id: u32) -> bool {
        self.pieces
            .as_ref()
            .is_some_and(|pieces| pieces.is_special(id))
    }

    /// The text of a prompt that came as token ids.
    pub(super) fn of_tokens(&self, tokens: &[u32]) -> Placed {
        let texts = TokenTexts::of(tokens, self.pieces.as_ref());
        let mut text = String::new();
        let mut offsets = Vec::with_capacity(tokens.len());
        let mut at = 0;
        for i in 0..tokens.len() {
            offsets.push(at);
            let token = texts.token(i);
            text += token;
            at += token.chars().count();
        }
        Placed {
            text,
            offsets: Some(offsets),
        }
    }

    /// The text that the last token adds to those before it.
    pub(super) fn last(&self, tokens: &[u32]) -> String {
        match tokens.len().checked_sub(1) {
            Some(last) => TokenTexts::of(tokens, self.pieces.as_ref())
                .token(last)
                .to_owned(),
            None => String::new(),
        }
    }
}

/// The offsets of the tokens of a text. `framed`: whether the tokens have those that the tokenizer puts around it.
pub(super) fn of_text(
    tokenization: &Tokenization,
    text: String,
    tokens: &[u32],
    framed: bool,
) -> Placed {
    let (before, after) = match framed {
        true => (tokenization.prefix.len(), tokenization.suffix.len()),
        false => (0, 0),
    };
    let inner = &tokens[before..tokens.len() - after];
    let offsets = tokenization.ranges(&text, inner).ok().map(|ranges| {
        let mut offsets = vec![0; before];
        // The bytes and the characters before the token.
        let (mut bytes, mut characters) = (0, 0);
        for range in ranges.ranges {
            // A token that starts inside a character begins with it.
            let start = text.floor_char_boundary(range.start);
            if start > bytes {
                characters += text[bytes..start].chars().count();
                bytes = start;
            }
            offsets.push(characters);
        }
        let all = characters + text[bytes..].chars().count();
        offsets.extend(vec![all; after]);
        offsets
    });
    Placed { text, offsets }
}
