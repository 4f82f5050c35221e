//! Atomic file replacement, locks between processes, and files that somebody else named. Every crate that writes files
//! for other readers, reads files of others, or works in a folder that another process may use, builds on this one.
//!
//! ```
//! use rho_files::{Lock, write_atomic};
//!
//! let folder = tempfile::tempdir()?;
//! let lock = Lock::try_take(&folder.path().join("lock"))?;
//! assert!(lock.is_some(), "no other process works here");
//! let path = folder.path().join("summary.json");
//! write_atomic(&path, b"{}")?;
//! assert_eq!(std::fs::read(&path)?, b"{}");
//! # Ok::<(), std::io::Error>(())
//! ```

mod lock;
mod pointer;
mod regular;
mod replace;

pub use lock::Lock;
pub use pointer::{Pointer, refuse_pointer};
pub use regular::{NotAFile, open, read, read_to_string};
pub use replace::{
    WriteTo, complete, partial, rename, replace_with, sync_folder, write_atomic,
    write_atomic_shared,
};
