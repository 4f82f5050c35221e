//! NVIDIA's libraries. ONNX Runtime's CUDA provider names its dependencies without paths, and the wheels install them
//! where the system's loader does not search; but the loader finds a library by name if it is already loaded. In: a
//! library with the CUDA provider beside it. Out: the folders that may have the dependencies and, on Linux, a record of
//! each library that was loaded early.
//!
//! A failure here is not an error: a session shows whether CUDA can be used, and the record explains why not.

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
pub(crate) use linux::{folders, preload};

/// A library that was loaded, or failed to load, before the CUDA provider needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preloaded {
    /// Its name, such as `libcublas.so.13`.
    pub name: String,
    /// The file; `None` if the system's loader searched by name.
    pub path: Option<PathBuf>,
    /// Why it could not be loaded.
    pub problem: Option<String>,
}

impl fmt::Display for Preloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display())?,
            None => write!(f, "{} (from the system)", self.name)?,
        }
        match &self.problem {
            Some(problem) => write!(f, ": {problem}"),
            None => write!(f, ": loaded"),
        }
    }
}

/// The file of the CUDA provider that belongs to a library, on systems that have CUDA.
pub(crate) fn provider_file(library: &Path) -> Option<PathBuf> {
    let name = match std::env::consts::OS {
        "linux" => "libonnxruntime_providers_cuda.so",
        "windows" => "onnxruntime_providers_cuda.dll",
        _ => return None,
    };
    Some(library.with_file_name(name))
}

/// On other platforms the system's loader must find them.
#[cfg(not(target_os = "linux"))]
pub(crate) fn folders(
    _: &Path,
    _: [Option<&Path>; 3],
    _: impl FnOnce() -> Vec<PathBuf>,
) -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn preload(_: &Path, _: &[PathBuf]) -> Vec<Preloaded> {
    Vec::new()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::fs;
    use std::mem::forget;
    use std::path::{Path, PathBuf};

    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    use super::{Preloaded, provider_file};
    use crate::error::chain;
    use crate::{elf, python};

    /// Folders with NVIDIA's libraries, nearest first: beside the library, in its own `site-packages`, in these
    /// environments and, only if none of them has a CUDA runtime, those that `ask_python` returns.
    pub(crate) fn folders(
        library: &Path,
        environments: [Option<&Path>; 3],
        ask_python: impl FnOnce() -> Vec<PathBuf>,
    ) -> Vec<PathBuf> {
        let beside = library.parent().unwrap_or(Path::new("/"));
        let mut roots = vec![beside.join("nvidia")];
        roots.extend(beside.ancestors().nth(2).map(|site| site.join("nvidia")));
        for environment in environments.into_iter().flatten() {
            roots.extend(
                python::site_packages(environment)
                    .into_iter()
                    .map(|site| site.join("nvidia")),
            );
        }
        let mut found: Vec<PathBuf> = roots
            .iter()
            .flat_map(|root| library_folders(root))
            .collect();
        // conda's CUDA packages install their libraries here.
        found.extend(
            environments
                .into_iter()
                .flatten()
                .map(|environment| environment.join("lib"))
                .filter(|lib| lib.is_dir()),
        );
        if !found
            .iter()
            .any(|folder| first_with_prefix(folder, "libcudart.so.").is_some())
        {
            found.extend(ask_python().iter().flat_map(|root| library_folders(root)));
        }
        let mut seen = BTreeSet::new();
        found.retain(|folder| seen.insert(folder.clone()));
        found
    }

    /// `nvidia/` itself, where rho-mask installs libraries, and `nvidia/cu13/lib` or `nvidia/cublas/lib`, where wheels
    /// do.
    fn library_folders(root: &Path) -> Vec<PathBuf> {
        let mut parts: Vec<PathBuf> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join("lib"))
            .collect();
        parts.sort();
        parts.insert(0, root.to_owned());
        parts.retain(|folder| folder.is_dir());
        parts
    }

    fn first_with_prefix(folder: &Path, prefix: &str) -> Option<String> {
        let names = fs::read_dir(folder)
            .ok()?
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(prefix)).min()
    }

    /// Loads the provider's direct and indirect dependencies, innermost first.
    pub(crate) fn preload(library: &Path, folders: &[PathBuf]) -> Vec<Preloaded> {
        let mut loading = Loading {
            folders,
            done: BTreeSet::new(),
            record: Vec::new(),
        };
        let provider = provider_file(library).expect("Linux has a CUDA provider");
        let needed = needed_of(&provider);
        let runtime = needed
            .iter()
            .find_map(|name| name.strip_prefix("libcudart.so.")?.parse::<u32>().ok());
        for name in &needed {
            loading.add(name);
        }
        // The provider loads these at run time, so its headers do not name them. NVRTC loads its built-ins by name.
        if let Some(major) = runtime {
            let builtins = format!("libnvrtc-builtins.so.{major}");
            if let Some(name) = folders
                .iter()
                .find_map(|folder| first_with_prefix(folder, &builtins))
            {
                loading.add(&name);
            }
            loading.add(&format!("libnvrtc.so.{major}"));
            // Only graphs with an FFT need it, so it may be missing.
            let fft = format!("libcufft.so.{}", major.saturating_sub(1));
            if loading.file(&fft).is_some() {
                loading.add(&fft);
            }
        }
        // It finds its parts in its own folder.
        loading.add("libcudnn.so.9");
        loading.record
    }

    /// NVIDIA's libraries among a library's dependencies, including the driver's.
    fn needed_of(path: &Path) -> Vec<String> {
        let needed = elf::read(path)
            .ok()
            .flatten()
            .map(|elf| elf.needed)
            .unwrap_or_default();
        needed
            .into_iter()
            .filter(|name| name.starts_with("libcu") || name.starts_with("libnv"))
            .collect()
    }

    struct Loading<'a> {
        folders: &'a [PathBuf],
        done: BTreeSet<String>,
        record: Vec<Preloaded>,
    }

    impl Loading<'_> {
        fn file(&self, name: &str) -> Option<PathBuf> {
            self.folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
        }

        fn add(&mut self, name: &str) {
            if !self.done.insert(name.to_owned()) {
                return;
            }
            let path = self.file(name);
            for needed in path.as_deref().map(needed_of).unwrap_or_default() {
                self.add(&needed);
            }
            let problem = open_for_good(path.as_deref().unwrap_or(Path::new(name)))
                .err()
                .map(|error| chain(&error));
            self.record.push(Preloaded {
                name: name.to_owned(),
                path,
                problem,
            });
        }
    }

    #[expect(unsafe_code, reason = "loading a library runs its constructors")]
    fn open_for_good(path: &Path) -> Result<(), libloading::Error> {
        // SAFETY: these are NVIDIA's libraries, which the CUDA provider would load itself a moment later; they come
        // from the provider's own source, from the user's Python, or from the system. Their constructors run once, and
        // they are never unloaded, so no pointer into them can dangle.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }?;
        forget(library);
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn touch(path: &Path) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }

        #[test]
        fn every_layout_is_searched_nearest_first() {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let site = root.join("env/lib/python3.12/site-packages");
            let library = site.join("onnxruntime/capi/libonnxruntime.so.1.31.1");
            touch(&library);
            touch(&site.join("nvidia/cublas/lib/libcublas.so.12"));
            touch(&root.join("system/nvidia/cu13/lib/libcudart.so.13"));
            let ask = || vec![root.join("system/nvidia")];
            let found = folders(&library, [None; 3], ask);
            assert_eq!(
                found,
                [
                    site.join("nvidia"),
                    site.join("nvidia/cublas/lib"),
                    root.join("system/nvidia"),
                    root.join("system/nvidia/cu13/lib"),
                ]
            );

            // A CUDA runtime is beside the library: Python is not asked.
            touch(&library.with_file_name("nvidia").join("libcudart.so.13"));
            let found = folders(&library, [None, Some(&root.join("env")), None], || {
                panic!("must not be asked")
            });
            assert_eq!(found[0], library.with_file_name("nvidia"));
            assert_eq!(
                found
                    .iter()
                    .filter(|path| **path == site.join("nvidia"))
                    .count(),
                1
            );
            assert_eq!(found.last(), Some(&root.join("env/lib")));
        }

        #[test]
        fn what_cannot_be_loaded_is_recorded() {
            let folder = tempfile::tempdir().unwrap();
            let library = folder.path().join("libonnxruntime.so.1.31.1");
            touch(&library.with_file_name("libonnxruntime_providers_cuda.so"));
            touch(&folder.path().join("nvidia/libcudnn.so.9"));
            let record = preload(&library, &[folder.path().join("nvidia")]);
            assert_eq!(record.len(), 1);
            assert_eq!(record[0].name, "libcudnn.so.9");
            assert!(
                record[0]
                    .problem
                    .as_deref()
                    .unwrap()
                    .contains("file too short"),
                "{}",
                record[0]
            );
        }
    }
}
