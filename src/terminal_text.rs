//! Makes text from documents safe to print on a terminal: control characters and direction marks are replaced. Also
//! measures the width of text in columns.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// The replacement of a character; none if it is printed unchanged.
///
/// Control characters become their control pictures (U+241B for escape), others their code points. Joiners stay,
/// because scripts and emoji need them, and they do nothing else.
pub(crate) fn stand_in(character: char) -> Option<String> {
    match character {
        '\u{200c}' | '\u{200d}' => None,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).map(String::from),
        '\u{7f}' => Some('\u{2421}'.to_string()),
        _ if is_unseen(character) => Some(format!("⟨{:x}⟩", u32::from(character))),
        _ => None,
    }
}

/// Whether a character is invisible or changes how others are displayed: control characters, joiners, direction marks.
pub(crate) fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A text, safe to print inside a line: line breaks and tabs are replaced too.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    replaced(text, stand_in)
}

/// A message, safe to print as one line. Tabs stay.
pub(crate) fn in_one_line(text: &str) -> Cow<'_, str> {
    replaced(text, |c| if c == '\t' { None } else { stand_in(c) })
}

/// Lines of text, safe to print. Tabs stay.
pub(crate) fn lines(text: &str) -> String {
    let keep = |c| matches!(c, '\t' | '\n');
    replaced(text, |c| if keep(c) { None } else { stand_in(c) }).into_owned()
}

/// Coloured lines of text, safe to print: of the sequences that a terminal obeys, those stay that set a colour.
pub(crate) fn coloured(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut safe = lines(parts.next().unwrap_or_default());
    for part in parts {
        let rest = part.strip_prefix('[');
        let rest =
            rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        safe.push(match rest.is_some_and(|rest| rest.starts_with('m')) {
            true => '\x1b',
            false => '␛',
        });
        safe += &lines(part);
    }
    safe
}

/// JSON in which the characters that act on a terminal are escaped: the same value.
pub(crate) fn json(text: &str) -> String {
    // Outside of strings, JSON has no such characters but line breaks.
    let escaped = |c: char| {
        let units = &mut [0; 2];
        let units = c.encode_utf16(units);
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
    };
    let escape = |c| (c != '\n' && stand_in(c).is_some()).then(|| escaped(c));
    replaced(text, escape).into_owned()
}

fn replaced(text: &str, replacement: impl Fn(char) -> Option<String>) -> Cow<'_, str> {
    if text
        .chars()
        .all(|character| replacement(character).is_none())
    {
        return Cow::Borrowed(text);
    }
    let characters = text.chars();
    let drawn = characters.map(|c| replacement(c).unwrap_or_else(|| c.to_string()));
    Cow::Owned(drawn.collect())
}

/// The width of a safe text in columns.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A safe text, shortened to at most `columns` columns in the middle, where names differ least.
pub(crate) fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(1);
    let fitting = |characters: &mut dyn Iterator<Item = char>, room: usize| -> Vec<char> {
        let mut taken = 0;
        characters
            .take_while(|c| {
                taken += width(c.encode_utf8(&mut [0; 4]));
                taken <= room
            })
            .collect()
    };
    let mut end = fitting(&mut text.chars().rev(), room / 2);
    end.reverse();
    let start = fitting(&mut text.chars(), room - room / 2);
    Cow::Owned(start.into_iter().chain(['…']).chain(end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed() {
        assert_eq!(safe("a é 中"), "a é 中");
        assert_eq!(safe("\x1b[2J\r\n\t\u{7f}\u{9b}0m"), "␛[2J␍␊␉␡⟨9b⟩0m");
        assert_eq!(safe("x\u{202e}y\u{200d}z"), "x⟨202e⟩y\u{200d}z");
        let all: String = ('\0'..=char::MAX).collect();
        assert!(!safe(&all).chars().any(char::is_control));
    }

    #[test]
    fn safe_text_stays_as_it_is() {
        let hostile =
            "\x1b]8;;http://x\x07link\x1b]8;;\x07\n\u{9d}0;t\u{9c}\u{202e}\u{2066}\u{e0041}";
        for safe_once in [
            safe(hostile).into_owned(),
            in_one_line(hostile).into_owned(),
            lines(hostile),
        ] {
            assert_eq!(
                in_one_line(&safe_once.replace('\n', "")),
                safe_once.replace('\n', "")
            );
            assert_eq!(lines(&safe_once), safe_once);
        }
        assert!(!in_one_line(hostile).contains('\n'));
        assert_eq!(lines("a\n\tb\r"), "a\n\tb␍");
    }

    #[test]
    fn only_colours_are_obeyed() {
        let drawn = "\x1b[0m\x1b[38;5;16;48;5;2ma\x1b[1;31m\n\tb\x1b[0m";
        assert_eq!(coloured(drawn), drawn);
        let hostile = "\x1b[2J\x1b]8;;u\x07\x1b\x1b[0m\x1bm\x1b[?1m\x1b";
        assert_eq!(coloured(hostile), "␛[2J␛]8;;u␇␛\x1b[0m␛m␛[?1m␛");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let all: String = ('\0'..='\u{fff}')
            .chain('\u{2000}'..='\u{2fff}')
            .chain(['\u{e0041}', '😀'])
            .collect();
        let value = serde_json::json!({ all.clone(): [all] });
        for text in [value.to_string(), format!("{value:#}")] {
            let escaped = json(&text);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
                value
            );
            assert!(escaped.chars().all(|c| c == '\n' || stand_in(c).is_none()));
        }
    }

    #[test]
    fn shortened_in_the_middle() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefgh", 6), "abc…gh");
        assert_eq!(shorten("中文中文", 6), "中…文");
        assert!((0..9).all(|columns| width(&shorten("中a文b中", columns)) <= columns.max(1)));
    }
}
