//! Checks bytes in Thrift's compact protocol, the encoding of Parquet's headers: structs are nested no deeper than in
//! any real header, lists have as many items as they claim, strings end inside the bytes, and fields come in order and
//! once each.
//!
//! Parquet's own parser allocates what lists and strings claim before it reads them, and takes the last of two equal
//! fields. Nothing here allocates.

/// The deepest nesting of structs and lists; real headers have less.
const DEEPEST: usize = 24;

/// The protocol's number of a type.
type Kind = u8;
const TRUE: Kind = 1;
const FALSE: Kind = 2;
const BYTE: Kind = 3;
const I16: Kind = 4;
pub(super) const I32: Kind = 5;
const I64: Kind = 6;
const DOUBLE: Kind = 7;
pub(super) const BINARY: Kind = 8;
pub(super) const LIST: Kind = 9;
const SET: Kind = 10;
pub(super) const STRUCT: Kind = 12;

/// The bytes left to read. All methods return `None` if the bytes are invalid.
pub(super) struct Walk<'a>(pub(super) &'a [u8]);

impl<'a> Walk<'a> {
    /// Skips a struct. `look` may read a field itself; it returns whether it did.
    pub(super) fn fields(
        &mut self,
        look: impl FnMut(&mut Self, i16, Kind) -> Option<bool>,
    ) -> Option<()> {
        self.fields_in(DEEPEST, look)
    }

    fn fields_in(
        &mut self,
        depth: usize,
        mut look: impl FnMut(&mut Self, i16, Kind) -> Option<bool>,
    ) -> Option<()> {
        let mut last = 0_i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0xf;
            if kind == 0 {
                return Some(());
            }
            let number = match i16::from(head >> 4) {
                0 => i16::try_from(self.integer()?).ok()?,
                step => last.checked_add(step)?,
            };
            (number > last).then_some(())?;
            last = number;
            if !look(self, number, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    /// Skips a struct.
    pub(super) fn skip_struct(&mut self) -> Option<()> {
        self.fields(|_, _, _| Some(false))
    }

    fn skip(&mut self, kind: Kind, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.byte().map(drop),
            I16 | I32 | I64 => self.unsigned().map(drop),
            DOUBLE => self.take(8).map(drop),
            BINARY => self.binary().map(drop),
            LIST | SET => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    match kind {
                        TRUE | FALSE => self.byte().map(drop)?,
                        _ => self.skip(kind, depth)?,
                    }
                }
                Some(())
            }
            STRUCT => self.fields_in(depth, |_, _, _| Some(false)),
            // No header has maps or UUIDs.
            _ => None,
        }
    }

    /// The type and number of a list's items, each of which is at least a byte.
    pub(super) fn list(&mut self) -> Option<(Kind, usize)> {
        let head = self.byte()?;
        let count = match usize::from(head >> 4) {
            15 => usize::try_from(self.unsigned()?).ok()?,
            count => count,
        };
        (count <= self.0.len()).then_some((head & 0xf, count))
    }

    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        self.take(length)
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        let zigzag = self.unsigned()?;
        Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_passed_over() {
        // An integer, a string, a list of two structs, a field with a large number, and the end; then one byte left
        // over.
        let whole = b"\x15\x04\x18\x02ab\x19\x2c\x11\x00\x00\x05\xc8\x01\x02\x00z";
        let mut walk = Walk(whole);
        walk.skip_struct().unwrap();
        assert_eq!(walk.0, b"z");
        for cut in 0..whole.len() - 1 {
            assert!(Walk(&whole[..cut]).skip_struct().is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn lies_are_found() {
        for lie in [
            // A string and a list longer than the rest; a field twice; nested structs; a map; an overlong integer.
            b"\x18\xff\xff\xff\xff\x0f\x00".to_vec(),
            b"\x19\xf5\xff\xff\xff\xff\x07\x00".to_vec(),
            b"\x15\x00\x05\x02\x00\x00".to_vec(),
            [vec![0x1c; 40], vec![0; 41]].concat(),
            b"\x1b\x00\x00".to_vec(),
            [vec![0x15], vec![0xff; 20], vec![0]].concat(),
        ] {
            assert!(Walk(&lie).skip_struct().is_none(), "{lie:?}");
        }
    }
}
