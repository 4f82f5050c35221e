//! Takes files and folders as a user names them, yields shards in a fixed order.
//!
//! | argument | what it names |
//! |---|---|
//! | a file | itself; a name that tells no kind will do, if its first bytes do |
//! | a folder | the files of known names in it and below |
//! | a folder of a Hugging Face dataset, or of several splits | the data files that it lists |
//! | `data/*.jsonl.zst`, `data/**/part?.parquet` | what is there of that name, unknown kinds left out |
//! | `shard-{000000..000099}.tar`, `{a,b}.jsonl` | each of these |
//! | `@list.txt` | what its lines name |
//! | `s3://bucket/corpus/`, `https://host/file` | see [`crate::remote`]; what is below a prefix is walked like a folder |
//! | `-` | standard input |
//!
//! A file or folder that exists is itself, whatever signs its name holds. The order is that of the arguments, and within
//! a folder or pattern that of the paths' bytes, so that two machines see the same corpus. Does not read the shards: see
//! [`crate::input`].

mod arguments;
mod braces;
mod dataset;
mod error;
mod walk;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

pub use error::CorpusError;

use crate::input::{Compression, Kind};
use crate::remote::Remote;

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Where the file lies, as reached from the arguments.
    pub path: PathBuf,
    /// What is there.
    pub place: Place,
    /// The path relative to the deepest folder that holds all arguments, with `/` between its parts. Unique within
    /// a corpus; the mask file is named after it.
    pub name: String,
    /// Size of the file as it lies there, compressed or not.
    pub bytes: u64,
    /// What the rows look like, by the name.
    pub kind: Kind,
    /// What the name says about compression; on reading, the content has the first word.
    pub compression: Compression,
}

/// What kind of place a shard lies in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// The file system.
    #[default]
    File,
    /// Standard input, of unknown size; it can be read once.
    StandardInput,
    /// An object store or web server.
    Remote(Remote),
}

/// What stood under the arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The shards, in the corpus's order.
    pub shards: Vec<Shard>,
    /// Files in folders that are of no known kind. Hidden files are not listed.
    pub ignored: Vec<PathBuf>,
}

/// Finds the shards that `arguments` name, in the ways of the table above.
///
/// Folders are walked recursively, following symbolic links; files and folders whose names start with a dot are
/// skipped there. A file that is reached twice is an error, for its documents would be counted twice.
///
/// # Errors
/// Where an argument is missing, of no known kind or unreadable, where a folder holds no shard, or a file is given
/// twice.
pub fn find_shards(arguments: &[PathBuf]) -> Result<Found, CorpusError> {
    if arguments.is_empty() {
        return Err(CorpusError::NoArguments);
    }
    let (roots, ignored) = arguments::expand(arguments)?;
    let base = deepest_common_folder(&roots);

    let mut found = Found {
        shards: Vec::new(),
        ignored,
    };
    let mut seen = HashMap::new();
    for root in &roots {
        let (files, ignored) = match root.place {
            Placed::Folder => {
                let walked = walk::walk(&root.given)?;
                if walked.files.is_empty() {
                    return Err(CorpusError::NoShards {
                        path: root.given.clone(),
                        ignored: walked.ignored.len(),
                    });
                }
                (walked.files, walked.ignored)
            }
            Placed::Remote(kind, compression, ref remote) => {
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
                    bytes: remote.bytes,
                    place: Place::Remote(remote.clone()),
                    kind,
                    compression,
                });
                continue;
            }
            Placed::File(..) => (vec![PathBuf::new()], Vec::new()),
            Placed::StandardInput => {
                let first = PathBuf::from(arguments::STANDARD_INPUT);
                if seen.insert(first.clone(), first.clone()).is_some() {
                    let second = first.clone();
                    return Err(CorpusError::GivenTwice { first, second });
                }
                found.shards.push(Shard {
                    path: first,
                    place: Place::StandardInput,
                    name: "stdin".to_owned(),
                    bytes: 0,
                    kind: Kind::JsonLines,
                    compression: Compression::None,
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

/// One argument, and where it really lies.
struct Root {
    given: PathBuf,
    /// Absolute, without `.` and `..`, but with the last part as the user named it: the file behind a symbolic link
    /// often has a name that says nothing.
    anchored: PathBuf,
    place: Placed,
    /// The prefix below which it was found, for what was found below one.
    below: Option<PathBuf>,
}

/// What an argument is.
#[derive(PartialEq, Eq)]
enum Placed {
    Folder,
    File(Kind, Compression),
    Remote(Kind, Compression, Remote),
    StandardInput,
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
            Placed::Folder
        } else if metadata.is_file() {
            let known = match kind_of(given) {
                None => arguments::kind_by_content(given).map_err(unreadable)?,
                known => known,
            };
            let (kind, compression) = known.ok_or_else(|| CorpusError::UnknownKind {
                path: given.to_path_buf(),
            })?;
            Placed::File(kind, compression)
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
            Some(parent) if self.place != Placed::Folder => parent,
            _ => &self.anchored,
        }
    }

    /// The shard at `relative` under this argument (empty for the argument itself).
    fn shard(&self, relative: &Path, base: &Path) -> Result<Shard, CorpusError> {
        // Joining an empty path would add a slash at the end.
        let join = |path: &Path| match relative.as_os_str().is_empty() {
            true => path.to_path_buf(),
            false => path.join(relative),
        };
        let path = join(&self.given);
        let (kind, compression) = match self.place {
            Placed::File(kind, compression) => (kind, compression),
            // A dataset's data files may be called as they like.
            _ => kind_of(&path).unwrap_or((Kind::Arrow, Compression::None)),
        };
        let Some(name) = name_under(base, &join(&self.anchored)) else {
            return Err(CorpusError::NotUtf8 { path });
        };
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Shard {
                path,
                place: Place::File,
                name,
                bytes: metadata.len(),
                kind,
                compression,
            }),
            Err(source) => Err(CorpusError::Unreadable { path, source }),
        }
    }
}

/// Kind and compression as the path's last part tells them.
fn kind_of(path: &Path) -> Option<(Kind, Compression)> {
    Kind::of_name(&path.file_name()?.to_string_lossy())
}

/// `path` relative to `base`, with `/` between the parts; nothing where a part is not UTF-8.
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
        .filter(|root| root.place != Placed::StandardInput)
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
