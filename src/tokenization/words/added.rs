//! Added tokens: those that are looked for in a text before it is split into words.

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::Tokenizer;

use super::normal::Normal;

/// A stretch of a text.
pub(super) enum Part<'a> {
    /// Between added tokens.
    Text(&'a str),
    /// An added token, by its id.
    Token(u32),
}

/// What is looked for: first in the text as it is, then in what normalising made of the rest.
pub(super) struct Added {
    raw: Option<Finder>,
    normalized: Option<Finder>,
}

/// The tokens to look for, and their ids in the same order.
struct Finder {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

impl Added {
    /// None where a token is more than its characters: only as a word by itself, or with the spaces around it.
    pub(super) fn of(tokenizer: &Tokenizer, normal: Normal) -> Option<Self> {
        let added = tokenizer.get_added_vocabulary();
        let tokens = added.get_added_tokens_decoder();
        // Two tokens of one id: only one of them is known here.
        if tokens.len() != added.get_vocab().len() || added.get_encode_special_tokens() {
            return None;
        }
        let (mut raw, mut normalized) = (vec![], vec![]);
        for token in tokens.values() {
            let own = token.single_word || token.lstrip || token.rstrip || token.content.is_empty();
            // The crate looks for what normalising makes of the token itself.
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

    /// Parts of a text that is not normalised yet.
    pub(super) fn raw(&self, text: &str, give: &mut dyn FnMut(Part<'_>)) {
        split(self.raw.as_ref(), text, give);
    }

    /// Parts of a text that is.
    pub(super) fn normalized(&self, text: &str, give: &mut dyn FnMut(Part<'_>)) {
        split(self.normalized.as_ref(), text, give);
    }
}

/// None if it cannot be built; nothing to find is no finder.
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
