//! Tokenises long texts in windows, because the tokenizers crate takes [`BYTES_PER_BYTE`] bytes of memory per byte of
//! text. Used only if `byte_level_bpe`, which takes next to no memory, does not support the tokenizer.
//!
//! A window may be cut only before a word of the pre-tokenizer or before white space, and only if the tokens from there
//! to the end of the window are the same when that part is tokenised by itself. For pre-tokenizers that read from left
//! to right (the patterns of GPT-2 and its successors) this is exact, because the text before a word does not affect
//! the tokens after it. For those that treat a text as one word (SentencePiece's) it is checked over at least
//! [`CHECKED`] bytes at each cut.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokenizers::{Encoding, Tokenizer};

use super::{TokenizerError, growth::Growth, limits};

/// Longer texts are tokenised in windows of this many bytes.
pub(crate) const WINDOW: usize = 256 << 10;
/// A window that cannot be cut is doubled, up to this many bytes.
pub(crate) const LARGEST_WINDOW: usize = 4 << 20;
/// Bytes of memory that the tokenizers crate takes per byte of text (measured).
pub(crate) const BYTES_PER_BYTE: usize = 160;
/// A window is not cut in its last bytes, as many as this.
const CHECKED: usize = 4 << 10;
/// Most cuts that are tried in one window.
const PLACES: usize = 8;

/// Locked while an enlarged window is tokenised, one at a time, so that memory does not multiply.
static GROWN: Mutex<()> = Mutex::new(());

/// Appends the token ids of a text, without special tokens around it, to `ids`.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    growth: &Growth,
    text: &str,
    ids: &mut Vec<u32>,
) -> Result<(), TokenizerError> {
    let mut start = 0;
    'windows: while text.len() - start > WINDOW {
        let mut size = WINDOW;
        let mut _alone = None;
        while size <= LARGEST_WINDOW {
            let end = text.floor_char_boundary(start + size);
            growth.check(&text[start..end])?;
            let window = tokenizer.encode(&text[start..end], false);
            let window = window.map_err(TokenizerError)?;
            if end == text.len() {
                ids.extend(window.get_ids());
                return Ok(());
            }
            if let Some((token, byte)) = cut(tokenizer, &text[start..end], &window)? {
                ids.extend(&window.get_ids()[..token]);
                start += byte;
                continue 'windows;
            }
            size *= 2;
            _alone.get_or_insert_with(turn);
        }
        return Err(TokenizerError(
            format!(
                "expected a place to cut in the {LARGEST_WINDOW} bytes from byte {start} on, got one word of the tokenizer"
            )
            .into(),
        ));
    }
    growth.check(&text[start..])?;
    let last = tokenizer.encode_fast(&text[start..], false);
    ids.extend(last.map_err(TokenizerError)?.get_ids());
    Ok(())
}

/// For a word that goes to the model as a whole: the lock to hold meanwhile, if the word is longer than a window; an
/// error if it is longer than the largest window.
pub(super) fn alone(bytes: usize) -> Result<Option<MutexGuard<'static, ()>>, TokenizerError> {
    if bytes > LARGEST_WINDOW {
        return Err(TokenizerError(
            format!("expected words of at most {LARGEST_WINDOW} bytes, got one of {bytes}").into(),
        ));
    }
    Ok((bytes > WINDOW).then(turn))
}

/// Waits until no other thread has a large window.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    let turn = GROWN.lock().unwrap_or_else(PoisonError::into_inner);
    limits::waited();
    turn
}

/// The last place where `text` can be cut: the index of the first token after it, and the byte offset of that part.
fn cut(
    tokenizer: &Tokenizer,
    text: &str,
    window: &Encoding,
) -> Result<Option<(usize, usize)>, TokenizerError> {
    let (ids, offsets, words) = (
        window.get_ids(),
        window.get_offsets(),
        window.get_word_ids(),
    );
    let last = text.len().saturating_sub(CHECKED);
    let mut tried = 0;
    for token in (1..ids.len()).rev() {
        let (byte, _) = offsets[token];
        let white = text[byte..].starts_with(char::is_whitespace);
        if byte > last || byte == 0 || (words[token] == words[token - 1] && !white) {
            continue;
        }
        if tried == PLACES {
            break;
        }
        tried += 1;
        // Some tokenizers put a space before a text: if the part starts with one, also try it without.
        for start in [byte, byte + usize::from(text[byte..].starts_with(' '))] {
            let after = tokenizer.encode_fast(&text[start..], false);
            if after.map_err(TokenizerError)?.get_ids() == &ids[token..] {
                return Ok(Some((token, start)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn bundled() -> Tokenizer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Tokenizer::from_file(root.join("models/demo/tokenizer.json")).unwrap()
    }

    /// Texts of several windows: words, white space, none of it, multi-byte characters.
    fn texts() -> Vec<String> {
        let words = |n: usize| -> String {
            (0..n)
                .map(|i| {
                    format!(
                        "{} is{}not {}.\n",
                        i * i,
                        " ".repeat(i % 5),
                        i * 7919 % 1013
                    )
                })
                .collect()
        };
        let repeated = |what: &str, bytes: usize| what.repeat(bytes / what.len());
        vec![
            words(30_000),
            repeated("Straße → 3 ≤ x\u{301}, na\u{308}ive\u{a0}", 600 << 10),
            repeated("    \n\n\t ", 300 << 10),
            words(20_000) + &" ".repeat(9_000) + &words(9_000) + &"x".repeat(300 << 10),
            repeated("語の間に空白はない。", 700 << 10),
            repeated("<s> and </s> ", 400 << 10),
        ]
    }

    #[test]
    fn windows_give_the_tokens_of_the_whole() {
        let mut tokenizers = vec![("bundled".to_owned(), bundled())];
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/tokenizers");
        for name in ["bpe4096", "bpe16384", "gpt2"] {
            if let Ok(tokenizer) = Tokenizer::from_file(beside.join(name).join("tokenizer.json")) {
                tokenizers.push((name.to_owned(), tokenizer));
            }
        }
        tokenizers.push(("one word".to_owned(), one_word()));
        for (name, tokenizer) in tokenizers {
            for (i, text) in texts().iter().enumerate() {
                let whole = tokenizer.encode_fast(text.as_str(), false).unwrap();
                let mut windows = vec![];
                encode(&tokenizer, &Growth::of(&tokenizer), text, &mut windows).unwrap();
                assert!(windows == whole.get_ids(), "{name}, text {i}");
            }
        }
    }

    /// Like a converted SentencePiece tokenizer: no pre-tokenizer, a space before the text, spaces as `▁`.
    fn one_word() -> Tokenizer {
        let json = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ]},
            "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true,
                "byte_fallback": false, "ignore_merges": false,
                "vocab": {"<unk>": 0, "▁": 1, "i": 2, "s": 3, "n": 4, "o": 5, "t": 6, "▁i": 7, "▁is": 8,
                    "no": 9, "not": 10, "▁▁": 11, "1": 12, "2": 13, "12": 14},
                "merges": [["▁", "i"], ["▁i", "s"], ["n", "o"], ["no", "t"], ["▁", "▁"], ["1", "2"]],
            },
        });
        json.to_string().parse().unwrap()
    }

    #[test]
    fn a_text_that_can_be_cut_nowhere_is_an_error() {
        let text = "x".repeat(LARGEST_WINDOW + 1);
        let (tokenizer, ids) = (bundled(), &mut vec![]);
        let said = encode(&tokenizer, &Growth::of(&tokenizer), &text, ids)
            .unwrap_err()
            .to_string();
        assert!(said.contains("expected a place to cut"), "{said}");
    }
}
