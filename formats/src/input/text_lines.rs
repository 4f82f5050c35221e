//! Takes lines of text, yields a document for each. Blank lines are skipped, but counted as rows.

use std::io;

use super::compression::Plain;
use super::lines::{Line, Lines, too_many_blank};
use super::{Content, ReadOptions, Record, Said};

/// The documents of a text file with a document per line.
pub(super) struct TextLines {
    shard: String,
    options: ReadOptions,
    lines: Lines,
    rows: i64,
    /// The reason to reject every line.
    no_fields: Option<String>,
}

impl TextLines {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        Self {
            shard,
            lines: Lines::new(input, options.max_document_bytes),
            no_fields: options.no_fields_in_text(),
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
            let text = match line {
                Line::Blank(lines) => {
                    self.rows = row.saturating_add_unsigned(lines);
                    let Some(reason) = too_many_blank(lines, "lines of text") else {
                        continue;
                    };
                    return Ok(Some(Record::of(&self.shard, self.rows - 1, Err(reason))));
                }
                Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Line::Whole(_) if self.no_fields.is_some() => {
                    Err(self.no_fields.clone().unwrap_or_default())
                }
                Line::Whole(line) => match std::str::from_utf8(line) {
                    Ok(text) => Ok((Said::default(), Content::Text(text.to_owned()))),
                    Err(error) => Err(format!(
                        "invalid UTF-8 at byte {} of the line",
                        error.valid_up_to()
                    )),
                },
                Line::TooLong => Err(self.options.too_large("a line")),
            };
            return Ok(Some(Record::of(&self.shard, row, text)));
        }
        Ok(None)
    }
}
