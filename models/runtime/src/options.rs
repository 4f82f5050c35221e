//! Where the library may be. In: the environment. Out: plain values, so that nothing else reads the environment and
//! tests can set everything. The program replaces `path` if the command line names a library.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::python::site_packages;

/// Where to search for ONNX Runtime, and whether it may be downloaded if it is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryOptions {
    /// The library file that the user named (`--ort-lib`, `ORT_DYLIB_PATH`): used, or an error; nothing else is tried.
    pub path: Option<PathBuf>,
    /// The Python environment whose `bin` the program is in: its wheel was installed there, with the library that it
    /// depends on. `None` if the program is anywhere else.
    pub own_environment: Option<PathBuf>,
    /// The active virtual environment (`VIRTUAL_ENV`).
    pub virtual_env: Option<PathBuf>,
    /// The active conda environment (`CONDA_PREFIX`).
    pub conda_prefix: Option<PathBuf>,
    /// The user's cache folder for rho-mask; empty if the environment does not name one, which is an error only for
    /// installations.
    pub cache: PathBuf,
    /// Never download (`RHO_MASK_OFFLINE`, see [`offline`]).
    pub offline: bool,
    /// The Python whose packages are searched and whose pip downloads.
    pub python: PathBuf,
    /// Whether CUDA is requested: only a library with the CUDA provider beside it is usable.
    pub cuda: bool,
}

impl LibraryOptions {
    /// Reads the environment: `ORT_DYLIB_PATH`, `VIRTUAL_ENV`, `CONDA_PREFIX`, `RHO_MASK_OFFLINE`, and the platform's
    /// variables for the cache folder. An empty variable counts as not set.
    #[must_use]
    pub fn from_environment() -> Self {
        let cache = cache_folder(env::consts::OS, &|name| variable(name), env::home_dir());
        Self {
            path: variable("ORT_DYLIB_PATH").map(PathBuf::from),
            own_environment: env::current_exe().ok().and_then(|p| environment_of(&p)),
            virtual_env: variable("VIRTUAL_ENV").map(PathBuf::from),
            conda_prefix: variable("CONDA_PREFIX").map(PathBuf::from),
            cache: cache.unwrap_or_default(),
            offline: offline(),
            python: PathBuf::from(if cfg!(windows) { "python" } else { "python3" }),
            cuda: false,
        }
    }
}

/// Whether `RHO_MASK_OFFLINE` forbids downloads: it does unless it is unset, empty, `0`, `false`, `no` or `off`.
#[must_use]
pub fn offline() -> bool {
    variable("RHO_MASK_OFFLINE").is_some_and(|value| {
        let value = value.to_string_lossy().to_lowercase();
        !["0", "false", "no", "off"].contains(&value.as_str())
    })
}

/// The environment that a program was installed into as a script. It is found even if it is not active, and whichever
/// path or link was used to start the program.
fn environment_of(program: &Path) -> Option<PathBuf> {
    let program = program.canonicalize().ok()?;
    let scripts = program.parent()?;
    let name = if cfg!(windows) { "Scripts" } else { "bin" };
    let environment = scripts.parent().filter(|_| scripts.ends_with(name))?;
    let holds_packages = site_packages(environment)
        .iter()
        .any(|folder| folder.is_dir());
    holds_packages.then(|| environment.to_owned())
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The cache folder. Without a home folder there is none; a folder for temporary files would not be safe, because
/// others can write there and the cache's libraries are loaded as code.
fn cache_folder(
    os: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let home = home.filter(|home| home.is_absolute());
    let base = match os {
        "windows" => variable("LOCALAPPDATA")
            .map(PathBuf::from)
            .or_else(|| Some(home?.join("AppData").join("Local"))),
        "macos" => Some(home?.join("Library").join("Caches")),
        // The XDG specification says to ignore relative paths.
        _ => variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| Some(home?.join(".cache"))),
    };
    base.map(|base| base.join("rho-mask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_program_knows_the_environment_it_is_installed_in() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let place = |environment: &str| {
            let bin = root.join(environment).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("rho-mask"), "").unwrap();
            bin.join("rho-mask")
        };
        let (inside, outside) = (place("venv"), place("usr"));
        std::fs::create_dir_all(root.join("venv/lib/python3.12/site-packages")).unwrap();
        assert_eq!(environment_of(&inside), Some(root.join("venv")));
        // As pipx installs it.
        std::os::unix::fs::symlink(&inside, root.join("link")).unwrap();
        assert_eq!(environment_of(&root.join("link")), Some(root.join("venv")));
        assert_eq!(environment_of(&outside), None);
        assert_eq!(environment_of(&root.join("venv/lib")), None);
        assert_eq!(environment_of(&root.join("none/bin/rho-mask")), None);
    }

    #[test]
    fn the_cache_folder_is_the_platforms() {
        let none = |_: &str| None;
        let home = || Some(PathBuf::from("/home/a"));
        assert_eq!(
            cache_folder("linux", &none, home()),
            Some("/home/a/.cache/rho-mask".into())
        );
        assert_eq!(
            cache_folder("macos", &none, home()),
            Some("/home/a/Library/Caches/rho-mask".into())
        );
        assert_eq!(
            cache_folder("windows", &none, home()),
            Some("/home/a/AppData/Local/rho-mask".into())
        );
        assert_eq!(cache_folder("linux", &none, None), None);

        let xdg = |name: &str| (name == "XDG_CACHE_HOME").then(|| OsString::from("/fast"));
        assert_eq!(
            cache_folder("linux", &xdg, home()),
            Some("/fast/rho-mask".into())
        );
        let relative = |name: &str| (name == "XDG_CACHE_HOME").then(|| OsString::from("here"));
        assert_eq!(
            cache_folder("linux", &relative, home()),
            Some("/home/a/.cache/rho-mask".into())
        );
    }
}
