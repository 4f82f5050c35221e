//! How wide a text is drawn: takes a text and its size, yields a width that no common font exceeds, and texts cut to a
//! width. The program does not know the reader's fonts, and nothing that is drawn may depend on them.

use std::borrow::Cow;

use crate::terminal_text;

/// The size of tick labels and names, and of titles on the page, in pixels at the least width of a drawing: no text is
/// to be under 12.
pub(super) const SMALL: f64 = 12.5;
pub(super) const TITLE: f64 = 13.0;

/// The width of a text in DejaVu Sans or Verdana, the widest of the common families; others are narrower.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// The width of a character, in sizes of the font.
fn em(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.37,
        ' ' | '(' | ')' | '[' | ']' | 'f' | 't' | 'r' | '-' | '/' | '"' | '!' | 'I' => 0.47,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '—' => 1.08,
        '0'..='9' | 'a'..='z' | '_' | '$' | '–' => 0.64,
        'A'..='Z' | '+' | '<' | '=' | '>' | '#' | '&' | '~' => 0.84,
        other => match terminal_text::width(other.encode_utf8(&mut [0; 4])) {
            0 => 0.0,
            1 => 0.9,
            _ => 1.4,
        },
    }
}

/// The side of a text that is kept when it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Start,
    /// That is where paths differ.
    End,
}

/// A text that fits a width; cut, with an ellipsis, if it does not. The table of a chart has the names in full.
pub(super) fn fit(text: &str, width: f64, size: f64, keep: Keep) -> Cow<'_, str> {
    if text_width(text, size) <= width {
        return Cow::Borrowed(text);
    }
    let mut left = width - em('…') * size;
    let mut fits = |character: &char| {
        left -= em(*character) * size;
        left >= 0.0
    };
    let cut = match keep {
        Keep::Start => text.chars().take_while(fits).chain(['…']).collect(),
        Keep::End => {
            let mut end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
            end.push('…');
            end.into_iter().rev().collect()
        }
    };
    Cow::Owned(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_their_room() {
        let names = [
            "",
            "a",
            "step 1000",
            "MMMMMMMMMMMM",
            "中文中文中文",
            "a/very/long/path/of/a/shard.jsonl",
        ];
        for name in names {
            for width in [10.0, 40.0, 97.0, 300.0] {
                for keep in [Keep::Start, Keep::End] {
                    let fitted = fit(name, width, SMALL, keep);
                    let least = em('…') * SMALL;
                    assert!(
                        text_width(&fitted, SMALL) <= width.max(least),
                        "{fitted} {width}"
                    );
                }
            }
        }
        assert_eq!(fit("abcdefgh", 55.0, 12.0, Keep::Start), "abcde…");
        assert_eq!(fit("abcdefgh", 55.0, 12.0, Keep::End), "…defgh");
        assert_eq!(fit("short", 60.0, 12.0, Keep::End), "short");
    }
}
