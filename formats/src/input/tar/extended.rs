//! Takes the records of a pax extended header, yields those that matter here: the name and size of the next member, and
//! what a sparse member says about itself.
//!
//! The parser of `tar` splits the records at line breaks, but values may have them (names do, and macOS writes binary
//! attributes), so the records are read here by their lengths.

use std::io;

use super::super::error::malformed;
use super::sparse::Sparse;

/// What extended headers say about the next member.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) name: Option<Vec<u8>>,
    /// The size of its data in the archive.
    pub(super) size: Option<u64>,
    pub(super) sparse: Option<Sparse>,
}

impl Extended {
    /// Adds the records of a header. Later ones take precedence.
    pub(super) fn add(&mut self, mut records: &[u8]) -> io::Result<()> {
        while let Some((key, value)) = next(&mut records)? {
            match key {
                // An empty value takes an earlier one back.
                b"path" => self.name = Some(value.to_vec()).filter(|name| !name.is_empty()),
                b"size" => self.size = Some(number(value)?),
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        self.sparse.get_or_insert_default().add(key, value)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the records of a header for all members change what is read. No known program writes such.
    pub(super) fn is_needed(mut records: &[u8]) -> io::Result<bool> {
        let mut found = false;
        while let Some((key, _)) = next(&mut records)? {
            found |= key == b"path" || key == b"size" || key.starts_with(b"GNU.sparse.");
        }
        Ok(found)
    }
}

/// The next record: its length in decimal (that of the whole record), a space, the key, `=`, the value, a line break.
fn next<'a>(records: &mut &'a [u8]) -> io::Result<Option<(&'a [u8], &'a [u8])>> {
    // Some writers fill the block with zeros.
    if records.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let record = || -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length = digits(&records[..space])?;
        let (record, rest) = records.split_at_checked(usize::try_from(length).ok()?)?;
        let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|byte| *byte == b'=')?;
        Some((&record[..equals], &record[equals + 1..], rest))
    };
    let (key, value, rest) = record().ok_or_else(|| malformed("an invalid extended header"))?;
    *records = rest;
    Ok(Some((key, value)))
}

/// A number in decimal.
pub(super) fn number(value: &[u8]) -> io::Result<u64> {
    digits(value).ok_or_else(|| malformed("an extended header with an invalid number"))
}

fn digits(text: &[u8]) -> Option<u64> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    plain
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|length| length.to_string().len() + rest == *length);
        let mut record = format!("{} {key}=", length.unwrap()).into_bytes();
        record.extend_from_slice(value);
        record.push(b'\n');
        record
    }

    fn read(records: &[Vec<u8>]) -> io::Result<Extended> {
        let mut extended = Extended::default();
        extended.add(&records.concat()).map(|()| extended)
    }

    #[test]
    fn values_may_have_line_breaks() {
        let binary = b"\n12 path=no\n\0\xff=\n";
        let extended = read(&[
            record("LIBARCHIVE.xattr.com.apple.a", binary),
            record("path", b"a\nb.txt"),
            record("size", b"7"),
            record("comment", b""),
            vec![0; 9],
        ]);
        let extended = extended.unwrap();
        assert_eq!(extended.name.as_deref(), Some(&b"a\nb.txt"[..]));
        assert_eq!(extended.size, Some(7));
        assert!(extended.sparse.is_none());
    }

    #[test]
    fn records_lie_in_their_header() {
        for lie in [
            &b"9 path=a\n"[..],
            b"99 path=a\n",
            b"10 path=aa",
            b"0 \n",
            b" path=a\n",
            b"-9 path=a\n",
            b"10 pathaaa\n",
            b"99999999999999999999 path=a\n",
            b"11 size=-1\n",
        ] {
            let error = Extended::default().add(lie).err();
            assert_eq!(error.is_some(), lie != b"9 path=a\n", "{lie:?}");
        }
        assert!(Extended::is_needed(&record("size", b"1")).unwrap());
        assert!(!Extended::is_needed(&record("comment", b"size=1")).unwrap());
    }
}
