//! Files that are whole or not there, and locks between processes. Below all other crates: whoever writes a file that
//! somebody else reads, or works in a folder that another process may work in, does it with these.
//!
//! ```
//! use rho_files::{Lock, write_whole};
//!
//! let folder = tempfile::tempdir()?;
//! let lock = Lock::try_take(&folder.path().join("lock"))?;
//! assert!(lock.is_some(), "no other process works here");
//! let path = folder.path().join("summary.json");
//! write_whole(&path, b"{}")?;
//! assert_eq!(std::fs::read(&path)?, b"{}");
//! # Ok::<(), std::io::Error>(())
//! ```

mod lock;
mod replace;

pub use lock::Lock;
pub use replace::{
    WriteTo, complete, partial, rename, replace_with, sync_folder, write_whole,
    write_whole_beside_others,
};
