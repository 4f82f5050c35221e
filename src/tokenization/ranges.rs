//! Which bytes of a text each of its tokens holds.
//!
//! First by the bytes of the tokens themselves: put together, they are the text, except for the blanks that a tokenizer
//! puts at its start and after added tokens, and those that an added token swallows. If that is so, the ranges are
//! certain, whatever offsets the tokenizers crate gives: its post-processors trim the blank off ` world`.
//!
//! ```text
//! text     "Hi world<s> x"
//! tokens   "▁Hi" "▁world" "<s>" "▁▁x"         the first blank of the first and the last token is not in the text
//! ranges   0..2  2..8     8..11 11..13
//! ```
//!
//! A tokenizer that changes texts (lower case, NFKC, words without the white space between them) has only the crate's
//! offsets, from before its post-processor. They say which characters a token was made from, but not always which it
//! stands for: the crate gives an `é` that was composed the range of its `e` alone. So characters in no token are looked
//! at ([`Gap`]), and a document in which one cannot be placed is refused.

use std::ops::Range;

use tokenizers::{ModelWrapper, PostProcessorWrapper, Tokenizer, tokenizer::AddedToken};
use unicode_normalization_alignments::char::is_combining_mark;

use super::{LARGEST_WINDOW, Tokenization, TokenizerError, WINDOW, limits::limited, long_texts};
use super::{byte_level_bpe, token_bytes::TokenBytes};
use crate::terminal_text::is_unseen;

/// The ranges of a text's tokens.
pub(crate) struct TokenRanges {
    /// The bytes of each token: in order, on the borders of characters unless the token splits one.
    pub(crate) ranges: Vec<Range<usize>>,
    /// Bytes that are in no token.
    gaps: Vec<Gap>,
}

/// Characters between two tokens that are in neither.
struct Gap {
    bytes: Range<usize>,
    /// The number of tokens before it.
    token: usize,
}

impl Tokenization {
    /// The bytes of `text` that each of its tokens holds. `ids` are those of [`encode`](Self::encode) without the special
    /// tokens around them.
    ///
    /// # Errors
    /// If they cannot be known: with the reason.
    pub(crate) fn ranges(&self, text: &str, ids: &[u32]) -> Result<TokenRanges, String> {
        let tokens = self.pieces();
        if tokens.are_of_text()
            && let Some(ranges) = self.by_bytes(&tokens, text, ids)
        {
            return Ok(TokenRanges {
                ranges,
                gaps: Vec::new(),
            });
        }
        self.by_offsets(text, ids)
    }

    /// The ranges by the tokens' bytes; none if these are not the text.
    fn by_bytes(
        &self,
        tokens: &TokenBytes<'_>,
        text: &str,
        ids: &[u32],
    ) -> Option<Vec<Range<usize>>> {
        let added = self.tokenizer.get_added_vocabulary();
        let added = |id: &u32| added.get_added_tokens_decoder().get(id);
        let mut ranges = Vec::with_capacity(ids.len());
        let mut rest = ids;
        let mut at = 0;
        loop {
            let plain = rest.iter().position(|id| added(id).is_some());
            let (part, after) = rest.split_at(plain.unwrap_or(rest.len()));
            let mut bytes = Vec::new();
            let mut ends = Vec::with_capacity(part.len());
            for id in part {
                bytes.extend(tokens.bytes(*id)?);
                ends.push(bytes.len());
            }
            let next = after
                .first()
                .map(|id| Some((added(id)?, tokens.bytes(*id)?)));
            let next = match next {
                Some(next) => Some(next?),
                None => None,
            };
            // Without the bytes `skipped` at its start, the part is in the text, and what comes next is behind it.
            let end = |skipped: usize| {
                let end = at + (bytes.len() - skipped);
                let is_here = text.as_bytes().get(at..end)? == &bytes[skipped..];
                let behind = match &next {
                    Some((token, content)) => swallowed(text, end, token, content)?,
                    None if end == text.len() => end..end,
                    None => return None,
                };
                is_here.then_some((end, behind))
            };
            let invented = usize::from(bytes.starts_with(b" "));
            let ((part_end, behind), skipped) = match (end(0), (invented > 0).then(|| end(1))) {
                (Some(_), Some(Some(_))) => return None,
                (Some(found), _) => (found, 0),
                (None, Some(Some(found))) => (found, 1),
                (None, _) => return None,
            };
            let mut start = at;
            for end in ends {
                // A token that is only the invented blank holds nothing.
                let end = at + end.saturating_sub(skipped);
                ranges.push(start..end);
                start = end;
            }
            if next.is_none() {
                return Some(ranges);
            }
            ranges.push(part_end..behind.end);
            at = behind.end;
            rest = &after[1..];
        }
    }

    /// The ranges by the offsets of the tokenizers crate.
    fn by_offsets(&self, text: &str, ids: &[u32]) -> Result<TokenRanges, String> {
        let unplaced = |what: String| format!("cannot place the tokens in the text: {what}");
        if text.len() > LARGEST_WINDOW {
            let bytes = text.len();
            return Err(unplaced(format!(
                "the tokenizer changes texts, so expected one of at most {LARGEST_WINDOW} bytes, got {bytes}"
            )));
        }
        let encoding = limited(text.len(), || {
            let _alone = (text.len() > WINDOW).then(long_texts::turn);
            self.growth.check(text)?;
            let plain = self.without_post_processor();
            plain.encode(text, false).map_err(TokenizerError)
        });
        let encoding = encoding.map_err(|error| unplaced(error.to_string()))?;
        if encoding.get_ids() != ids {
            return Err(unplaced(
                "expected the tokens of the whole text, got others".to_owned(),
            ));
        }
        let may_lose = self.may_lose_characters();
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(ids.len());
        let mut gaps = Vec::new();
        let mut covered = 0;
        let ends = [(text.len(), text.len())];
        for (token, &(start, end)) in encoding.get_offsets().iter().chain(&ends).enumerate() {
            let is_end = token == ids.len();
            let before = ranges.last().map_or(0, |range| range.start);
            let is_range = start < end && before <= start;
            let on_borders = text.is_char_boundary(start) && text.is_char_boundary(end);
            if !(is_end || is_range && on_borders) {
                return Err(unplaced(format!(
                    "expected offsets in order, got {start} to {end} for token {token}"
                )));
            }
            if let Some(left) = text.get(covered..start)
                && let Some(first) = left.chars().next()
            {
                let lost = left.chars().find(|c| !c.is_whitespace() && !is_dropped(*c));
                if let Some(lost) = lost.or(may_lose.then_some(first)) {
                    return Err(unplaced(format!(
                        "the character {lost:?} at byte {covered} or behind it is in no token"
                    )));
                }
                gaps.push(Gap {
                    bytes: covered..start,
                    token,
                });
            }
            covered = covered.max(end);
            if !is_end {
                ranges.push(start..end);
            }
        }
        Ok(TokenRanges { ranges, gaps })
    }

    /// The tokenizer without its post-processor, which may trim offsets.
    fn without_post_processor(&self) -> &Tokenizer {
        self.plain.get_or_init(|| {
            let mut plain = self.tokenizer.clone();
            plain.with_post_processor(None::<PostProcessorWrapper>);
            plain
        })
    }

    /// Whether the model drops characters that it does not know, and the crate's offsets after one are too small: BPE
    /// without an unknown token, unless it knows every byte.
    fn may_lose_characters(&self) -> bool {
        let ModelWrapper::BPE(model) = self.tokenizer.get_model() else {
            return false;
        };
        if model.unk_token.is_some() {
            return false;
        }
        let has = |token: String| self.tokenizer.token_to_id(&token).is_some();
        let has_fallback =
            || model.byte_fallback && (0..=255_u8).all(|byte| has(format!("<0x{byte:02X}>")));
        let steps = [
            serde_json::to_string(&self.tokenizer.get_pre_tokenizer()),
            serde_json::to_string(&self.tokenizer.get_normalizer()),
        ];
        let is_byte_level = || {
            let mut steps = steps.iter().flatten();
            steps.any(|step| step.contains("\"ByteLevel\""))
                && byte_level_bpe::characters()
                    .iter()
                    .all(|character| has(character.to_string()))
        };
        !(has_fallback() || is_byte_level())
    }
}

impl TokenRanges {
    /// Whether each token holds no byte of the `context`: ranges in order, on the borders of characters.
    ///
    /// # Errors
    /// If that cannot be known: with the reason.
    pub(crate) fn outside(
        &self,
        text: &str,
        context: &[Range<usize>],
    ) -> Result<Vec<bool>, String> {
        let mut outside: Vec<bool> = self
            .ranges
            .iter()
            .map(|range| {
                // A token that holds nothing goes with the character behind it.
                let end = range.end.max(range.start + 1);
                !meets(context, &(range.start..end))
            })
            .collect();
        for gap in self.gaps.iter().filter(|gap| meets(context, &gap.bytes)) {
            let left = &text[gap.bytes.clone()];
            // Marks belong to the character before them, so to the token before: composed with it, or dropped from it.
            let marks = left.chars().take_while(|c| is_combining_mark(*c));
            let marks = gap.bytes.start + marks.map(char::len_utf8).sum::<usize>();
            let before = gap.token.checked_sub(1);
            if let Some(before) = before
                && meets(context, &(gap.bytes.start..marks))
            {
                // All tokens that were made from the character that ends here.
                let parts = (0..=before).rev();
                let parts = parts.take_while(|token| self.ranges[*token].end == gap.bytes.start);
                parts.for_each(|token| outside[token] = false);
            }
            // White space belongs to none, unless several were made one.
            let touches = |token: Option<usize>, is_white: &dyn Fn(&str) -> bool| {
                let range = token.and_then(|token| self.ranges.get(token));
                let held = range.map_or("", |range| &text[range.clone()]);
                let is_outside = token.and_then(|token| outside.get(token).copied());
                is_outside == Some(true) && is_white(held)
            };
            let has_white = left.contains(char::is_whitespace);
            let after = touches(Some(gap.token), &|held| {
                held.starts_with(char::is_whitespace)
            });
            let before = touches(before, &|held| held.ends_with(char::is_whitespace));
            if has_white && (after || before) {
                return Err(format!(
                    "cannot place the tokens in the text: the tokenizer makes the white space around byte {} one, and \
                     part of it is context",
                    gap.bytes.start
                ));
            }
        }
        Ok(outside)
    }
}

/// Whether a tokenizer may drop this character from a text without a trace: marks, what is not seen, what stands for
/// invalid bytes.
fn is_dropped(character: char) -> bool {
    is_combining_mark(character) || is_unseen(character) || character == char::REPLACEMENT_CHARACTER
}

/// Whether a range shares a byte with one of these, which are in order.
fn meets(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
    let next = ranges.partition_point(|other| other.end <= range.start);
    ranges
        .get(next)
        .is_some_and(|other| other.start < range.end && range.start < other.end)
}

/// The bytes that an added token takes, from `at` on: its content, and the white space that it swallows.
fn swallowed(text: &str, at: usize, token: &AddedToken, content: &[u8]) -> Option<Range<usize>> {
    let rest = text.get(at..)?;
    let mut start = at;
    if token.lstrip {
        start += rest.len() - rest.trim_start().len();
    }
    let mut end = start + content.len();
    if text.as_bytes().get(start..end)? != content {
        return None;
    }
    if token.rstrip {
        let rest = text.get(end..)?;
        end += rest.len() - rest.trim_start().len();
    }
    Some(at..end)
}
