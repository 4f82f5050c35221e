//! Which characters are letters, numbers and white space to the patterns of pre-tokenizers.
//!
//! Asked once of the library that runs these patterns for the tokenizers crate, so that both mean the same version of
//! Unicode.

use tokenizers::utils::SysRegex;

/// `\p{L}`.
pub(super) const LETTER: u8 = 1;
/// `\p{N}`.
pub(super) const NUMBER: u8 = 2;
/// `\s`.
pub(super) const SPACE: u8 = 4;
/// None of the three.
pub(super) const OTHER: u8 = 0;
/// What Rust calls numeric, which the crate's own splitting of digits goes by.
const NUMERIC: u8 = 8;

/// Unicode has no letters, numbers or spaces from here on.
const END: u32 = 0x4_0000;

/// The class of every character.
pub(super) struct Classes(Box<[u8]>);

impl Classes {
    /// None if the library knows no such classes.
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

    /// The class of the character that begins at a byte of UTF-8, and its length in bytes.
    #[inline]
    pub(super) fn at(&self, bytes: &[u8], start: usize) -> (u8, usize) {
        let (class, length) = self.all(bytes, start);
        (class & !NUMERIC, length)
    }

    /// Whether it is numeric to Rust, and its length in bytes.
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
