//! Takes the bytes of JSON, finds where its values end, without parsing them: the items of an array that is a whole
//! file, and values that take several lines. Holds no more than the limit of one item. `fields` parses the items.

use std::io;

use tokio::io::AsyncBufReadExt;

use super::compression::Plain;
use super::error::cut_short;
use super::lines::BYTE_ORDER_MARK;

/// Follows strings and brackets. The kinds of brackets are not told apart: the parser does that.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

/// What a byte was.
#[derive(Debug, PartialEq, Eq)]
enum Met {
    /// A part of a value, or white space.
    Inside,
    /// The bracket that closes the outermost value.
    Closed,
    /// A comma outside of all values.
    Comma,
    /// A closing bracket outside of all values: it closes what is around them.
    End,
}

impl Scan {
    fn byte(&mut self, byte: u8) -> Met {
        if self.is_string {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_string = false,
                _ => {}
            }
            return Met::Inside;
        }
        match byte {
            b'"' => self.is_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth == 0 => return Met::End,
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    return Met::Closed;
                }
            }
            b',' if self.depth == 0 => return Met::Comma,
            _ => {}
        }
        Met::Inside
    }

    /// Follows one more line of a value that starts with a bracket.
    pub(super) fn line(&mut self, line: &[u8]) -> Progress {
        for (at, byte) in line.iter().enumerate() {
            match self.byte(*byte) {
                Met::Inside => {}
                Met::Closed if line[at + 1..].trim_ascii().is_empty() => return Progress::Closed,
                _ => return Progress::NoValue,
            }
        }
        match self.is_string {
            // No string of JSON has a line break in it.
            true => Progress::NoValue,
            false => Progress::Open,
        }
    }
}

/// How far a value is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It goes on in the next line.
    Open,
    /// It ended with this line.
    Closed,
    /// These lines are not one value.
    NoValue,
}

/// Whether a file starts like an array of objects. `head` has its first bytes.
pub(super) fn begins_array(head: &[u8]) -> bool {
    let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    let inside = head.trim_ascii_start().strip_prefix(b"[");
    inside.is_some_and(|inside| {
        let first = inside.trim_ascii_start().first();
        first.is_none_or(|first| matches!(first, b'{' | b']'))
    })
}

/// One item of an array.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// An item that fits.
    Whole(&'a [u8]),
    /// An item over the limit, skipped.
    TooLong,
}

/// The items of an array.
pub(super) struct Items {
    input: Plain,
    limit: usize,
    item: Vec<u8>,
    /// The number of items so far; `None` before the opening bracket.
    items: Option<u64>,
    has_ended: bool,
}

impl Items {
    /// The items of the array at the start of `input`.
    pub(super) fn new(input: Plain, limit: usize) -> Self {
        Self {
            input,
            limit,
            item: Vec::new(),
            items: None,
            has_ended: false,
        }
    }

    /// The bytes behind the array, once it has ended.
    pub(super) fn into_rest(self) -> Plain {
        self.input
    }

    /// The next item; `None` behind the closing bracket.
    pub(super) async fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        if self.has_ended {
            return Ok(None);
        }
        let items = match self.items {
            Some(items) => items,
            None => {
                self.open().await?;
                0
            }
        };
        self.items = Some(items + 1);
        self.item.clear();
        let mut scan = Scan::default();
        let mut too_long = false;
        loop {
            let some = self.input.fill_buf().await?;
            if some.is_empty() {
                return Err(cut_short("it ends inside its array"));
            }
            let end = some
                .iter()
                .position(|byte| matches!(scan.byte(*byte), Met::Comma | Met::End));
            let mut part = &some[..end.unwrap_or(some.len())];
            if self.item.is_empty() {
                part = part.trim_ascii_start();
            }
            too_long |= self.item.len() + part.len() > self.limit;
            match too_long {
                true => self.item = Vec::new(),
                false => self.item.extend_from_slice(part),
            }
            let length = some.len();
            let Some(end) = end else {
                self.input.consume(length);
                continue;
            };
            self.has_ended = some[end] != b',';
            self.input.consume(end + 1);
            break;
        }
        // An empty array has no item, but there must be one behind a comma.
        let is_empty = self.has_ended && items == 0 && !too_long && self.item.is_empty();
        Ok(match (is_empty, too_long) {
            (true, _) => None,
            (_, true) => Some(Item::TooLong),
            _ => Some(Item::Whole(self.item.trim_ascii_end())),
        })
    }

    /// Passes over the opening bracket, which [`begins_array`] has seen.
    async fn open(&mut self) -> io::Result<()> {
        loop {
            let some = self.input.fill_buf().await?;
            if some.is_empty() {
                return Err(cut_short("it ends before its array"));
            }
            match some.iter().position(|byte| *byte == b'[') {
                Some(bracket) => {
                    self.input.consume(bracket + 1);
                    return Ok(());
                }
                None => {
                    let length = some.len();
                    self.input.consume(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    /// The items, read in parts of `part` bytes, and the error or the rest.
    fn items(json: &'static [u8], limit: usize, part: usize) -> (Vec<String>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let input = BufReader::with_capacity(part, json);
            let mut items = Items::new(Box::new(input), limit);
            let mut found = Vec::new();
            loop {
                match items.next().await {
                    Ok(Some(Item::Whole(item))) => {
                        found.push(String::from_utf8(item.to_vec()).unwrap());
                    }
                    Ok(Some(Item::TooLong)) => found.push("too long".to_owned()),
                    Ok(None) => break,
                    Err(error) => return (found, error.to_string()),
                }
            }
            let mut rest = String::new();
            let mut input = items.into_rest();
            tokio::io::AsyncReadExt::read_to_string(&mut input, &mut rest)
                .await
                .unwrap();
            (found, rest)
        })
    }

    #[test]
    fn items_end_at_commas_outside_of_strings_and_brackets() {
        for (json, expected, rest) in [
            (&b"[]"[..], &[][..], ""),
            (&b" [ \n ] \n"[..], &[][..], " \n"),
            (&b"[{}]"[..], &["{}"][..], ""),
            (
                &br#"[{"a":"]},[\\\"\\","b":[1,{}]} , [1,2],"x,]", -1e3 ]x"#[..],
                &[
                    r#"{"a":"]},[\\\"\\","b":[1,{}]}"#,
                    "[1,2]",
                    r#""x,]""#,
                    "-1e3",
                ][..],
                "x",
            ),
            (&b"[1,]"[..], &["1", ""][..], ""),
            (&b"[,1]"[..], &["", "1"][..], ""),
            (&b"[{\"long\":1},2]"[..], &["too long", "2"][..], ""),
            (&b"[1,{"[..], &["1"][..], "it ends inside its array"),
            (&b"["[..], &[][..], "it ends inside its array"),
        ] {
            let limit = if expected.contains(&"too long") {
                5
            } else {
                100
            };
            for part in [1, 2, 1000] {
                let (found, end) = items(json, limit, part);
                assert_eq!(found, expected, "in parts of {part}");
                assert_eq!(end, rest, "in parts of {part}");
            }
        }
    }

    #[test]
    fn arrays_of_objects_begin_so() {
        for head in [&b"[{"[..], b"\xef\xbb\xbf\n[\n  {\"a\"", b"[]", b"[   "] {
            assert!(begins_array(head), "{head:?}");
        }
        for head in [&b"[1"[..], b"{", b"[[", b"", b"[\"a\""] {
            assert!(!begins_array(head), "{head:?}");
        }
    }

    #[test]
    fn values_over_several_lines() {
        let progress = |lines: &[&str]| {
            let mut scan = Scan::default();
            let mut last = Progress::Open;
            for line in lines {
                assert_eq!(last, Progress::Open, "{lines:?}");
                last = scan.line(line.as_bytes());
            }
            last
        };
        assert_eq!(progress(&["{", "\"a\": [", "]", "} "]), Progress::Closed);
        assert_eq!(progress(&["{\"}\": \"{\"", "}"]), Progress::Closed);
        assert_eq!(progress(&["{", "\"a\": {}"]), Progress::Open);
        assert_eq!(progress(&["{\"a\":\"b"]), Progress::NoValue);
        assert_eq!(progress(&["{", "} {"]), Progress::NoValue);
    }
}
