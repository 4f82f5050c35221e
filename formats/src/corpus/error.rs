//! Errors in the paths of a corpus. All are found before the first byte of a shard is read.

use std::io;
use std::path::PathBuf;

use crate::input::Kind;

/// Why the arguments name no corpus.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// There is no argument.
    #[error("expected at least one file or folder, got none")]
    NoArguments,

    /// An argument that does not exist.
    #[error("{}: expected a file or a folder, found nothing", .path.display())]
    Missing {
        /// The argument.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A URL that cannot be reached or listed.
    #[error("{url}: cannot be reached or listed")]
    Remote {
        /// The argument.
        url: String,
        /// The error of the store or server.
        source: object_store::Error,
    },

    /// A pattern that matches no file.
    #[error("{}: expected files that match, found {}", .pattern.display(), match .ignored {
        0 => "none".to_owned(),
        ignored => format!("{ignored} of no known kind"),
    })]
    NoMatch {
        /// The argument.
        pattern: PathBuf,
        /// Number of files of unknown kind that match.
        ignored: usize,
    },

    /// A malformed pattern.
    #[error("{}: expected a pattern of file names", .pattern.display())]
    Pattern {
        /// The argument.
        pattern: PathBuf,
        /// The parser's error.
        source: glob::PatternError,
    },

    /// Braces that expand to too many names.
    #[error("{}: expected braces that expand to at most {most} names", .pattern.display())]
    TooManyNames {
        /// The argument.
        pattern: PathBuf,
        /// The limit.
        most: usize,
    },

    /// A file or folder that cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file, named explicitly, whose name and content tell no known kind.
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
        /// Number of files of unknown kind in it.
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

    /// A shard whose path is not UTF-8, as the masks' `shard` column needs.
    #[error("{}: expected a path in UTF-8, got other bytes", .path.display())]
    NotUtf8 {
        /// The shard.
        path: PathBuf,
    },
}

impl CorpusError {
    /// What to do about it, if there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoArguments => Some("name the corpus: a folder, or its files"),
            Self::Remote { source, .. } => match source {
                object_store::Error::NotFound { .. } => Some("check the spelling"),
                object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. } => {
                    Some("credentials are taken from the environment, such as AWS_ACCESS_KEY_ID")
                }
                _ => Some("check the address, and the endpoint and region in the environment"),
            },
            Self::NoMatch { ignored: 0, .. } => Some(
                "check the pattern: * and ? stop at folders, ** does not, and names that start with a dot are skipped",
            ),
            Self::NoMatch { .. } => Some(
                "the kind of a file is told by its name: rename the files, or name them one by one",
            ),
            Self::Pattern { .. } => Some("put [*] for a star that is meant as such"),
            Self::TooManyNames { .. } => Some("name the folder instead"),
            Self::Missing { .. } => Some("check the spelling and the current folder"),
            Self::Unreadable { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("a symbolic link leads nowhere"),
                io::ErrorKind::PermissionDenied => Some("check its permissions"),
                _ => None,
            },
            Self::UnknownKind { .. } => Some("rename the file after what it holds"),
            Self::NotAFile { .. } => {
                Some("write what comes out of a pipe or device to a file first")
            }
            Self::NoShards { ignored: 0, .. } => {
                Some("files whose names start with a dot are skipped")
            }
            Self::NoShards { .. } => Some(
                "the kind of a file is told by its name: rename the files, or name another folder",
            ),
            Self::GivenTwice { .. } => Some(
                "its documents would count twice: name it once (a folder includes its files, \
                 a symbolic link what it leads to)",
            ),
            Self::NotUtf8 { .. } => Some("rename the file"),
        }
    }
}
