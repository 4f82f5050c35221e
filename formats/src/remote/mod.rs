//! Takes URLs of object stores and web servers, yields the files there and their bytes: in order (see `stream`) or any
//! range of them. Credentials, regions and endpoints come from the environment variables that each store's own tools
//! read; `object_store` interprets them.
//!
//! | URL | store |
//! |---|---|
//! | `s3://bucket/key` | Amazon S3 and compatible stores (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP` ...) |
//! | `gs://bucket/key` | Google Cloud Storage (`GOOGLE_SERVICE_ACCOUNT` ...) |
//! | `az://container/key` | Azure Blob Storage (`AZURE_STORAGE_ACCOUNT_NAME` ...) |
//! | `http://`, `https://` | a web server: single files only, because it cannot list |

mod stream;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
};
use url::Url;

pub(crate) use stream::RemoteStream;

/// How often in a row a request may yield no bytes. The client itself retries on top of that if the server is busy.
const TRIES: u32 = 5;
/// The pause before the next try; it doubles after each try without bytes.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A file in an object store or on a web server, as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address of the file.
    pub url: String,
    /// The server's tag of this version, if it has one.
    pub etag: Option<String>,
    /// The time of the last change, in nanoseconds since 1970, if the server reports it.
    pub modified: Option<u64>,
    /// The size of the file.
    pub bytes: u64,
}

/// Whether an argument is a URL.
pub(crate) fn is_url(argument: &str) -> bool {
    argument.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// A URL in the form of a path, for names: `/scheme/host/folder/file`, without escapes.
pub(crate) fn as_path(url: &str) -> PathBuf {
    match parse(url).and_then(|url| Ok((Path::from_url_path(url.path())?, url))) {
        Ok((path, url)) => PathBuf::from(format!(
            "/{}/{}/{path}",
            url.scheme(),
            url.host_str().unwrap_or_default()
        )),
        // Invalid URLs were refused before.
        Err(_) => PathBuf::from(url),
    }
}

/// A store and a file in it.
pub(crate) struct Opened {
    store: Arc<dyn ObjectStore>,
    path: Path,
    etag: Option<String>,
    bytes: u64,
}

/// The store that `url` names.
fn store(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
    // There is one per process; an embedding program may have installed its own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let text = url.as_str();
    let path = Path::from_url_path(url.path())?;
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_url(text);
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            address(endpoint, "AWS_ENDPOINT_URL")?;
            Arc::new(builder.build()?)
        }
        "gs" => Arc::new(
            GoogleCloudStorageBuilder::from_env()
                .with_url(text)
                .build()?,
        ),
        "az" | "abfs" | "abfss" => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(text);
            let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
            address(endpoint, "AZURE_STORAGE_ENDPOINT")?;
            Arc::new(builder.build()?)
        }
        "http" | "https" => {
            let origin = url.origin().ascii_serialization();
            let options = ClientOptions::new().with_allow_http(true);
            Arc::new(
                HttpBuilder::new()
                    .with_url(origin)
                    .with_client_options(options)
                    .build()?,
            )
        }
        scheme => {
            return Err(Error::NotSupported {
                source: format!("expected s3, gs, az, http or https, got {scheme}").into(),
            });
        }
    };
    Ok((store, path))
}

/// Checks that an endpoint is an address: the client does not check it, and panics later.
fn address(endpoint: Option<String>, variable: &str) -> Result<(), Error> {
    match endpoint {
        Some(endpoint) if Url::parse(&endpoint).is_err() => Err(Error::NotSupported {
            source: format!("expected an address in {variable}, got {endpoint:?}").into(),
        }),
        _ => Ok(()),
    }
}

fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|source| Error::Generic {
        store: "URL",
        source: Box::new(source),
    })
}

/// The files that a URL names: one file (then the flag is true), or all below a prefix, sorted by their keys.
pub(crate) async fn find(url: &str) -> Result<(bool, Vec<Remote>), Error> {
    let parsed = parse(url)?;
    let (store, path) = store(&parsed)?;
    let listable = !parsed.scheme().starts_with("http");
    let remote = |meta: ObjectMeta| {
        let mut url = parsed.clone();
        // Escape as in a URL's path, where `%` and `?` are special.
        url.set_path(&Url::parse("x:/").map_or_else(
            |_| meta.location.to_string(),
            |mut empty| {
                empty.set_path(meta.location.as_ref());
                empty.path().to_owned()
            },
        ));
        Remote {
            url: url.to_string(),
            etag: meta.e_tag,
            // The client reports 1970 if the server reports nothing.
            modified: meta
                .last_modified
                .timestamp_nanos_opt()
                .and_then(|time| u64::try_from(time).ok())
                .filter(|&time| time > 0),
            bytes: meta.size,
        }
    };
    if !listable || !(path.as_ref().is_empty() || url.ends_with('/')) {
        match store.head(&path).await {
            Ok(meta) => {
                let url = url.to_owned();
                return Ok((
                    true,
                    vec![Remote {
                        url,
                        ..remote(meta)
                    }],
                ));
            }
            Err(Error::NotFound { .. }) if listable => {}
            Err(error) => return Err(error),
        }
    }
    let mut found: Vec<ObjectMeta> = store.list(Some(&path)).try_collect().await?;
    found.sort_by(|a, b| a.location.as_ref().cmp(b.location.as_ref()));
    Ok((false, found.into_iter().map(remote).collect()))
}

impl Opened {
    pub(crate) fn new(remote: &Remote) -> io::Result<Self> {
        let (store, path) = parse(&remote.url).and_then(|url| store(&url))?;
        Ok(Self {
            store,
            path,
            etag: remote.etag.clone(),
            bytes: remote.bytes,
        })
    }

    pub(crate) fn length(&self) -> u64 {
        self.bytes
    }

    /// `length` bytes from `start` on, of the version that was found. If a connection breaks, the request is resumed
    /// from the last byte received; only tries without bytes are counted.
    pub(crate) async fn range(&self, start: u64, length: u64) -> Result<Bytes, Error> {
        let mut bytes = BytesMut::new();
        let mut tries = 0;
        loop {
            let before = bytes.len();
            let missing = start + before as u64..start.saturating_add(length);
            let Err(error) = self.range_once(missing, &mut bytes).await else {
                return Ok(bytes.freeze());
            };
            if bytes.len() > before {
                tries = 0;
            }
            tries += 1;
            if tries == TRIES || !may_pass(&error) {
                return Err(error);
            }
            tokio::time::sleep(FIRST_PAUSE * (1 << (tries - 1))).await;
        }
    }

    /// Appends the bytes of `range` to `bytes`, as many as arrive.
    async fn range_once(&self, range: Range<u64>, bytes: &mut BytesMut) -> Result<(), Error> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            if_match: self.etag.clone().filter(|etag| !etag.starts_with("W/")),
            ..GetOptions::default()
        };
        let got = self.store.get_opts(&self.path, options).await?;
        let wrong = |got: String| Error::Generic {
            store: "range",
            source: format!("expected bytes {range:?}, got {got}").into(),
        };
        if got.range != range {
            return Err(wrong(format!("{:?}", got.range)));
        }
        let mut parts = got.into_stream();
        let mut left = range.end - range.start;
        while let Some(part) = parts.try_next().await? {
            left = left
                .checked_sub(part.len() as u64)
                .ok_or_else(|| wrong("more".to_owned()))?;
            bytes.extend_from_slice(&part);
        }
        match left {
            0 => Ok(()),
            left => Err(wrong(format!("{left} bytes less"))),
        }
    }
}

/// Whether an error may be transient.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Generic { .. })
}
