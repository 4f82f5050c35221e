//! What to do where a corpus cannot be read, or masks cannot be read or written.

use std::io;

use rho_formats::{CorpusError, MaskError, OutputError, RemoteError, ShardError};

/// The corpus that was named.
pub(super) fn corpus(error: &CorpusError) -> Option<&'static str> {
    match error {
        CorpusError::NoArguments => Some("name the corpus: a folder, or its files"),
        CorpusError::Remote { source, .. } => match source {
            RemoteError::NotFound { .. } => Some("check the spelling"),
            RemoteError::PermissionDenied { .. } | RemoteError::Unauthenticated { .. } => {
                Some("credentials are taken from the environment, such as AWS_ACCESS_KEY_ID")
            }
            _ => Some("check the address, and the endpoint and region in the environment"),
        },
        CorpusError::NoMatch { ignored: 0, .. } => Some(
            "check the pattern: * and ? stop at folders, ** does not, and names that start with a dot are skipped",
        ),
        CorpusError::NoMatch { .. } => Some(
            "the kind of a file is told by its name: rename the files, or name them one by one",
        ),
        CorpusError::Pattern { .. } => Some("put [*] for a star that is meant as such"),
        CorpusError::TooManyNames { .. } => Some("name the folder instead"),
        CorpusError::Missing { .. } => Some("check the spelling and the current folder"),
        CorpusError::Unreadable { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => Some("a symbolic link leads nowhere"),
            io::ErrorKind::PermissionDenied => Some("check its permissions"),
            _ => None,
        },
        CorpusError::UnknownKind { .. } => Some("rename the file after what it holds"),
        CorpusError::NotAFile { .. } => {
            Some("write what comes out of a pipe or device to a file first")
        }
        CorpusError::NoShards { ignored: 0, .. } => {
            Some("files whose names start with a dot are skipped")
        }
        CorpusError::NoShards { .. } => {
            Some("the kind of a file is told by its name: rename the files, or name another folder")
        }
        CorpusError::GivenTwice { .. } => Some(
            "its documents would count twice: name it once (a folder includes its files, \
             a symbolic link what it leads to)",
        ),
        CorpusError::NotUtf8 { .. } => Some("rename the file"),
    }
}

/// A shard that ends early.
pub(super) fn shard(error: &ShardError) -> Option<&'static str> {
    match error {
        ShardError::Open { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => Some("it was there before: was it moved?"),
            io::ErrorKind::PermissionDenied => Some("check its permissions"),
            _ => None,
        },
        ShardError::Broken { source, .. } | ShardError::Damaged { source, .. } => {
            Some(match source.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "the file is cut short: fetch it again; the rows before the cut were read"
                }
                _ => "the file is damaged: fetch it again; the rows before the damage were read",
            })
        }
        ShardError::Read { source, .. } => {
            let elsewhere = source.get_ref()?.downcast_ref::<RemoteError>()?;
            Some(match elsewhere {
                RemoteError::NotSupported { .. } => {
                    "such a file is read in parts: use a server that answers requests for ranges, or fetch the file first"
                }
                RemoteError::NotFound { .. } => "it was there before: was it moved?",
                RemoteError::Precondition { .. } => {
                    "it has changed since it was found: start again"
                }
                _ => "the rows before the break were read: try again later",
            })
        }
    }
}

/// Masks that cannot be written.
pub(super) fn output(error: &OutputError) -> Option<&'static str> {
    match error {
        OutputError::NotAFolder { .. } => Some("name another place for the masks"),
        OutputError::TooWide { .. } => Some("name --dtype u32, or leave it out"),
        OutputError::NotEmpty { .. } => Some("name a new folder for the masks, or empty this one"),
        OutputError::Create { source, .. } | OutputError::Write { source, .. } => {
            match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("check its permissions, or name another place for the masks")
                }
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => Some(
                    "make room on the disk, then start the same command again: it goes on where it stopped",
                ),
                io::ErrorKind::NotFound => Some("the folder has gone: was it moved or removed?"),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Masks that cannot be read.
pub(super) fn masks(error: &MaskError) -> Option<&'static str> {
    match error {
        MaskError::NotMasks { .. } => Some("name a folder or file that rho-mask wrote"),
        MaskError::Empty { .. } => {
            Some("a run that finished no shard leaves no masks: start it again")
        }
        MaskError::Row { .. } => Some("the file is damaged: make it again"),
        MaskError::Compressed { .. } => Some("write them without --compression"),
        _ => None,
    }
}
