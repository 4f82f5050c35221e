//! The classes of characters in the patterns of pre-tokenizers: letters, numbers and white space.
//!
//! The classes are computed once, with the regex library that the tokenizers crate uses, so that both have the same
//! version of Unicode.

use tokenizers::utils::SysRegex;

/// `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 2;
/// `\s`.
pub(super) const SPACE: u8 = 4;
/// None of the three.
pub(super) const OTHER: u8 = 0;
/// Numeric in Rust, which the `Digits` pre-tokenizer of the crate uses.
const NUMERIC: u8 = 8;

/// Unicode has no letters, numbers or spaces from here on.
const END: u32 = 0x4_0000;

/// The class of every character.
pub(super) struct Classes(Box<[u8]>);

impl Classes {
    /// None if the regex library lacks these classes.
    pub(super) fn new() -> Option<Self> {
        let text: String = (0..END).filter_map(char::from_u32).collect();
        let mut classes = vec![OTHER; END as usize];
        for (pattern, class) in [(r"\p{L}+", LETTER), (r"\p{N}+", NUMBER), (r"\s+", SPACE)] {
            for (start, end) in SysRegex::new(pattern).ok()?.find_iter(&text) {
                for character in text[start..end].chars() {
                    classes[character as usize] = class;
                }
            }
        }
        for character in text.chars().filter(|c| c.is_numeric()) {
            classes[character as usize] |= NUMERIC;
        }
        Some(Self(classes.into()))
    }

    /// The class of the character that starts at this byte, and its length in bytes.
    #[inline]
    pub(super) fn at(&self, bytes: &[u8], start: usize) -> (u8, usize) {
        let (class, length) = self.all(bytes, start);
        (class & !NUMERIC, length)
    }

    /// Whether the character is numeric in Rust, and its length in bytes.
    #[inline]
    pub(super) fn numeric(&self, bytes: &[u8], start: usize) -> (bool, usize) {
        let (class, length) = self.all(bytes, start);
        (class & NUMERIC != 0, length)
    }

    #[inline]
    fn all(&self, bytes: &[u8], start: usize) -> (u8, usize) {
        let first = bytes[start];
        if first < 0x80 {
            return (self.0[first as usize], 1);
        }
        let rest = |n: usize| u32::from(bytes[start + n] & 0x3f);
        let (code, length) = match first {
            ..0xe0 => (u32::from(first & 0x1f) << 6 | rest(1), 2),
            0xe0..0xf0 => (u32::from(first & 0x0f) << 12 | rest(1) << 6 | rest(2), 3),
            _ => {
                let high = u32::from(first & 0x07) << 18 | rest(1) << 12;
                (high | rest(2) << 6 | rest(3), 4)
            }
        };
        (self.0.get(code as usize).copied().unwrap_or(OTHER), length)
    }
}
