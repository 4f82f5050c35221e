//! Takes URLs of object stores and web servers, yields the files there and their bytes: in order (see `stream`) or any
//! range of them. Credentials, regions and endpoints come from the environment variables that each store's own tools
//! read; `object_store` interprets them.
//!
//! | URL | store |
//! |---|---|
//! | `s3://bucket/key` | Amazon S3 and compatible stores (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` ...) |
//! | `gs://bucket/key` | Google Cloud Storage (`GOOGLE_SERVICE_ACCOUNT` ...) |
//! | `az://container/key` | Azure Blob Storage (`AZURE_STORAGE_ACCOUNT_NAME` ...) |
//! | `http://`, `https://` | a web server: single files only, because it cannot list; with a login before `@`, and a query |
//!
//! Servers are not trusted:
//!
//! * `address`: what of a URL is secret, and is never displayed or recorded.
//! * `client`: redirects are followed without credentials. `hosts`: those that are refused.
//! * `version`: all answers about a file must be of one version of it.
//! * `error`: messages of servers, without secrets.

mod address;
mod client;
mod error;
mod hosts;
mod opened;
mod store;
mod stream;
mod version;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{GetRange, ObjectMeta, ObjectStore};
use url::Url;

pub(crate) use address::is_url;
pub use address::{Address, shown, without_secrets, word_without_secrets};
pub use client::{on_redirect, tell_of_redirect};
pub use error::{RemoteError, RemoteErrorKind};
pub use hosts::{GuardedResolver, Refused, host, must_be_allowed, redirect_target};
pub(crate) use opened::Opened;
pub(crate) use stream::RemoteStream;

use opened::options;
use store::store;
use version::Version;

/// A file in an object store or on a web server, as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address of the file. Its query is not compared with that of an earlier run: a URL may be signed again.
    pub address: Address,
    /// The server's tag of this version, if it has one.
    pub etag: Option<String>,
    /// The time of the last change, in nanoseconds since 1970, if the server reports it.
    pub modified: Option<u64>,
    /// The size of the file.
    pub bytes: u64,
    /// The tag that requests ask for.
    if_match: Option<String>,
    /// What all answers must agree with.
    version: Version,
}

impl Remote {
    /// A file on the Hub, which may redirect to another server for the bytes: `etag` is the Hub's name of the version,
    /// not that server's. `authorization` goes to the server of the URL alone.
    pub(crate) fn of_hub(
        url: &str,
        authorization: Option<&str>,
        etag: Option<String>,
        bytes: u64,
    ) -> Result<Self, RemoteError> {
        let mut address = Address::parse(url)?;
        if let Some(authorization) = authorization {
            address.log_in(authorization);
        }
        Ok(Self {
            address,
            etag,
            modified: None,
            bytes,
            if_match: None,
            version: Version::listed(None, bytes),
        })
    }
}

/// The files that an address names: one file (then the flag is true), or all below a prefix, sorted by their keys.
pub(crate) async fn find(address: &Address) -> Result<(bool, Vec<Remote>), RemoteError> {
    let (store, path) = store(address)?;
    let failed = |error: object_store::Error| RemoteError::of(&error, address);
    if address.is_web() {
        return Ok((true, vec![on_web(store.as_ref(), &path, address).await?]));
    }
    if !(path.as_ref().is_empty() || address.url().path().ends_with('/')) {
        let version = Version::default();
        let mut head = options(version.clone(), None, true);
        head.head = true;
        match store.get_opts(&path, head).await {
            Ok(got) => return Ok((true, vec![remote(got.meta, address.clone(), version)])),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut found: Vec<ObjectMeta> = store
        .list(Some(&path))
        .try_collect()
        .await
        .map_err(failed)?;
    found.sort_by(|a, b| a.location.as_ref().cmp(b.location.as_ref()));
    let listed = |meta: ObjectMeta| {
        let version = Version::listed(meta.e_tag.as_deref(), meta.size);
        // Escape as in a URL's path, where `%` and `?` are special.
        let key = Url::parse("x:/").map_or_else(
            |_| meta.location.to_string(),
            |mut empty| {
                empty.set_path(meta.location.as_ref());
                empty.path().to_owned()
            },
        );
        remote(meta, address.with_path(&key), version)
    };
    Ok((false, found.into_iter().map(listed).collect()))
}

/// A file on a web server. A signed URL is often signed for GET alone, and some servers do not know HEAD: then the first
/// byte tells size and version.
async fn on_web(
    store: &dyn ObjectStore,
    path: &Path,
    address: &Address,
) -> Result<Remote, RemoteError> {
    use RemoteErrorKind::{Changed, Denied, NoRanges, NotFound};
    let failed = |error: object_store::Error| RemoteError::of(&error, address);
    let by_head = async |version: Version| {
        let mut head = options(version, None, true);
        head.head = true;
        store.get_opts(path, head).await
    };
    if address.query().is_none() {
        let version = Version::default();
        match by_head(version.clone()).await.map_err(failed) {
            Ok(got) => return Ok(remote(got.meta, address.clone(), version)),
            // The status of a method that a server does not know, or that was not signed.
            Err(error) if [NotFound, Denied].contains(&error.kind()) => {}
            Err(error) => return Err(error),
        }
    }
    let version = Version::default();
    let mut first = options(version.clone(), None, true);
    first.range = Some(GetRange::Bounded(0..1));
    match store.get_opts(path, first).await.map_err(failed) {
        Ok(got) => return Ok(remote(got.meta, address.clone(), version)),
        // No ranges, or an empty file, of which there is no first byte.
        Err(error) if [NoRanges, Changed].contains(&error.kind()) => {}
        Err(error) => return Err(error),
    }
    let version = Version::default();
    let whole = store
        .get_opts(path, options(version.clone(), None, true))
        .await;
    Ok(remote(
        whole.map_err(failed)?.meta,
        address.clone(),
        version,
    ))
}

fn remote(meta: ObjectMeta, address: Address, version: Version) -> Remote {
    Remote {
        address,
        // A weak tag never matches.
        if_match: meta.e_tag.clone().filter(|etag| !etag.starts_with("W/")),
        etag: meta.e_tag,
        // The client reports 1970 if the server reports nothing.
        modified: meta
            .last_modified
            .timestamp_nanos_opt()
            .and_then(|time| u64::try_from(time).ok())
            .filter(|&time| time > 0),
        bytes: meta.size,
        version,
    }
}
