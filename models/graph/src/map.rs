//! Files as bytes without reading them: memory maps.

use std::{fs::File, path::Path};

use bytes::Bytes;

use crate::GraphError;

/// Maps a whole file. An empty file gives empty bytes.
pub(crate) fn map(path: &Path) -> Result<Bytes, GraphError> {
    let read = |source| GraphError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() == 0 {
        return Ok(Bytes::new());
    }
    #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust")]
    // SAFETY: the map is read-only and private. A model file that another program shortens while we score would end
    // the process; that is the same contract ONNX Runtime has with its external data.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(read)?;
    Ok(Bytes::from_owner(map))
}

/// Maps a part of a file. A part beyond its end is an error.
pub(crate) fn map_range(path: &Path, offset: usize, length: usize) -> Result<Bytes, GraphError> {
    let read = |source| GraphError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(read)?;
    let there = file.metadata().map_err(read)?.len();
    if length == 0 || offset as u64 + length as u64 > there {
        return Err(read(std::io::ErrorKind::UnexpectedEof.into()));
    }
    let mut options = memmap2::MmapOptions::new();
    options.offset(offset as u64).len(length);
    #[expect(unsafe_code, reason = "mapping a file is unsafe in Rust")]
    // SAFETY: as above.
    let map = unsafe { options.map(&file) }.map_err(read)?;
    Ok(Bytes::from_owner(map))
}
