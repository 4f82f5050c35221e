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

/// A line of text, safe to print.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| stand_in(character).is_none()) {
        return Cow::Borrowed(text);
    }
    let characters = text.chars();
    let drawn = characters.map(|c| stand_in(c).unwrap_or_else(|| c.to_string()));
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
    fn shortened_in_the_middle() {
        assert_eq!(shorten("abcdef", 6), "abcdef");
        assert_eq!(shorten("abcdefgh", 6), "abc…gh");
        assert_eq!(shorten("中文中文", 6), "中…文");
        assert!((0..9).all(|columns| width(&shorten("中a文b中", columns)) <= columns.max(1)));
    }
}
