//! Reads the few headers of a Linux library that say how long its file must be and which libraries it needs. In: a
//! path. Out: [`Elf`], or nothing for what is no 64-bit little-endian ELF file. Nothing is loaded or run.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const NEEDED: u64 = 1;
const STRING_TABLE: u64 = 5;
const STRING_TABLE_SIZE: u64 = 10;

/// What the headers say.
pub(crate) struct Elf {
    /// The file's size that the headers ask for.
    pub(crate) expected: u64,
    /// The file's size.
    pub(crate) got: u64,
    /// The names of the libraries it needs, in their order; empty if the file is cut off.
    pub(crate) needed: Vec<String>,
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

pub(crate) fn read(path: &Path) -> io::Result<Option<Elf>> {
    let mut file = File::open(path)?;
    let got = file.metadata()?.len();
    let mut header = [0; 64];
    if got < 64 || file.read_exact(&mut header).is_err() || header[..6] != *b"\x7fELF\x02\x01" {
        return Ok(None);
    }
    let (table, entry, count) = (
        u64_at(&header, 32),
        u64::from(u16_at(&header, 54)),
        u64::from(u16_at(&header, 56)),
    );
    let end_of_table = table.saturating_add(entry * count);
    if entry < 56 || end_of_table > got {
        return Ok(Some(Elf {
            expected: end_of_table,
            got,
            needed: Vec::new(),
        }));
    }
    let table = part(&mut file, table, entry * count)?;
    let segments: Vec<Segment> = table
        .chunks_exact(entry as usize)
        .map(|bytes| Segment {
            kind: u32_at(bytes, 0),
            offset: u64_at(bytes, 8),
            address: u64_at(bytes, 16),
            size: u64_at(bytes, 32),
        })
        .collect();
    let in_file = segments
        .iter()
        .filter(|segment| segment.kind == LOAD || segment.kind == DYNAMIC);
    let expected = in_file
        .map(|segment| segment.offset.saturating_add(segment.size))
        .max()
        .unwrap_or(0);
    let needed = if expected <= got {
        needed(&mut file, &segments, got)?
    } else {
        Vec::new()
    };
    Ok(Some(Elf {
        expected,
        got,
        needed,
    }))
}

fn needed(file: &mut File, segments: &[Segment], file_size: u64) -> io::Result<Vec<String>> {
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == DYNAMIC) else {
        return Ok(Vec::new());
    };
    let entries = part(file, dynamic.offset, dynamic.size)?;
    let entries: Vec<(u64, u64)> = entries
        .chunks_exact(16)
        .map(|entry| (u64_at(entry, 0), u64_at(entry, 8)))
        .take_while(|&(tag, _)| tag != 0)
        .collect();
    let value = |wanted| {
        entries
            .iter()
            .find(|&&(tag, _)| tag == wanted)
            .map(|&(_, value)| value)
    };
    let (Some(address), Some(size)) = (value(STRING_TABLE), value(STRING_TABLE_SIZE)) else {
        return Ok(Vec::new());
    };
    // The table is named by the address it will have in memory.
    let holder = segments.iter().find(|segment| {
        segment.kind == LOAD
            && address >= segment.address
            && address - segment.address < segment.size
    });
    let Some(offset) = holder.map(|segment| segment.offset + (address - segment.address)) else {
        return Ok(Vec::new());
    };
    let strings = part(file, offset, size.min(file_size.saturating_sub(offset)))?;
    let names = entries
        .iter()
        .filter(|&&(tag, _)| tag == NEEDED)
        .filter_map(|&(_, start)| {
            let name = strings.get(usize::try_from(start).ok()?..)?;
            let end = name.iter().position(|&byte| byte == 0)?;
            Some(String::from_utf8_lossy(&name[..end]).into_owned())
        });
    Ok(names.collect())
}

fn part(file: &mut File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_executable_and_notices_a_cut() {
        let own = std::env::current_exe().unwrap();
        let elf = read(&own).unwrap().expect("a Linux program is an ELF file");
        assert!(elf.expected <= elf.got);
        assert!(
            elf.needed.iter().any(|name| name.starts_with("libc.so")),
            "{:?}",
            elf.needed
        );

        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("cut");
        let bytes = std::fs::read(&own).unwrap();
        for size in [65, 4096, elf.expected as usize - 1] {
            std::fs::write(&cut, &bytes[..size]).unwrap();
            let elf = read(&cut).unwrap().expect("the magic number is there");
            assert!(elf.got < elf.expected, "cut at {size}");
        }
        std::fs::write(&cut, &bytes[..63]).unwrap();
        assert!(read(&cut).unwrap().is_none());
    }

    /// Whatever the headers hold, reading them ends without a panic. Fixed seed: the same bytes each time.
    #[test]
    fn wrong_headers_do_not_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wrong");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut state = 7_u64;
        for _ in 0..500 {
            let mut bytes = own[..8192].to_vec();
            for _ in 0..8 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes[6 + (state >> 33) as usize % 900] = (state >> 20) as u8;
            }
            std::fs::write(&path, &bytes).unwrap();
            read(&path).unwrap();
        }
    }
}
