//! Files of a dataset on the Hub. The program that knows its protocol, its cache and its tokens finds them; this crate
//! names them as shards, and reads them.

use std::fmt;
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::arguments::PATTERNS;
use super::search::Search;
use super::{ArgumentKind, CorpusError, Elsewhere, Location, PassedOver, Root, kind_of};
use crate::remote::Remote;

/// The start of the addresses that a [`Hub`] finds.
pub(super) const SCHEME: &str = "hf://";

/// Finds the files of addresses that start with `hf://`.
pub trait Hub {
    /// The file that an address names, or all files in the folder that it names, and below it.
    ///
    /// # Errors
    /// If there are none, or they cannot be found; the implementation keeps the reason.
    fn find(&self, address: &str) -> Result<HubFiles, HubFailed>;
}

/// The implementation of [`Hub`] knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubFailed;

/// The files of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFiles {
    /// A path in place of the repository, for the names of shards.
    pub root: PathBuf,
    /// The path of the address in the repository.
    pub below: String,
    /// Whether the address is that of a file.
    pub is_single: bool,
    /// The files.
    pub files: Vec<HubFile>,
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubFile {
    /// Its address with the commit, for messages.
    pub shown: PathBuf,
    /// Its path in the repository.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// The tag of this version, if it is known.
    pub etag: Option<String>,
    /// Where its bytes are.
    pub place: HubPlace,
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq)]
pub enum HubPlace {
    /// In the cache, at this path.
    Cached(PathBuf),
    /// On the server.
    Server {
        /// The URL.
        url: String,
        /// A value of the header `Authorization` for this server alone.
        authorization: Option<String>,
    },
}

impl fmt::Debug for HubPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cached(_) => "Cached",
            Self::Server { .. } => "Server",
        })
    }
}

/// What an address or a pattern names.
#[derive(Default)]
pub(super) struct Named {
    pub(super) roots: Vec<Root>,
    /// Files of unknown kind.
    pub(super) ignored: Vec<PathBuf>,
    pub(super) passed_over: PassedOver,
}

/// Finds what an address or a pattern names.
pub(super) fn roots(hub: &dyn Hub, address: &str) -> Result<Named, CorpusError> {
    let failed = |_| CorpusError::Hub {
        url: address.to_owned(),
    };
    let (folder, pattern) = match address.find(['*', '?', '[']) {
        // All up to the first part with a special character is a folder.
        Some(at) => {
            let folder = address[..at].rfind('/').map_or(0, |slash| slash + 1);
            let pattern =
                Pattern::new(&address[folder..]).map_err(|source| CorpusError::Pattern {
                    pattern: address.into(),
                    source,
                })?;
            (&address[..folder], Some(pattern))
        }
        None => (address, None),
    };
    let mut found = hub.find(folder).map_err(failed)?;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    let below = found.root.join(&found.below);
    let paths = found.files.iter().map(|file| found.root.join(&file.path));
    let paths: Vec<PathBuf> = paths.collect();
    // A pattern may ask for names that start with an underscore.
    let searched = &address[folder.len()..];
    let mut search = Search::below((!found.is_single).then(|| below.clone()), &paths);
    search.underscores = searched.split('/').any(|part| part.starts_with('_'));
    let (mut roots, mut ignored) = (Vec::new(), Vec::new());
    for (file, anchored) in found.files.into_iter().zip(paths) {
        let inside = anchored.strip_prefix(&below).unwrap_or(Path::new(""));
        let matches = |pattern: &Pattern| pattern.matches_path_with(inside, PATTERNS);
        if !pattern.as_ref().is_none_or(matches) || search.passes_over(&anchored) {
            continue;
        }
        let Some((kind, compression)) = kind_of(&anchored) else {
            if found.is_single {
                return Err(CorpusError::UnknownKind { path: file.shown });
            }
            ignored.push(file.shown);
            continue;
        };
        let (given, place) = located(&file)?;
        roots.push(Root {
            given,
            anchored,
            place: ArgumentKind::Elsewhere(Elsewhere {
                kind,
                compression,
                bytes: file.bytes,
                place,
            }),
            // As of local paths: what a pattern matches is named like a file.
            below: (!found.is_single && pattern.is_none()).then(|| below.clone()),
        });
    }
    match (roots.is_empty(), pattern) {
        (false, _) => Ok(Named {
            roots,
            ignored,
            passed_over: search.passed_over,
        }),
        (true, Some(_)) => Err(CorpusError::NoMatch {
            pattern: address.into(),
            ignored: ignored.len(),
            passed_over: Box::new(search.passed_over),
        }),
        (true, None) => Err(CorpusError::NoShards {
            path: address.into(),
            ignored: ignored.len(),
            passed_over: Box::new(search.passed_over),
        }),
    }
}

/// The path of a file for messages, and where its bytes are.
fn located(file: &HubFile) -> Result<(PathBuf, Location), CorpusError> {
    Ok(match (&file.place, &file.etag) {
        (HubPlace::Cached(path), Some(etag)) => {
            let etag = etag.clone();
            (path.clone(), Location::Cached { etag })
        }
        (HubPlace::Cached(path), None) => (path.clone(), Location::File),
        (HubPlace::Server { url, authorization }, etag) => {
            let remote = Remote::of_hub(url, authorization.as_deref(), etag.clone(), file.bytes);
            let remote = remote.map_err(|source| CorpusError::Remote {
                url: file.shown.display().to_string(),
                source,
            })?;
            (file.shown.clone(), Location::Remote(Box::new(remote)))
        }
    })
}
