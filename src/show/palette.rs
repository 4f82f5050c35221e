//! Draws the looks of tokens: with terminal colours, or without colours as brackets and digits.

use super::looks::Look;
use crate::dynamics::CATEGORIES;

/// The available colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// No colours.
    None,
    /// The 256 colours of xterm.
    Ansi256,
    /// 24-bit colours.
    True,
}

/// Red, green and blue; the nearest of the 256 colours; whether text on it is light.
type Colour = ([u8; 3], u8, bool);

/// Backgrounds of levels 1 to 5: deep blue, blue, none, orange, deep orange.
const LEVELS: [Option<Colour>; 5] = [
    Some(([31, 80, 154], 25, true)),
    Some(([158, 202, 225], 153, false)),
    None,
    Some(([253, 208, 162], 223, false)),
    Some(([217, 95, 2], 166, true)),
];

/// Backgrounds of tokens that fall, stay low, stay high, and rise: blue, none, yellow, deep orange. The most common
/// category has none; the others differ in lightness too.
const OF_CATEGORIES: [Option<Colour>; 4] = [
    Some(([158, 202, 225], 153, false)),
    None,
    Some(([240, 228, 66], 227, false)),
    Some(([190, 75, 0], 130, true)),
];

impl Palette {
    /// The palette for a stream: if it has colours, COLORTERM says which.
    pub(crate) fn of(colours: bool) -> Self {
        let variable = std::env::var("COLORTERM").unwrap_or_default();
        match (colours, variable.as_str()) {
            (false, _) => Self::None,
            (true, "truecolor" | "24bit") => Self::True,
            (true, _) => Self::Ansi256,
        }
    }

    /// The escape sequence before text with this look, if it needs one; [`RESET`] ends it.
    pub(super) fn start(self, look: Look) -> Option<String> {
        let colour = match (self, look) {
            (Self::None, _) | (_, Look::Kept) => return None,
            (_, Look::Dropped | Look::Unscored) => return Some("\x1b[2m".to_owned()),
            (Self::True, Look::Context) => return Some("\x1b[38;2;125;110;160m".to_owned()),
            (_, Look::Context) => return Some("\x1b[38;5;103m".to_owned()),
            (_, Look::Level(level)) => *LEVELS.get(usize::from(level).checked_sub(1)?)?,
            (_, Look::Category(code)) => *OF_CATEGORIES.get(usize::from(code))?,
        };
        let ([red, green, blue], number, light) = colour?;
        Some(match self {
            Self::True => {
                let text = if light { "255;255;255" } else { "0;0;0" };
                format!("\x1b[38;2;{text};48;2;{red};{green};{blue}m")
            }
            _ => {
                let text = if light { 231 } else { 16 };
                format!("\x1b[38;5;{text};48;5;{number}m")
            }
        })
    }

    /// A sample of a level or category for the legend.
    pub(super) fn sample(self, look: Look, name: &str) -> String {
        match self.start(look) {
            Some(start) => format!("{start} {name} {RESET}"),
            None => name.to_owned(),
        }
    }

    /// The brackets to use without colours: a kind that the text does not contain.
    pub(super) fn marks<'a>(self, mut texts: impl Iterator<Item = &'a str>) -> Marks {
        Marks {
            double: texts.any(|text| text.contains(['[', ']'])),
        }
    }
}

/// Ends a sequence of [`Palette::start`].
pub(super) const RESET: &str = "\x1b[0m";

/// Brackets around runs of tokens with the same look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Whether to use double brackets, because the text contains single ones.
    double: bool,
}

impl Marks {
    /// The text before a run and the bracket after it; None for dropped tokens.
    pub(super) fn around(self, look: Look) -> Option<(String, char)> {
        let (open, close) = match self.double {
            true => ('⟦', '⟧'),
            false => ('[', ']'),
        };
        match look {
            Look::Dropped => None,
            Look::Kept => Some((open.to_string(), close)),
            Look::Level(level) => Some((format!("{level}{open}"), close)),
            Look::Category(code) => {
                let name = CATEGORIES.get(usize::from(code)).unwrap_or(&"");
                Some((format!("{name}{open}"), close))
            }
            Look::Unscored => Some((format!("-{open}"), close)),
            Look::Context => Some((format!("context{open}"), close)),
        }
    }

    /// Their name in the legend.
    pub(super) fn named(self) -> &'static str {
        match self.double {
            true => "in ⟦brackets⟧",
            false => "in brackets",
        }
    }
}
