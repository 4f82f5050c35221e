//! What can be wrong with the paths of a corpus. All of it is found before the first byte of a shard is read.

use std::io;
use std::path::PathBuf;

use crate::input::Kind;

/// Why the arguments name no corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// No argument at all.
    #[error("expected at least one file or folder, got none")]
    NoArguments,

    /// An argument that does not exist.
    #[error("{}: expected a file or a folder, found nothing", .path.display())]
    Missing {
        /// The argument.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Something elsewhere that cannot be looked at.
    #[error("{url}: cannot be reached or listed")]
    Remote {
        /// The argument.
        url: String,
        /// What the store or server said.
        source: object_store::Error,
    },

    /// A pattern that nothing fits.
    #[error("{}: expected files of such names, found {}", .pattern.display(), match .ignored {
        0 => "none".to_owned(),
        ignored => format!("{ignored} of no known kind"),
    })]
    NoMatch {
        /// The argument.
        pattern: PathBuf,
        /// How many files of no known kind fit.
        ignored: usize,
    },

    /// A pattern that is none.
    #[error("{}: expected a pattern of file names", .pattern.display())]
    Pattern {
        /// The argument.
        pattern: PathBuf,
        /// What is wrong with it.
        source: glob::PatternError,
    },

    /// Braces that stand for more than anybody means.
    #[error("{}: expected braces that stand for at most {most} names", .pattern.display())]
    TooManyNames {
        /// The argument.
        pattern: PathBuf,
        /// How many there may be.
        most: usize,
    },

    /// A file or folder that cannot be looked at.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file, named explicitly, whose name tells no known kind.
    #[error("{}: expected a file named {}, got another name", .path.display(), Kind::expected_names())]
    UnknownKind {
        /// The argument.
        path: PathBuf,
    },

    /// Something that is neither a file nor a folder.
    #[error("{}: expected a file or a folder, got something else", .path.display())]
    NotAFile {
        /// The argument.
        path: PathBuf,
    },

    /// A folder without a shard.
    #[error(
        "{}: expected files named {}, got {ignored} of other names",
        .path.display(),
        Kind::expected_names()
    )]
    NoShards {
        /// The argument.
        path: PathBuf,
        /// How many files of no known kind lie in it.
        ignored: usize,
    },

    /// One file under two paths.
    #[error("{}: given twice, also as {}", .second.display(), .first.display())]
    GivenTwice {
        /// The path under which it was met first.
        first: PathBuf,
        /// The path under which it was met again.
        second: PathBuf,
    },

    /// A shard whose path cannot stand in the masks' `shard` column.
    #[error("{}: expected a path in UTF-8, got other bytes", .path.display())]
    NotUtf8 {
        /// The shard.
        path: PathBuf,
    },
}
