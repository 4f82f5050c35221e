//! Takes one JSON object, yields single fields of it: a text, a list of token ids, numbers, a list as JSON, an id. Reads
//! no more of the object than these. Values nested in other fields are skipped without recursion, however deep they are.
//! `other_fields` lets them hold what only JSON's users write, such as NaN.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::wanted::{self, Holds, Value, Wanted};
use super::{Content, Numbers, ReadOptions, Said, other_fields};

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
            context: None,
        }
    }

    /// The content of the document and the text before it. If the content's `text` is in another place, it takes
    /// precedence.
    pub(crate) fn content(
        &self,
        options: &ReadOptions,
        mut text: Option<Result<String, String>>,
    ) -> Result<(Content, Option<String>), String> {
        let wanted = Wanted::of(options);
        let values =
            wanted.iter().map(
                |field| match text.take_if(|_| field.is_text_of_document(options)) {
                    Some(text) => text.map(Value::Text),
                    None => self.value(field),
                },
            );
        wanted::document(options, values)
    }

    /// The value of a field, or why there is none.
    fn value(&self, wanted: &Wanted) -> Result<Value, String> {
        let value = match self.find(&wanted.path) {
            Some(value) if value.get() != "null" => value,
            _ if wanted.holds.may_be_missing() => return Ok(Value::Missing),
            Some(value) => return wanted.holds.null().ok_or_else(|| wanted.not(kind(value))),
            None => return Err(self.missing(wanted)),
        };
        match wanted.holds {
            Holds::Text => string(value, wanted).map(Value::Text),
            Holds::Tokens => self.tokens(value, wanted).map(Value::Tokens),
            Holds::Numbers => numbers(value, wanted).map(Value::Numbers),
            _ if value.get().starts_with('"') => json_in(&string(value, wanted)?, wanted),
            _ => list(value, wanted),
        }
    }

    fn tokens(&self, value: &RawValue, wanted: &Wanted) -> Result<Vec<u32>, String> {
        if !value.get().starts_with('[') {
            return Err(wanted.not(kind(value)));
        }
        match serde_json::from_str::<Vec<u32>>(value.get()) {
            Ok(tokens) if tokens.iter().all(|token| *token <= GREATEST_TOKEN) => Ok(tokens),
            _ => Err(bad_token(&wanted.path, value)),
        }
    }

    fn missing(&self, wanted: &Wanted) -> String {
        let names = self.fields.iter().map(|(name, _)| &**name);
        missing(wanted, self.place.name(), names)
    }
}

/// A string of JSON as a text.
fn string(value: &RawValue, wanted: &Wanted) -> Result<String, String> {
    let path = &wanted.path;
    if !value.get().starts_with('"') {
        return Err(wanted.not(kind(value)));
    }
    serde_json::from_str(value.get()).map_err(|error| {
        let why = why(value.get(), &error);
        format!("field {path:?} is not a valid string: {why}")
    })
}

/// Why a text is no value of JSON.
fn why(json: &str, error: &serde_json::Error) -> String {
    match other_fields::lone_surrogate(json) {
        Some(half) => format!("{half} is half of a surrogate pair"),
        None => error.to_string(),
    }
}

/// The list of JSON that a field is.
fn list(value: &RawValue, wanted: &Wanted) -> Result<Value, String> {
    let (path, json) = (&wanted.path, value.get());
    if !json.starts_with('[') {
        return Err(wanted.not(kind(value)));
    }
    if other_fields::holds_not_finite(json) {
        return Err(format!(
            "field {path:?} holds NaN or an infinity, expected finite numbers"
        ));
    }
    // The other lists are parsed in this crate.
    if matches!(wanted.holds, Holds::Messages | Holds::Tools) {
        parsed(json).map_err(|why| format!("field {path:?} holds what cannot be read: {why}"))?;
    }
    Ok(Value::Json(json.to_owned()))
}

/// The list of JSON that a string holds.
pub(crate) fn json_in(text: &str, wanted: &Wanted) -> Result<Value, String> {
    let path = &wanted.path;
    let value: &RawValue = serde_json::from_str(text).map_err(|error| {
        let expected = wanted.holds.name();
        format!("field {path:?} is a string that is not JSON: {error} (expected {expected})")
    })?;
    match value.get() {
        "null" if wanted.holds.may_be_missing() => Ok(Value::Missing),
        json if json.starts_with('[') => list(value, wanted),
        _ => Err(wanted.not(&format!("a string that holds {}", kind(value)))),
    }
}

/// Parses a value of JSON and drops it, or says why it cannot be parsed.
pub(crate) fn parsed(json: &str) -> Result<(), String> {
    let parsed: Result<Parsed, _> = serde_json::from_str(json);
    parsed.map(drop).map_err(|error| why(json, &error))
}

/// A value of JSON that was parsed and dropped. Unlike [`serde::de::IgnoredAny`] it checks strings and numbers, and how
/// deep values are nested.
struct Parsed;

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Parsed;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_str<E>(self, _: &str) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_unit<E>(self) -> Result<Parsed, E> {
                Ok(Parsed)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Parsed, A::Error> {
                while let Some(Parsed) = items.next_element()? {}
                Ok(Parsed)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
                while let Some((Parsed, Parsed)) = map.next_entry()? {}
                Ok(Parsed)
            }
        }
        deserializer.deserialize_any(Visit)
    }
}

/// A message that `place`, which has the fields `names`, lacks a field.
pub(crate) fn missing<'a>(
    wanted: &Wanted,
    place: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> String {
    let first: Vec<_> = names.by_ref().take(LISTED).map(shown).collect();
    let names = match (first.is_empty(), names.count()) {
        (true, _) => "no fields".to_owned(),
        (false, 0) => first.join(", "),
        (false, more) => format!("{} and {more} more", first.join(", ")),
    };
    let (path, option) = (&wanted.path, wanted.option);
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

/// A number or a list of numbers of JSON.
fn numbers(value: &RawValue, wanted: &Wanted) -> Result<Numbers, String> {
    let path = &wanted.path;
    match kind(value) {
        "a number" => match finite(value) {
            Some(number) => number_of(path, None, number).map(Numbers::One),
            None => Err(bad_number(path, None, value)),
        },
        "a list" => match finite_items(value) {
            Some(items) => numbers_of(path, items.into_iter()).map(Numbers::Each),
            None => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
                let is_wrong = |item: &&RawValue| kind(item) != "null" && finite(item).is_none();
                Err(match items.iter().position(is_wrong) {
                    Some(index) => bad_number(path, Some(index), items[index]),
                    None => wanted.not("no valid list"),
                })
            }
        },
        kind => Err(wanted.not(kind)),
    }
}

/// A number of JSON that 64 bits can hold.
fn finite(value: &RawValue) -> Option<f64> {
    let number = serde_json::from_str(value.get()).ok();
    number.filter(|_| !other_fields::is_not_finite(value.get()))
}

/// A list of such numbers, and of nulls.
fn finite_items(value: &RawValue) -> Option<Vec<Option<f64>>> {
    let items = serde_json::from_str(value.get()).ok();
    items.filter(|_| !other_fields::holds_not_finite(value.get()))
}

/// The reason why a value of JSON is no number.
fn bad_number(path: &str, index: Option<usize>, value: &RawValue) -> String {
    let (place, got) = (number_place(path, index), got(Some(value)));
    format!("{place} is {got}, expected a finite number that 32 bits can hold, or null")
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
            "{} is {number}, expected a finite number that 32 bits can hold, or null",
            number_place(path, index)
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
    let got = got(items.get(index).copied());
    format!("field {path:?}: item {index} is {got}, expected an integer from 0 to {GREATEST_TOKEN}")
}

/// An item of a list for a message: a number as it is, else its type.
pub(crate) fn got(item: Option<&RawValue>) -> String {
    match item {
        Some(item) if other_fields::is_not_finite(item.get()) => "not a finite number".to_owned(),
        Some(item) if kind(item) == "a number" => shorten(item.get()),
        Some(item) => kind(item).to_owned(),
        None => "missing".to_owned(),
    }
}

/// Whether a value is of this type.
pub(crate) fn is_a<'a, T: Deserialize<'a>>(value: &'a RawValue) -> bool {
    serde_json::from_str::<T>(value.get()).is_ok()
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

pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(LISTED_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(path: &str, holds: Holds) -> Wanted {
        Wanted {
            path: path.to_owned(),
            option: "option",
            holds,
        }
    }

    fn value(json: &str, path: &str, holds: Holds) -> Result<Value, String> {
        let object = Object::parse(json, Place::Line).unwrap();
        object.value(&wanted(path, holds))
    }

    fn text(json: &str, path: &str) -> Option<String> {
        match value(json, path, Holds::Text) {
            Ok(Value::Text(text)) => Some(text),
            _ => None,
        }
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
            content: super::super::ContentFields::Numbers {
                numbers: "n".to_owned(),
            },
            ..ReadOptions::default()
        };
        let read = |value: &str| {
            let json = format!("{{\"n\":{value},\"a\":[NaN]}}");
            with_object(&json, Place::Line, |object| {
                object.content(&options, None).map(|(content, _)| content)
            })
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
        let missing = with_object("{\"m\":1}", Place::Line, |object| {
            object.content(&options, None)
        });
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
        for holds in [Holds::Text, Holds::Tokens, Holds::Messages] {
            assert!(value(&deep, "text", holds).is_err());
        }
        assert!(Object::parse(&"[".repeat(1 << 20), Place::Line).is_err());
    }

    #[test]
    fn many_and_long_names_are_cut() {
        let names: Vec<_> = (0..20)
            .map(|index| format!("\"{}{index}\":0", "é".repeat(50)))
            .collect();
        let json = format!("{{{}}}", names.join(","));
        let reason = value(&json, "text", Holds::Text).unwrap_err();
        assert!(reason.contains(" and 12 more (name it"), "{reason}");
        assert!(reason.chars().count() < 500, "{reason}");
    }

    #[test]
    fn lists_are_passed_on_as_they_are_written() {
        for (field, holds, json) in [
            (
                r#"[{"role":"user"} , 1]"#,
                Holds::Messages,
                Some(r#"[{"role":"user"} , 1]"#),
            ),
            ("[]", Holds::Messages, Some("[]")),
            // A list in a string.
            (r#""[{\"a\":1}]""#, Holds::Messages, Some(r#"[{"a":1}]"#)),
            (r#"" [] ""#, Holds::Tools, Some("[]")),
            ("null", Holds::Tools, None),
            (r#""null""#, Holds::Tools, None),
            ("[0,1]", Holds::Targets, Some("[0,1]")),
        ] {
            let line = format!("{{\"f\":{field}}}");
            let expected = json.map_or(Value::Missing, |json| Value::Json(json.to_owned()));
            assert_eq!(value(&line, "f", holds), Ok(expected), "{field}");
        }
        assert_eq!(value("{}", "f", Holds::Tools), Ok(Value::Missing));
    }

    #[test]
    fn lists_that_cannot_be_passed_on() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (field, holds, reason) in [
            (
                "{}",
                Holds::Messages,
                "is an object, expected a list of messages",
            ),
            (
                "null",
                Holds::Messages,
                "is null, expected a list of messages",
            ),
            ("3", Holds::Tools, "is a number, expected a list of tools"),
            (
                r#""hi""#,
                Holds::Messages,
                "is a string that is not JSON: expected value",
            ),
            (
                r#""""#,
                Holds::Tools,
                "is a string that is not JSON: EOF while parsing",
            ),
            (
                r#""{}""#,
                Holds::Messages,
                "is a string that holds an object, expected a list of",
            ),
            (
                r#"["\ud800"]"#,
                Holds::Messages,
                "holds what cannot be read: \\ud800 is half",
            ),
            (
                r#"[{"\udc00":1}]"#,
                Holds::Messages,
                "\\udc00 is half of a surrogate pair",
            ),
            (
                "[1e999]",
                Holds::Messages,
                "holds what cannot be read: number out of range",
            ),
            (
                &deep,
                Holds::Messages,
                "holds what cannot be read: recursion limit exceeded",
            ),
        ] {
            let got = value(&format!("{{\"f\":{field}}}"), "f", holds).unwrap_err();
            assert!(got.contains(reason), "{field}: {got}");
        }
        let line = r#"{"f":[{"a":NaN}],"g":-Infinity}"#;
        let read = |path: &str| {
            with_object(line, Place::Line, |object| {
                object.value(&wanted(path, Holds::Messages))
            })
        };
        let got = read("f").unwrap_err();
        assert!(got.contains("holds NaN or an infinity"), "{got}");
        assert_eq!(
            read("h").unwrap_err(),
            "no field \"h\"; the line has \"f\", \"g\" (name it with option)"
        );
    }
}
