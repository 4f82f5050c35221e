//! Takes token ids and bits, yields the bytes of NumPy arrays of them: little-endian, without padding. An id that does
//! not fit into the type is an error; it is not truncated.

use std::path::Path;

use crate::masks::OutputError;

/// How a token id is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdType {
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
}

impl IdType {
    /// NumPy's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
        }
    }

    /// Bytes per id.
    pub fn width(self) -> usize {
        match self {
            Self::U16 => 2,
            Self::U32 | Self::I32 => 4,
        }
    }

    /// Appends the bytes of these ids; `path` is the file they are written to.
    ///
    /// # Errors
    /// If an id does not fit.
    pub(super) fn put(self, ids: &[i32], to: &mut Vec<u8>, path: &Path) -> Result<(), OutputError> {
        let (least, largest) = match self {
            Self::U16 => (0, i32::from(u16::MAX)),
            Self::U32 => (0, i32::MAX),
            // Labels are below 0 for tokens that are not targets.
            Self::I32 => (i32::MIN, i32::MAX),
        };
        if let Some(&token) = ids.iter().find(|&&id| id < least || id > largest) {
            return Err(OutputError::TooWide {
                path: path.to_owned(),
                token,
                largest,
            });
        }
        self.put_all(ids, to);
        Ok(())
    }

    /// Like [`put`](Self::put), for ids that are known to fit; any fit into `I32`.
    pub(super) fn put_all(self, ids: &[i32], to: &mut Vec<u8>) {
        to.reserve(ids.len() * self.width());
        for id in ids {
            // Little-endian: the low bytes come first.
            to.extend_from_slice(&id.to_le_bytes()[..self.width()]);
        }
    }
}

/// Appends these bits, one byte each, like `np.bool_`.
pub(super) fn put_bits(bits: &[bool], to: &mut Vec<u8>) {
    to.extend(bits.iter().map(|&bit| u8::from(bit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(of: IdType, ids: &[i32]) -> Result<Vec<u8>, OutputError> {
        let mut to = vec![9];
        of.put(ids, &mut to, Path::new("a.npy")).map(|()| to)
    }

    #[test]
    fn ids_are_little_endian() {
        let ids = [464, 65_535];
        assert_eq!(bytes(IdType::U16, &ids).unwrap(), [9, 0xd0, 1, 255, 255]);
        let wide = [9, 0xd0, 1, 0, 0, 255, 255, 0, 0];
        assert_eq!(bytes(IdType::U32, &ids).unwrap(), wide);
        assert_eq!(bytes(IdType::I32, &ids).unwrap(), wide);
        let masked = bytes(IdType::I32, &[-100]).unwrap();
        assert_eq!(masked[1..], (-100i32).to_le_bytes());
        let mut bits = Vec::new();
        put_bits(&[true, false], &mut bits);
        assert_eq!(bits, [1, 0]);
    }

    #[test]
    fn an_id_that_does_not_fit_is_an_error() {
        let error = bytes(IdType::U16, &[1, 65_536]).unwrap_err();
        let said = "a.npy: expected token ids from 0 to 65535, got 65536";
        assert_eq!(error.to_string(), said);
        assert!(bytes(IdType::U32, &[i32::MAX]).is_ok());
        for of in [IdType::U16, IdType::U32] {
            assert!(bytes(of, &[-1]).is_err());
        }
    }
}
