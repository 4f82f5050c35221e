//! Takes a document of which a part is context, yields its tokens and which of them may be targets. Conversations are
//! not handled here.
//!
//! A token may be a target if it holds no character of the context: one that begins in a prompt and reaches into the
//! completion is context.
//!
//! ```text
//! prompt, completion   "3 + 4 ="  " 7 apples"
//! tokens               <s>  3   +   4   =   7   apples  </s>
//! target                0   0   0   0   0   1     1      1
//! ```
//!
//! Tokens before the text are context. Tokens after it, such as an end of sequence, may be targets if the text does not
//! end in context: a model must learn to stop where it was taught to write.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::tokenization::Tokenization;

/// Token ids, and for each whether it may be a target.
pub type Targeted = (Vec<u32>, Vec<bool>);

/// The tokens of a prompt and its completion, which are tokenised as one text.
///
/// # Errors
/// If the text cannot be tokenised, or the tokens at its border cannot be told apart.
pub fn completion(
    tokenization: &Tokenization,
    prompt: &str,
    completion: &str,
) -> Result<Targeted, String> {
    let text = [prompt, completion].concat();
    let prompt = 0..prompt.len();
    let context = if prompt.is_empty() {
        vec![]
    } else {
        vec![prompt]
    };
    targeted(tokenization, &text, &context)
}

/// The tokens of a text of which these characters are context: ranges in order, that are not empty and do not overlap.
///
/// # Errors
/// If the text cannot be tokenised, or the tokens at a border of a range cannot be told apart.
pub fn spans(
    tokenization: &Tokenization,
    text: &str,
    context: &[Range<usize>],
) -> Result<Targeted, String> {
    targeted(tokenization, text, &bytes(text, context))
}

/// The ranges of bytes of these ranges of characters.
fn bytes(text: &str, characters: &[Range<usize>]) -> Vec<Range<usize>> {
    let ends = text.char_indices().map(|(byte, _)| byte);
    let mut places = ends.chain([text.len()]).enumerate();
    let mut byte = |character: usize| {
        let found = places.find(|(place, _)| *place == character);
        found.map_or(text.len(), |(_, byte)| byte)
    };
    let mut found: Vec<Range<usize>> = Vec::with_capacity(characters.len());
    let mut last = None;
    for range in characters {
        let start = match last {
            Some((character, byte)) if character == range.start => byte,
            _ => byte(range.start),
        };
        let end = byte(range.end);
        last = Some((range.end, end));
        found.push(start..end);
    }
    found
}

/// The tokens of a text of which these bytes are context.
fn targeted(
    tokenization: &Tokenization,
    text: &str,
    context: &[Range<usize>],
) -> Result<Targeted, String> {
    let tokens = tokenization
        .encode(text)
        .map_err(|error| format!("cannot tokenize: {error}"))?;
    let (before, after) = (tokenization.prefix.len(), tokenization.suffix.len());
    let own = &tokens[before..tokens.len() - after];
    let outside = match context {
        [] => vec![true; own.len()],
        [all] if *all == (0..text.len()) => vec![false; own.len()],
        _ => tokenization.ranges(text, own)?.outside(text, context)?,
    };
    let ends_in_context = context.last().map_or(0, |range| range.end) == text.len();
    let mut target = vec![false; before];
    target.extend(outside);
    target.resize(tokens.len(), !ends_in_context);
    Ok((tokens, target))
}
