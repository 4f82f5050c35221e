//! Takes a Parquet file, yields its footer after checking that Parquet's parser can handle it. The parser recurses into
//! the groups of the schema, so a small file could overflow the stack; it allocates as many fields as a group claims,
//! and the whole path of a column once per column.

use std::io;

use bytes::Bytes;

use super::super::error::{UnsupportedForm, cut_short, malformed, unsupported};
use super::super::kind::PARQUET;
use super::super::ranges::Ranges;
use super::thrift::{BINARY, I32, LIST, STRUCT, Walk};

/// Bytes after the footer: its length and the magic number.
const TAIL: usize = 8;
/// The magic number at the end of a file with an encrypted footer.
const ENCRYPTED: &[u8] = b"PARE";
/// The largest footer, in bytes.
const LARGEST: usize = 256 << 20;
/// The deepest nesting of groups.
const DEEPEST_GROUP: usize = 100;
/// The most bytes that the paths of all columns may have together; a path includes the names of the groups around the
/// column.
const LONGEST_PATHS: usize = 256 << 20;

/// The footer without its length.
pub(crate) fn read(ranges: &Ranges) -> io::Result<Bytes> {
    let end = ranges.length().checked_sub(TAIL as u64);
    let end = end.ok_or_else(|| cut_short("it is shorter than the end of a Parquet file"))?;
    let tail = ranges.read(end, TAIL)?;
    if &tail[4..] == ENCRYPTED {
        return Err(unsupported(UnsupportedForm::EncryptedFooter));
    }
    if &tail[4..] != PARQUET {
        return Err(cut_short("it does not end like a Parquet file"));
    }
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]);
    let start = end.checked_sub(u64::from(length));
    let (Some(start), length) = (start, length as usize) else {
        return Err(malformed("its footer is longer than the file"));
    };
    if length > LARGEST {
        return Err(malformed(format!(
            "expected a footer of at most {LARGEST} bytes, got one of {length}"
        )));
    }
    let footer = ranges.read(start, length)?;
    match check(&footer) {
        Some(false) => Ok(footer),
        Some(true) => Err(unsupported(UnsupportedForm::EncryptedColumns)),
        None => Err(malformed("its footer is invalid")),
    }
}

/// `None` if the footer must not be parsed; else whether it says that columns are encrypted. Then it lacks what the
/// parser requires of them.
fn check(footer: &[u8]) -> Option<bool> {
    const SCHEMA: i16 = 2;
    const ENCRYPTION: i16 = 8;
    let mut is_encrypted = false;
    let mut whole = Walk(footer);
    whole.skip_struct()?;
    let look = |walk: &mut Walk<'_>, number, kind| {
        is_encrypted |= number == ENCRYPTION && kind == STRUCT;
        let is_schema = number == SCHEMA && kind == LIST;
        if is_schema {
            schema(walk)?;
        }
        Some(is_schema)
    };
    // A second pass for the schema. If it is not a list, the parser reports that.
    Walk(footer).fields(look)?;
    Some(is_encrypted)
}

/// Checks the list of a schema's elements: a group comes before its fields and has their number.
fn schema(walk: &mut Walk<'_>) -> Option<()> {
    const NAME: i16 = 4;
    const CHILDREN: i16 = 5;
    let (kind, count) = walk.list()?;
    (kind == STRUCT).then_some(())?;
    // For each group around the next element: the number of fields still to come, and the length of its path.
    let mut around: Vec<(i64, usize)> = Vec::new();
    let mut paths = 0_usize;
    for _ in 0..count {
        let (mut name, mut children) = (0, 0);
        walk.fields(|walk, number, kind| {
            match (number, kind) {
                (NAME, BINARY) => name = walk.binary()?.len(),
                (CHILDREN, I32) => children = walk.integer()?,
                _ => return Some(false),
            }
            Some(true)
        })?;
        let before = around.last().map_or(0, |(_, path)| *path);
        let path = before + name + size_of::<String>();
        if let Some((left, _)) = around.last_mut() {
            *left -= 1;
        }
        match children {
            0 => paths = paths.checked_add(path)?,
            // Each child is an element of this list too.
            1.. if children as usize <= count => around.push((children, path)),
            _ => return None,
        }
        (around.len() <= DEEPEST_GROUP && paths <= LONGEST_PATHS).then_some(())?;
        while around.last().is_some_and(|(left, _)| *left == 0) {
            around.pop();
        }
    }
    // No group may lack fields.
    around.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with a schema of these elements: the length of each name and the number of its fields.
    fn footer(elements: &[(u8, u8)]) -> Vec<u8> {
        let count = elements.len() as u32;
        // The version, the head of the list, and its length in five bytes.
        let mut bytes = vec![0x15, 0x04, 0x19, 0xfc];
        bytes.extend((0..4).map(|group| (count >> (7 * group)) as u8 | 0x80));
        bytes.push((count >> 28) as u8);
        for (name, fields) in elements {
            bytes.extend([0x48, *name]);
            bytes.extend((0..*name).map(|_| b'n'));
            bytes.extend([0x15, fields * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn schemas_that_can_be() {
        let leaf = (1, 0);
        assert_eq!(check(&footer(&[(1, 2), leaf, leaf])), Some(false));
        assert!(check(&footer(&[(1, 2), (1, 1), leaf, leaf])).is_some());
        assert!(check(&footer(&[(0, 0)])).is_some());
        assert!(check(&footer(&[vec![(1, 1); 100], vec![leaf]].concat())).is_some());
    }

    #[test]
    fn schemas_that_use_up_stack_or_memory() {
        let leaf = (1, 0);
        assert!(check(&footer(&[(1, 3), leaf, leaf])).is_none());
        assert!(check(&footer(&[(1, 63)])).is_none());
        assert!(check(&footer(&[vec![(1, 1); 100_000], vec![leaf]].concat())).is_none());
    }
}
