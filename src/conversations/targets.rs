//! Which tokens of a conversation may be targets.
//!
//! Where the template marks what the assistant says, the marks are taken as Transformers takes them for its
//! `assistant_masks`. Elsewhere, prefixes of the conversation are rendered and their *tokens* compared:
//!
//! ```text
//! messages[..i], with the prompt for an answer   <user>hi</user><assistant>
//! messages[..=i]                                 <user>hi</user><assistant>hello</assistant>
//! all                                            <user>hi</user><assistant>hello</assistant><user>bye</user>
//! targets                                                               ^^^^^^^^^^^^^^^^^^
//! ```
//!
//! Both must be prefixes of all tokens; if one is not, the conversation is rejected, never guessed.

use std::ops::Range;

use crate::tokenization::Tokenization;

/// The bytes of the prefixes that are rendered and tokenised for one conversation: they grow with the square of its turns.
pub(super) const PREFIXES: usize = 256 << 20;

/// The tokens of spans of bytes, as Transformers finds them.
///
/// # Errors
/// If a token lies on both sides of a border.
pub(super) fn of_marks(
    tokenization: &Tokenization,
    text: &str,
    tokens: usize,
    spans: &[Range<usize>],
) -> Result<Vec<Range<usize>>, String> {
    if spans.is_empty() {
        return Ok(vec![]);
    }
    let offsets = tokenization
        .offsets(text)
        .map_err(|error| format!("cannot be tokenised: {error}"))?;
    if offsets.len() != tokens {
        return Err(format!(
            "expected an offset for each of {tokens} tokens, got {}",
            offsets.len()
        ));
    }
    let mut found = Vec::new();
    for span in spans.iter().filter(|span| !span.is_empty()) {
        let last = text[span.clone()]
            .chars()
            .next_back()
            .map_or(0, char::len_utf8);
        let first_at = |byte: usize| {
            offsets
                .iter()
                .position(|&(start, end)| start <= byte && byte < end)
        };
        let (Some(start), Some(end)) = (first_at(span.start), first_at(span.end - last)) else {
            let shown = shown(&text[span.clone()]);
            return Err(format!(
                "expected tokens for what the assistant says, got none at the border of {shown}"
            ));
        };
        for (place, token) in [(span.start, start), (span.end, end)] {
            let (from, to) = offsets[token];
            if from < place && place < to {
                let shown = shown(&text[from..to]);
                return Err(format!(
                    "expected a border between two tokens where the assistant's text begins or ends, got the token {shown} on both sides"
                ));
            }
        }
        found.push(start..end + 1);
    }
    Ok(found)
}

/// A text, shortened.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 30;
    match text.chars().count() > MOST {
        true => format!("{:?}...", text.chars().take(MOST).collect::<String>()),
        false => format!("{text:?}"),
    }
}
