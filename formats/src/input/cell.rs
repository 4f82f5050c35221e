//! Takes the value in one row of a column, yields the content of the document, or the reason why there is none.
//! `parquet` and `arrow` read the columns.

use super::{Content, Form, Numbers, ReadOptions, fields};

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
}

impl Cell<'_> {
    /// The document's own id, if the value can be one.
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Null | Self::TooLarge | Self::Integers(..) | Self::Float(_) | Self::Floats(_) => {
                None
            }
        }
    }

    /// The content of the document, or the reason why there is none.
    pub(crate) fn content(&self, field: &str, options: &ReadOptions) -> Result<Content, String> {
        let most = options.max_document_bytes;
        let wanted = options.content_field();
        let expected = wanted.expected;
        if wanted.form == Form::Numbers {
            return self.numbers(field, expected, options);
        }
        match self {
            Self::Null => Err(format!("field {field:?} is null, expected {expected}")),
            Self::TooLarge => Err(options.too_large("a field")),
            Self::Text(text) if text.len() > most => Err(options.too_large("a field")),
            Self::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Content::Text(text.to_owned())),
                Err(error) => Err(format!(
                    "invalid UTF-8 at byte {} of field {field:?}",
                    error.valid_up_to()
                )),
            },
            Self::Integers(items, _) if items.len() > most / size_of::<u32>() => {
                Err(options.too_large("a field"))
            }
            Self::Integers(items, unsigned) => {
                let items = items
                    .iter()
                    .map(|item| item.map(|item| wide(item, *unsigned)));
                fields::tokens_of(field, items).map(Content::Tokens)
            }
            Self::Floats(_) => Err(format!("field {field:?} is a list, expected {expected}")),
            Self::Integer(_) | Self::Float(_) => {
                Err(format!("field {field:?} is a number, expected {expected}"))
            }
        }
    }

    /// The numbers, or the reason why there are none.
    fn numbers(
        &self,
        field: &str,
        expected: &str,
        options: &ReadOptions,
    ) -> Result<Content, String> {
        let most = options.max_document_bytes / size_of::<f32>();
        let numbers = match self {
            Self::Null => Numbers::Null,
            Self::Integer(number) => Numbers::One(fields::number_of(field, None, *number as f64)?),
            Self::Float(number) => Numbers::One(fields::number_of(field, None, *number)?),
            Self::TooLarge => return Err(options.too_large("a field")),
            Self::Integers(items, _) if items.len() > most => {
                return Err(options.too_large("a field"));
            }
            Self::Floats(items) if items.len() > most => return Err(options.too_large("a field")),
            Self::Integers(items, unsigned) => {
                let items = items.iter();
                let items = items.map(|item| item.map(|item| wide(item, *unsigned) as f64));
                Numbers::Each(fields::numbers_of(field, items)?)
            }
            Self::Floats(items) => Numbers::Each(fields::numbers_of(field, items.iter().copied())?),
            Self::Text(_) => {
                return Err(format!("field {field:?} is a string, expected {expected}"));
            }
        };
        Ok(Content::Numbers(numbers))
    }
}
