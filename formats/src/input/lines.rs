//! Takes decompressed bytes, yields lines, and never holds more than the limit of one. `json_lines` parses them and
//! counts rows.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use super::compression::Plain;

/// The mark that programs on some systems write at the start of a UTF-8 file.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes dropped at a time of a line that is too long.
const SKIP: u64 = 64 * 1024;

/// One line, without its end (`\n` or `\r\n`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line that fits.
    Whole(&'a [u8]),
    /// A line over the limit, skipped.
    TooLong,
}

/// The lines of a stream.
pub(crate) struct Lines {
    input: Plain,
    limit: usize,
    line: Vec<u8>,
    at_start: bool,
}

impl Lines {
    pub(crate) fn new(input: Plain, limit: usize) -> Self {
        Self {
            input,
            limit,
            line: Vec::new(),
            at_start: true,
        }
    }

    /// The next line; `None` at the end. The last line may lack its newline, but a line that an error cuts in two is
    /// never yielded.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let at_start = std::mem::take(&mut self.at_start);
        if self.read((self.limit as u64).saturating_add(1)).await? == 0 {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        } else if self.line.len() > self.limit {
            loop {
                self.line.clear();
                if self.read(SKIP).await? == 0 || self.line.last() == Some(&b'\n') {
                    break;
                }
            }
            self.line = Vec::new();
            return Ok(Some(Line::TooLong));
        }
        let line = match at_start {
            true => self.line.strip_prefix(BYTE_ORDER_MARK),
            false => None,
        };
        Ok(Some(Line::Whole(line.unwrap_or(&self.line))))
    }

    async fn read(&mut self, most: u64) -> io::Result<usize> {
        (&mut self.input)
            .take(most)
            .read_until(b'\n', &mut self.line)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &'static [u8], limit: usize) -> Vec<Option<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut lines = Lines::new(Box::new(bytes), limit);
            let mut found = Vec::new();
            while let Some(line) = lines.next().await.unwrap() {
                found.push(match line {
                    Line::Whole(line) => Some(String::from_utf8_lossy(line).into_owned()),
                    Line::TooLong => None,
                });
            }
            found
        })
    }

    #[test]
    fn ends_marks_and_limits() {
        let some = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| Some((*line).to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(b"", 4), some(&[]));
        assert_eq!(lines(b"\n", 4), some(&[""]));
        assert_eq!(lines(b"a\nb", 4), some(&["a", "b"]));
        assert_eq!(lines(b"a\r\n\r\nb\r\n", 4), some(&["a", "", "b"]));
        assert_eq!(lines(b"\xef\xbb\xbfa\n", 4), some(&["a"]));
        assert_eq!(lines(b"1234\n1234", 4), some(&["1234", "1234"]));
        let limited = vec![None, Some("ab".to_owned()), None];
        assert_eq!(lines(b"12345\nab\n1234567890", 4), limited);
    }
}
