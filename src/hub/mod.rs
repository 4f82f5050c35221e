//! Models by their names on the Hugging Face Hub. Takes what was typed where a path is expected, yields a path: the same
//! one, or the folder of a commit in the Hugging Face cache, downloaded where it is not there yet. What lies in that
//! folder is for others to open.
//!
//! ```text
//! typed ─► a path that exists ─────────────────────────────────────────────────► itself
//!       └► org/name[@revision] ─► refs/ of the cache ─► all there ─────────────► snapshots/COMMIT
//!                                                    └► listing ─► blobs, links ─┘
//! ```
//!
//! * `id`: what a model's name looks like.
//! * `settings`: the environment: where the cache is, whom to ask, with which token.
//! * `files`: which files are taken.
//! * `cache`: the layout of the cache, shared with `huggingface_hub` and all that use it.
//! * `client`: the Hub's protocol; `fetch`: bytes into the cache.
//!
//! A revision that is in the cache is not asked for again: `main` stays the commit that it was when it was downloaded,
//! for every run of a series. The commit is said, and stands in the masks.
//!
//! The crate `hf-hub` downloads too. It is not used: its releases 0.x take the names of files from the server as they are
//! (a tag `../../x` writes there), add a whole file to a half one where a server knows no ranges, check no hash, and end
//! the program where a header is missing; 1.0 joins tags to paths likewise, resumes nothing, and needs 86 more crates,
//! with aws-lc beside ring.

mod cache;
mod client;
mod fetch;
mod files;
mod id;
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
    files::{BESIDE, Held, INDEX, SINGLE, Weights},
    id::Id,
    settings::Settings,
};
use crate::{advised::Advised, stop::Stop, terminal};

pub(crate) use files::Need;

/// The path that was typed where it exists, or the folder of the model that it names, downloaded where that is needed.
/// What is neither is returned as it is: whoever opens it says what is wrong.
pub(crate) fn resolve(typed: &Path, need: Need) -> anyhow::Result<PathBuf> {
    resolve_as(typed, typed, need)
}

/// As [`resolve`], of what stands in a file: `path` is where it would lie.
pub(crate) fn resolve_as(typed: &Path, path: &Path, need: Need) -> anyhow::Result<PathBuf> {
    let exists = path.symlink_metadata().is_ok();
    match typed.to_str().filter(|_| !exists).and_then(Id::parse) {
        Some(id) => model(&id, need),
        None => Ok(path.to_owned()),
    }
}

/// What a model in the cache is called: `org/name@COMMIT`. None of models that lie elsewhere.
pub(crate) fn name(path: &Path) -> Option<String> {
    cache::named(&fs::canonicalize(path).ok()?)
}

fn model(id: &Id, need: Need) -> anyhow::Result<PathBuf> {
    let settings = Settings::from_environment();
    let repository = Repository::new(settings.cache()?, id);
    let commit = repository.commit()?;
    let held = match &commit {
        Some(commit) => files::held(&repository, commit, need),
        None => Held::Less,
    };
    let found = |commit: &str| {
        terminal::once(&format!(
            "note: {id}: taking commit {commit} from the Hugging Face cache"
        ));
        Ok(repository.snapshot(commit))
    };
    match (&commit, held, settings.offline) {
        (Some(commit), Held::Whole, _) => found(commit),
        (Some(commit), Held::Unsure(names), Some(offline)) => {
            terminal::once(&format!(
                "note: {id}: the cache does not say whether the repository has {}, and {offline} forbids to ask: taken as \
                 if it had not",
                names.join(", ")
            ));
            found(commit)
        }
        (commit, held, Some(offline)) => Err(Advised::error(
            format!(
                "{id}: expected a path, or a model in the Hugging Face cache ({}), for {offline} forbids to download it; \
                 got {}",
                repository.folder().display(),
                match (commit, held) {
                    (Some(commit), Held::Less) if repository.snapshot(commit).exists() =>
                        "only a part of it",
                    _ => "neither",
                }
            ),
            format!(
                "unset {offline}, or download it where there is a network: hf download {}",
                id.model
            ),
        )),
        // The commit that most of it is there of, whatever the revision names by now.
        (Some(commit), Held::Unsure(_), None) => download(id, need, &settings, &repository, commit),
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
        return Err(Advised::error(
            format!(
                "{}: expected a folder that can be written to, got: {error}",
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
    // A look-up of a name that nobody waits for any more.
    runtime.shutdown_background();
    Ok(brought?)
}

/// Brings what is wanted of a revision, what is small first.
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
        return Err(Advised::error(
            format!(
                "{}: expected {name} among its files, got none",
                client.shown()
            ),
            "name a repository with a model as Transformers saves it",
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
                return Err(Advised::error(
                    format!(
                        "{}: {INDEX} names {missing}, and the repository has no such file",
                        client.shown()
                    ),
                    "the repository is broken: take another revision, or tell whoever made it",
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
        "note: {id}: taking commit {commit} from the Hugging Face cache"
    ));
    Ok(snapshot)
}
