//! Takes files and folders as the user names them, yields shards in a fixed order.
//!
//! | argument | shards |
//! |---|---|
//! | a file | the file itself; if its name does not show its format, its first bytes must |
//! | a folder | the files with known endings in it and below |
//! | a folder of a Hugging Face dataset, or of several splits | the data files that it lists |
//! | `data/*.jsonl.zst`, `data/**/part?.parquet` | the files that match; unknown kinds are skipped |
//! | `shard-{000000..000099}.tar`, `{a,b}.jsonl` | each of these |
//! | `@list.txt` | what its lines name |
//! | `s3://bucket/corpus/`, `https://host/file` | see [`crate::remote`]; a prefix is walked like a folder |
//! | `hf://datasets/org/name@revision/path` | a file, a folder or a pattern in a dataset on the Hub: see [`Hub`] |
//! | `-` | standard input |
//!
//! An argument that exists is taken literally, whatever special characters its name has. Shards come in the order of
//! the arguments, and within a folder or pattern in the byte order of their paths, so that every machine sees the same
//! corpus. Nothing here reads the shards: see [`crate::input`].
//!
//! Files that are not part of a corpus are passed over in folders, prefixes and patterns: see [`PassedOver`].

mod arguments;
mod braces;
mod dataset;
mod error;
mod hub;
mod passed_over;
mod search;
mod walk;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

pub use error::CorpusError;
pub use hub::{Hub, HubFailed, HubFile, HubFiles, HubPlace};
pub use passed_over::{Examples, PassedOver};

use crate::input::{Compression, Kind};
use crate::remote::Remote;

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The path of the file, as reached from the arguments.
    pub path: PathBuf,
    /// Where the bytes come from.
    pub place: Location,
    /// The path relative to the deepest folder that holds all arguments, with `/` between its parts. Unique within a
    /// corpus; the mask file is named after it.
    pub name: String,
    /// Size of the file as stored, compressed or not.
    pub bytes: u64,
    /// The format of the rows, by the file's name.
    pub kind: Kind,
    /// The compression, by the file's name; on reading, the content takes precedence.
    pub compression: Compression,
    /// How many of its documents to read, from the first on, if not all.
    pub documents: Option<u64>,
}

/// Where the bytes of a shard come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Location {
    /// The file system.
    #[default]
    File,
    /// Standard input, of unknown size; it can be read once.
    StandardInput,
    /// An object store or web server.
    Remote(Box<Remote>),
    /// A file of the Hugging Face cache, whose tag tells its version.
    Cached {
        /// The tag.
        etag: String,
    },
}

/// The result of [`find_shards`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The shards, in the corpus's order.
    pub shards: Vec<Shard>,
    /// Files in folders whose kind is unknown. Those that are passed over are not listed.
    pub ignored: Vec<PathBuf>,
    /// Files and folders that are not part of the corpus, whatever their kind.
    pub passed_over: PassedOver,
}

/// Finds the shards that `arguments` name, as in the table of this module.
///
/// Folders are walked recursively, following symbolic links; what [`PassedOver`] names is left out. A file that is reached
/// twice is an error, because its documents would count twice.
///
/// # Errors
/// If there is no argument; if one is missing, unreadable, malformed, not UTF-8 or of an unknown kind; if a folder,
/// prefix or pattern holds no shard; if braces expand to too many names; or if a file is given twice.
pub fn find_shards(arguments: &[PathBuf]) -> Result<Found, CorpusError> {
    find(arguments, None)
}

/// Like [`find_shards`], also for `hf://` addresses.
///
/// # Errors
/// The same, and if `hub` fails.
pub fn find_shards_with(arguments: &[PathBuf], hub: &dyn Hub) -> Result<Found, CorpusError> {
    find(arguments, Some(hub))
}

fn find(arguments: &[PathBuf], hub: Option<&dyn Hub>) -> Result<Found, CorpusError> {
    if arguments.is_empty() {
        return Err(CorpusError::NoArguments);
    }
    let arguments::Expanded {
        roots,
        ignored,
        passed_over,
        ..
    } = arguments::expand(arguments, hub)?;
    let base = deepest_common_folder(&roots);

    let mut found = Found {
        shards: Vec::new(),
        ignored,
        passed_over,
    };
    let mut seen = HashMap::new();
    for root in &roots {
        let (files, ignored) = match root.place {
            ArgumentKind::Folder => {
                let walked = walk::walk(&root.given)?;
                if walked.files.is_empty() {
                    return Err(CorpusError::NoShards {
                        path: root.given.clone(),
                        ignored: walked.ignored.len(),
                        passed_over: Box::new(walked.passed_over),
                    });
                }
                found.passed_over.join(walked.passed_over);
                (walked.files, walked.ignored)
            }
            ArgumentKind::Elsewhere(ref elsewhere) => {
                let path = root.given.clone();
                let Some(name) = name_under(&base, &root.anchored) else {
                    return Err(CorpusError::NotUtf8 { path });
                };
                if seen.insert(root.anchored.clone(), path.clone()).is_some() {
                    let first = path.clone();
                    return Err(CorpusError::GivenTwice {
                        first,
                        second: path,
                    });
                }
                found.shards.push(Shard {
                    path,
                    name,
                    bytes: elsewhere.bytes,
                    place: elsewhere.place.clone(),
                    kind: elsewhere.kind,
                    compression: elsewhere.compression,
                    documents: None,
                });
                continue;
            }
            ArgumentKind::File(..) => (vec![PathBuf::new()], Vec::new()),
            ArgumentKind::StandardInput => {
                let first = PathBuf::from(arguments::STANDARD_INPUT);
                if seen.insert(first.clone(), first.clone()).is_some() {
                    let second = first.clone();
                    return Err(CorpusError::GivenTwice { first, second });
                }
                found.shards.push(Shard {
                    path: first,
                    place: Location::StandardInput,
                    name: "stdin".to_owned(),
                    bytes: 0,
                    kind: Kind::JsonLines,
                    compression: Compression::None,
                    documents: None,
                });
                continue;
            }
        };
        for relative in files {
            let shard = root.shard(&relative, &base)?;
            let real = fs::canonicalize(&shard.path).map_err(|source| CorpusError::Unreadable {
                path: shard.path.clone(),
                source,
            })?;
            if let Some(first) = seen.insert(real, shard.path.clone()) {
                return Err(CorpusError::GivenTwice {
                    first,
                    second: shard.path,
                });
            }
            found.shards.push(shard);
        }
        found.ignored.extend(ignored);
    }
    Ok(found)
}

/// One argument and its real path.
struct Root {
    given: PathBuf,
    /// Absolute, without `.` and `..`. The last part stays as the user named it: the target of a symbolic link often
    /// has a name without meaning.
    anchored: PathBuf,
    place: ArgumentKind,
    /// The prefix it was found below, if any.
    below: Option<PathBuf>,
}

/// The kind of an argument.
#[derive(PartialEq, Eq)]
enum ArgumentKind {
    Folder,
    File(Kind, Compression),
    Elsewhere(Elsewhere),
    StandardInput,
}

/// A file that is named by an address, not by a path.
#[derive(PartialEq, Eq)]
struct Elsewhere {
    kind: Kind,
    compression: Compression,
    bytes: u64,
    place: Location,
}

impl Root {
    fn new(given: &Path) -> Result<Self, CorpusError> {
        let unreadable = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => CorpusError::Missing {
                path: given.to_path_buf(),
                source,
            },
            _ => CorpusError::Unreadable {
                path: given.to_path_buf(),
                source,
            },
        };
        let metadata = fs::metadata(given).map_err(unreadable)?;
        let place = if metadata.is_dir() {
            ArgumentKind::Folder
        } else if metadata.is_file() {
            let known = match kind_of(given) {
                None => arguments::kind_by_content(given).map_err(unreadable)?,
                known => known,
            };
            let (kind, compression) = known.ok_or_else(|| CorpusError::UnknownKind {
                path: given.to_path_buf(),
            })?;
            ArgumentKind::File(kind, compression)
        } else {
            return Err(CorpusError::NotAFile {
                path: given.to_path_buf(),
            });
        };
        let absolute = std::path::absolute(given).map_err(unreadable)?;
        let anchored = match (absolute.parent(), absolute.file_name()) {
            (Some(parent), Some(name)) => fs::canonicalize(parent).map_err(unreadable)?.join(name),
            _ => fs::canonicalize(given).map_err(unreadable)?,
        };
        Ok(Self {
            given: given.to_path_buf(),
            anchored,
            place,
            below: None,
        })
    }

    /// The folder that holds this argument; a folder holds itself.
    fn folder(&self) -> &Path {
        if let Some(below) = &self.below {
            return below;
        }
        match self.anchored.parent() {
            Some(parent) if self.place != ArgumentKind::Folder => parent,
            _ => &self.anchored,
        }
    }

    /// The shard at `relative` below this argument (empty for the argument itself).
    fn shard(&self, relative: &Path, base: &Path) -> Result<Shard, CorpusError> {
        // Joining an empty path would add a slash at the end.
        let join = |path: &Path| match relative.as_os_str().is_empty() {
            true => path.to_path_buf(),
            false => path.join(relative),
        };
        let path = join(&self.given);
        let (kind, compression) = match self.place {
            ArgumentKind::File(kind, compression) => (kind, compression),
            // A dataset's data files may have any name.
            _ => kind_of(&path).unwrap_or((Kind::Arrow, Compression::None)),
        };
        let Some(name) = name_under(base, &join(&self.anchored)) else {
            return Err(CorpusError::NotUtf8 { path });
        };
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Shard {
                path,
                place: Location::File,
                name,
                bytes: metadata.len(),
                kind,
                compression,
                documents: None,
            }),
            Err(source) => Err(CorpusError::Unreadable { path, source }),
        }
    }
}

/// Kind and compression by the last part of the path.
fn kind_of(path: &Path) -> Option<(Kind, Compression)> {
    Kind::of_name(&path.file_name()?.to_string_lossy())
}

/// `path` relative to `base`, with `/` between the parts; `None` if a part is not UTF-8.
fn name_under(base: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(base).unwrap_or(path);
    let parts = relative
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| OsStr::to_str(part.as_os_str()))
        .collect::<Option<Vec<_>>>()?;
    Some(parts.join("/"))
}

fn deepest_common_folder(roots: &[Root]) -> PathBuf {
    let files = roots.iter();
    let mut folders = files
        .filter(|root| root.place != ArgumentKind::StandardInput)
        .map(Root::folder);
    let mut common = folders.next().map(Path::to_path_buf).unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&common) {
            if !common.pop() {
                break;
            }
        }
    }
    common
}
