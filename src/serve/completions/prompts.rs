//! The prompts of a request: a text, texts, token ids, or lists of token ids.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Most prompts of a request.
const MOST: usize = 65_536;

/// The prompts of a request, at least one.
#[derive(Debug, PartialEq)]
pub(super) enum Prompts {
    Texts(Vec<String>),
    Tokens(Vec<Vec<u32>>),
}

/// A prompt, or the first of several.
enum First {
    Text(String),
    Id(u32),
    Ids(Vec<u32>),
}

struct Ids(Vec<u32>);

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Prompts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, texts, token ids or lists of token ids")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Prompts, E> {
                Ok(Prompts::Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
                // The first says of what type the others are, so that no list of mixed types is held.
                Ok(match list.next_element()? {
                    None => return Err(A::Error::custom("expected at least one prompt, got none")),
                    Some(First::Text(text)) => {
                        let mut texts = vec![text];
                        while let Some(text) = list.next_element()? {
                            bounded(&texts)?;
                            texts.push(text);
                        }
                        Prompts::Texts(texts)
                    }
                    Some(First::Ids(ids)) => {
                        let mut all = vec![ids];
                        while let Some(Ids(ids)) = list.next_element()? {
                            bounded(&all)?;
                            all.push(ids);
                        }
                        Prompts::Tokens(all)
                    }
                    Some(First::Id(id)) => {
                        let mut ids = vec![id];
                        while let Some(id) = list.next_element()? {
                            ids.push(id);
                        }
                        Prompts::Tokens(vec![ids])
                    }
                })
            }
        }
        deserializer.deserialize_any(All)
    }
}

fn bounded<T, E: Error>(prompts: &[T]) -> Result<(), E> {
    match prompts.len() < MOST {
        true => Ok(()),
        false => Err(E::custom(format!(
            "expected at most {MOST} prompts, got more"
        ))),
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = First;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a token id or a list of token ids")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<First, E> {
                Ok(First::Text(text.to_owned()))
            }

            fn visit_u64<E: Error>(self, id: u64) -> Result<First, E> {
                let id = u32::try_from(id);
                let id =
                    id.map_err(|_| E::custom("expected a token id below 2^32, got a larger one"))?;
                Ok(First::Id(id))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element()? {
                    ids.push(id);
                }
                Ok(First::Ids(ids))
            }
        }
        deserializer.deserialize_any(One)
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_of_each_type() {
        let of = |json: &str| serde_json::from_str::<Prompts>(json).map_err(|e| e.to_string());
        assert_eq!(of(r#""a""#), Ok(Prompts::Texts(vec!["a".into()])));
        let two = Prompts::Texts(vec!["a".into(), "".into()]);
        assert_eq!(of(r#"["a", ""]"#), Ok(two));
        assert_eq!(of("[1, 2]"), Ok(Prompts::Tokens(vec![vec![1, 2]])));
        let lists = Prompts::Tokens(vec![vec![1], vec![], vec![2, 3]]);
        assert_eq!(of("[[1], [], [2, 3]]"), Ok(lists));
        for wrong in [
            "[]",
            "1",
            "{}",
            "true",
            r#"["a", 1]"#,
            r#"[1, "a"]"#,
            "[1, [2]]",
            "[[1], 2]",
            "[[[1]]]",
            "[1.0]",
            "[-1]",
            "[4294967296]",
            "[null]",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        let many = format!("[{}[]]", "[],".repeat(MOST));
        assert!(of(&many).unwrap_err().contains("at most 65536 prompts"));
    }
}
