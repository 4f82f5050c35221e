//! Reads the headers of a Linux library: how long its file must be, and which libraries it needs. In: a path. Out:
//! [`Elf`], or `None` if the file is not 64-bit little-endian ELF. Nothing is loaded or run, and only the headers are
//! read.

use std::fs::File;
use std::io;
use std::path::Path;

use object::{
    LittleEndian, ReadCache, StringTable,
    elf::{
        DT_NEEDED, DT_NULL, DT_STRSZ, DT_STRTAB, FileHeader64, PT_DYNAMIC, PT_LOAD, ProgramHeader64,
    },
    read::elf::{Dyn, FileHeader, ProgramHeader},
};

/// Facts from the headers.
pub(crate) struct Elf {
    /// The minimum size of the file by its headers, in bytes.
    pub(crate) expected: u64,
    /// The size of the file in bytes.
    pub(crate) got: u64,
    /// Names of the libraries that it needs, in order; empty if the file is truncated.
    pub(crate) needed: Vec<String>,
}

type Segment = ProgramHeader64<LittleEndian>;

pub(crate) fn read(path: &Path) -> io::Result<Option<Elf>> {
    let file = File::open(path)?;
    let got = file.metadata()?.len();
    let data = ReadCache::new(file);
    let header = FileHeader64::<LittleEndian>::parse(&data);
    let Some((header, endian)) = header.ok().and_then(|h| Some((h, h.endian().ok()?))) else {
        return Ok(None);
    };
    let Ok(segments) = header.program_headers(endian, &data) else {
        // The table of segments is beyond the end of the file, or invalid.
        let entries = u64::from(header.e_phentsize(endian)) * u64::from(header.e_phnum(endian));
        return Ok(Some(Elf {
            expected: header.e_phoff(endian).saturating_add(entries),
            got,
            needed: Vec::new(),
        }));
    };
    let in_file = segments
        .iter()
        .filter(|segment| [PT_LOAD, PT_DYNAMIC].contains(&segment.p_type(endian)));
    let ends = in_file.map(|segment| {
        let (offset, size) = segment.file_range(endian);
        offset.saturating_add(size)
    });
    let expected = ends.max().unwrap_or(0);
    let needed = match expected <= got {
        true => needed(&data, segments).unwrap_or_default(),
        false => Vec::new(),
    };
    Ok(Some(Elf {
        expected,
        got,
        needed,
    }))
}

/// The libraries that the dynamic segment names; `None` if it has no string table.
fn needed(data: &ReadCache<File>, segments: &[Segment]) -> Option<Vec<String>> {
    let endian = LittleEndian;
    let mut dynamic = segments
        .iter()
        .filter_map(|s| s.dynamic(endian, data).ok()?);
    let entries = dynamic.next()?.iter();
    let entries = entries.map(|entry| (entry.d_tag(endian), entry.d_val(endian)));
    let entries: Vec<_> = entries.take_while(|&(tag, _)| tag != DT_NULL).collect();
    let value = |wanted| {
        let mut entries = entries.iter();
        entries.find_map(|&(tag, value)| (tag == wanted).then_some(value))
    };
    let (address, size) = (value(DT_STRTAB)?, value(DT_STRSZ)?);
    // The header has the table's address in memory, not its offset in the file.
    let mut loaded = segments.iter().filter(|s| s.p_type(endian) == PT_LOAD);
    let offset = loaded.find_map(|segment| {
        let (offset, size) = segment.file_range(endian);
        let within = address.checked_sub(segment.p_vaddr(endian))?;
        (within < size).then(|| offset + within)
    })?;
    let names = StringTable::new(data, offset, offset.saturating_add(size));
    let needed = entries.iter().filter(|&&(tag, _)| tag == DT_NEEDED);
    let name = |start: u64| names.get(u32::try_from(start).ok()?).ok();
    let needed = needed.filter_map(|&(_, start)| name(start));
    let needed = needed.map(|name| String::from_utf8_lossy(name).into_owned());
    Some(needed.collect())
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

    /// Reading arbitrary headers does not panic. The seed is fixed.
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
