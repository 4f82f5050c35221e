//! Takes JSON lines, or an array of objects that is the whole file; yields a document for each object. Blank lines are
//! skipped, but counted as rows. `lines` and `json_values` find the objects, `fields` reads them.
//!
//! A file that starts with an object over several lines is not JSON lines: that is one rejection, not one per line.

use std::collections::VecDeque;
use std::io;

use super::compression::Plain;
use super::fields::{Place, is_json, with_object};
use super::json_values::{Item, Items, Progress, Scan};
use super::lines::{Line, Lines, too_many_blank};
use super::{Content, ReadOptions, Record, Said};

/// The most bytes of the lines that are searched for the end of the first value.
const LOOK_AHEAD: usize = 16 << 20;
/// The most lines that are held for that.
const MOST_LINES: usize = 1 << 20;

/// The documents of a shard of JSON lines, or of an array.
pub(super) struct JsonLines {
    shard: String,
    options: ReadOptions,
    source: Source,
    rows: i64,
    /// Lines that were read ahead, and the error behind them.
    ahead: VecDeque<Ahead>,
    error: Option<io::Error>,
    /// Whether the first line that is not blank was met.
    has_begun: bool,
}

/// Where the objects come from.
enum Source {
    Array(Items),
    Lines(Lines),
    Ended,
}

/// A [`Line`] that was read ahead.
enum Ahead {
    Whole(Vec<u8>),
    TooLong,
    Blank(u64),
}

impl JsonLines {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        let lines = Source::Lines(Lines::new(input, options.max_document_bytes));
        Self::of(shard, options, lines)
    }

    /// The documents of a file that starts like an array of objects, see [`super::json_values::begins_array`].
    pub(super) fn of_array(shard: String, options: ReadOptions, input: Plain) -> Self {
        let items = Source::Array(Items::new(input, options.max_document_bytes));
        Self::of(shard, options, items)
    }

    fn of(shard: String, options: ReadOptions, source: Source) -> Self {
        Self {
            shard,
            options,
            source,
            rows: 0,
            ahead: VecDeque::new(),
            error: None,
            has_begun: false,
        }
    }

    /// The number of complete rows so far.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let of_line = if let Some(ahead) = self.ahead.pop_front() {
                let line = match &ahead {
                    Ahead::Whole(line) => Line::Whole(line),
                    Ahead::TooLong => Line::TooLong,
                    Ahead::Blank(lines) => Line::Blank(*lines),
                };
                of_line(line, &mut self.rows, &self.options)
            } else if let Some(error) = self.error.take() {
                return Err(error);
            } else {
                match &mut self.source {
                    Source::Ended => return Ok(None),
                    Source::Array(items) => {
                        let document = match items.next().await? {
                            Some(Item::Whole(item)) => document(item, Place::Item, &self.options),
                            Some(Item::TooLong) => Err(self.options.too_large("an item")),
                            None => {
                                self.leave_array();
                                continue;
                            }
                        };
                        self.rows += 1;
                        Some(document)
                    }
                    Source::Lines(lines) => match lines.next().await? {
                        None => return Ok(None),
                        Some(Line::Whole(line)) if !self.has_begun && is_open(line) => {
                            self.has_begun = true;
                            let line = line.to_vec();
                            match self.over_lines(line).await {
                                None => continue,
                                Some(reason) => {
                                    self.source = Source::Ended;
                                    self.rows += 1;
                                    Some(Err(reason))
                                }
                            }
                        }
                        Some(line) => {
                            let is_blank = matches!(line, Line::Blank(_));
                            self.has_begun |= !is_blank;
                            of_line(line, &mut self.rows, &self.options)
                        }
                    },
                }
            };
            if let Some(document) = of_line {
                return Ok(Some(Record::of(&self.shard, self.rows - 1, document)));
            }
        }
    }

    /// Lines may follow an array. If they do, the array was that of one line.
    fn leave_array(&mut self) {
        if let Source::Array(items) = std::mem::replace(&mut self.source, Source::Ended) {
            let rest = items.into_rest();
            self.source = Source::Lines(Lines::new(rest, self.options.max_document_bytes));
            self.has_begun = true;
        }
    }

    /// The reason to reject the file, if a value starts with the line `first` and ends in a later one. Else the lines
    /// that were read for that are read again.
    async fn over_lines(&mut self, first: Vec<u8>) -> Option<String> {
        let mut scan = Scan::default();
        let mut progress = scan.line(&first);
        let mut value = first.clone();
        let mut count = 1_u64;
        self.ahead.push_back(Ahead::Whole(first));
        while progress == Progress::Open
            && value.len() <= LOOK_AHEAD
            && self.ahead.len() < MOST_LINES
        {
            let Source::Lines(lines) = &mut self.source else {
                break;
            };
            let (ahead, more) = match lines.next().await {
                Ok(None) => break,
                Ok(Some(Line::Whole(line))) => {
                    value.push(b'\n');
                    value.extend_from_slice(line);
                    progress = scan.line(line);
                    (Ahead::Whole(line.to_vec()), 1)
                }
                Ok(Some(Line::Blank(lines))) => (Ahead::Blank(lines), lines),
                Ok(Some(Line::TooLong)) => {
                    self.ahead.push_back(Ahead::TooLong);
                    break;
                }
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            };
            count += more;
            self.ahead.push_back(ahead);
        }
        let is_value = progress == Progress::Closed && is_json(&String::from_utf8_lossy(&value));
        is_value.then(|| {
            self.ahead.clear();
            format!(
                "pretty-printed JSON: the first value takes {count} lines, expected one object per line (jq -c . \
                 writes it so)"
            )
        })
    }
}

/// Whether a value starts with this line and ends in a later one, by its brackets.
fn is_open(line: &[u8]) -> bool {
    let begins = line.trim_ascii_start().first();
    matches!(begins, Some(b'{' | b'[')) && Scan::default().line(line) == Progress::Open
}

/// Counts the rows of a line; its document, or the reason why there is none. `None` if it is blank.
fn of_line(
    line: Line<'_>,
    rows: &mut i64,
    options: &ReadOptions,
) -> Option<Result<(Said, Content), String>> {
    let lines = match line {
        Line::Blank(lines) => lines,
        _ => 1,
    };
    *rows = rows.saturating_add_unsigned(lines);
    match line {
        Line::Blank(lines) => too_many_blank(lines, "one object per line").map(Err),
        Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => None,
        Line::Whole(line) => Some(document(line, Place::Line, options)),
        Line::TooLong => Some(Err(options.too_large("a line"))),
    }
}

/// The document of one object with its own id and source, or the reason why there is none.
fn document(json: &[u8], place: Place, options: &ReadOptions) -> Result<(Said, Content), String> {
    let json = std::str::from_utf8(json).map_err(|error| {
        let (byte, place) = (error.valid_up_to(), place.name());
        format!("invalid UTF-8 at byte {byte} of {place}")
    })?;
    with_object(json, place, |object| {
        let (content, context) = object.content(options, None)?;
        let said = object.said(options);
        Ok((Said { context, ..said }, content))
    })
}

#[cfg(test)]
mod tests {
    use super::super::{ContentFields, Document};
    use super::*;

    fn read(line: &str, options: &ReadOptions) -> Result<(String, Content), String> {
        let (said, content) = document(line.as_bytes(), Place::Line, options)?;
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
            content: ContentFields::tokens("input_ids"),
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
        let got = document(b"{\"text\":\"\xff\"}", Place::Line, &options).unwrap_err();
        assert_eq!(got, "invalid UTF-8 at byte 9 of the line");
    }
}
