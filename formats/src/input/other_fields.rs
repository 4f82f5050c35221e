//! Takes text that is almost JSON, yields JSON of the same length: Python and others write NaN, infinities, and halves
//! of surrogate pairs. In the fields that are read they are refused, in the others they do not matter.
//!
//! Only for texts that the parser refused, so a file without them pays nothing.

/// What takes the place of each word: a number that nobody writes, of the same length, so that a list of them is still
/// a list of numbers.
const WORDS: [(&str, &str); 2] = [("NaN", "0E0"), ("Infinity", "0E000000")];

/// The text with numbers in place of NaN and infinities, and with other escapes in place of halves of surrogate pairs
/// in names of fields; `None` if it has none of them.
pub(super) fn as_json(text: &str) -> Option<String> {
    let mut json = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            let string = &rest[..string_length(rest)];
            match rest[string.len()..].trim_ascii_start().starts_with(':') {
                true => json.push_str(&without_halves(string)),
                false => json.push_str(string),
            }
            string.len()
        } else if let Some((word, number)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            json.push_str(number);
            word.len()
        } else {
            json.push(first);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    (json != text).then_some(json)
}

/// Whether a number stands for NaN or an infinity.
pub(super) fn is_not_finite(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    WORDS.iter().any(|(_, stands)| number == *stands)
}

/// Whether a value of JSON holds a number that stands for NaN or an infinity.
pub(super) fn holds_not_finite(json: &str) -> bool {
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let is_of_number =
            |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = match first {
            '"' => string_length(rest),
            _ => rest.bytes().take_while(|byte| is_of_number(byte)).count(),
        };
        if first != '"' && is_not_finite(&rest[..length]) {
            return true;
        }
        rest = &rest[length.max(first.len_utf8())..];
    }
    false
}

/// The first escape in a string that is half of a surrogate pair.
pub(super) fn lone_surrogate(string: &str) -> Option<&str> {
    let at = halves(string).next()?;
    string.get(at..at + ESCAPE)
}

/// The length of `\u0000`.
const ESCAPE: usize = 6;

fn without_halves(string: &str) -> String {
    let mut whole = string.to_owned();
    for at in halves(string) {
        whole.replace_range(at..at + ESCAPE, "\\ufffd");
    }
    whole
}

/// Where the halves of surrogate pairs are in a string.
fn halves(string: &str) -> impl Iterator<Item = usize> {
    let unit = |at: usize| {
        let escape = string.get(at..at + ESCAPE)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += string.get(at..)?.find('\\')?;
            let begin = at;
            at += 2;
            let Some(first) = unit(begin) else { continue };
            at = begin + ESCAPE;
            match first {
                0xd800..0xdc00 if matches!(unit(at), Some(0xdc00..0xe000)) => at += ESCAPE,
                0xd800..0xe000 => return Some(begin),
                _ => {}
            }
        }
    })
}

/// The length of the string at the start of `text`, with its quotes; of all of it, if it has no end.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_outside_of_strings_and_halves_in_names_are_replaced() {
        for (text, json) in [
            (
                r#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \" Infinity"}"#,
                Some(r#"{"a":0E0,"b":[-0E000000,0E000000],"c":"NaN \" Infinity"}"#),
            ),
            (
                r#"{"\ud800" :"\udc00","\ud83d\ude00\udc00\ud83dx":1}"#,
                Some(r#"{"\ufffd" :"\udc00","\ud83d\ude00\ufffd\ufffdx":1}"#),
            ),
            (r#"{"\\ud800":1,"é":"Infinity"}"#, None),
            (r#"{"a":"NaN"#, None),
            ("", None),
        ] {
            assert_eq!(as_json(text).as_deref(), json, "{text}");
        }
    }

    #[test]
    fn numbers_that_stand_for_others_are_found_outside_of_strings() {
        for (json, found) in [
            (r#"[{"0E0":"0E0"}, 0, 10E0, 0E00, 1.0E0, 0E000000]"#, true),
            (r#"[{"0E0":"0E0"}, 0, 10E0, 0E00, 1.0E0]"#, false),
            ("[true,-0E000000]", true),
            ("0E0", true),
            ("[\"é\\\"0E0\"]", false),
        ] {
            assert_eq!(holds_not_finite(json), found, "{json}");
        }
    }

    #[test]
    fn halves_are_told_from_pairs() {
        assert_eq!(
            lone_surrogate(r#""a \ud83d\ude00 \uDC00""#),
            Some("\\uDC00")
        );
        assert_eq!(lone_surrogate(r#""\ud83d\ud83d\ude00""#), Some("\\ud83d"));
        assert_eq!(lone_surrogate(r#""\ud83d\ude00 \\ud800 é""#), None);
        assert_eq!(lone_surrogate(r#""\u12"#), None);
        assert_eq!(lone_surrogate("\\"), None);
    }
}
