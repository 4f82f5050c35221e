//! Added tokens in files, and how several lists of them are merged.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use serde::Deserialize;
use serde_json::{Value, json};

/// A token that is matched in a text before it is split into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

/// A token in a file. Unknown keys are ignored, as `AddedToken` of Transformers does.
#[derive(Debug, Deserialize)]
struct Written {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Token {
    /// A token from an object with a content and optional flags. `special` overrides the flag of the object.
    pub(super) fn of(value: &Value, special: Option<bool>) -> serde_json::Result<Self> {
        let written = Written::deserialize(value)?;
        let special = special.unwrap_or(written.special);
        Ok(Self {
            content: written.content,
            single_word: written.single_word,
            lstrip: written.lstrip,
            rstrip: written.rstrip,
            normalized: written.normalized.unwrap_or(!special),
            special,
        })
    }

    /// A token without flags; a special one is matched before normalising.
    pub(super) fn plain(content: &str, special: bool) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: !special,
            special,
        }
    }

    /// The token in the format of tokenizer.json.
    pub(super) fn json(&self, id: u64) -> Value {
        json!({
            "id": id,
            "content": self.content,
            "single_word": self.single_word,
            "lstrip": self.lstrip,
            "rstrip": self.rstrip,
            "normalized": self.normalized,
            "special": self.special,
        })
    }
}

/// A token that a setting names: by its text only, or with flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    Text(String),
    Token(Token),
}

impl Named {
    pub(super) fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.content,
        }
    }
}

/// The tokens of the files beside tokenizer.json.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Tokens with an id, in ascending order of ids.
    pub(super) listed: Vec<(u64, Token)>,
    /// Tokens of settings such as `pad_token`, in the order of Transformers.
    pub(super) named: Vec<Named>,
    /// Tokens of `extra_special_tokens`.
    pub(super) extra: Vec<Named>,
}

impl Wanted {
    /// Merges these tokens into the added tokens of tokenizer.json: flags change in place, new tokens come last.
    /// Follows `TokenizersBackend`: listed tokens are merged if they differ, named and extra ones only if no added
    /// token has their text.
    pub(super) fn added_to(&self, own: &[Token]) -> Vec<Token> {
        let mut all = Unique::default();
        for token in own {
            all.put(token.clone());
        }
        let listed = self.listed.iter().map(|(_, token)| token);
        let mut new: Vec<Named> = listed
            .filter(|token| all.get(&token.content) != Some(token))
            .map(|token| Named::Token(token.clone()))
            .collect();
        let mut known: HashSet<String> = all.places.keys().cloned().collect();
        known.extend(new.iter().map(|token| token.content().to_owned()));
        let listed = new.len();
        for named in self.named.iter().chain(&self.extra) {
            if !known.contains(named.content()) && !new[listed..].contains(named) {
                new.push(named.clone());
            }
        }
        let special: HashSet<&str> = self.named.iter().map(Named::content).collect();
        for token in new {
            all.put(match token {
                Named::Text(text) => Token::plain(&text, true),
                Named::Token(mut token) => {
                    token.special |= special.contains(token.content.as_str());
                    token
                }
            });
        }
        all.tokens
    }
}

/// Tokens in the order of their first occurrence, with the flags of the last.
#[derive(Default)]
struct Unique {
    tokens: Vec<Token>,
    places: HashMap<String, usize>,
}

impl Unique {
    fn get(&self, content: &str) -> Option<&Token> {
        Some(&self.tokens[*self.places.get(content)?])
    }

    /// Adds or replaces a token; one with an empty text is ignored.
    fn put(&mut self, token: Token) {
        if token.content.is_empty() {
            return;
        }
        match self.places.entry(token.content.clone()) {
            Entry::Occupied(place) => self.tokens[*place.get()] = token,
            Entry::Vacant(place) => {
                place.insert(self.tokens.len());
                self.tokens.push(token);
            }
        }
    }
}
