//! Hints for corpora that cannot be read, and masks that cannot be read or written.

use std::io;

use rho_formats::{
    CorpusError, ExchangeError, MaskError, OutputError, RemoteError, RemoteErrorKind, ShardError,
    UnsupportedForm,
};

/// A list of files that names one elsewhere.
const OUTSIDE: &str = "do not trust this folder: no program writes such a list; name its files one by one if you need them";

/// The corpus arguments.
pub(super) fn corpus(error: &CorpusError) -> Option<&'static str> {
    match error {
        CorpusError::NoArguments => Some("name the corpus: a folder, or its files"),
        CorpusError::Remote { source, .. } => match source.kind() {
            RemoteErrorKind::NotFound => Some("check the spelling"),
            RemoteErrorKind::Denied => Some(
                "set the credentials in the environment, such as AWS_ACCESS_KEY_ID, or sign the URL again",
            ),
            RemoteErrorKind::Address => Some("check the address"),
            RemoteErrorKind::Refused => {
                Some("download the file with another program if you trust that server")
            }
            _ => Some("check the address, and the endpoint and region in the environment"),
        },
        CorpusError::NoMatch { passed_over, .. } if passed_over.count() > 0 => {
            Some("name what is passed over, if it is the corpus")
        }
        CorpusError::Hub { .. } => None,
        CorpusError::NoMatch { ignored: 0, .. } => Some(
            "check the pattern: * and ? do not match a /, ** does, and names that start with a dot are skipped",
        ),
        CorpusError::NoMatch { .. } => Some(
            "the format of a file is recognised by its name: rename the files, or name them one by one",
        ),
        CorpusError::Pattern { .. } => Some("write [*] for a literal star"),
        CorpusError::TooManyNames { .. } => Some("name the folder instead"),
        CorpusError::Missing { .. } => Some("check the spelling and the current folder"),
        CorpusError::Unreadable { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => Some("a symbolic link has no target: correct or remove it"),
            io::ErrorKind::PermissionDenied => Some("check its permissions"),
            _ => None,
        },
        CorpusError::UnknownKind { .. } => Some("rename the file with the extension of its format"),
        CorpusError::NotAFile { .. } => {
            Some("write the output of a pipe or device to a file first, or pipe it in and name -")
        }
        CorpusError::NoShards { passed_over, .. } if passed_over.count() > 0 => {
            Some("name what is passed over, if it is the corpus")
        }
        CorpusError::NoShards { ignored: 0, .. } => Some("name another folder"),
        CorpusError::NoShards { .. } => Some(
            "the format of a file is recognised by its name: rename the files, or name another folder",
        ),
        CorpusError::GivenTwice { .. } => Some(
            "name it once, because its documents would count twice (a folder includes its files, a symbolic link its \
             target)",
        ),
        CorpusError::NotUtf8 { .. } => Some("rename the file"),
        CorpusError::Outside { .. } => Some(OUTSIDE),
    }
}

/// A shard that ends early.
pub(super) fn shard(error: &ShardError) -> Option<&'static str> {
    match error {
        ShardError::Open { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => {
                Some("it existed when the run started: check whether it was moved")
            }
            io::ErrorKind::PermissionDenied => Some("check its permissions"),
            _ => None,
        },
        ShardError::Broken { source, .. } | ShardError::Damaged { source, .. } => {
            Some(match source.kind() {
                io::ErrorKind::UnexpectedEof => {
                    "the file is truncated: download it again; the rows before the end were read"
                }
                _ => "the file is damaged: download it again; the rows before the damage were read",
            })
        }
        ShardError::Unsupported { source, .. } => Some(match source {
            UnsupportedForm::Feather1 => {
                "write it again: pyarrow.feather.write_feather(pyarrow.feather.read_table(old), new)"
            }
            UnsupportedForm::EncryptedFooter | UnsupportedForm::EncryptedColumns => {
                "write it again without encryption, by a program that has the keys"
            }
            UnsupportedForm::ZstdWindow => "compress it again with zstd --long=31 or less",
        }),
        ShardError::Read { source, .. } => {
            let elsewhere = source.get_ref()?.downcast_ref::<RemoteError>()?;
            Some(match elsewhere.kind() {
                RemoteErrorKind::NoRanges => {
                    "use a server that supports range requests, because such a file is read in parts, or download the \
                     file first"
                }
                RemoteErrorKind::NoVersion => {
                    "download the file first: it is read in parts, which may be of two versions"
                }
                RemoteErrorKind::NotFound => {
                    "it existed when the run started: check whether it was moved"
                }
                RemoteErrorKind::Changed => {
                    "it changed after the run started, or its servers do not agree: start again, or download it first"
                }
                RemoteErrorKind::Refused => {
                    "download the file with another program if you trust that server"
                }
                _ => "try again later; the rows before the break were read",
            })
        }
    }
}

/// Masks that cannot be written.
pub(super) fn output(error: &OutputError) -> Option<&'static str> {
    match error {
        OutputError::NotAFolder { .. } => Some("name another folder for the masks"),
        OutputError::TooWide { .. } => Some("use --dtype u32, or omit --dtype"),
        OutputError::NotEmpty { .. } => Some("name a new folder for the masks, or empty this one"),
        OutputError::ShardName { .. } => Some("rename the file"),
        OutputError::ColumnTwice { .. } => Some("rename one of them, or leave it out"),
        OutputError::Create { source, .. } | OutputError::Write { source, .. } => {
            match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    Some("check its permissions, or name another folder for the masks")
                }
                io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge => Some(
                    "make room on the disk, then start the same command again: it resumes where it stopped",
                ),
                io::ErrorKind::NotFound => {
                    Some("the folder is missing: check whether it was moved or removed")
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Record batches from another program.
pub(super) fn exchange(error: &ExchangeError) -> Option<&'static str> {
    match error {
        ExchangeError::Malformed { .. } => {
            Some("send an Arrow IPC stream, as pyarrow.ipc.new_stream writes it")
        }
        ExchangeError::Field { .. } => {
            Some("name the column with its option, such as --text-field or --tokens-field")
        }
        ExchangeError::Columns { .. } => Some("pass other columns through"),
        ExchangeError::Read { .. } => None,
    }
}

/// Masks that cannot be read.
pub(super) fn masks(error: &MaskError) -> Option<&'static str> {
    match error {
        MaskError::NotMasks { .. } => Some("name a folder or file that rho-mask wrote"),
        MaskError::Empty { .. } => {
            Some("start the run again: it finished no shard, so there are no masks")
        }
        MaskError::Outside { .. } => Some(OUTSIDE),
        MaskError::AnswerColumn { .. } => Some(
            "give `gather` the options of the workers, and keep the types of their columns: `rho-mask worker --show-schema` \
             with the same options prints them",
        ),
        MaskError::Row { .. } => Some("the file is damaged: create it again"),
        MaskError::Compressed { .. } => Some("write the masks again without --compression"),
        MaskError::Parquet { .. } => Some(
            "`rho-mask select MASKS --out NEW --by RULE --format arrow-stream` writes them so, from the same scores",
        ),
        _ => None,
    }
}
