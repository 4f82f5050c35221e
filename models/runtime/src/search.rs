//! Searches for a library. In: [`LibraryOptions`]. Out: the library to load, and a record of every location. Installs
//! and downloads nothing.
//!
//! If the user names a path, no other is tried: it is used, or it is an error. Otherwise the search goes through the
//! environment that the program's wheel was installed into, the active Python environments, the package that `python3`
//! would import, and the cache folder. The first usable library is taken. Unusable ones are reported, not silently
//! skipped.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{LibraryError, chain};
use crate::library::{Library, Origin, SearchedLocation, State};
use crate::manifest::{self, Condition, Depth, condition};
use crate::options::LibraryOptions;
use crate::{cuda, overwritten_package, python, version, wheels};

/// Searches in the order of [`Origin`]. Never installs or downloads anything. The first value lists every location,
/// also if no library was found.
///
/// # Errors
///
/// When the library that the user named cannot be used; otherwise [`LibraryError::NotFound`] or
/// [`LibraryError::NoCudaLibrary`].
pub fn find(options: &LibraryOptions) -> (Vec<SearchedLocation>, Result<Library, LibraryError>) {
    let search = Search {
        options,
        packages: OnceCell::new(),
    };
    let mut looked = Vec::new();
    let mut used: Option<Library> = None;
    let mut overwritten = None;
    for origin in [
        Origin::Given,
        Origin::OwnEnvironment,
        Origin::VirtualEnvironment,
        Origin::Conda,
        Origin::PythonPackage,
        Origin::Cache,
    ] {
        if used.is_some() {
            let found = "not searched, because a library was found before".to_owned();
            looked.push(SearchedLocation {
                origin,
                path: None,
                state: State::NotNeeded,
                found,
            });
            continue;
        }
        for place in search.places(origin) {
            let (path, state, found) = match place {
                Candidate::Library(path) if already_seen(&looked, &path) => (
                    Some(path),
                    State::Absent,
                    "the same file as above".to_owned(),
                ),
                Candidate::Library(path) => match search.open(origin, &path) {
                    Ok(library) => {
                        let found = format!("ONNX Runtime {}", library.version);
                        used = Some(library);
                        (Some(path), State::Used, found)
                    }
                    Err(error) if origin == Origin::Given => {
                        looked.push(SearchedLocation {
                            origin,
                            path: Some(path),
                            state: State::Unusable,
                            found: chain(&error),
                        });
                        return (looked, Err(error));
                    }
                    Err(error) => {
                        let found = chain(&error);
                        if matches!(error, LibraryError::Overwritten { .. }) {
                            overwritten.get_or_insert(Box::new(error));
                        }
                        (Some(path), State::Unusable, found)
                    }
                },
                Candidate::Broken(folder, problem) => (Some(folder), State::Unusable, problem),
                Candidate::Nothing(path, reason) => (path, State::Absent, reason),
            };
            looked.push(SearchedLocation {
                origin,
                path,
                state,
                found,
            });
            if used.is_some() {
                break;
            }
        }
    }
    let result = used.ok_or_else(|| match options.cuda {
        true => LibraryError::NoCudaLibrary {
            looked: looked.clone(),
            overwritten,
        },
        false => LibraryError::NotFound {
            looked: looked.clone(),
        },
    });
    (looked, result)
}

/// Checks one file, and finds the folders that loading it needs.
pub(crate) fn open(
    options: &LibraryOptions,
    origin: Origin,
    path: &Path,
    cuda: bool,
) -> Result<Library, LibraryError> {
    Search {
        options,
        packages: OnceCell::new(),
    }
    .open_with(origin, path, cuda)
}

enum Candidate {
    Library(PathBuf),
    /// A file or folder that should be or contain a library, but is unusable.
    Broken(PathBuf, String),
    Nothing(Option<PathBuf>, String),
}

struct Search<'a> {
    options: &'a LibraryOptions,
    /// Python's answer. Starting Python takes a while, so it is started at most once and only if needed.
    packages: OnceCell<Result<python::Packages, String>>,
}

impl Search<'_> {
    fn packages(&self) -> &Result<python::Packages, String> {
        self.packages
            .get_or_init(|| python::packages(&self.options.python))
    }

    fn places(&self, origin: Origin) -> Vec<Candidate> {
        let not_set = || vec![Candidate::Nothing(None, "not set".to_owned())];
        let none_named = || vec![Candidate::Nothing(None, "none".to_owned())];
        match origin {
            Origin::Given => self.options.path.as_ref().map_or_else(none_named, |path| {
                // The system would search its own folders for a bare name, but a file is meant.
                vec![Candidate::Library(
                    std::path::absolute(path).unwrap_or_else(|_| path.clone()),
                )]
            }),
            Origin::OwnEnvironment => match self.options.own_environment.as_deref() {
                Some(environment) => in_environment(environment),
                None => not_there(None, "not a Python environment"),
            },
            Origin::VirtualEnvironment => self
                .options
                .virtual_env
                .as_deref()
                .map_or_else(not_set, in_environment),
            Origin::Conda => self
                .options
                .conda_prefix
                .as_deref()
                .map_or_else(not_set, in_environment),
            Origin::PythonPackage => match self.packages() {
                Err(reason) => vec![Candidate::Nothing(None, reason.clone())],
                Ok(packages) => {
                    in_packages(packages.onnxruntime.iter().map(PathBuf::as_path), None)
                }
            },
            Origin::Cache => self.in_cache(),
        }
    }

    fn in_cache(&self) -> Vec<Candidate> {
        let cache = &self.options.cache;
        if cache.as_os_str().is_empty() {
            return not_there(None, "the environment does not name one");
        }
        let packages = [self.options.cuda, !self.options.cuda]
            .into_iter()
            .filter_map(|cuda| {
                wheels::package(cuda, std::env::consts::OS, std::env::consts::ARCH).ok()
            });
        let places: Vec<Candidate> = packages
            .filter_map(|package| {
                let folder = cache.join(package.folder);
                match condition(&folder, Depth::Sizes) {
                    Condition::Absent => None,
                    Condition::Damaged(problem) => {
                        Some(Candidate::Broken(folder, format!("damaged: {problem}")))
                    }
                    Condition::Whole => Some(Candidate::Library(folder.join(package.library))),
                }
            })
            .collect();
        if places.is_empty() {
            not_there(Some(cache), "nothing is installed in it")
        } else {
            places
        }
    }

    fn open(&self, origin: Origin, path: &Path) -> Result<Library, LibraryError> {
        self.open_with(origin, path, self.options.cuda)
    }

    fn open_with(&self, origin: Origin, path: &Path, cuda: bool) -> Result<Library, LibraryError> {
        let path = &std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if origin == Origin::Cache
            && let Some(folder) = path.parent()
        {
            // First, because another process may be cleaning the cache.
            let held = rho_files::usage::hold(folder);
            held.map_err(LibraryError::disk("mark the installation as used", folder))?;
            manifest::verify_once(folder)?;
        }
        let has_cuda_provider_file = cuda::provider_file(path).is_some_and(|file| file.is_file());
        // A library that the user named may have its providers elsewhere; loading it shows whether it has CUDA.
        if cuda && !has_cuda_provider_file && origin != Origin::Given {
            return Err(LibraryError::NoCudaProvider {
                path: path.to_owned(),
            });
        }
        if cuda
            && origin != Origin::Given
            && let Some(version) = overwritten_package::overwritten(path)
        {
            return Err(LibraryError::Overwritten {
                path: path.to_owned(),
                version,
            });
        }
        let version = version::check(path)?;
        let cuda_folders = (cuda && has_cuda_provider_file).then(|| {
            let environments = [
                self.options.own_environment.as_deref(),
                self.options.virtual_env.as_deref(),
                self.options.conda_prefix.as_deref(),
            ];
            let ask = || {
                self.packages()
                    .as_ref()
                    .map(|packages| packages.nvidia.clone())
                    .unwrap_or_default()
            };
            cuda::folders(path, environments, ask)
        });
        Ok(Library {
            path: path.to_owned(),
            version,
            origin,
            has_cuda_provider_file,
            cuda_folders,
        })
    }
}

fn in_environment(environment: &Path) -> Vec<Candidate> {
    let packages: Vec<PathBuf> = python::site_packages(environment)
        .into_iter()
        .map(|folder| folder.join("onnxruntime"))
        .collect();
    in_packages(packages.iter().map(PathBuf::as_path), Some(environment))
}

fn in_packages<'a>(
    packages: impl Iterator<Item = &'a Path>,
    environment: Option<&Path>,
) -> Vec<Candidate> {
    let places: Vec<Candidate> = packages
        .filter(|package| package.is_dir())
        .map(|package| match library_in(&package.join("capi")) {
            Some(path) => Candidate::Library(path),
            None => Candidate::Broken(
                package.to_owned(),
                "no library in its capi folder; packages before 1.19 have none".to_owned(),
            ),
        })
        .collect();
    if places.is_empty() {
        not_there(environment, "there is no package onnxruntime")
    } else {
        places
    }
}

fn not_there(path: Option<&Path>, reason: &str) -> Vec<Candidate> {
    vec![Candidate::Nothing(
        path.map(Path::to_owned),
        reason.to_owned(),
    )]
}

/// The library's file. Its name contains the version; of several, the last by name has the most complete version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |name: &str| {
        if cfg!(windows) {
            name == "onnxruntime.dll"
        } else if cfg!(target_os = "macos") {
            name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
        } else {
            name.starts_with("libonnxruntime.so")
        }
    };
    fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_library))
        .map(|entry| entry.path())
        .max()
}

fn already_seen(looked: &[SearchedLocation], path: &Path) -> bool {
    let file = |path: &Path| path.canonicalize().ok();
    let new = file(path);
    new.is_some()
        && looked
            .iter()
            .any(|place| place.path.as_deref().and_then(file) == new)
}
