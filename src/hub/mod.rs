//! Models by their names on the Hugging Face Hub. Resolves an argument into a path: the argument itself if it exists,
//! else the folder of a commit in the Hugging Face cache, downloaded if necessary. Other modules open the files.
//!
//! ```text
//! argument ─► a path that exists ───────────────────────────────────────────────► the argument
//!          └► org/name[@revision] ─► refs/ of the cache ─► complete ────────────► snapshots/COMMIT
//!                                                       └► listing ─► blobs, links ─┘
//! ```
//!
//! * `id`: parses a model's name.
//! * `settings`: the environment: the cache folder, the server, the token.
//! * `files`: which files are downloaded.
//! * `cache`: the layout of the cache, shared with `huggingface_hub` and its users.
//! * `client`: the Hub's protocol; `listing`: its lists of files; `fetch`: downloads into the cache.
//! * `datasets`: corpora on the Hub (`hf://datasets/...`), which are read in place and not downloaded.
//!
//! A revision that is in the cache is not requested again, so `main` stays the same commit for every run of a series.
//! The commit is printed and recorded in the masks.
//!
//! The crate `hf-hub` is not used. Its releases 0.x use file names and ETags from the server unchecked (an ETag
//! `../../x` writes to that path), append a whole file to a partial one if a server ignores ranges, check no hash, and
//! panic if a header is missing. 1.0 also joins ETags to paths unchecked, resumes nothing, and needs 86 more crates,
//! with aws-lc besides ring.

mod cache;
mod client;
mod datasets;
mod fetch;
mod files;
mod id;
mod listing;
mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use self::{
    cache::Repository,
    client::{Client, Failure, Remote},
    fetch::Download,
    files::{BESIDE, CacheState, INDEX, SINGLE, Weights},
    id::Id,
    settings::Settings,
};
use crate::{hinted_error::HintedError, stop::Stop, terminal};

pub(crate) use datasets::find_shards;
pub(crate) use files::Need;

/// The path of an argument: the argument itself if it exists, or the folder of the model that it names, downloaded if
/// necessary. Anything else is returned unchanged; opening it reports the error.
pub(crate) fn resolve(typed: &Path, need: Need) -> anyhow::Result<PathBuf> {
    resolve_as(typed, typed, need)
}

/// Like [`resolve`], for a path in a file: `path` is the path resolved against the file's folder.
pub(crate) fn resolve_as(typed: &Path, path: &Path, need: Need) -> anyhow::Result<PathBuf> {
    let exists = path.symlink_metadata().is_ok();
    match typed.to_str().filter(|_| !exists).and_then(Id::parse) {
        Some(id) => model(&id, need),
        None => Ok(path.to_owned()),
    }
}

/// The name of a model in the cache: `org/name@COMMIT`. None for other models.
pub(crate) fn name(path: &Path) -> Option<String> {
    cache::named(&fs::canonicalize(path).ok()?)
}

fn model(id: &Id, need: Need) -> anyhow::Result<PathBuf> {
    let settings = Settings::from_environment();
    let repository = Repository::new(settings.cache()?, id);
    let commit = repository.commit()?;
    let held = match &commit {
        Some(commit) => files::held(&repository, commit, need),
        None => CacheState::Less,
    };
    let found = |commit: &str| {
        terminal::once(&format!(
            "note: {id}: using commit {commit} from the Hugging Face cache"
        ));
        Ok(repository.snapshot(commit))
    };
    match (&commit, held, settings.offline) {
        (Some(commit), CacheState::Whole, _) => found(commit),
        (Some(commit), CacheState::Unsure(names), Some(offline)) => {
            terminal::once(&format!(
                "note: {id}: the cache does not record whether the repository has {}, and {offline} forbids requests: \
                 assuming that it does not",
                names.join(", ")
            ));
            found(commit)
        }
        (commit, held, Some(offline)) => Err(HintedError::error(
            format!(
                "{id}: expected a path or a model in the Hugging Face cache ({}), because {offline} forbids downloads, \
                 got {}",
                repository.folder().display(),
                match (commit, held) {
                    (Some(commit), CacheState::Less) if repository.snapshot(commit).exists() =>
                        "only a part of it",
                    _ => "neither",
                }
            ),
            format!(
                "unset {offline}, or download it while you have a network: hf download {}",
                id.name
            ),
        )),
        // Complete the commit that is in the cache, even if the revision has moved since.
        (Some(commit), CacheState::Unsure(_), None) => {
            download(id, need, &settings, &repository, commit)
        }
        (_, _, None) => download(id, need, &settings, &repository, &id.revision),
    }
}

fn download(
    id: &Id,
    need: Need,
    settings: &Settings,
    repository: &Repository,
    revision: &str,
) -> anyhow::Result<PathBuf> {
    let blobs = repository.folder().join("blobs");
    if let Err(error) = fs::create_dir_all(&blobs) {
        return Err(HintedError::error(
            format!(
                "{}: expected a writable folder, got: {error}",
                blobs.display()
            ),
            "set HF_HUB_CACHE or HF_HOME to another folder",
        ));
    }
    let stop = Stop::at_signals()?;
    let client = Client::new(settings, id, &stop)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start to download")?;
    let brought = runtime.block_on(bring(&client, repository, id, need, revision));
    // Do not wait for a DNS lookup that is still running.
    runtime.shutdown_background();
    Ok(brought?)
}

/// Downloads the needed files of a revision, small files first.
async fn bring(
    client: &Client<'_>,
    repository: &Repository,
    id: &Id,
    need: Need,
    revision: &str,
) -> Result<PathBuf, Failure> {
    let listing = client.listing(revision).await?;
    let (commit, names) = (&listing.commit, &listing.names);
    let has = |name: &str| names.iter().any(|known| known == name);
    let weights = match need {
        Need::Model => Some(files::weights(id, &client.shown(), names)?),
        Need::Configuration | Need::Tokenizer => None,
    };
    let required = match (need, &weights) {
        (Need::Tokenizer, _) => Some(files::TOKENIZER),
        (_, Some(Weights::Onnx(_))) => None,
        _ => Some(files::CONFIG),
    };
    if let Some(name) = required.filter(|name| !has(name)) {
        return Err(HintedError::error(
            format!(
                "{}: expected {name} among its files, got none",
                client.shown()
            ),
            "name a repository with a model that Transformers saved",
        )
        .into());
    }
    let mut download = Download::new(client, repository, commit);
    let indexed = weights == Some(Weights::Indexed);
    let beside = BESIDE.into_iter().chain(indexed.then_some(INDEX));
    for name in beside.filter(|name| has(name) && !repository.has(commit, name)) {
        let remote = client.remote(commit, name).await?;
        download.bring(&remote).await?;
    }
    let of_weights = match weights {
        None => Vec::new(),
        Some(Weights::Single) => vec![SINGLE.to_owned()],
        Some(Weights::Indexed) => {
            let index = repository.snapshot(commit).join(INDEX);
            let shards = files::shards(&index)?;
            if let Some(missing) = shards.iter().find(|name| !has(name)) {
                return Err(HintedError::error(
                    format!(
                        "{}: {INDEX}: expected files of the repository, got {missing}, which it does not have",
                        client.shown()
                    ),
                    "use another revision, or report the broken repository to its owner",
                )
                .into());
            }
            shards
        }
        Some(Weights::Onnx(names)) => names,
    };
    let mut remotes: Vec<Remote> = Vec::new();
    for name in of_weights
        .iter()
        .filter(|name| !repository.has(commit, name))
    {
        remotes.push(client.remote(commit, name).await?);
    }
    if !remotes.is_empty() {
        let bytes = remotes
            .iter()
            .fold(0_u64, |sum, remote| sum.saturating_add(remote.bytes));
        let files = match remotes.len() {
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        terminal::line(&format!(
            "note: {}: downloading commit {commit} ({files} of weights, {}) into the Hugging Face cache",
            client.shown(),
            fetch::size(bytes)
        ));
        download.show(bytes);
        for remote in &remotes {
            download.bring(remote).await?;
        }
    }
    drop(download);
    for name in BESIDE
        .into_iter()
        .chain([SINGLE, INDEX])
        .filter(|name| !has(name))
    {
        repository.note_absent(commit, name)?;
    }
    if revision == id.revision {
        repository.note_commit(commit)?;
    }
    let snapshot = repository.snapshot(commit);
    terminal::once(&format!(
        "note: {id}: using commit {commit} from the Hugging Face cache"
    ));
    Ok(snapshot)
}
