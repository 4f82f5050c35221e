//! Takes the command-line arguments, yields files, folders and standard input: reads lists, expands braces and
//! patterns, and looks into files whose names do not show their format. `walk` looks into the folders.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::search::Search;
use super::{
    ArgumentKind, CorpusError, Elsewhere, Hub, Location, PassedOver, Root, braces, hub, kind_of,
};
use crate::input::{Compression, Kind};
use crate::remote::Address;
use crate::{remote, small_file};

/// The argument that stands for standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// How patterns match: `*` within a name, and not what is hidden.
pub(super) const PATTERNS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// Finds what the arguments name.
pub(super) fn expand<'a>(
    arguments: &[PathBuf],
    hub: Option<&'a dyn Hub>,
) -> Result<Expanded<'a>, CorpusError> {
    let mut found = Expanded {
        roots: Vec::new(),
        ignored: Vec::new(),
        passed_over: PassedOver::default(),
        hub,
    };
    for argument in arguments {
        let list = argument.to_str().and_then(|text| text.strip_prefix('@'));
        match list {
            Some(list) if !argument.exists() => found.list(Path::new(list))?,
            _ => found.argument(argument)?,
        }
    }
    Ok(found)
}

/// What the arguments name.
pub(super) struct Expanded<'a> {
    /// Files and folders.
    pub(super) roots: Vec<Root>,
    /// Files of unknown kind that match a pattern or lie below a prefix.
    pub(super) ignored: Vec<PathBuf>,
    /// What patterns and prefixes do not reach.
    pub(super) passed_over: PassedOver,
    /// Finds `hf://` addresses.
    hub: Option<&'a dyn Hub>,
}

impl Expanded<'_> {
    /// Adds what each line of a file names; relative paths start at the current folder, as on the command line.
    fn list(&mut self, path: &Path) -> Result<(), CorpusError> {
        let lines = small_file::read(path).and_then(|bytes| {
            String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        let lines = lines.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => CorpusError::Missing {
                path: path.to_path_buf(),
                source,
            },
            _ => CorpusError::Unreadable {
                path: path.to_path_buf(),
                source,
            },
        })?;
        let lines = lines.trim_start_matches('\u{feff}').lines();
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            self.argument(Path::new(line))?;
        }
        Ok(())
    }

    fn argument(&mut self, argument: &Path) -> Result<(), CorpusError> {
        if argument == Path::new(STANDARD_INPUT) {
            self.roots.push(Root {
                given: argument.to_path_buf(),
                anchored: PathBuf::new(),
                place: ArgumentKind::StandardInput,
                below: None,
            });
            return Ok(());
        }
        // A path that exists is taken literally, even if it looks like a pattern.
        let text = match argument.to_str() {
            Some(text) if !argument.exists() => text,
            _ => return self.one(argument),
        };
        let names = braces::expand(text).ok_or_else(|| CorpusError::TooManyNames {
            pattern: remote::shown(argument),
            most: braces::MOST,
        })?;
        for name in names {
            let path = Path::new(&name);
            if let Some(hub) = self.hub.filter(|_| name.starts_with(hub::SCHEME)) {
                let found = hub::roots(hub, &name)?;
                self.roots.extend(found.roots);
                self.ignored.extend(found.ignored);
                self.passed_over.join(found.passed_over);
                continue;
            }
            if remote::is_url(&name) {
                self.remote(&name)?;
                continue;
            }
            match name.contains(['*', '?', '[']) && !path.exists() {
                true => self.pattern(&name)?,
                false => self.one(path)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, path: &Path) -> Result<(), CorpusError> {
        self.roots.push(Root::new(path)?);
        Ok(())
    }

    /// Adds what a URL names: a file, or all files below a prefix that are not passed over.
    fn remote(&mut self, url: &str) -> Result<(), CorpusError> {
        let failed = |source| CorpusError::Remote {
            url: remote::shown(Path::new(url)).display().to_string(),
            source,
        };
        let address = Address::parse(url).map_err(failed)?;
        let shown = PathBuf::from(address.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| CorpusError::Unreadable {
                path: shown.clone(),
                source,
            })?;
        let (single, found) = runtime.block_on(remote::find(&address)).map_err(failed)?;
        let below = (!single).then(|| address.as_path());
        let before = (self.roots.len(), self.ignored.len());
        let paths: Vec<PathBuf> = found.iter().map(|f| f.address.as_path()).collect();
        let mut search = Search::below(below.clone(), &paths);
        for (remote, anchored) in found.into_iter().zip(paths) {
            if search.passes_over(&anchored) {
                continue;
            }
            match kind_of(&anchored) {
                Some((kind, compression)) => self.roots.push(Root {
                    given: PathBuf::from(remote.address.to_string()),
                    anchored,
                    place: ArgumentKind::Elsewhere(Elsewhere {
                        kind,
                        compression,
                        bytes: remote.bytes,
                        place: Location::Remote(Box::new(remote)),
                    }),
                    below: below.clone(),
                }),
                None if single => return Err(CorpusError::UnknownKind { path: shown }),
                None => self.ignored.push(remote.address.to_string().into()),
            }
        }
        match self.roots.len() > before.0 {
            true => {
                self.passed_over.join(search.passed_over);
                Ok(())
            }
            false => Err(CorpusError::NoShards {
                path: shown,
                ignored: self.ignored.len() - before.1,
                passed_over: Box::new(search.passed_over),
            }),
        }
    }

    /// Adds what matches a pattern: folders, and files of known kinds.
    fn pattern(&mut self, pattern: &str) -> Result<(), CorpusError> {
        let paths = glob::glob_with(pattern, PATTERNS).map_err(|source| CorpusError::Pattern {
            pattern: pattern.into(),
            source,
        })?;
        let mut paths =
            paths
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| CorpusError::Unreadable {
                    path: error.path().to_path_buf(),
                    source: error.into(),
                })?;
        paths.sort_by(|a, b| {
            let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
            bytes(a).cmp(&bytes(b))
        });
        let before = (self.roots.len(), self.ignored.len());
        let mut search = Search::of_pattern(Path::new(pattern));
        for path in paths {
            if search.passes_over(&path) {
                continue;
            }
            // `**` matches folders as well as the files in them; only other patterns may name folders.
            if path.is_dir() && pattern.contains("**") {
                continue;
            }
            match path.is_dir() || kind_of(&path).is_some() {
                true => self.one(&path)?,
                false => self.ignored.push(path),
            }
        }
        match self.roots.len() > before.0 {
            true => {
                self.passed_over.join(search.passed_over);
                Ok(())
            }
            false => Err(CorpusError::NoMatch {
                pattern: pattern.into(),
                ignored: self.ignored.len() - before.1,
                passed_over: Box::new(search.passed_over),
            }),
        }
    }
}

/// The kind by the first bytes, for a file whose name does not show it. A compressed file without another extension is
/// read as JSON lines; its content is checked again when it is read.
pub(super) fn kind_by_content(path: &Path) -> io::Result<Option<(Kind, Compression)>> {
    const HEAD: u64 = 512;
    let mut head = Vec::new();
    rho_files::open_named(path)?
        .take(HEAD)
        .read_to_end(&mut head)?;
    if let Some(compression) = Compression::of_content(&head) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (stem, _) = Compression::of_name(&name);
        return Ok((!stem.contains('.')).then_some((Kind::JsonLines, compression)));
    }
    Ok(Kind::told_by(&head).map(|kind| (kind, Compression::None)))
}
