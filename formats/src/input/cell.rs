//! Takes the value in one row of a column, yields the content of the document, or the reason why there is none.
//! `parquet` and `arrow` read the columns.

use super::{Content, ReadOptions, fields};

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
}

impl Cell<'_> {
    /// The document's own id, if the value can be one.
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok().map(str::to_owned),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Null | Self::TooLarge | Self::Integers(..) => None,
        }
    }

    /// The content of the document, or the reason why there is none.
    pub(crate) fn content(&self, field: &str, options: &ReadOptions) -> Result<Content, String> {
        let most = options.max_document_bytes;
        let expected = match options.tokens_field {
            Some(_) => "a list of token ids",
            None => "a string",
        };
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
            Self::Integer(_) => Err(format!("field {field:?} is a number, expected {expected}")),
        }
    }
}
