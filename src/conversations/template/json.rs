//! JSON: what a row holds, as values; and values as `tojson` of Transformers writes them, which is Python's `json.dumps`.

use std::fmt::Write as _;

use minijinja::{Error, Value};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{
    arguments::Arguments,
    values::{Dict, Kind, compare, error, float_text, int, text, to_text, wrong},
    work::spend,
};

/// Parses JSON as Python does: objects keep the order of their keys, and of equal keys the last one counts.
pub(in super::super) fn parse(json: &str) -> Result<Value, String> {
    let parsed: Parsed = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Ok(parsed.0)
}

struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder).map(Self)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::from(()))
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::from(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Value, E> {
        Ok(Value::from(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Value, E> {
        Ok(i64::try_from(int).map_or_else(|_| Value::from(int), Value::from))
    }

    fn visit_f64<E: serde::de::Error>(self, float: f64) -> Result<Value, E> {
        // An int of more than 64 bits, which Python keeps exactly, arrives here as well.
        match float.abs() < 9.2e18 {
            true => Ok(Value::from(float)),
            false => Err(E::custom(format!(
                "expected numbers below 9.2e18, got {float:e}"
            ))),
        }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Parsed(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Value::from(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut dict = Dict::default();
        while let Some((key, Parsed(value))) = map.next_entry::<String, _>()? {
            dict.put(Value::from(key), value)
                .map_err(A::Error::custom)?;
        }
        Ok(Value::from_object(dict))
    }
}

/// The filter `tojson`.
pub(super) fn tojson(value: &Value, mut arguments: Arguments) -> Result<Value, Error> {
    let ascii = arguments
        .optional("ensure_ascii")?
        .is_some_and(|ascii| ascii.is_true());
    let indent = match arguments.optional("indent")? {
        None => None,
        Some(indent) => match Kind::of(&indent) {
            Kind::None => None,
            Kind::Text(text) => Some(text.to_owned()),
            _ => {
                let width =
                    int(&indent).ok_or_else(|| wrong("an int or a str as the indent", &indent))?;
                let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
                spend(width)?;
                Some(" ".repeat(width))
            }
        },
    };
    let separators = match arguments.optional("separators")? {
        Some(two) if !two.is_none() => {
            let two = super::values::items(&two)?;
            match two.as_slice() {
                [item, key] => (to_separator(item)?, to_separator(key)?),
                _ => return Err(error("tojson: expected two separators")),
            }
        }
        _ if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        _ => (", ".to_owned(), ": ".to_owned()),
    };
    let sorted = arguments
        .optional("sort_keys")?
        .is_some_and(|sorted| sorted.is_true());
    arguments.end()?;
    let mut out = String::new();
    let writer = Writer {
        ascii,
        indent,
        item: separators.0,
        key: separators.1,
        sorted,
    };
    writer.write(value, 0, &mut out)?;
    text(out)
}

fn to_separator(value: &Value) -> Result<String, Error> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| wrong("a str as a separator", value))
}

struct Writer {
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    sorted: bool,
}

impl Writer {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        spend(16)?;
        if depth > 200 {
            return Err(error(
                "tojson: expected values nested at most 200 deep, got a deeper one",
            ));
        }
        match Kind::of(value) {
            Kind::None => out.push_str("null"),
            Kind::Bool(true) => out.push_str("true"),
            Kind::Bool(false) => out.push_str("false"),
            Kind::Int(int) => {
                let _ = write!(out, "{int}");
            }
            Kind::Float(float) => out.push_str(&json_float(float)),
            Kind::Text(text) => self.string(text, out)?,
            Kind::List(items) => self.list(items, depth, out)?,
            Kind::Row(row) if row.range.is_none() => self.list(&row.items, depth, out)?,
            Kind::Dict(dict) => {
                let mut entries: Vec<&(Value, Value)> = dict.entries().iter().collect();
                if self.sorted {
                    let mut failed = None;
                    entries.sort_by(|(a, _), (b, _)| match compare(a, b) {
                        Ok(order) => order.unwrap_or(std::cmp::Ordering::Equal),
                        Err(error) => {
                            failed = Some(error);
                            std::cmp::Ordering::Equal
                        }
                    });
                    if let Some(failed) = failed {
                        return Err(failed);
                    }
                }
                if entries.is_empty() {
                    out.push_str("{}");
                    return Ok(());
                }
                out.push('{');
                for (i, (key, value)) in entries.into_iter().enumerate() {
                    self.separate(i, depth + 1, out)?;
                    let key = match Kind::of(key) {
                        Kind::Text(key) => key.to_owned(),
                        Kind::Bool(bool) => bool.to_string(),
                        Kind::None => "null".to_owned(),
                        Kind::Float(float) => json_float(float),
                        Kind::Int(_) => to_text(key)?,
                        _ => return Err(wrong("a str as the key of an object", key)),
                    };
                    self.string(&key, out)?;
                    out.push_str(&self.key);
                    self.write(value, depth + 1, out)?;
                }
                self.line(depth, out)?;
                out.push('}');
            }
            _ => return Err(wrong("tojson: a value that JSON has", value)),
        }
        Ok(())
    }

    fn list(&self, items: &[Value], depth: usize, out: &mut String) -> Result<(), Error> {
        if items.is_empty() {
            out.push_str("[]");
            return Ok(());
        }
        out.push('[');
        for (i, item) in items.iter().enumerate() {
            self.separate(i, depth + 1, out)?;
            self.write(item, depth + 1, out)?;
        }
        self.line(depth, out)?;
        out.push(']');
        Ok(())
    }

    /// What stands before item `i`.
    fn separate(&self, i: usize, depth: usize, out: &mut String) -> Result<(), Error> {
        if i > 0 {
            out.push_str(&self.item);
        }
        self.line(depth, out)
    }

    fn line(&self, depth: usize, out: &mut String) -> Result<(), Error> {
        let Some(indent) = &self.indent else {
            return Ok(());
        };
        spend(indent.len().saturating_mul(depth))?;
        out.push('\n');
        for _ in 0..depth {
            out.push_str(indent);
        }
        Ok(())
    }

    fn string(&self, text: &str, out: &mut String) -> Result<(), Error> {
        spend(text.len())?;
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\0'..='\u{1f}' => {
                    let _ = write!(out, "\\u{:04x}", u32::from(c));
                }
                // DEL is ASCII: Python writes it as it is.
                c if self.ascii && !c.is_ascii() => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                c => out.push(c),
            }
        }
        out.push('"');
        Ok(())
    }
}

fn json_float(float: f64) -> String {
    match (float.is_nan(), float.is_infinite()) {
        (true, _) => "NaN".to_owned(),
        (_, true) if float > 0.0 => "Infinity".to_owned(),
        (_, true) => "-Infinity".to_owned(),
        _ => float_text(float),
    }
}
