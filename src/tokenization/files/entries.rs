//! The entries of a JSON object as in the file: in order, because the order determines ids, and as text, so that
//! unchanged values stay identical byte for byte.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The entries of an object, each key once.
#[derive(Debug)]
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Entries<'a> {
    /// The entries of an object, from its text.
    pub(super) fn of(text: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(text)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| *value)
    }

    /// The object's text with another value for a key; a new key is added at the end.
    pub(super) fn with(&self, key: &str, value: &str) -> String {
        let mut text = String::from("{");
        let mut put = |name: &str, value: &str| {
            text.push_str(if text.len() > 1 { ",\n  " } else { "\n  " });
            // Formatting a string as JSON cannot fail.
            text.push_str(&serde_json::Value::from(name).to_string());
            text.push_str(": ");
            text.push_str(value);
        };
        for (name, own) in &self.0 {
            put(name, if name == key { value } else { own.get() });
        }
        if self.get(key).is_none() {
            put(key, value);
        }
        text.push_str("\n}\n");
        text
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries: Self::Value = Vec::new();
                let mut keys = std::collections::HashSet::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if !keys.insert(key.clone()) {
                        return Err(M::Error::custom(format!("duplicate key {key:?}")));
                    }
                    entries.push((key, value));
                }
                Ok(entries)
            }
        }
        Ok(Self(deserializer.deserialize_map(InOrder)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_order_and_their_text() {
        let text = br#"{"b": 1e-07, "a\n": [1,  2], "c": null}"#;
        let entries = Entries::of(text).unwrap();
        let with = entries.with("c", "3");
        assert_eq!(
            with,
            "{\n  \"b\": 1e-07,\n  \"a\\n\": [1,  2],\n  \"c\": 3\n}\n"
        );
        let with = entries.with("d", "{}");
        assert!(with.ends_with("\"c\": null,\n  \"d\": {}\n}\n"), "{with}");
        assert_eq!(
            Entries::of(b"{}").unwrap().with("a", "1"),
            "{\n  \"a\": 1\n}\n"
        );
        let twice = Entries::of(br#"{"a": 1, "a": 2}"#).unwrap_err();
        assert!(twice.to_string().contains("duplicate key"), "{twice}");
    }
}
