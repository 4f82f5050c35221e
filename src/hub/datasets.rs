//! Corpora on the Hub: `hf://datasets/org/name[@revision]/path`, where the path is a file, a folder or a pattern. The
//! revision is resolved to a commit first, and recorded in the cache as for models, so that a resumed run reads the same
//! files. Files that the cache has are read there; others come from the server, in parts, and are not cached. Without
//! requests ([`Settings::offline`]) only the cache is used.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_formats::{
    CorpusError, Found, Kind,
    corpus::{Hub, HubFailed, HubFile, HubFiles, HubPlace, find_shards_with},
};

use super::{
    cache::Repository,
    client::{Client, Failure, Remote},
    id::{Id, RepositoryKind},
    settings::{Settings, Token},
};
use crate::{hinted_error::HintedError, stop::Stop, terminal};

/// The start of every address on the Hub.
const SCHEME: &str = "hf://";
/// How it goes on.
const DATASETS: &str = "datasets/";

/// Finds the shards that arguments name, also on the Hub.
///
/// # Errors
/// As [`rho_formats::find_shards`], and if the Hub cannot be reached or has no such files.
pub(crate) fn find_shards(arguments: &[PathBuf]) -> anyhow::Result<Found> {
    let datasets = Datasets::default();
    let found = find_shards_with(arguments, &datasets);
    match (found, datasets.failed.into_inner()) {
        (Err(CorpusError::Hub { .. }), Some(error)) => Err(error),
        (found, _) => Ok(found?),
    }
}

/// The Hub, and why it failed.
#[derive(Default)]
struct Datasets {
    failed: RefCell<Option<anyhow::Error>>,
}

impl Hub for Datasets {
    fn find(&self, address: &str) -> Result<HubFiles, HubFailed> {
        find(address).map_err(|error| {
            self.failed.replace(Some(error));
            HubFailed
        })
    }
}

/// An address, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    id: Id,
    /// The file or folder, without a slash at its end.
    path: String,
    /// Whether it can only be a folder.
    is_folder: bool,
}

impl Place {
    fn parse(address: &str) -> anyhow::Result<Self> {
        let wrong = || {
            HintedError::error(
                format!(
                    "{address}: expected hf://datasets/org/name[@revision]/path, got another address"
                ),
                "name a file or a folder of a dataset on the Hub; its page shows the path",
            )
        };
        let rest = address.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let rest = rest.strip_prefix(DATASETS).ok_or_else(wrong)?;
        let (org, rest) = rest.split_once('/').ok_or_else(wrong)?;
        let (name, path) = match rest.find(['/', '@']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        // As in `huggingface_hub`: a slash ends the revision, but for these, or if it is written %2F.
        let (revision, path) = match path.strip_prefix('@') {
            None => ("main".to_owned(), path),
            Some(rest) => {
                let parts = match rest.strip_prefix("refs/") {
                    Some(special)
                        if special.starts_with("pr/") || special.starts_with("convert/") =>
                    {
                        3
                    }
                    _ => 1,
                };
                let end = rest.match_indices('/').nth(parts - 1);
                let (revision, path) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
                (revision.replace("%2F", "/").replace("%2f", "/"), path)
            }
        };
        let id = Id::parse(&format!("{org}/{name}@{revision}")).ok_or_else(wrong)?;
        let is_folder = path.is_empty() || path.ends_with('/');
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() && !is_inside(path) {
            return Err(wrong());
        }
        Ok(Self {
            id: id.of(RepositoryKind::Dataset),
            path: path.to_owned(),
            is_folder,
        })
    }
}

/// Whether a path of a repository stays inside, and has no character that no file of a corpus may have.
pub(super) fn is_inside(path: &str) -> bool {
    let is_part = |part: &str| !["", ".", ".."].contains(&part);
    path.split('/').all(is_part) && !path.contains(|c: char| c.is_control() || c == '\\')
}

fn find(address: &str) -> anyhow::Result<HubFiles> {
    let place = Place::parse(address)?;
    let settings = Settings::from_environment();
    let repository = Repository::new(settings.cache()?, &place.id);
    match settings.offline {
        Some(offline) => cached(&place, &repository, offline),
        None => online(&place, &settings, &repository),
    }
}

/// The files in the cache.
fn cached(place: &Place, repository: &Repository, offline: &str) -> anyhow::Result<HubFiles> {
    let missing = || {
        HintedError::error(
            format!(
                "{}: expected it in the Hugging Face cache ({}), because {offline} forbids requests, found nothing",
                shown(place, ""),
                repository.folder().display()
            ),
            format!(
                "unset {offline}, or download it while you have a network: hf download --repo-type dataset {}",
                place.id.name
            ),
        )
    };
    let commit = repository.commit()?.ok_or_else(missing)?;
    let snapshot = repository.snapshot(&commit);
    let at = match place.path.as_str() {
        "" => snapshot.clone(),
        path => snapshot.join(path),
    };
    let mut paths = BTreeSet::new();
    let is_single = at.is_file() && !place.is_folder;
    match is_single {
        true => {
            paths.insert(place.path.clone());
        }
        false => walk(&snapshot, &at, &mut paths)
            .with_context(|| format!("{}: cannot be read", at.display()))?,
    }
    if paths.is_empty() {
        return Err(missing());
    }
    let mut files = Vec::new();
    for path in paths {
        let file = snapshot.join(&path);
        let bytes = fs::metadata(&file)
            .with_context(|| format!("{}: cannot be read", file.display()))?
            .len();
        files.push(HubFile {
            shown: shown_file(place, &commit, &path),
            etag: blob_name(&file),
            bytes,
            place: HubPlace::Cached(file),
            path,
        });
    }
    say(place, &commit, files.len(), files.len());
    Ok(found(place, is_single, files))
}

/// The files below a folder of a snapshot, as paths in the repository.
fn walk(snapshot: &Path, folder: &Path, paths: &mut BTreeSet<String>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Folders of a snapshot are folders; links are to the blobs of files.
        if entry.file_type()?.is_dir() {
            walk(snapshot, &path, paths)?;
        } else if path.is_file()
            && let Some(name) = path.strip_prefix(snapshot).ok().and_then(Path::to_str)
        {
            paths.insert(name.to_owned());
        }
    }
    Ok(())
}

/// The name of a file's blob, which is its ETag on the Hub; none if the file is not a link.
fn blob_name(file: &Path) -> Option<String> {
    let blob = fs::read_link(file).ok()?;
    Some(blob.file_name()?.to_str()?.to_owned())
}

/// The files on the server, those in the cache with their paths there.
fn online(place: &Place, settings: &Settings, repository: &Repository) -> anyhow::Result<HubFiles> {
    let stop = Stop::at_signals()?;
    let client = Client::new(settings, &place.id, &stop)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start to ask the Hub")?;
    let recorded = repository.commit()?;
    let listed = runtime.block_on(list(&client, place, recorded.as_deref()));
    // Do not wait for a DNS lookup that is still running.
    runtime.shutdown_background();
    let (commit, is_single, remotes) = listed?;
    if recorded.is_none()
        && let Err(error) = repository.note_commit(&commit)
    {
        terminal::once(&format!(
            "note: the commit of {} cannot be recorded ({}): name it in the address to resume with the same files",
            place.id,
            crate::hinted_error::chain(&error)
        ));
    }
    let token = settings.token()?;
    let authorization = token.as_ref().and_then(Token::header);
    let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
    let mut files = Vec::new();
    for remote in remotes {
        let file = repository.snapshot(&commit).join(&remote.name);
        let is_cached = fs::metadata(&file).is_ok_and(|found| found.len() == remote.bytes);
        let is_cached = is_cached && blob_name(&file).as_deref() == Some(&remote.etag);
        files.push(HubFile {
            shown: shown_file(place, &commit, &remote.name),
            place: match is_cached {
                true => HubPlace::Cached(file),
                false => HubPlace::Server {
                    url: client.address(&commit, &remote.name),
                    authorization: authorization.map(str::to_owned),
                },
            },
            path: remote.name,
            bytes: remote.bytes,
            etag: Some(remote.etag),
        });
    }
    let of_cache = |file: &&HubFile| matches!(file.place, HubPlace::Cached(_));
    let in_cache = files.iter().filter(of_cache).count();
    say(place, &commit, files.len(), in_cache);
    Ok(found(place, is_single, files))
}

/// The commit, whether the path is a file, and the files.
async fn list(
    client: &Client<'_>,
    place: &Place,
    recorded: Option<&str>,
) -> Result<(String, bool, Vec<Remote>), Failure> {
    let commit = match recorded {
        Some(commit) => commit.to_owned(),
        None => client.commit(&place.id.revision).await?,
    };
    // A name with a known ending is most likely a file: one request, however many files are beside it.
    if !place.is_folder && Kind::of_name(&place.path).is_some() {
        match client.remote(&commit, &place.path).await {
            Ok(remote) => return Ok((commit, true, vec![remote])),
            Err(failure) if failure.missing => {}
            Err(failure) => return Err(failure),
        }
    }
    match client.tree(&commit, &place.path).await {
        Ok(files) => Ok((commit, false, files)),
        Err(failure) if failure.missing && !place.path.is_empty() && !place.is_folder => {
            let remote = client.remote(&commit, &place.path).await?;
            Ok((commit, true, vec![remote]))
        }
        Err(failure) => Err(failure),
    }
}

fn found(place: &Place, is_single: bool, files: Vec<HubFile>) -> HubFiles {
    HubFiles {
        root: PathBuf::from(format!("/hf/{}", place.id)),
        below: place.path.clone(),
        is_single,
        files,
    }
}

fn say(place: &Place, commit: &str, files: usize, in_cache: usize) {
    let cache = match in_cache {
        0 => String::new(),
        some if some == files => ", in the Hugging Face cache".to_owned(),
        some => format!(", {some} of {files} files in the Hugging Face cache"),
    };
    terminal::once(&format!("note: {}: using commit {commit}{cache}", place.id));
}

fn shown(place: &Place, path: &str) -> String {
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{SCHEME}{}{slash}{path}", place.id)
}

fn shown_file(place: &Place, commit: &str, path: &str) -> PathBuf {
    PathBuf::from(format!(
        "{SCHEME}{DATASETS}{}@{commit}/{path}",
        place.id.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_python_reads_them() {
        // python3: HfFileSystem().resolve_path(address): repo_id, revision, path_in_repo
        for (address, name, revision, path, is_folder) in [
            ("hf://datasets/a/b", "a/b", "main", "", true),
            ("hf://datasets/a/b/", "a/b", "main", "", true),
            (
                "hf://datasets/a/b/c.parquet",
                "a/b",
                "main",
                "c.parquet",
                false,
            ),
            ("hf://datasets/a/b/x/y/", "a/b", "main", "x/y", true),
            ("hf://datasets/a/b@v1/x/y", "a/b", "v1", "x/y", false),
            ("hf://datasets/a/b@v1", "a/b", "v1", "", true),
            (
                "hf://datasets/a/b@refs/convert/parquet/x",
                "a/b",
                "refs/convert/parquet",
                "x",
                false,
            ),
            (
                "hf://datasets/a/b@refs/pr/10/x",
                "a/b",
                "refs/pr/10",
                "x",
                false,
            ),
            (
                "hf://datasets/a/b@refs%2Fpr%2F10/x",
                "a/b",
                "refs/pr/10",
                "x",
                false,
            ),
            (
                "hf://datasets/a/b@feature%2Fone/x",
                "a/b",
                "feature/one",
                "x",
                false,
            ),
            (
                "hf://datasets/a/b/x@y.jsonl",
                "a/b",
                "main",
                "x@y.jsonl",
                false,
            ),
        ] {
            let place = Place::parse(address).unwrap();
            assert_eq!(
                (place.id.name.as_str(), place.id.revision.as_str()),
                (name, revision),
                "{address}"
            );
            assert_eq!(
                (place.path.as_str(), place.is_folder),
                (path, is_folder),
                "{address}"
            );
        }
        for other in [
            "hf://a/b/c",
            "hf://datasets/a",
            "hf://spaces/a/b/c",
            "hf://datasets/a/b@/x",
            "hf://datasets/a/b/../../c",
            "hf://datasets/a/b//x",
            "hf://datasets/../b/x",
            "hf://datasets/a/b@../x",
        ] {
            assert!(Place::parse(other).is_err(), "{other}");
        }
    }
}
