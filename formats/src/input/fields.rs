//! Takes one JSON object, yields single fields of it: a text, a list of token ids, an id. Reads no more of the object
//! than these. Values nested in other fields are skipped without recursion, however deep they are. `other_fields` lets
//! them hold what only JSON's users write, such as NaN.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Content, Form, Numbers, OptionNames, ReadOptions, Said, other_fields};

/// How many field names a message lists, and how many characters of each.
const LISTED: usize = 8;
const LISTED_CHARACTERS: usize = 40;

/// The largest token id: the masks hold 32-bit signed integers.
const GREATEST_TOKEN: u32 = i32::MAX as u32;

/// Where an object is, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a line of its own, or in a file of its own.
    Line,
    /// In an array.
    Item,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Line => "the line",
            Self::Item => "the item",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Line => "one object per line",
            Self::Item => "an array of objects",
        }
    }
}

/// Splits an object into its fields and lets `read` take some, or says why it is not an object.
pub(crate) fn with_object<T>(
    json: &str,
    place: Place,
    read: impl FnOnce(Object<'_>) -> Result<T, String>,
) -> Result<T, String> {
    match Object::parse(json, place) {
        Ok(object) => read(object),
        Err(reason) => {
            let replaced = other_fields::as_json(json).ok_or_else(|| reason.clone())?;
            read(Object::parse(&replaced, place).map_err(|_| reason)?)
        }
    }
}

/// Whether this is a value of JSON.
pub(crate) fn is_json(json: &str) -> bool {
    let parses = |json: &str| serde_json::from_str::<&RawValue>(json).is_ok();
    parses(json) || other_fields::as_json(json).is_some_and(|json| parses(&json))
}

/// The fields of one object, in order, unparsed.
pub(crate) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
    place: Place,
}

impl<'a> Object<'a> {
    fn parse(json: &'a str, place: Place) -> Result<Self, String> {
        let expected = place.expected();
        let not_json = |error: serde_json::Error| {
            let message = error.to_string();
            let what = message
                .rsplit_once(" at line ")
                .map_or(&*message, |(what, _)| what);
            let column = error.column();
            format!("not JSON: {what} at column {column} (expected {expected})")
        };
        if json.trim_ascii_start().starts_with('{') {
            let Fields(fields) = serde_json::from_str(json).map_err(not_json)?;
            Ok(Self { fields, place })
        } else {
            let value: &RawValue = serde_json::from_str(json).map_err(not_json)?;
            Err(format!("expected {expected}, got {}", kind(value)))
        }
    }

    /// The field that `path` names: literally, or step by step into nested objects (`a.b.c`). The literal name takes
    /// precedence; if a name occurs twice, the last one counts.
    fn find(&self, path: &str) -> Option<&'a RawValue> {
        if let Some(value) = self.get(path) {
            return Some(value);
        }
        path.match_indices('.').find_map(|(dot, _)| {
            let inner = self.get(&path[..dot])?;
            let Fields(fields) = serde_json::from_str(inner.get()).ok()?;
            let place = self.place;
            Self { fields, place }.find(&path[dot + 1..])
        })
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let mut fields = self.fields.iter().rev();
        fields.find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    /// The document's own id, if it has one: a string or an integer.
    fn id(&self, path: &str) -> Option<String> {
        let value = self.find(path)?.get();
        let digits = value.strip_prefix('-').unwrap_or(value);
        match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            // As written, because it may exceed every integer type.
            true => Some(value.to_owned()),
            false => serde_json::from_str(value).ok(),
        }
    }

    /// The document's own id and source.
    pub(crate) fn said(&self, options: &ReadOptions) -> Said {
        let source = options.source_field.as_ref();
        Said {
            id: self.id(&options.id_field),
            source: source.and_then(|path| self.id(path)),
        }
    }

    /// The content of the document, or why there is none.
    pub(crate) fn content(&self, options: &ReadOptions) -> Result<Content, String> {
        let field = options.content_field();
        match field.form {
            Form::Text => self.text(field.path, options.names).map(Content::Text),
            Form::Tokens => self.tokens(field.path, options.names).map(Content::Tokens),
            Form::Numbers => self
                .numbers(field.path, field.expected, options.names)
                .map(Content::Numbers),
        }
    }

    /// The numbers at `path`, or why there are none.
    fn numbers(&self, path: &str, expected: &str, names: OptionNames) -> Result<Numbers, String> {
        let value = self
            .find(path)
            .ok_or_else(|| self.missing(path, names.numbers_field))?;
        match kind(value) {
            "null" => Ok(Numbers::Null),
            "a number" => match finite(value) {
                Some(number) => number_of(path, None, number).map(Numbers::One),
                None => Err(no_number(path, None, value)),
            },
            "a list" => match finite_items(value) {
                Some(items) => numbers_of(path, items.into_iter()).map(Numbers::Each),
                None => {
                    let items: Vec<&RawValue> =
                        serde_json::from_str(value.get()).unwrap_or_default();
                    let is_wrong =
                        |item: &&RawValue| kind(item) != "null" && finite(item).is_none();
                    let index = items.iter().position(is_wrong);
                    Err(match index {
                        Some(index) => no_number(path, Some(index), items[index]),
                        None => format!("field {path:?} is no valid list, expected {expected}"),
                    })
                }
            },
            kind => Err(format!("field {path:?} is {kind}, expected {expected}")),
        }
    }

    /// The text at `path`, or why there is none.
    pub(crate) fn text(&self, path: &str, names: OptionNames) -> Result<String, String> {
        let value = self
            .find(path)
            .ok_or_else(|| self.missing(path, names.text_field))?;
        if !value.get().starts_with('"') {
            let kind = kind(value);
            return Err(format!("field {path:?} is {kind}, expected a string"));
        }
        serde_json::from_str(value.get()).map_err(|error| {
            let why = match other_fields::lone_surrogate(value.get()) {
                Some(half) => format!("{half} is half of a surrogate pair"),
                None => error.to_string(),
            };
            format!("field {path:?} is not a valid string: {why}")
        })
    }

    /// The token ids at `path`, or why there are none.
    pub(crate) fn tokens(&self, path: &str, names: OptionNames) -> Result<Vec<u32>, String> {
        let value = self
            .find(path)
            .ok_or_else(|| self.missing(path, names.tokens_field))?;
        if !value.get().starts_with('[') {
            let kind = kind(value);
            return Err(format!(
                "field {path:?} is {kind}, expected a list of token ids"
            ));
        }
        match serde_json::from_str::<Vec<u32>>(value.get()) {
            Ok(tokens) if tokens.iter().all(|token| *token <= GREATEST_TOKEN) => Ok(tokens),
            _ => Err(bad_token(path, value)),
        }
    }

    fn missing(&self, path: &str, option: &str) -> String {
        let names = self.fields.iter().map(|(name, _)| &**name);
        missing(path, option, self.place.name(), names)
    }
}

/// A message that `place`, which has the fields `names`, lacks the field `path`.
pub(crate) fn missing<'a>(
    path: &str,
    option: &str,
    place: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> String {
    let first: Vec<_> = names.by_ref().take(LISTED).map(shown).collect();
    let names = match (first.is_empty(), names.count()) {
        (true, _) => "no fields".to_owned(),
        (false, 0) => first.join(", "),
        (false, more) => format!("{} and {more} more", first.join(", ")),
    };
    format!("no field {path:?}; {place} has {names} (name it with {option})")
}

/// A list of token ids from integers of any type, or the reason why it is not one. A `None` item is null.
pub(crate) fn tokens_of(
    path: &str,
    items: impl Iterator<Item = Option<i128>>,
) -> Result<Vec<u32>, String> {
    let mut tokens = Vec::with_capacity(items.size_hint().0);
    for (index, item) in items.enumerate() {
        match item.map(u32::try_from) {
            Some(Ok(token)) if token <= GREATEST_TOKEN => tokens.push(token),
            _ => {
                let got = item.map_or("null".to_owned(), |item| item.to_string());
                return Err(format!(
                    "field {path:?}: item {index} is {got}, expected an integer from 0 to {GREATEST_TOKEN}"
                ));
            }
        }
    }
    Ok(tokens)
}

/// Where a number is, in messages.
fn number_place(path: &str, index: Option<usize>) -> String {
    match index {
        Some(index) => format!("field {path:?}: item {index}"),
        None => format!("field {path:?}"),
    }
}

/// A finite number in 32 bits, or the reason why it is not one.
pub(crate) fn number_of(path: &str, index: Option<usize>, number: f64) -> Result<f32, String> {
    let narrow = number as f32;
    match narrow.is_finite() {
        true => Ok(narrow),
        false => Err(format!(
            "{} is {number}, expected a finite number that 32 bits can hold{}",
            number_place(path, index),
            if index.is_some() { ", or null" } else { "" }
        )),
    }
}

/// A list of finite numbers, with NaN for null, or the reason why it is not one.
pub(crate) fn numbers_of(
    path: &str,
    items: impl Iterator<Item = Option<f64>>,
) -> Result<Vec<f32>, String> {
    let number = |(index, item): (usize, Option<f64>)| match item {
        Some(item) => number_of(path, Some(index), item),
        None => Ok(f32::NAN),
    };
    items.enumerate().map(number).collect()
}

/// A number of JSON that 64 bits can hold.
fn finite(value: &RawValue) -> Option<f64> {
    let number = serde_json::from_str(value.get()).ok();
    number.filter(|_| !other_fields::is_not_finite(value.get()))
}

/// A list of such numbers, and of nulls.
fn finite_items(value: &RawValue) -> Option<Vec<Option<f64>>> {
    match other_fields::may_stand_in(value.get()) {
        false => serde_json::from_str(value.get()).ok(),
        true => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            let item = |item: &&RawValue| match kind(item) {
                "null" => Some(None),
                _ => finite(item).map(Some),
            };
            items.iter().map(item).collect()
        }
    }
}

/// The reason why a value of JSON is no number.
fn no_number(path: &str, index: Option<usize>, value: &RawValue) -> String {
    let got = match kind(value) {
        _ if other_fields::is_not_finite(value.get()) => "not a finite number".to_owned(),
        "a number" => shorten(value.get()),
        kind => kind.to_owned(),
    };
    let place = number_place(path, index);
    format!("{place} is {got}, expected a finite number that 32 bits can hold, or null")
}

/// Names and values of an object, in order.
struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

/// A message that names the first item of a list that is not a token id.
fn bad_token(path: &str, list: &RawValue) -> String {
    let items: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
    let is_token = |item: &&RawValue| {
        serde_json::from_str::<u32>(item.get()).is_ok_and(|token| token <= GREATEST_TOKEN)
    };
    let index = items
        .iter()
        .position(|item| !is_token(item))
        .unwrap_or_default();
    let got = match items.get(index) {
        Some(item) if other_fields::is_not_finite(item.get()) => "not a finite number".to_owned(),
        Some(item) if kind(item) == "a number" => shorten(item.get()),
        Some(item) => kind(item).to_owned(),
        None => "missing".to_owned(),
    };
    format!("field {path:?}: item {index} is {got}, expected an integer from 0 to {GREATEST_TOKEN}")
}

/// The type of a value, for a message. The first byte is enough, because the value is known to be JSON.
fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// A name for a message: quoted, escaped, shortened.
fn shown(name: &str) -> String {
    format!("{:?}", shorten(name))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(LISTED_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str, path: &str) -> Option<String> {
        Object::parse(json, Place::Line)
            .unwrap()
            .text(path, OptionNames::default())
            .ok()
    }

    #[test]
    fn paths_reach_into_objects_and_literal_names_win() {
        let json = r#"{"a":{"b":{"c":"nested"},"b.c":"half"},"a.b.c":"literal"}"#;
        assert_eq!(text(json, "a.b.c").as_deref(), Some("literal"));
        let json = r#"{"a":{"b":{"c":"nested"},"b.c":"half"}}"#;
        assert_eq!(text(json, "a.b.c").as_deref(), Some("half"));
        let json = r#"{"a":{"b":{"c":"nested"}}}"#;
        assert_eq!(text(json, "a.b.c").as_deref(), Some("nested"));
        for path in ["a.b", "a.c", "", ".", "a.", ".a", "a.b.c.d", "a..b"] {
            assert_eq!(text(json, path), None, "{path}");
        }
        assert_eq!(text(r#"{"":{"":"x"}}"#, ".").as_deref(), Some("x"));
    }

    #[test]
    fn the_last_of_two_equal_names_wins_and_escapes_are_undone() {
        assert_eq!(
            text(r#"{"text":1,"text":"b"}"#, "text").as_deref(),
            Some("b")
        );
        assert_eq!(
            text(r#"{"te\u0078t":"\u00e9\ud83d\ude00"}"#, "text").as_deref(),
            Some("é😀")
        );
    }

    #[test]
    fn numbers_are_finite_and_fit_into_32_bits() {
        let options = ReadOptions {
            numbers_field: Some("n".to_owned()),
            ..ReadOptions::default()
        };
        let read = |value: &str| {
            let json = format!("{{\"n\":{value},\"a\":[NaN]}}");
            with_object(&json, Place::Line, |object| object.content(&options))
        };
        let each = |numbers: &[f32]| Content::Numbers(Numbers::Each(numbers.to_vec()));
        let one = |number| Content::Numbers(Numbers::One(number));
        for (value, expected) in [
            ("null", Content::Numbers(Numbers::Null)),
            ("-2", one(-2.0)),
            ("0.1", one(0.1)),
            ("3.4e38", one(3.4e38)),
            ("1e-300", one(0.0)),
            ("[]", each(&[])),
            ("[1, 2.5,-3e2 ]", each(&[1.0, 2.5, -300.0])),
        ] {
            assert_eq!(read(value), Ok(expected), "{value}");
        }
        let Ok(Content::Numbers(Numbers::Each(with_null))) = read("[null, 1]") else {
            panic!("expected a list");
        };
        assert!(with_null[0].is_nan() && with_null[1] == 1.0);
        for (value, reason) in [
            ("NaN", "field \"n\" is not a finite number"),
            ("-Infinity", "field \"n\" is not a finite number"),
            ("[1, NaN]", "item 1 is not a finite number"),
            ("[1, null, -Infinity, NaN]", "item 2 is not a finite number"),
            ("1e999", "is 1e999"),
            ("[1e39]", "item 0 is 1000"),
            ("3.5e38", "expected a finite number that 32 bits can hold"),
            (
                "\"1\"",
                "is a string, expected a number, or a list of numbers",
            ),
            ("true", "is a boolean"),
            ("{}", "is an object"),
            ("[[1]]", "item 0 is a list"),
            ("[true]", "item 0 is a boolean"),
            ("[1, \"2\"]", "item 1 is a string"),
        ] {
            let got = read(value).unwrap_err();
            assert!(got.contains(reason), "{value}: {got}");
        }
        let missing = with_object("{\"m\":1}", Place::Line, |object| object.content(&options));
        assert!(missing.unwrap_err().contains("numbers_field"));
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(
            r#"{{"x":{}{},"text":"y"}}"#,
            "[".repeat(1 << 20),
            "]".repeat(1 << 20)
        );
        assert_eq!(text(&deep, "text").as_deref(), Some("y"));
        let deep = format!(
            r#"{{"text":{}{}}}"#,
            "[".repeat(1 << 20),
            "]".repeat(1 << 20)
        );
        assert!(
            Object::parse(&deep, Place::Line)
                .unwrap()
                .text("text", OptionNames::default())
                .is_err()
        );
        assert!(
            Object::parse(&deep, Place::Line)
                .unwrap()
                .tokens("text", OptionNames::default())
                .is_err()
        );
        assert!(Object::parse(&"[".repeat(1 << 20), Place::Line).is_err());
    }

    #[test]
    fn many_and_long_names_are_cut() {
        let names: Vec<_> = (0..20)
            .map(|index| format!("\"{}{index}\":0", "é".repeat(50)))
            .collect();
        let reason = Object::parse(&format!("{{{}}}", names.join(",")), Place::Line)
            .unwrap()
            .text("text", OptionNames::default());
        let reason = reason.unwrap_err();
        assert!(reason.contains(" and 12 more (name it"), "{reason}");
        assert!(reason.chars().count() < 500, "{reason}");
    }
}
