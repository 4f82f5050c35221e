//! Takes the value in one row of a column, yields the value of a wanted field, or the reason why there is none. `parquet`
//! and `arrow` read the columns.

use super::wanted::{Holds, Value, Wanted};
use super::{Numbers, ReadOptions, fields};

/// The value of a 64-bit integer that may be unsigned.
pub(crate) fn wide(integer: i64, unsigned: bool) -> i128 {
    match unsigned {
        true => i128::from(integer.cast_unsigned()),
        false => i128::from(integer),
    }
}

/// The value in one row.
#[derive(Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    /// Larger than a document may be, and not read.
    TooLarge,
    Text(&'a [u8]),
    Integer(i128),
    /// The items, and whether they are unsigned.
    Integers(&'a [Option<i64>], bool),
    Float(f64),
    Floats(&'a [Option<f64>]),
    /// A list as JSON, or what it holds that JSON does not.
    Json(Result<String, String>),
}

impl Cell<'_> {
    /// The document's own id, if the value can be one.
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Null
            | Self::TooLarge
            | Self::Integers(..)
            | Self::Float(_)
            | Self::Floats(_)
            | Self::Json(_) => None,
        }
    }

    /// The value of a wanted field, or the reason why there is none.
    pub(crate) fn value(self, wanted: &Wanted, options: &ReadOptions) -> Result<Value, String> {
        let most = options.max_document_bytes;
        let field = &wanted.path;
        match self {
            Self::Null => wanted.holds.null().ok_or_else(|| wanted.not("null")),
            Self::TooLarge => Err(options.too_large("a field")),
            Self::Text(_) if wanted.holds == Holds::Numbers => Err(wanted.not("a string")),
            Self::Text(text) if text.len() > most => Err(options.too_large("a field")),
            Self::Text(text) => match std::str::from_utf8(text) {
                Ok(text) if wanted.holds.is_json() => fields::json_in(text, wanted),
                Ok(text) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(format!(
                    "invalid UTF-8 at byte {} of field {field:?}",
                    error.valid_up_to()
                )),
            },
            Self::Integers(items, _) if items.len() > most / size_of::<u32>() => {
                Err(options.too_large("a field"))
            }
            Self::Floats(items) if items.len() > most / size_of::<f32>() => {
                Err(options.too_large("a field"))
            }
            Self::Integers(items, unsigned) if wanted.holds == Holds::Numbers => {
                let items = items
                    .iter()
                    .map(|item| item.map(|item| wide(item, unsigned) as f64));
                let numbers = fields::numbers_of(field, items)?;
                Ok(Value::Numbers(Numbers::Each(numbers)))
            }
            Self::Floats(items) if wanted.holds == Holds::Numbers => {
                let numbers = fields::numbers_of(field, items.iter().copied())?;
                Ok(Value::Numbers(Numbers::Each(numbers)))
            }
            Self::Integer(number) if wanted.holds == Holds::Numbers => one(field, number as f64),
            Self::Float(number) if wanted.holds == Holds::Numbers => one(field, number),
            Self::Integers(items, unsigned) if wanted.holds == Holds::Tokens => {
                let items = items
                    .iter()
                    .map(|item| item.map(|item| wide(item, unsigned)));
                fields::tokens_of(field, items).map(Value::Tokens)
            }
            Self::Integers(..) | Self::Floats(_) => Err(wanted.not("a list")),
            Self::Json(Ok(json)) if json.len() > most => Err(options.too_large("a field")),
            Self::Json(Ok(json)) => Ok(Value::Json(json)),
            Self::Json(Err(what)) => Err(format!("field {field:?} {what}")),
            Self::Integer(_) | Self::Float(_) => Err(wanted.not("a number")),
        }
    }
}

fn one(field: &str, number: f64) -> Result<Value, String> {
    let number = fields::number_of(field, None, number)?;
    Ok(Value::Numbers(Numbers::One(number)))
}
