//! Takes the values of a nested column one by one, yields them as a text of JSON. `parquet` and `arrow` read the columns.
//!
//! A field of an object that is null is left out: in columns every object has every field, so a null is mostly one that
//! was not there when the file was written (TRL removes them before it renders messages). A null item of a list stays.
//! What a column holds and JSON does not have (a text that is not UTF-8, NaN) refuses the whole value.

use serde_json::Number;

use super::cell::Cell;
use super::fields;

/// A text of JSON that is being written.
pub(crate) struct JsonText {
    text: String,
    /// The most bytes that it may have.
    most: usize,
    state: State,
    /// Whether it holds texts of JSON from the column.
    has_json: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    TooLarge,
    Refused(String),
}

/// The end of the text at some time, and whether anything was written into its list or object before.
#[derive(Clone, Copy)]
pub(crate) struct Mark(usize);

impl JsonText {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            most,
            state: State::Open,
            has_json: false,
        }
    }

    /// Whether nothing more is written, because it is too large or refused.
    pub(crate) fn is_closed(&self) -> bool {
        self.state != State::Open
    }

    /// The whole value.
    pub(crate) fn finish(self) -> Cell<'static> {
        match self.state {
            State::TooLarge => Cell::TooLarge,
            State::Refused(what) => Cell::Json(Err(what)),
            State::Open if self.has_json => match fields::parsed(&self.text) {
                Ok(()) => Cell::Json(Ok(self.text)),
                Err(why) => Cell::Json(Err(format!("holds what cannot be read: {why}"))),
            },
            State::Open => Cell::Json(Ok(self.text)),
        }
    }

    fn push(&mut self, part: &str) {
        if self.is_closed() {
            return;
        }
        match self.text.len() + part.len() > self.most {
            true => self.close(State::TooLarge),
            false => self.text.push_str(part),
        }
    }

    fn close(&mut self, state: State) {
        if self.state == State::Open {
            self.state = state;
            self.text = String::new();
        }
    }

    pub(crate) fn too_large(&mut self) {
        self.close(State::TooLarge);
    }

    pub(crate) fn start_list(&mut self) {
        self.push("[");
    }

    pub(crate) fn end_list(&mut self) {
        self.push("]");
    }

    pub(crate) fn start_object(&mut self) {
        self.push("{");
    }

    pub(crate) fn end_object(&mut self) {
        self.push("}");
    }

    /// Before an item of a list, or a name in an object.
    pub(crate) fn separate(&mut self) {
        if !matches!(self.text.as_bytes().last(), Some(b'[' | b'{')) {
            self.push(",");
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.text.len())
    }

    /// Removes what was written after the mark.
    pub(crate) fn undo(&mut self, mark: Mark) {
        self.text.truncate(mark.0);
    }

    /// The name of a field in an object; its value follows.
    pub(crate) fn name(&mut self, name: &str) {
        self.separate();
        self.string(name.as_bytes());
        self.push(":");
    }

    /// After the name of a field in a map, which was written as a value.
    pub(crate) fn end_name(&mut self) {
        self.push(":");
    }

    pub(crate) fn null(&mut self) {
        self.push("null");
    }

    pub(crate) fn boolean(&mut self, boolean: bool) {
        self.push(if boolean { "true" } else { "false" });
    }

    pub(crate) fn integer(&mut self, integer: i128) {
        self.push(&integer.to_string());
    }

    pub(crate) fn float(&mut self, float: f64) {
        match Number::from_f64(float) {
            Some(number) => self.push(&number.to_string()),
            None => self.close(State::Refused(
                "holds NaN or an infinity, expected finite numbers".to_owned(),
            )),
        }
    }

    /// A text, as bytes that should be UTF-8.
    pub(crate) fn string(&mut self, bytes: &[u8]) {
        let Some(text) = self.utf8(bytes) else {
            return;
        };
        match serde_json::to_string(text) {
            Ok(quoted) => self.push(&quoted),
            Err(error) => self.close(State::Refused(format!("cannot be read: {error}"))),
        }
    }

    /// A text of JSON from the column, which stands for the value that it holds.
    pub(crate) fn json(&mut self, bytes: &[u8]) {
        let Some(text) = self.utf8(bytes) else {
            return;
        };
        match fields::parsed(text) {
            // All of it is parsed again at the end: it may be nested too deeply.
            Ok(()) => {
                self.has_json = true;
                self.push(text);
            }
            Err(why) => self.close(State::Refused(format!(
                "holds a text that should be JSON: {why}"
            ))),
        }
    }

    /// The bytes as a text; closes if they are too many or not UTF-8.
    fn utf8<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a str> {
        if self.text.len().saturating_add(bytes.len()) > self.most {
            self.close(State::TooLarge);
        }
        if self.is_closed() {
            return None;
        }
        let text = std::str::from_utf8(bytes);
        if let Err(error) = text {
            let byte = error.valid_up_to();
            self.close(State::Refused(format!(
                "holds a text with invalid UTF-8 at its byte {byte}"
            )));
        }
        text.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(most: usize, write: impl FnOnce(&mut JsonText)) -> Cell<'static> {
        let mut text = JsonText::new(most);
        write(&mut text);
        text.finish()
    }

    fn object(text: &mut JsonText) {
        text.start_list();
        text.separate();
        text.start_object();
        text.name("a\"");
        text.string("é\n".as_bytes());
        let mark = text.mark();
        text.name("gone");
        text.undo(mark);
        text.name("b");
        text.float(0.1_f32.into());
        text.end_object();
        text.separate();
        text.null();
        text.separate();
        text.json(b" {\"x\": 1}");
        text.end_list();
    }

    #[test]
    fn values_are_written_as_json() {
        let expected = "[{\"a\\\"\":\"é\\n\",\"b\":0.10000000149011612},null, {\"x\": 1}]";
        let most = expected.len();
        assert_eq!(written(most, object), Cell::Json(Ok(expected.to_owned())));
        for most in 0..most {
            assert_eq!(written(most, object), Cell::TooLarge, "{most}");
        }
    }

    #[test]
    fn what_json_does_not_have_is_refused() {
        for (write, reason) in [
            (
                (|text| text.float(f64::NAN)) as fn(&mut JsonText),
                "holds NaN or an infinity",
            ),
            (|text| text.string(b"a\xff"), "invalid UTF-8 at its byte 1"),
            (
                |text| text.json(b"{"),
                "holds a text that should be JSON: EOF",
            ),
            (
                |text| text.json(b"1]"),
                "should be JSON: trailing characters",
            ),
        ] {
            let Cell::Json(Err(what)) = written(100, write) else {
                panic!("{reason}");
            };
            assert!(what.contains(reason), "{what}");
        }
    }
}
