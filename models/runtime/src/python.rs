//! Finds packages in Python environments. In: an environment's folder, or a Python program. Out: folders of packages.
//! Nothing is imported, because a broken package must not break the search.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::{LibraryError, chain};

/// Finding a package's spec runs none of its code. The entry for the current folder is removed: a folder `onnxruntime`
/// in it is not the package.
const SCRIPT: &str = "
import importlib.util, json, sys
sys.path[:] = [p for p in sys.path if p]
def folders(name):
    try:
        spec = importlib.util.find_spec(name)
        return [str(p) for p in spec.submodule_search_locations or []] if spec else []
    except Exception:
        return []
print(json.dumps({'onnxruntime': folders('onnxruntime'), 'nvidia': folders('nvidia')}))
";

/// The folders that Python would import these packages from; a namespace package may have several.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Packages {
    pub(crate) onnxruntime: Vec<PathBuf>,
    pub(crate) nvidia: Vec<PathBuf>,
}

/// Asks Python; the error is human-readable.
pub(crate) fn packages(python: &Path) -> Result<Packages, String> {
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::null())
        .output()
        .map_err(|source| {
            chain(&LibraryError::PythonMissing {
                python: python.to_owned(),
                source,
            })
        })?;
    if !output.status.success() {
        return Err(format!("{} ended with {}", python.display(), output.status));
    }
    // The user's startup files may print before the script does.
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

#[cfg(all(test, unix))]
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
