//! Takes lines, yields a document for each JSON object. Blank lines are skipped, but counted as rows. `fields` reads
//! the objects.

use std::io;

use super::compression::Plain;
use super::fields::Object;
use super::lines::{Line, Lines};
use super::{Content, ReadOptions, Record, Said};

/// The documents of a shard of JSON lines.
pub(super) struct JsonLines {
    shard: String,
    options: ReadOptions,
    lines: Lines,
    rows: i64,
}

impl JsonLines {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        Self {
            shard,
            lines: Lines::new(input, options.max_document_bytes),
            options,
            rows: 0,
        }
    }

    /// The number of complete rows so far.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        while let Some(line) = self.lines.next().await? {
            let row = self.rows;
            self.rows += 1;
            let document = match line {
                Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Line::Whole(line) => document(line, &self.options),
                Line::TooLong => Err(self.options.too_large("a line")),
            };
            return Ok(Some(Record::of(&self.shard, row, document)));
        }
        Ok(None)
    }
}

/// The document of one line with its own id and source, or the reason why there is none.
fn document(line: &[u8], options: &ReadOptions) -> Result<(Said, Content), String> {
    let line = std::str::from_utf8(line)
        .map_err(|error| format!("invalid UTF-8 at byte {} of the line", error.valid_up_to()))?;
    let object = Object::parse(line)?;
    let content = match &options.tokens_field {
        Some(field) => Content::Tokens(object.tokens(field, options.names)?),
        None => Content::Text(object.text(&options.text_field, options.names)?),
    };
    Ok((object.said(options), content))
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;

    fn read(line: &str, options: &ReadOptions) -> Result<(String, Content), String> {
        let (said, content) = document(line.as_bytes(), options)?;
        let id = said.id;
        Ok((id.unwrap_or_else(|| Document::default_id("s", 7)), content))
    }

    #[test]
    fn ids_are_the_documents_own_or_made() {
        let options = ReadOptions::default();
        for (line, id) in [
            (r#"{"text":"","id":"a b"}"#, "a b"),
            (
                r#"{"text":"","id":-12345678901234567890123}"#,
                "-12345678901234567890123",
            ),
            (r#"{"text":"","id":1.5}"#, "s#7"),
            (r#"{"text":"","id":null}"#, "s#7"),
            (r#"{"text":"","id":"\ud800"}"#, "s#7"),
            (r#"{"text":""}"#, "s#7"),
        ] {
            assert_eq!(
                read(line, &options),
                Ok((id.to_owned(), Content::Text(String::new())))
            );
        }
    }

    #[test]
    fn token_lists_take_the_place_of_text() {
        let options = ReadOptions {
            tokens_field: Some("input_ids".to_owned()),
            ..ReadOptions::default()
        };
        let content = |line| read(line, &options).map(|(_, content)| content);
        assert_eq!(
            content(r#"{"text":5,"input_ids":[0,2147483647]}"#),
            Ok(Content::Tokens(vec![0, 2_147_483_647]))
        );
        assert_eq!(content(r#"{"input_ids":[ ]}"#), Ok(Content::Tokens(vec![])));
        for (line, reason) in [
            (
                r#"{"input_ids":"1"}"#,
                "is a string, expected a list of token ids",
            ),
            (
                r#"{"input_ids":[1,-2]}"#,
                "item 1 is -2, expected an integer from 0 to 2147483647",
            ),
            (
                r#"{"input_ids":[2147483648]}"#,
                "item 0 is 2147483648, expected an integer from",
            ),
            (
                r#"{"input_ids":[1,[2]]}"#,
                "item 1 is a list, expected an integer from",
            ),
            (
                r#"{"input_ids":[1.0]}"#,
                "item 0 is 1.0, expected an integer from",
            ),
            (
                r#"{"text":""}"#,
                "no field \"input_ids\"; the line has \"text\" (name it with tokens_field)",
            ),
        ] {
            let got = content(line).unwrap_err();
            assert!(got.contains(reason), "{line}: {got}");
        }
    }

    #[test]
    fn reasons_say_what_was_expected_and_got() {
        let options = ReadOptions::default();
        for (line, reason) in [
            (
                r#"{"content":1,"id":2}"#,
                r#"no field "text"; the line has "content", "id" (name it with text_field)"#,
            ),
            (
                "{}",
                r#"no field "text"; the line has no fields (name it with text_field)"#,
            ),
            (
                r#"{"text":5}"#,
                r#"field "text" is a number, expected a string"#,
            ),
            (
                r#"{"text":null}"#,
                r#"field "text" is null, expected a string"#,
            ),
            ("[1]", "expected one object per line, got a list"),
            (
                "{\"text\":",
                "not JSON: EOF while parsing a value at column 8 (expected one object per line)",
            ),
            (
                "nonsense",
                "not JSON: expected ident at column 2 (expected one object per line)",
            ),
            (
                "{\"text\":\"\"} x",
                "not JSON: trailing characters at column 13 (expected one object per line)",
            ),
            (
                r#"{"text":"\ud800"}"#,
                "field \"text\" is not a valid string:",
            ),
        ] {
            let got = read(line, &options).unwrap_err();
            assert!(got.starts_with(reason), "{line}: {got}");
        }
        let got = document(b"{\"text\":\"\xff\"}", &options).unwrap_err();
        assert_eq!(got, "invalid UTF-8 at byte 9 of the line");
    }
}
