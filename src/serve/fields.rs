//! The fields of a JSON object, each parsed by itself so that an error names the field. A field twice and a field that
//! nothing takes are refused.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ApiError;

/// Most fields of a request.
const MOST: usize = 100;

/// The fields that are not taken yet.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The fields of a body. `known` are the names that a request may have.
    pub(super) fn of(body: &'a [u8], known: &[&'static str]) -> Result<Self, ApiError> {
        let text = std::str::from_utf8(body)
            .map_err(|error| ApiError::body(format!("expected UTF-8, got other bytes: {error}")))?;
        let fields: Self = serde_json::from_str(text)
            .map_err(|error| ApiError::body(format!("expected a JSON object: {error}")))?;
        for (i, (name, _)) in fields.0.iter().enumerate() {
            let Some(name) = known.iter().find(|other| *other == name) else {
                let known = known.join(", ");
                return Err(ApiError::body(format!(
                    "unknown field {name:?}: expected one of {known}"
                )));
            };
            if fields.0[..i].iter().any(|(other, _)| other == name) {
                return Err(ApiError::field(
                    name,
                    "expected the field once, got it twice",
                ));
            }
        }
        Ok(fields)
    }

    /// A field, and none if it is null or missing.
    pub(super) fn take<T: Deserialize<'a>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, ApiError> {
        let Some(i) = self.0.iter().position(|(other, _)| other == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(i);
        let value = serde_json::from_str(value.get());
        value.map_err(|error| ApiError::field(name, error))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    if fields.len() == MOST {
                        return Err(A::Error::custom(format!(
                            "expected at most {MOST} fields, got more"
                        )));
                    }
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Object).map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_refused_by_name() {
        let of = |body: &[u8]| Fields::of(body, &["a", "b"]).map(|_| ());
        let refused = |body: &str| of(body.as_bytes()).unwrap_err().to_string();
        assert!(of(br#"{"a": 1, "b": null}"#).is_ok());
        assert!(refused(r#"{"a": 1, "c": 2}"#).contains(r#"unknown field "c""#));
        assert!(refused(r#"{"a": 1, "a": 1}"#).contains("a: expected the field once"));
        assert!(refused("[1]").contains("expected a JSON object"));
        assert!(refused("").contains("EOF"));
        assert!(refused(r#"{"a": 1} {}"#).contains("trailing characters"));
        assert!(refused(&format!(r#"{{"a": {}"#, "[".repeat(100_000))).contains("EOF"));
        assert!(of(b"{\"a\": \"\xff\"}").is_err());
    }

    #[test]
    fn values_are_refused_with_their_field() {
        let number = |body: &'static str| -> Result<Option<u32>, ApiError> {
            Fields::of(body.as_bytes(), &["a"])?.take("a")
        };
        assert_eq!(number(r#"{"a": 7}"#).unwrap(), Some(7));
        assert_eq!(number(r#"{"a": null}"#).unwrap(), None);
        assert_eq!(number("{}").unwrap(), None);
        let said = number(r#"{"a": -7}"#).unwrap_err().to_string();
        assert!(said.starts_with("a: invalid value"), "{said}");
    }
}
