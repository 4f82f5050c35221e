//! One model's folder in the Hugging Face cache, in the layout that all Hugging Face libraries use.
//!
//! ```text
//! models--org--name/refs/main                          the commit of a branch or a tag
//! models--org--name/snapshots/COMMIT/config.json       a link to the blob
//! models--org--name/blobs/ETAG                         a file's content, in ETAG.rho-mask.incomplete while partial
//! models--org--name/.no_exist/COMMIT/added_tokens.json marks a file that this commit does not have
//! .locks/models--org--name/ETAG.lock                   locked by the process that downloads the blob
//! ```
//!
//! `files` and `client` check the names that come from a server.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::id::{Id, is_commit};
use crate::hinted_error::HintedError;

/// The prefix of a model's folder.
const MODELS: &str = "models--";

/// A model's folder.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    folder: PathBuf,
    locks: PathBuf,
    revision: String,
}

impl Repository {
    pub(super) fn new(cache: &Path, id: &Id) -> Self {
        let name = format!("{MODELS}{}", id.model.replace('/', "--"));
        Self {
            folder: cache.join(&name),
            locks: cache.join(".locks").join(&name),
            revision: id.revision.clone(),
        }
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit of the revision when it was last requested.
    pub(super) fn commit(&self) -> anyhow::Result<Option<String>> {
        if is_commit(&self.revision) {
            return Ok(Some(self.revision.clone()));
        }
        let path = self.reference();
        let text = match rho_files::read_named_text(&path) {
            Ok(text) => text,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
            }
        };
        match text.trim() {
            // Another program is just writing it.
            "" => Ok(None),
            commit if is_commit(commit) => Ok(Some(commit.to_owned())),
            other => Err(HintedError::error(
                format!(
                    "{}: expected a commit, got {:?}",
                    path.display(),
                    other.chars().take(60).collect::<String>()
                ),
                "remove the file: the commit is then requested again",
            )),
        }
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// The folder of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether a file of a commit exists and is whole.
    pub(super) fn has(&self, commit: &str, name: &str) -> bool {
        self.snapshot(commit).join(name).is_file()
    }

    /// Whether it is known that a commit has no such file.
    pub(super) fn is_absent(&self, commit: &str, name: &str) -> bool {
        self.absent(commit, name).is_file()
    }

    fn absent(&self, commit: &str, name: &str) -> PathBuf {
        self.folder.join(".no_exist").join(commit).join(name)
    }

    /// Records that a commit has no such file.
    pub(super) fn note_absent(&self, commit: &str, name: &str) -> anyhow::Result<()> {
        let path = self.absent(commit, name);
        make_parent(&path)?;
        let written = File::create(&path);
        written.with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(())
    }

    /// Records the commit of the revision. This is written last, so that a recorded commit has all its files.
    pub(super) fn note_commit(&self, commit: &str) -> anyhow::Result<()> {
        if is_commit(&self.revision) {
            return Ok(());
        }
        let path = self.reference();
        make_parent(&path)?;
        // Not in `refs`, where every file is a revision, and with a name that no other process uses.
        let partial = self.folder.join(format!(".ref-{}", std::process::id()));
        let written =
            || fs::write(&partial, commit).and_then(|()| rho_files::rename(&partial, &path));
        written().with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// The path of the content with this ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// The path of the content while it is downloaded. Not the path of other programs, whose files may have holes.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        let name = format!("{etag}.rho-mask.incomplete");
        self.folder.join("blobs").join(name)
    }

    /// The lock file of a download, which other programs use too.
    pub(super) fn lock_file(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Links a blob into a commit's folder.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> anyhow::Result<()> {
        let at = self.snapshot(commit).join(name);
        make_parent(&at)?;
        // One ".." for each folder of the name, one for the commit, one for `snapshots`.
        let mut target: PathBuf = name.split('/').map(|_| "..").collect();
        target.push("../blobs");
        target.push(etag);
        let linked = match link(&target, &self.blob(etag), &at) {
            // A dangling link, or a link of another process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !at.is_file() => {
                fs::remove_file(&at).and_then(|()| link(&target, &self.blob(etag), &at))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        linked.with_context(|| format!("{}: cannot be written", at.display()))
    }
}

#[cfg(unix)]
fn link(target: &Path, _blob: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

/// Symbolic links need rights that most users do not have on Windows.
#[cfg(not(unix))]
fn link(_target: &Path, blob: &Path, at: &Path) -> io::Result<()> {
    fs::hard_link(blob, at).or_else(|_| fs::copy(blob, at).map(|_| ()))
}

/// Creates the folder of a file.
pub(super) fn make_parent(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be created", folder.display()))
}

/// Whether a path does not exist. A part of it may be a file, for example if `v1` and `v1/x` are revisions.
fn is_missing(error: &io::Error) -> bool {
    [
        io::ErrorKind::NotFound,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::IsADirectory,
    ]
    .contains(&error.kind())
}

/// The name of a path in the cache: `org/name@COMMIT`, and the path below. None outside the cache.
pub(super) fn named(path: &Path) -> Option<String> {
    for folder in path.ancestors() {
        let commit = folder.file_name()?.to_str()?;
        let Some(snapshots) = folder.parent().filter(|_| is_commit(commit)) else {
            continue;
        };
        let model = snapshots.parent()?.file_name()?.to_str()?;
        let model = model.strip_prefix(MODELS)?.replace("--", "/");
        let below = path.strip_prefix(folder).ok()?.display().to_string();
        return snapshots
            .ends_with("snapshots")
            .then(|| match below.as_str() {
                "" => format!("{model}@{commit}"),
                below => format!("{model}@{commit}/{below}"),
            });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repository(cache: &Path, typed: &str) -> Repository {
        Repository::new(cache, &Id::parse(typed).unwrap())
    }

    #[test]
    fn paths_in_the_cache_have_names() {
        let at = |path: &str| named(Path::new(path));
        let snapshot = format!("/c/hub/models--org--na-me/snapshots/{COMMIT}");
        assert_eq!(at(&snapshot), Some(format!("org/na-me@{COMMIT}")));
        let below = format!("{snapshot}/onnx");
        assert_eq!(at(&below), Some(format!("org/na-me@{COMMIT}/onnx")));
        let old = format!("models--gpt2/snapshots/{COMMIT}");
        assert_eq!(at(&old), Some(format!("gpt2@{COMMIT}")));
        for other in [
            "/c/model",
            "/",
            "",
            &format!("/c/{COMMIT}"),
            "/models--a--b/snapshots/x",
        ] {
            assert_eq!(at(other), None, "{other}");
        }
    }

    #[test]
    fn commits_are_noted_and_found() {
        let cache = tempfile::tempdir().unwrap();
        let pull = repository(cache.path(), "a/b@refs/pr/1");
        assert_eq!(pull.commit().unwrap(), None);
        pull.note_commit(COMMIT).unwrap();
        assert_eq!(pull.commit().unwrap().as_deref(), Some(COMMIT));
        // A part of that path is no revision.
        assert_eq!(repository(cache.path(), "a/b@refs").commit().unwrap(), None);
        let exact = repository(cache.path(), &format!("a/b@{COMMIT}"));
        assert_eq!(exact.commit().unwrap().as_deref(), Some(COMMIT));
        fs::write(pull.folder().join("refs/odd"), "../../x").unwrap();
        let odd = repository(cache.path(), "a/b@odd").commit().unwrap_err();
        assert!(odd.to_string().contains("expected a commit"), "{odd}");
    }

    #[test]
    fn files_are_links_to_blobs() {
        let cache = tempfile::tempdir().unwrap();
        let repository = repository(cache.path(), "a/b");
        for name in ["config.json", "onnx/model.onnx"] {
            let blob = repository.blob("tag");
            make_parent(&blob).unwrap();
            fs::write(&blob, "content").unwrap();
            repository.link(COMMIT, name, "tag").unwrap();
            repository.link(COMMIT, name, "tag").unwrap();
            let there = fs::read_to_string(repository.snapshot(COMMIT).join(name));
            assert_eq!(there.unwrap(), "content");
            assert!(repository.has(COMMIT, name));
            fs::remove_file(&blob).unwrap();
            assert!(!repository.has(COMMIT, name));
        }
        assert!(!repository.is_absent(COMMIT, "x.json"));
        repository.note_absent(COMMIT, "x.json").unwrap();
        assert!(repository.is_absent(COMMIT, "x.json"));
    }
}
