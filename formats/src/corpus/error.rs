//! Errors in the paths of a corpus. All are found before the first byte of a shard is read.

use std::io;
use std::path::PathBuf;

use rho_files::LeadsOutside;

use super::PassedOver;
use crate::input::Kind;
use crate::remote::RemoteError;

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
        /// The argument, without its secrets.
        url: String,
        /// The error of the store or server.
        source: RemoteError,
    },

    /// A pattern that matches no file.
    #[error("{}: expected files that match, found {}{}", .pattern.display(), match .ignored {
        0 => "none".to_owned(),
        ignored => format!("{ignored} of no known kind"),
    }, beside(.passed_over))]
    NoMatch {
        /// The argument.
        pattern: PathBuf,
        /// Number of files of unknown kind that match.
        ignored: usize,
        /// What else matches.
        passed_over: Box<PassedOver>,
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

    /// A dataset that lists a file outside its folder.
    #[error("{}: cannot be used", .path.display())]
    Outside {
        /// The list.
        path: PathBuf,
        /// The name.
        source: LeadsOutside,
    },

    /// A file, named explicitly, whose name and content match no known format.
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
        "{}: expected files named {}, got {ignored} of other names{}",
        .path.display(),
        Kind::expected_names(),
        beside(.passed_over)
    )]
    NoShards {
        /// The argument.
        path: PathBuf,
        /// Number of files of unknown kind in it.
        ignored: usize,
        /// What else is in it.
        passed_over: Box<PassedOver>,
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

/// Names what was passed over, if anything was.
fn beside(passed_over: &PassedOver) -> String {
    match passed_over.count() {
        0 => String::new(),
        _ => format!("; passed over: {passed_over}"),
    }
}
