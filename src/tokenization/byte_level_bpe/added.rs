//! Added tokens, which are matched in a text before it is split into words.

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::Tokenizer;

use super::normal::Normal;

/// A part of a text.
pub(super) enum Part<'a> {
    /// Text between added tokens.
    Text(&'a str),
    /// The id of an added token.
    Token(u32),
}

/// The added tokens: some are matched in the raw text, the others in the rest after normalising.
pub(super) struct Added {
    raw: Option<Finder>,
    normalized: Option<Finder>,
}

/// The tokens to match, and their ids in the same order.
struct Finder {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Added {
    /// None if a token matches more than its content: only as a whole word, or with the spaces around it.
    pub(super) fn of(tokenizer: &Tokenizer, normal: Normal) -> Option<Self> {
        let added = tokenizer.get_added_vocabulary();
        let tokens = added.get_added_tokens_decoder();
        // If two tokens have the same id, only one of them is known here.
        if tokens.len() != added.get_vocab().len() || added.get_encode_special_tokens() {
            return None;
        }
        let (mut raw, mut normalized) = (vec![], vec![]);
        for token in tokens.values() {
            let own = token.single_word || token.lstrip || token.rstrip || token.content.is_empty();
            // The crate matches the normalised content of such a token.
            if own || (token.normalized && normal.apply(&token.content) != token.content) {
                return None;
            }
            let id = tokenizer.token_to_id(&token.content)?;
            let kind = if token.normalized {
                &mut normalized
            } else {
                &mut raw
            };
            kind.push((token.content.as_str(), id));
        }
        Some(Self {
            raw: finder(&raw)?,
            normalized: finder(&normalized)?,
        })
    }

    /// Splits a text that is not normalised yet.
    pub(super) fn raw(&self, text: &str, give: &mut dyn FnMut(Part<'_>)) {
        split(self.raw.as_ref(), text, give);
    }

    /// Splits a normalised text.
    pub(super) fn normalized(&self, text: &str, give: &mut dyn FnMut(Part<'_>)) {
        split(self.normalized.as_ref(), text, give);
    }
}

/// A finder for these tokens: `Some(None)` if there are no tokens, `None` if it cannot be built.
fn finder(tokens: &[(&str, u32)]) -> Option<Option<Finder>> {
    if tokens.is_empty() {
        return Some(None);
    }
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(tokens.iter().map(|(content, _)| content))
        .ok()?;
    let ids = tokens.iter().map(|&(_, id)| id).collect();
    Some(Some(Finder { automaton, ids }))
}

fn split(finder: Option<&Finder>, text: &str, give: &mut dyn FnMut(Part<'_>)) {
    let mut done = 0;
    if let Some(finder) = finder {
        for found in finder.automaton.find_iter(text) {
            if done < found.start() {
                give(Part::Text(&text[done..found.start()]));
            }
            give(Part::Token(finder.ids[found.pattern()]));
            done = found.end();
        }
    }
    if done < text.len() {
        give(Part::Text(&text[done..]));
    }
}
