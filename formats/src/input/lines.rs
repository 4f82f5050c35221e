//! Takes decompressed bytes, yields lines, and never holds more than the limit of one. Runs of blank lines are one
//! item, and are passed over as fast as they are read: a damaged file may have billions. `json_lines` and `text_lines`
//! parse the lines and count rows.

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
    /// A number of consecutive lines of white space, skipped.
    Blank(u64),
}

/// A run of blank lines that is too long to be meant, such as the tail of a file that was never written.
const MANY_BLANK: u64 = 1 << 20;

/// The reason to reject a run of blank lines, if it is too long to be meant.
pub(crate) fn too_many_blank(lines: u64, expected: &str) -> Option<String> {
    (lines >= MANY_BLANK).then(|| format!("expected {expected}, got {lines} blank lines in a row"))
}

/// The lines of a stream.
pub(crate) struct Lines {
    input: Plain,
    limit: usize,
    line: Vec<u8>,
    at_start: bool,
    /// The error after blank lines that are yielded first.
    error: Option<io::Error>,
}

impl Lines {
    pub(crate) fn new(input: Plain, limit: usize) -> Self {
        Self {
            input,
            limit,
            line: Vec::new(),
            at_start: true,
            error: None,
        }
    }

    /// The next line; `None` at the end. The last line may lack its newline, but a line that an error cuts in two is
    /// never yielded.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let at_start = std::mem::take(&mut self.at_start);
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        // A byte-order mark is no white space.
        let blank = self.blank_lines().await?;
        if blank > 0 {
            return Ok(Some(Line::Blank(blank)));
        }
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

    /// Passes over complete lines of white space, and counts them.
    async fn blank_lines(&mut self) -> io::Result<u64> {
        let mut lines = 0;
        loop {
            let some = match self.input.fill_buf().await {
                Ok(some) => some,
                Err(error) if lines == 0 => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    return Ok(lines);
                }
            };
            let blank = blank_prefix(some);
            let Some(last) = some[..blank].iter().rposition(|byte| *byte == b'\n') else {
                return Ok(lines);
            };
            let ends = blank < some.len();
            let breaks = some[..=last].iter().filter(|byte| **byte == b'\n');
            lines += breaks.count() as u64;
            self.input.consume(last + 1);
            if ends {
                return Ok(lines);
            }
        }
    }

    async fn read(&mut self, most: u64) -> io::Result<usize> {
        (&mut self.input)
            .take(most)
            .read_until(b'\n', &mut self.line)
            .await
    }
}

/// The number of bytes of white space in front.
fn blank_prefix(bytes: &[u8]) -> usize {
    /// Checked together, without a branch per byte.
    const TOGETHER: usize = 64;
    let is_blank = |chunk: &[u8]| {
        chunk
            .iter()
            .fold(true, |all, byte| all & byte.is_ascii_whitespace())
    };
    let chunks = bytes.chunks_exact(TOGETHER);
    let whole = chunks.take_while(|chunk| is_blank(chunk)).count() * TOGETHER;
    let rest = bytes[whole..].iter();
    whole + rest.take_while(|byte| byte.is_ascii_whitespace()).count()
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
                    Line::Blank(lines) => Some(format!("{lines} blank")),
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
        assert_eq!(lines(b"\n", 4), some(&["1 blank"]));
        assert_eq!(lines(b"a\nb", 4), some(&["a", "b"]));
        assert_eq!(
            lines(b"a\r\n\r\n \t\n b\r\n", 4),
            some(&["a", "2 blank", " b"])
        );
        assert_eq!(lines(b"\n\n  ", 4), some(&["2 blank", "  "]));
        assert_eq!(lines(&[b'\n'; 1000], 4), some(&["1000 blank"]));
        assert_eq!(lines(b"\xef\xbb\xbfa\n", 4), some(&["a"]));
        assert_eq!(lines(b"1234\n1234", 4), some(&["1234", "1234"]));
        let limited = vec![None, Some("ab".to_owned()), None];
        assert_eq!(lines(b"12345\nab\n1234567890", 4), limited);
    }
}
