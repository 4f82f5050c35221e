//! Memory-mapped files.

use std::{io, path::Path};

use bytes::Bytes;

/// Maps a whole file. An empty file gives empty bytes.
///
/// # Errors
/// When the file cannot be opened or mapped.
pub fn map(path: &Path) -> io::Result<Bytes> {
    let file = rho_files::open_named(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust")]
    // SAFETY: the map is read-only and private. If another program truncates the model file during scoring, the process
    // is killed; ONNX Runtime has the same contract for its external data.
    let map = unsafe { memmap2::Mmap::map(&file) }?;
    Ok(Bytes::from_owner(map))
}

/// Maps `length` bytes of a file from `offset` on.
///
/// # Errors
/// When the file cannot be opened or mapped, `length` is zero, or the range reaches beyond the end of the file.
pub fn map_range(path: &Path, offset: usize, length: usize) -> io::Result<Bytes> {
    let file = rho_files::open_named(path)?;
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
