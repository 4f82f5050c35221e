//! How long a text becomes in the normalizer. A few lines of tokenizer.json turn one character into gigabytes, so texts
//! that would grow beyond [`most`] are refused before that memory is taken.
//!
//! ```text
//! bytes x the largest growth of each step ≤ most ─► fine, without looking at the text
//!                                     otherwise ─► step by step: size of the result ≤ most ─► run the step
//! ```

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokenizers::{
    NormalizedString, Normalizer as _, NormalizerWrapper, Tokenizer, utils::SysRegex,
};

use super::{TokenizerError, long_texts::WINDOW};

/// Bytes that every text may grow to.
const SHORT: usize = 16 * WINDOW;
/// How many times its size a longer text may become.
const TIMES: usize = 4;
/// A step without known growth is measured in parts that grow to about this size.
const PART: usize = 1 << 20;

/// The steps of a normalizer, and how much each of them can add.
pub(super) struct Growth {
    steps: Vec<Step>,
    /// The texts of added tokens. Text is split at them, and each part is normalised by itself.
    added: BTreeSet<String>,
}

struct Step {
    normalizer: NormalizerWrapper,
    kind: Kind,
    /// Most bytes for each byte of its text.
    factor: usize,
}

enum Kind {
    /// Replaces each match by this many bytes.
    Replace(Matches, usize),
    /// Puts this many bytes before each part.
    Prepend(usize),
    Other,
}

/// What a step looks for.
pub(super) enum Matches {
    Text(String),
    Pattern(SysRegex),
}

impl Matches {
    /// Of a normalizer or decoder `Replace` in the format of tokenizer.json.
    pub(super) fn of(step: &Value) -> Option<Self> {
        let pattern = &step["pattern"];
        match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
            (Some(text), _) if !text.is_empty() => Some(Self::Text(text.to_owned())),
            (_, Some(pattern)) => SysRegex::new(pattern).ok().map(Self::Pattern),
            _ => None,
        }
    }

    pub(super) fn count(&self, text: &str) -> usize {
        match self {
            Self::Text(pattern) => text.matches(pattern.as_str()).count(),
            Self::Pattern(pattern) => pattern.find_iter(text).count(),
        }
    }
}

impl Growth {
    /// Of a tokenizer's normalizer.
    pub(super) fn of(tokenizer: &Tokenizer) -> Self {
        let mut steps = Vec::new();
        if let Some(normalizer) = tokenizer.get_normalizer() {
            add(normalizer, &mut steps);
        }
        let added = tokenizer.get_added_vocabulary();
        let added = added.get_added_tokens_decoder().values();
        let added = added.map(|token| token.content.clone());
        Self {
            steps,
            added: added.filter(|content| !content.is_empty()).collect(),
        }
    }

    /// Refuses a text that grows too much.
    ///
    /// # Errors
    /// With the number of bytes, or if a step fails.
    pub(super) fn check(&self, text: &str) -> Result<(), TokenizerError> {
        let most = most(text.len());
        let factors = self.steps.iter().map(|step| step.factor);
        if factors.fold(text.len(), usize::saturating_mul) <= most {
            return Ok(());
        }
        let cuts = self.added.iter().map(|token| text.matches(token.as_str()));
        let cuts: usize = cuts.map(Iterator::count).sum();
        let mut normalized = NormalizedString::from(text);
        for step in &self.steps {
            let size = step.size(normalized.get(), cuts, most)?;
            if size > most {
                let bytes = text.len();
                return Err(TokenizerError(
                    format!(
                        "expected the normalizer to turn the {bytes} bytes into at most {most}, got more"
                    )
                    .into(),
                ));
            }
            let done = step.normalizer.normalize(&mut normalized);
            done.map_err(TokenizerError)?;
        }
        Ok(())
    }
}

/// Most bytes that a text of this many may become.
fn most(bytes: usize) -> usize {
    SHORT.max(bytes.saturating_mul(TIMES))
}

/// Adds the steps of a normalizer.
fn add(normalizer: &NormalizerWrapper, steps: &mut Vec<Step>) {
    if let NormalizerWrapper::Sequence(sequence) = normalizer {
        sequence.as_ref().iter().for_each(|one| add(one, steps));
        return;
    }
    let mut kind = Kind::Other;
    let factor = match normalizer {
        NormalizerWrapper::Replace(replace) => {
            let content = replace.content.len();
            let matches = serde_json::to_value(replace).ok();
            let matches = matches.as_ref().and_then(Matches::of);
            let factor = match &matches {
                Some(Matches::Text(text)) => content.div_ceil(text.len()).max(1),
                // A pattern may match between any two bytes.
                _ => content.saturating_add(1),
            };
            if let Some(matches) = matches {
                kind = Kind::Replace(matches, content);
            }
            factor
        }
        NormalizerWrapper::Prepend(prepend) => {
            kind = Kind::Prepend(prepend.prepend.len());
            prepend.prepend.len().saturating_add(1)
        }
        NormalizerWrapper::Precompiled(precompiled) => {
            let json = serde_json::to_value(precompiled).unwrap_or_default();
            let map = json["precompiled_charsmap"].as_str().unwrap_or_default();
            let texts = charsmap(map).map_or(0, |texts| longest(&texts));
            texts.max(1)
        }
        // U+FDFA, of 3 bytes, becomes 33.
        NormalizerWrapper::NFKC(_) | NormalizerWrapper::NFKD(_) => 11,
        NormalizerWrapper::NFC(_) | NormalizerWrapper::NFD(_) => 3,
        NormalizerWrapper::BertNormalizer(_) => 9,
        NormalizerWrapper::Lowercase(_) | NormalizerWrapper::ByteLevel(_) => 2,
        _ => 1,
    };
    steps.push(Step {
        normalizer: normalizer.clone(),
        kind,
        factor,
    });
}

impl Step {
    /// At most how many bytes this text becomes, if that is not more than `most`; else any number above it. The text is
    /// cut at `cuts` places before.
    fn size(&self, text: &str, cuts: usize, most: usize) -> Result<usize, TokenizerError> {
        let bytes = text.len();
        if bytes.saturating_mul(self.factor) <= most {
            return Ok(bytes * self.factor);
        }
        Ok(match &self.kind {
            Kind::Prepend(added) => bytes.saturating_add(added.saturating_mul(cuts + 1)),
            Kind::Replace(matches, content) => {
                // A pattern may also match where a part begins and ends.
                let count = matches.count(text) + 2 * cuts;
                bytes.saturating_add(count.saturating_mul(*content))
            }
            Kind::Other => self.measured(text, most)?,
        })
    }

    fn measured(&self, text: &str, most: usize) -> Result<usize, TokenizerError> {
        let (mut rest, mut size) = (text, 0);
        while !rest.is_empty() && size <= most {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            let end = rest.floor_char_boundary((PART / self.factor.max(1)).max(first));
            let (part, after) = rest.split_at(end);
            let mut part = NormalizedString::from(part);
            let done = self.normalizer.normalize(&mut part);
            done.map_err(TokenizerError)?;
            size += part.get().len();
            rest = after;
        }
        Ok(size)
    }
}

/// The texts in the map of a normalizer `Precompiled`, separated by NUL; `None` if its table is longer than the map.
fn charsmap(map: &str) -> Option<Vec<u8>> {
    let map = BASE64_STANDARD.decode(map).ok()?;
    let (size, rest) = map.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    Some(rest.get(size / 4 * 4..)?.to_owned())
}

fn longest(texts: &[u8]) -> usize {
    let lengths = texts.split(|&byte| byte == 0).map(<[u8]>::len);
    lengths.max().unwrap_or(0)
}

/// Refuses maps of `Precompiled` normalizers that claim a table longer than they are: the crate would allocate it.
///
/// # Errors
/// With what was expected.
pub(super) fn check_charsmaps(normalizer: &Value) -> Result<(), String> {
    match normalizer {
        Value::Object(object) => object.iter().try_for_each(|(key, value)| match value {
            Value::String(map) if key == "precompiled_charsmap" => match charsmap(map) {
                Some(_) => Ok(()),
                None => Err(format!(
                    "normalizer: expected a {key} that holds the table it announces, got one of {} characters",
                    map.len()
                )),
            },
            value => check_charsmaps(value),
        }),
        Value::Array(parts) => parts.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn growth(normalizer: &Value) -> Growth {
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": normalizer, "pre_tokenizer": null,
            "added_tokens": [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true}],
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"?": 0, "<s>": 1}, "unk_token": "?"},
        });
        Growth::of(&json.to_string().parse().unwrap())
    }

    fn replace(pattern: Value, content: &str) -> Value {
        json!({"type": "Replace", "pattern": pattern, "content": content})
    }

    fn is_refused(growth: &Growth, text: &str) -> bool {
        let checked = growth.check(text).map_err(|error| error.to_string());
        if let Err(said) = &checked {
            assert!(said.contains("at most"), "{said}");
        }
        checked.is_err()
    }

    #[test]
    fn texts_that_multiply_are_refused_and_others_are_not() {
        // Each step makes ten of one.
        let ten = replace(json!({"String": "a"}), "aaaaaaaaaa");
        let nine = growth(&json!({"type": "Sequence", "normalizers": vec![ten; 9]}));
        assert!(is_refused(&nine, "a"));
        assert!(!is_refused(&nine, &"b".repeat(100_000)));
        let long = growth(&replace(json!({"Regex": "x|$"}), &"y".repeat(1 << 20)));
        assert!(is_refused(&long, "xxxxx"));
        assert!(!is_refused(&long, &"b".repeat(100_000)));
        let before = growth(&json!({"type": "Prepend", "prepend": "y".repeat(1 << 20)}));
        assert!(!is_refused(&before, &"b".repeat(100_000)));
        assert!(is_refused(&before, &"<s>b".repeat(10)));
    }

    /// A map with one rule: `a` becomes `entry`.
    fn precompiled(entry: &str) -> Value {
        // Units of the double array: the root leads to the node of `a` (0x61), whose leaf holds the index 0.
        let mut table = vec![0_u32; 256];
        table[0] = 1 << 10;
        table[0x60] = 0x61 | 1 << 8 | 1 << 10;
        table[0x61] = 1 << 31;
        let mut map = 1024_u32.to_le_bytes().to_vec();
        map.extend(table.iter().flat_map(|unit| unit.to_le_bytes()));
        map.extend(entry.as_bytes());
        json!({"type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(map)})
    }

    #[test]
    fn steps_of_unknown_growth_are_measured() {
        let maps = growth(&precompiled(&"y".repeat(1 << 20)));
        let mut one = NormalizedString::from("ab");
        maps.steps[0].normalizer.normalize(&mut one).unwrap();
        assert_eq!(one.get().len(), (1 << 20) + 1, "the map has its rule");
        assert!(is_refused(&maps, "aaaaa"));
        assert!(!is_refused(&maps, "aaa"));
        assert!(!is_refused(&maps, &"b".repeat(100)));
        let unicode = growth(&json!({"type": "NFKD"}));
        assert!(is_refused(&unicode, &"\u{fdfa}".repeat(400_000)));
        assert!(!is_refused(&unicode, &"b".repeat(1_200_000)));
    }

    #[test]
    fn maps_that_announce_more_than_they_hold_are_refused() {
        for map in ["", "AAAA", "AAAAgP////8AAAAA", "/////w==", "!"] {
            let normalizer = json!({"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": map}]});
            let said = check_charsmaps(&normalizer).unwrap_err();
            assert!(said.contains("precompiled_charsmap"), "{said}");
        }
        check_charsmaps(&precompiled("b")).unwrap();
        check_charsmaps(&json!({"type": "NFC"})).unwrap();
    }
}
