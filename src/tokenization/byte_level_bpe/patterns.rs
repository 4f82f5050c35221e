//! Hand-written matchers of the patterns of well-known tokenizers. Each returns the end of the word that starts at an
//! offset.
//!
//! The alternatives of a regular expression are tried in order, so each function follows that order.

use super::classes::{Classes, LETTER, NUMBER, OTHER, SPACE};

/// The pattern of GPT-2.
pub(super) const GPT2: &str =
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// The pattern of cl100k and Llama 3.
pub(super) const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The pattern of Qwen 2: the same, but each digit is a word.
pub(super) const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A text up to `end`; nothing reads beyond it.
pub(super) struct Scan<'a> {
    pub(super) classes: &'a Classes,
    pub(super) bytes: &'a [u8],
    pub(super) end: usize,
}

impl Scan<'_> {
    /// The end of the word of [`GPT2`] that starts at `start`.
    #[inline]
    pub(super) fn gpt2(&self, start: usize) -> usize {
        let first = self.bytes[start];
        if first == b'\''
            && let Some(end) = self.contraction(start)
        {
            return end;
        }
        let (class, length) = self.class(start);
        if first == b' ' {
            let after = start + length;
            if after < self.end
                && let (class, length) = self.class(after)
                && class != SPACE
            {
                return self.run(after + length, class);
            }
        }
        match class {
            SPACE => self.spaces(start),
            _ => self.run(start + length, class),
        }
    }

    /// The end of the word that starts at `start`: of [`CL100K`] if `digits` is 3, of [`QWEN2`] if it is 1.
    #[inline]
    pub(super) fn cl100k(&self, start: usize, digits: usize) -> usize {
        let first = self.bytes[start];
        if first == b'\''
            && let Some(end) = self.contraction_of_any_case(start)
        {
            return end;
        }
        let (class, length) = self.class(start);
        let mut after = start + length;
        match class {
            LETTER => return self.run(after, LETTER),
            NUMBER => {
                for _ in 1..digits {
                    match self.next(after) {
                        Some((NUMBER, length)) => after += length,
                        _ => break,
                    }
                }
                return after;
            }
            _ => {}
        }
        let next = self.next(after);
        match next {
            Some((LETTER, length)) if !matches!(first, b'\r' | b'\n') => {
                self.run(after + length, LETTER)
            }
            Some((OTHER, length)) if first == b' ' => self.others(after + length),
            _ if class == SPACE => self.lines(start),
            _ => self.others(after),
        }
    }

    /// The end of the run of characters of a class.
    #[inline]
    fn run(&self, mut at: usize, class: u8) -> usize {
        while let Some((next, length)) = self.next(at)
            && next == class
        {
            at += length;
        }
        at
    }

    /// `[^\s\p{L}\p{N}]*[\r\n]*`.
    fn others(&self, at: usize) -> usize {
        let mut at = self.run(at, OTHER);
        while at < self.end && matches!(self.bytes[at], b'\r' | b'\n') {
            at += 1;
        }
        at
    }

    /// `\s+(?!\S)|\s+`: white space, without its last character if a word follows.
    fn spaces(&self, start: usize) -> usize {
        let (mut at, mut last) = (start, start);
        while let Some((SPACE, length)) = self.next(at) {
            last = at;
            at += length;
        }
        if at == self.end || last == start {
            at
        } else {
            last
        }
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`: white space up to its last line break, if it has one.
    fn lines(&self, start: usize) -> usize {
        let (mut at, mut broken) = (start, None);
        while let Some((SPACE, length)) = self.next(at) {
            if matches!(self.bytes[at], b'\r' | b'\n') {
                broken = Some(at + 1);
            }
            at += length;
        }
        broken.unwrap_or_else(|| self.spaces(start))
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d`, at an apostrophe.
    fn contraction(&self, start: usize) -> Option<usize> {
        match &self.bytes[start + 1..self.end] {
            [b's' | b't' | b'm' | b'd', ..] => Some(start + 2),
            [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(start + 3),
            _ => None,
        }
    }

    /// The same in any case, and with the long s (ſ), which matches s case-insensitively.
    fn contraction_of_any_case(&self, start: usize) -> Option<usize> {
        match &self.bytes[start + 1..self.end] {
            [b's' | b't' | b'm' | b'd' | b'S' | b'T' | b'M' | b'D', ..] => Some(start + 2),
            [b'r' | b'v' | b'R' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => {
                Some(start + 3)
            }
            [0xc5, 0xbf, ..] => Some(start + 3),
            _ => None,
        }
    }

    #[inline]
    fn next(&self, at: usize) -> Option<(u8, usize)> {
        (at < self.end).then(|| self.class(at))
    }

    #[inline]
    fn class(&self, at: usize) -> (u8, usize) {
        self.classes.at(self.bytes, at)
    }
}
