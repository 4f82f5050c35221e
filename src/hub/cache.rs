//! One model's folder in the Hugging Face cache, as every program of theirs lays it out.
//!
//! ```text
//! models--org--name/refs/main                          the commit that a branch or a tag names
//! models--org--name/snapshots/COMMIT/config.json       a link to the blob
//! models--org--name/blobs/ETAG                         what is in a file; ETAG.rho-mask.incomplete until it is all there
//! models--org--name/.no_exist/COMMIT/added_tokens.json a file that this commit does not have
//! .locks/models--org--name/ETAG.lock                   held by who downloads the blob
//! ```
//!
//! Names that come from a server are looked at elsewhere: see `files` and `client`.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::id::{Id, is_commit};
use crate::advised::Advised;

/// What a model's folder begins with.
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

    /// The commit that the revision named when it was asked for last.
    pub(super) fn commit(&self) -> anyhow::Result<Option<String>> {
        if is_commit(&self.revision) {
            return Ok(Some(self.revision.clone()));
        }
        let path = self.reference();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("{}: cannot be read", path.display()));
            }
        };
        match text.trim() {
            // As another program leaves it for a moment.
            "" => Ok(None),
            commit if is_commit(commit) => Ok(Some(commit.to_owned())),
            other => Err(Advised::error(
                format!(
                    "{}: expected a commit, got {:?}",
                    path.display(),
                    other.chars().take(60).collect::<String>()
                ),
                "remove the file: the model is then asked for again",
            )),
        }
    }

    fn reference(&self) -> PathBuf {
        self.folder.join("refs").join(&self.revision)
    }

    /// Where the files of a commit stand.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Whether a file of a commit is there, whole.
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

    /// Notes that a commit has no such file.
    pub(super) fn note_absent(&self, commit: &str, name: &str) -> anyhow::Result<()> {
        let path = self.absent(commit, name);
        make_parent(&path)?;
        let written = File::create(&path);
        written.with_context(|| format!("{}: cannot be written", path.display()))?;
        Ok(())
    }

    /// Notes which commit the revision names; last of all, so that who finds it finds the files too.
    pub(super) fn note_commit(&self, commit: &str) -> anyhow::Result<()> {
        if is_commit(&self.revision) {
            return Ok(());
        }
        let path = self.reference();
        make_parent(&path)?;
        // Not in `refs`, where every file is a revision; by a name that no other process writes to.
        let partial = self.folder.join(format!(".ref-{}", std::process::id()));
        let written =
            || fs::write(&partial, commit).and_then(|()| rho_files::rename(&partial, &path));
        written().with_context(|| format!("{}: cannot be written", path.display()))
    }

    /// Where the content with this tag lies.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.folder.join("blobs").join(etag)
    }

    /// Where it is collected until it is all there. Apart from other programs' files: theirs may have holes.
    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        let name = format!("{etag}.rho-mask.incomplete");
        self.folder.join("blobs").join(name)
    }

    /// What is held by who downloads it; other programs hold the same file.
    pub(super) fn lock_file(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    /// Puts a blob into a commit's folder.
    pub(super) fn link(&self, commit: &str, name: &str, etag: &str) -> anyhow::Result<()> {
        let at = self.snapshot(commit).join(name);
        make_parent(&at)?;
        // Out of the file's folder, out of the commit's, out of `snapshots`.
        let mut target: PathBuf = name.split('/').map(|_| "..").collect();
        target.push("../blobs");
        target.push(etag);
        let linked = match link(&target, &self.blob(etag), &at) {
            // A link to a blob that was removed, or another process's.
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

/// Links need rights there that most users do not have.
#[cfg(not(unix))]
fn link(_target: &Path, blob: &Path, at: &Path) -> io::Result<()> {
    fs::hard_link(blob, at).or_else(|_| fs::copy(blob, at).map(|_| ()))
}

/// Makes the folder of a file.
pub(super) fn make_parent(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))
}

/// Whether a path is not there: a part of it may be a file, as where `v1` and `v1/x` are revisions.
fn is_missing(error: &io::Error) -> bool {
    [
        io::ErrorKind::NotFound,
        io::ErrorKind::NotADirectory,
        io::ErrorKind::IsADirectory,
    ]
    .contains(&error.kind())
}

/// What a path in the cache is a model's files of: `org/name@COMMIT`, and what stands below. None elsewhere.
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
