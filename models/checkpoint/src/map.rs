//! Files as bytes without reading them: memory maps.

use std::{fs::File, io, path::Path};

use bytes::Bytes;

/// Maps a whole file. An empty file gives empty bytes.
pub fn map(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust")]
    // SAFETY: the map is read-only and private. A model file that another program shortens while we score would end
    // the process; that is the same contract ONNX Runtime has with its external data.
    let map = unsafe { memmap2::Mmap::map(&file) }?;
    Ok(Bytes::from_owner(map))
}

/// Maps a part of a file. A part beyond its end is an error.
pub fn map_range(path: &Path, offset: usize, length: usize) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let there = file.metadata()?.len();
    if length == 0 || offset as u64 + length as u64 > there {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut options = memmap2::MmapOptions::new();
    options.offset(offset as u64).len(length);
    #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust")]
    // SAFETY: as above.
    let map = unsafe { options.map(&file) }?;
    Ok(Bytes::from_owner(map))
}
