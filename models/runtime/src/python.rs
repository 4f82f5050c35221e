//! Starts Python so that only the user's own installation decides which code runs, and finds packages in Python
//! environments. In: an environment's folder, or a Python program. Out: folders of packages. Nothing is imported from
//! them, because a broken package must not break the search.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::{LibraryError, chain};

/// Finding a package's spec runs none of its code. Isolated mode leaves out what `pip install --user` installed, so that
/// is looked at as well, outside of virtual environments.
const SCRIPT: &str = "
import importlib.machinery, importlib.util, json, site, sys
def spec(name):
    found = importlib.util.find_spec(name)
    if found is None and sys.prefix == sys.base_prefix:
        found = importlib.machinery.PathFinder.find_spec(name, [site.getusersitepackages()])
    return found
def folders(name):
    try:
        found = spec(name)
        return [str(p) for p in found.submodule_search_locations or []] if found else []
    except Exception:
        return []
print(json.dumps({'onnxruntime': folders('onnxruntime'), 'nvidia': folders('nvidia')}))
";

/// Where programs are if `PATH` is not set.
const NO_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The folders that Python would import these packages from; a namespace package may have several.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Packages {
    pub(crate) onnxruntime: Vec<PathBuf>,
    pub(crate) nvidia: Vec<PathBuf>,
}

/// A Python that runs nothing of the current folder, which may be a data set of a stranger.
///
/// It is isolated (`-I`): neither that folder nor packages of the user come first. No variable of Python's is passed on;
/// some have an effect even so. It starts in the root folder, because programs that choose a Python (asdf, pyenv) read
/// files of the current one. Its path is absolute, because Python looks for its `pyvenv.cfg` beside it; links in it are
/// kept, because they lead to the Python of a virtual environment. A bare name is searched in the absolute folders of
/// `PATH`.
///
/// # Errors
/// If there is no such program.
pub fn isolated_python(python: &Path) -> io::Result<Command> {
    let path = match python.components().count() {
        1 if !python.is_absolute() => in_path(python, env::var_os("PATH").as_deref())?,
        _ => std::path::absolute(python)?,
    };
    let mut command = Command::new(&path);
    if let Some(root) = path.ancestors().last() {
        command.current_dir(root);
    }
    for (name, _) in env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"PYTHON") || bytes == b"__PYVENV_LAUNCHER__" {
            command.env_remove(name);
        }
    }
    command.arg("-I");
    Ok(command)
}

/// The program of this name in the absolute folders of `PATH`.
fn in_path(name: &Path, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let folders = env::split_paths(path.unwrap_or(OsStr::new(NO_PATH)));
    let ending = env::consts::EXE_EXTENSION;
    let programs = folders
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .map(
            |program| match ending.is_empty() || program.extension().is_some() {
                true => program,
                false => program.with_extension(ending),
            },
        );
    let mut programs = programs.filter(|program| is_program(program));
    programs.next().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            "no absolute folder of PATH has such a program",
        )
    })
}

fn is_program(path: &Path) -> bool {
    let Ok(there) = fs::metadata(path) else {
        return false;
    };
    #[cfg(unix)]
    let may_run = std::os::unix::fs::PermissionsExt::mode(&there.permissions()) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = true;
    there.is_file() && may_run
}

/// Asks Python; the error is human-readable.
pub(crate) fn packages(python: &Path) -> Result<Packages, String> {
    let output = isolated_python(python)
        .and_then(|mut command| command.args(["-c", SCRIPT]).stdin(Stdio::null()).output());
    let output = output.map_err(|source| {
        chain(&LibraryError::PythonMissing {
            python: python.to_owned(),
            source,
        })
    })?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", python.display(), output.status));
    }
    // The installation's own startup files may print before the script does.
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or_default();
    serde_json::from_str(last).map_err(|_| {
        format!(
            "{} gave an answer that was not understood",
            python.display()
        )
    })
}

/// The `site-packages` folders of an environment, newest Python version first.
pub(crate) fn site_packages(environment: &Path) -> Vec<PathBuf> {
    if cfg!(windows) {
        return vec![environment.join("Lib").join("site-packages")];
    }
    let entries = fs::read_dir(environment.join("lib"))
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let minor = entry
                .file_name()
                .to_str()?
                .strip_prefix("python3")?
                .strip_prefix('.')?
                .parse()
                .ok()?;
            Some((minor, entry.path().join("site-packages")))
        })
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort_by_key(|&(minor, _)| std::cmp::Reverse(minor));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_python_of_an_environment_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["python3.9", "python3.12", "python2.7", "python3.x"] {
            fs::create_dir_all(folder.path().join("lib").join(name).join("site-packages")).unwrap();
        }
        let lib = folder.path().join("lib");
        let expected = [
            lib.join("python3.12").join("site-packages"),
            lib.join("python3.9").join("site-packages"),
        ];
        assert_eq!(site_packages(folder.path()), expected);
        assert!(site_packages(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn a_bare_name_is_searched_in_absolute_folders() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["a", "b", "c"] {
            fs::create_dir(at(name)).unwrap();
        }
        // Neither a folder nor a file without the right to run.
        fs::create_dir(at("a/python3")).unwrap();
        fs::write(at("b/python3"), "").unwrap();
        fs::write(at("c/python3"), "").unwrap();
        let may_run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(at("c/python3"), may_run).unwrap();
        let here = env::current_dir().unwrap();
        let up = "../".repeat(here.components().count() - 1);
        let relative = format!("{up}{}", &at("c").display().to_string()[1..]);
        assert!(Path::new(&relative).join("python3").exists());
        let search = |path: &[&Path]| {
            let path = env::join_paths(path).unwrap();
            in_path(Path::new("python3"), Some(&path)).ok()
        };
        let relative = Path::new(&relative);
        assert_eq!(search(&[relative, Path::new(""), Path::new(".")]), None);
        let found = search(&[relative, &at("a"), &at("b"), &at("c")]);
        assert_eq!(found, Some(at("c/python3")));
        assert!(in_path(Path::new("sh"), None).is_ok());
    }

    #[test]
    fn a_python_that_cannot_answer_is_an_answer() {
        let error = packages(Path::new("/nowhere/python3")).unwrap_err();
        assert!(
            error.starts_with("/nowhere/python3 could not be started: "),
            "{error}"
        );
        let error = packages(Path::new("/bin/false")).unwrap_err();
        assert!(error.contains("ended with"), "{error}");
        let error = packages(Path::new("/bin/echo")).unwrap_err();
        assert!(error.contains("not understood"), "{error}");
    }
}
