//! The exact bytes of each token id of a tokenizer. `token_texts` combines the bytes of several tokens into characters.
//!
//! The tokenizers crate decodes a list of ids into valid UTF-8, so it cannot tell which bytes belong to which token.
//! This module applies its decoder to each token alone; `token_texts` does what the decoder does at the ends of a text.

use std::borrow::Cow;
use std::path::Path;

use tokenizers::{Decoder, DecoderWrapper, Tokenizer, pre_tokenizers::metaspace::PrependScheme};

use super::{TokenizerError, files, growth::Matches, limits::limited};
use crate::terminal_text::is_unseen;

/// Most bytes that a decoder may turn one token into, as far as it replaces parts of it.
const LARGEST: usize = 64 << 10;

/// The bytes of tokens.
pub(crate) struct TokenBytes<'a> {
    tokenizer: Cow<'a, Tokenizer>,
    steps: Vec<Step>,
    /// Whether the decoder drops the space that its tokenizer puts at the start of a text.
    pub(crate) drops_leading_space: bool,
}

/// A decoder's effect on one token.
enum Step {
    /// Every character stands for a byte (GPT-2's alphabet).
    ByteLevel,
    /// `<0x0A>` stands for a byte.
    ByteFallback,
    /// This character stands for a space.
    Space(char),
    /// Words have a space before them, except continuations, which start with this prefix.
    Words(Option<String>),
    /// This suffix stands for a space.
    Suffix(String),
    /// A decoder of the tokenizers crate that treats each token separately.
    Alone(DecoderWrapper),
}

/// A token between two steps.
enum Decoded {
    Text(String),
    Bytes(Vec<u8>),
}

impl<'a> TokenBytes<'a> {
    /// The bytes of a tokenizer's tokens.
    pub(crate) fn of(tokenizer: Cow<'a, Tokenizer>) -> Self {
        let mut pieces = Self {
            steps: Vec::new(),
            drops_leading_space: false,
            tokenizer,
        };
        match pieces.tokenizer.get_decoder().cloned() {
            Some(decoder) => pieces.add(&decoder, &mut false),
            // Without a decoder, the crate joins the tokens with spaces.
            None => {
                pieces.steps.push(Step::Words(None));
                pieces.drops_leading_space = true;
            }
        }
        pieces
    }

    /// The bytes of the tokens of a tokenizer.json.
    ///
    /// # Errors
    /// If the file cannot be read or is not a tokenizer.json.
    pub(crate) fn read(path: &Path) -> anyhow::Result<TokenBytes<'static>> {
        let tokenizer = files::load_file(path)?;
        Ok(TokenBytes::of(Cow::Owned(tokenizer)))
    }

    /// Adds the steps of a decoder. `fused`: whether the tokens are already joined into one text.
    fn add(&mut self, decoder: &DecoderWrapper, fused: &mut bool) {
        match decoder {
            DecoderWrapper::Sequence(sequence) => {
                for decoder in sequence.get_decoders() {
                    self.add(decoder, fused);
                }
            }
            DecoderWrapper::ByteLevel(_) => self.steps.push(Step::ByteLevel),
            DecoderWrapper::ByteFallback(_) => self.steps.push(Step::ByteFallback),
            DecoderWrapper::Metaspace(metaspace) => {
                self.steps.push(Step::Space(metaspace.get_replacement()));
                self.drops_leading_space |= metaspace.get_prepend_scheme() != PrependScheme::Never;
            }
            DecoderWrapper::WordPiece(words) => {
                self.steps.push(Step::Words(Some(words.prefix.clone())));
                self.drops_leading_space = true;
            }
            DecoderWrapper::BPE(bpe) => self.steps.push(Step::Suffix(bpe.suffix.clone())),
            DecoderWrapper::Fuse(_) => *fused = true,
            DecoderWrapper::Strip(strip) if *fused => {
                self.drops_leading_space |= strip.content == ' ' && strip.start > 0;
            }
            // CTC merges repeated tokens of speech models; a single token stays unchanged.
            DecoderWrapper::CTC(_) => {}
            other => self.steps.push(Step::Alone(other.clone())),
        }
    }

    /// Whether the bytes of a token are those of a text: no step adds white space that separates words.
    pub(crate) fn are_of_text(&self) -> bool {
        let adds = |step: &Step| matches!(step, Step::Words(_) | Step::Suffix(_));
        !self.steps.iter().any(adds)
    }

    /// The bytes of a token; none if the tokenizer has no such id.
    pub(crate) fn bytes(&self, id: u32) -> Option<Vec<u8>> {
        let added = self.tokenizer.get_added_vocabulary();
        let added = added.get_added_tokens_decoder().get(&id);
        // Such a token is matched in the raw text.
        if let Some(added) = added.filter(|added| added.special || !added.normalized) {
            return Some(added.content.clone().into_bytes());
        }
        // The content as written in the file: `id_to_token` returns an added token in normalised form.
        let text = match added {
            Some(added) => added.content.clone(),
            None => self.tokenizer.id_to_token(id)?,
        };
        let mut piece = Decoded::Text(text);
        for step in &self.steps {
            if let Decoded::Text(text) = piece {
                // A normalised added token is matched before bytes are mapped to characters.
                piece = match (step, added) {
                    (Step::ByteLevel, Some(_)) => Decoded::Bytes(text.into_bytes()),
                    _ => step.apply(text),
                };
            }
        }
        Some(match piece {
            Decoded::Text(text) => text.into_bytes(),
            Decoded::Bytes(bytes) => bytes,
        })
    }

    /// A token as it stands in the vocabulary; none if the tokenizer has no such id.
    pub(crate) fn stored(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// Whether a token is special: it stands for no text, such as the end of a sequence.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        let added = self.tokenizer.get_added_vocabulary();
        let added = added.get_added_tokens_decoder().get(&id);
        added.is_some_and(|added| added.special)
    }

    /// A token in quotes, for tables. Invalid UTF-8 and control characters are escaped; an unknown id is shown as a
    /// number.
    pub(crate) fn quoted(&self, id: u32) -> String {
        match self.bytes(id) {
            Some(bytes) => quoted(&bytes),
            None => format!("<{id}>"),
        }
    }
}

impl Step {
    fn apply(&self, text: String) -> Decoded {
        match self {
            Self::ByteLevel => {
                let bytes: Option<Vec<u8>> = text.chars().map(byte_of).collect();
                Decoded::Bytes(bytes.unwrap_or_else(|| text.into_bytes()))
            }
            Self::ByteFallback => match fallback(&text) {
                Some(byte) => Decoded::Bytes(vec![byte]),
                None => Decoded::Text(text),
            },
            Self::Space(character) => Decoded::Text(text.replace(*character, " ")),
            Self::Words(prefix) => {
                let rest = prefix.as_ref().and_then(|p| text.strip_prefix(p.as_str()));
                Decoded::Text(rest.map_or_else(|| format!(" {text}"), str::to_owned))
            }
            Self::Suffix(suffix) => Decoded::Text(text.replace(suffix.as_str(), " ")),
            // The crate fails on a token without characters.
            Self::Alone(_) if text.is_empty() => Decoded::Text(text),
            Self::Alone(decoder) => Decoded::Text(match alone(decoder, &text) {
                Ok(decoded) => decoded,
                // It cannot be displayed in another way.
                Err(_) => text,
            }),
        }
    }
}

/// What a decoder of the tokenizers crate makes of one token.
fn alone(decoder: &DecoderWrapper, text: &str) -> Result<String, TokenizerError> {
    limited(text.len(), || {
        if let DecoderWrapper::Replace(replace) = decoder
            && text.len().saturating_mul(replace.content.len()) > LARGEST
        {
            let json = serde_json::to_value(replace).unwrap_or_default();
            let count = Matches::of(&json).map_or(text.len() + 1, |matches| matches.count(text));
            if count.saturating_mul(replace.content.len()) > LARGEST {
                return Err(TokenizerError(
                    format!("expected a token of at most {LARGEST} bytes, got more").into(),
                ));
            }
        }
        let decoded = decoder.decode_chain(vec![text.to_owned()]);
        decoded.map(|parts| parts.concat()).map_err(TokenizerError)
    })
}

/// The byte of `<0x0A>`.
fn fallback(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

/// The byte that a character of GPT-2's alphabet stands for: printable Latin-1 characters stand for themselves, those
/// from U+0100 on for the other bytes in order (`bytes_to_unicode` in GPT-2's `encoder.py`).
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// Bytes in quotes, with escapes for everything that is not visible.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                '\n' => text += "\\n",
                '\t' => text += "\\t",
                '\r' => text += "\\r",
                _ if is_unseen(character) => {
                    text += &format!("\\u{{{:x}}}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tokenizer with these entries, and a decoder in the format of tokenizer.json.
    fn pieces(entries: &[&str], decoder: &str, added: &str) -> TokenBytes<'static> {
        let entries: Vec<String> = (0..)
            .zip(entries)
            .map(|(id, entry)| format!("{}:{id}", serde_json::json!(entry)))
            .collect();
        let json = format!(
            r#"{{"version":"1.0","added_tokens":[{added}],"normalizer":null,"pre_tokenizer":null,"post_processor":null,
            "decoder":{decoder},"model":{{"type":"WordLevel","vocab":{{{}}},"unk_token":"?"}}}}"#,
            entries.join(",")
        );
        TokenBytes::of(Cow::Owned(json.parse().unwrap()))
    }

    fn text(pieces: &TokenBytes<'_>, id: u32) -> String {
        String::from_utf8(pieces.bytes(id).unwrap()).unwrap()
    }

    #[test]
    fn the_alphabet_is_that_of_the_tokenizers_crate() {
        let decoder: DecoderWrapper = tokenizers::decoders::byte_level::ByteLevel::default().into();
        let mut found = 0;
        for character in '\0'..='\u{200}' {
            let Some(byte) = byte_of(character) else {
                continue;
            };
            found += 1;
            // A single byte above 127 is not valid UTF-8, so it cannot be compared alone.
            if byte < 128 {
                let alone = decoder.decode_chain(vec![character.to_string()]).unwrap();
                assert_eq!(alone.concat().as_bytes(), [byte]);
            }
        }
        assert_eq!(found, 256);
        for character in ['é', '中', '😀', '\u{ad}', '\u{7f}'] {
            let encoded: String = character
                .to_string()
                .bytes()
                .map(|b| ('\0'..='\u{200}').find(|&c| byte_of(c) == Some(b)).unwrap())
                .collect();
            let decoded = decoder.decode_chain(vec![encoded]).unwrap().concat();
            assert_eq!(decoded, character.to_string());
        }
    }

    #[test]
    fn every_decoder_that_is_in_use() {
        let added = r#"{"id":2,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
            {"id":3,"content":"é ","single_word":false,"lstrip":false,"rstrip":false,"normalized":true,"special":false}"#;
        let byte_level =
            r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}"#;
        let bytes = pieces(&["Ġthe", "ðŁ"], byte_level, added);
        assert_eq!(text(&bytes, 0), " the");
        assert_eq!(bytes.bytes(1).unwrap(), [0xf0, 0x9f]);
        assert_eq!(
            (text(&bytes, 2), text(&bytes, 3)),
            ("<s>".into(), "é ".into())
        );
        assert!(bytes.is_special(2) && !bytes.is_special(3) && !bytes.is_special(0));
        assert_eq!(bytes.bytes(9), None);

        // Llama's.
        let llama = r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#;
        let llama = pieces(&["▁the▁", "<0xE2>", "<0xZZ>", "<0x+1>"], llama, "");
        assert_eq!(text(&llama, 0), " the ");
        assert_eq!(llama.bytes(1).unwrap(), [0xe2]);
        assert_eq!(
            (text(&llama, 2), text(&llama, 3)),
            ("<0xZZ>".into(), "<0x+1>".into())
        );
        assert!(llama.drops_leading_space);

        let metaspace =
            r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#;
        let metaspace = pieces(&["▁a"], metaspace, "");
        assert_eq!(text(&metaspace, 0), " a");
        assert!(metaspace.drops_leading_space);

        let words = r###"{"type":"WordPiece","prefix":"##","cleanup":true}"###;
        let words = pieces(&["a", "##b"], words, "");
        assert_eq!(
            (text(&words, 0), text(&words, 1)),
            (" a".into(), "b".into())
        );
        let none = pieces(&["a"], "null", "");
        assert_eq!(text(&none, 0), " a");
        let bpe = pieces(&["a</w>"], r#"{"type":"BPEDecoder","suffix":"</w>"}"#, "");
        assert_eq!(text(&bpe, 0), "a ");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_stays() {
        assert_eq!(quoted(b" a\"\\\n"), r#"" a\"\\\n""#);
        assert_eq!(quoted(b"\x1b[31m\xf0\x9f"), r#""\u{1b}[31m\xf0\x9f""#);
        assert_eq!(quoted("\u{202e}é\u{9b}".as_bytes()), r#""\u{202e}é\u{9b}""#);
    }
}
