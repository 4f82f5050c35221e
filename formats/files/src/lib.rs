//! Atomic file replacement, locks between processes, and folders that a stranger may have filled. Every crate that writes
//! files for other readers, or works in a folder that another process may use, builds on this one.
//!
//! | file | its duty |
//! |---|---|
//! | `inside_path` | a name from a record or an index, checked to stay inside its folder |
//! | `folder` | a folder under which no symbolic link is followed |
//! | `open` | opens one file if it is a regular one |
//! | `regular`, `pointer` | opens one file that the user named, over links; refuses pipes, devices and pointers |
//! | `replace` | replaces a file as a whole |
//! | `lock` | locks between processes |
//! | `contents` | the sizes and hashes of the files of a folder |
//! | `panics` | catches the panics of a dependency that reads other people's files |
//! | `usage` | which entries of a cache are in use |
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

mod contents;
mod folder;
mod inside_path;
mod lock;
mod open;
mod panics;
mod pointer;
mod regular;
mod replace;
pub mod usage;

pub use contents::{Content, Contents};
pub use folder::{Entry, Folder};
pub use inside_path::{InsidePath, LeadsOutside};
pub use lock::Lock;
pub use open::{Unexpected, create, open, open_to_copy, unexpected};
pub use panics::caught;
pub use pointer::{Pointer, refuse_pointer};
pub use regular::{NotAFile, open_named, read_named, read_named_text};
pub use replace::{
    WriteTo, complete, partial, rename, replace_with, sync_folder, write_atomic,
    write_atomic_shared,
};
