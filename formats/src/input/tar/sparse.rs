//! Takes what the headers of a sparse member say, and the member's data, yields the content: the data where its map
//! says, zeros elsewhere. GNU tar has written four formats: its own header type, and three with pax records
//! (<https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html>).
//!
//! ```text
//! GNU   the first parts in the header, more in blocks behind it
//! 0.0   a record GNU.sparse.offset and one GNU.sparse.numbytes for each part
//! 0.1   one record GNU.sparse.map: offset,length,offset,length
//! 1.0   in front of the data: the number of parts, then offset and length of each, one number per line, to a full block
//! ```
//!
//! The caller bounds the size of the content and of the map.

use std::io;

use super::super::error::malformed;
use super::extended::number;
use super::members::{BLOCK, LONGEST_NAME};

/// What the headers say.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    /// The name, which is not in the usual place from 0.1 on.
    pub(super) name: Option<Vec<u8>>,
    /// The size of the content.
    pub(super) size: Option<u64>,
    /// Offsets and lengths of the parts that have data, in order.
    pub(super) parts: Parts,
    /// The offset of the part that the next length belongs to.
    offset: Option<u64>,
    /// Whether the map is in front of the data.
    has_map_in_data: bool,
}

impl Sparse {
    /// A member of GNU's own format.
    pub(super) fn gnu(size: u64, parts: Parts) -> Self {
        Self {
            size: Some(size),
            parts,
            ..Self::default()
        }
    }

    /// Adds a record whose key starts with `GNU.sparse.`.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match key {
            b"major" => self.has_map_in_data = number(value)? > 0,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"offset" => self.offset = Some(number(value)?),
            b"numbytes" => {
                // A length without an offset makes the map invalid.
                let offset = self.offset.take().unwrap_or(u64::MAX);
                // Each header is bounded, but not how many of them a member has.
                if self.parts.len() as u64 >= LONGEST_NAME / 16 {
                    return Err(malformed("a sparse member whose map is too long"));
                }
                self.parts.push((offset, number(value)?));
            }
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(number);
                let numbers = numbers.collect::<io::Result<Vec<_>>>()?;
                let pairs = numbers.chunks(2);
                // An odd number makes the map invalid.
                let part = |pair: &[u64]| (pair[0], pair.get(1).copied().unwrap_or(u64::MAX));
                self.parts = pairs.map(part).collect();
            }
            _ => {}
        }
        Ok(())
    }

    /// The content of a member with these data; the reason why there is none, if the map does not fit them.
    pub(super) fn content(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        let size = self.size.and_then(|size| usize::try_from(size).ok());
        let size = size.ok_or("expected a sparse member with its size, got one without")?;
        let invalid = || {
            format!("expected a sparse member whose map lies in its {size} bytes, got another map")
        };
        let (parts, mut data) = match self.has_map_in_data {
            true => map_in_front(data).ok_or_else(invalid)?,
            false => (self.parts.clone(), data),
        };
        // All parts, before the content is allocated.
        let mut end = 0;
        for (offset, length) in &parts {
            if *offset < end {
                return Err(invalid());
            }
            end = offset.checked_add(*length).ok_or_else(invalid)?;
        }
        let stored = parts.iter().map(|(_, length)| *length).sum::<u64>();
        if end > size as u64 || stored != data.len() as u64 {
            return Err(invalid());
        }
        let mut content = vec![0; size];
        for (offset, length) in parts {
            let (part, rest) = data.split_at(length as usize);
            content[offset as usize..][..part.len()].copy_from_slice(part);
            data = rest;
        }
        Ok(content)
    }
}

/// Offsets and lengths.
pub(super) type Parts = Vec<(u64, u64)>;

/// The parts of format 1.0, and the data behind them.
fn map_in_front(data: &[u8]) -> Option<(Parts, &[u8])> {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = number(&rest[..end]).ok()?;
        rest = &rest[end + 1..];
        Some(line)
    };
    let count = usize::try_from(line()?).ok()?;
    // Each part takes at least four bytes.
    (count <= data.len() / 4).then_some(())?;
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        parts.push((line()?, line()?));
    }
    let map = (data.len() - rest.len()).next_multiple_of(BLOCK as usize);
    Some((parts, data.get(map..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sparse(size: u64, parts: &[(u64, u64)]) -> Sparse {
        Sparse::gnu(size, parts.to_vec())
    }

    #[test]
    fn parts_lie_where_the_map_says() {
        let content = |size, parts: &[_], data: &[u8]| sparse(size, parts).content(data);
        let of = |bytes: &[u8]| Ok(bytes.to_vec());
        assert_eq!(content(6, &[(1, 2), (5, 1)], b"abc"), of(b"\0ab\0\0c"));
        assert_eq!(content(3, &[(0, 0), (3, 0)], b""), of(b"\0\0\0"));
        assert_eq!(content(0, &[], b""), of(b""));
        let invalid = |size, parts: &[_], data: &[u8]| content(size, parts, data).unwrap_err();
        for reason in [
            // Overlapping, backwards, too long, with too few and too many data, with an end that overflows.
            invalid(9, &[(0, 3), (2, 1)], b"abcd"),
            invalid(9, &[(4, 1), (0, 1)], b"ab"),
            invalid(9, &[(7, 3)], b"abc"),
            invalid(9, &[(10, 0)], b""),
            invalid(9, &[(0, 3)], b"ab"),
            invalid(9, &[(0, 3)], b"abcd"),
            invalid(9, &[(u64::MAX, 3)], b"abc"),
            invalid(9, &[(0, u64::MAX), (0, u64::MAX)], b""),
        ] {
            assert!(reason.contains("map lies in its 9 bytes"), "{reason}");
        }
    }

    #[test]
    fn maps_in_records_and_in_front_of_the_data() {
        let of = |records: &[(&str, &str)]| {
            let mut sparse = Sparse::default();
            for (key, value) in records {
                sparse.add(key.as_bytes(), value.as_bytes()).unwrap();
            }
            sparse
        };
        let records = [("size", "4"), ("offset", "1"), ("numbytes", "2")];
        assert_eq!(of(&records).content(b"ab").unwrap(), b"\0ab\0");
        let records = [("size", "4"), ("map", "1,1,3,1")];
        assert_eq!(of(&records).content(b"ab").unwrap(), b"\0a\0b");
        let records = [("major", "1"), ("minor", "0"), ("realsize", "4")];
        let mut data = b"2\n1\n1\n3\n1\n".to_vec();
        data.resize(512, 0);
        data.extend(b"ab");
        assert_eq!(of(&records).content(&data).unwrap(), b"\0a\0b");
        for (records, data) in [
            (&records[..], &b"999999999999\n1\n1\n"[..]),
            (&records[..], b"1\n1\n1"),
            (&records[..], b"1\n1\n1\n"),
            (&records[..], b""),
            (&[("size", "4"), ("map", "1,1,3")][..], b"a"),
            (&[("size", "4"), ("numbytes", "1")][..], b"a"),
            (&[("map", "1,1")][..], b"a"),
        ] {
            assert!(of(records).content(data).is_err(), "{records:?}");
        }
        let mut sparse = Sparse::default();
        assert!(sparse.add(b"map", b"1,x").is_err());
        assert!(sparse.add(b"size", b"-1").is_err());
    }
}
