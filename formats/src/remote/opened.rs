//! A remote file: any range of its bytes, of the version that was found. If a connection breaks, the request is resumed
//! from the last byte received.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore};

use super::Remote;
use super::address::Address;
use super::error::{RemoteError, RemoteErrorKind};
use super::store::store;
use super::version::{Expected, Version};

/// How often in a row a request may yield no bytes. The client itself retries on top of that if the server is busy.
const TRIES: u32 = 5;
/// The pause before the next try; it doubles after each try without bytes.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A store and a file in it.
pub(crate) struct Opened {
    store: Arc<dyn ObjectStore>,
    path: Path,
    address: Address,
    version: Version,
    if_match: Option<String>,
    bytes: u64,
}

impl Opened {
    pub(crate) fn new(remote: &Remote) -> Result<Self, RemoteError> {
        let (store, path) = store(&remote.address)?;
        Ok(Self {
            store,
            path,
            address: remote.address.clone(),
            version: remote.version.clone(),
            if_match: remote.if_match.clone(),
            bytes: remote.bytes,
        })
    }

    pub(crate) fn length(&self) -> u64 {
        self.bytes
    }

    /// `length` bytes from `start` on. Only tries without bytes are counted.
    pub(crate) async fn range(&self, start: u64, length: u64) -> Result<Bytes, RemoteError> {
        let mut bytes = BytesMut::new();
        let mut tries = 0;
        loop {
            let before = bytes.len();
            let missing = start + before as u64..start.saturating_add(length);
            let Err(error) = self.range_once(missing, &mut bytes).await else {
                break;
            };
            if bytes.len() > before {
                tries = 0;
            }
            tries += 1;
            if tries == TRIES || !error.may_pass() {
                return Err(error);
            }
            tokio::time::sleep(FIRST_PAUSE * (1 << (tries - 1))).await;
        }
        if length < self.bytes && !self.version.is_told() {
            return Err(RemoteError::new(
                RemoteErrorKind::NoVersion,
                "expected an ETag or Last-Modified, which tell versions of a file apart, got neither"
                    .to_owned(),
            ));
        }
        Ok(bytes.freeze())
    }

    /// Appends the bytes of `range` to `bytes`, as many as arrive.
    async fn range_once(&self, range: Range<u64>, bytes: &mut BytesMut) -> Result<(), RemoteError> {
        let mut options = self.options(range.start == 0);
        options.range = Some(GetRange::Bounded(range.clone()));
        let got = self.store.get_opts(&self.path, options).await;
        let got = got.map_err(|error| self.failed(&error))?;
        let wrong = |got: String| {
            let message = format!("expected bytes {range:?}, got {got}");
            RemoteError::new(RemoteErrorKind::Broken, message)
        };
        if got.range != range {
            return Err(wrong(format!("{:?}", got.range)));
        }
        let mut parts = got.into_stream();
        let mut left = range.end - range.start;
        while let Some(part) = parts
            .try_next()
            .await
            .map_err(|error| self.failed(&error))?
        {
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

    /// The bytes of the whole file in one answer, for a server that sends no parts or does not tell versions apart.
    pub(super) async fn whole(
        &self,
    ) -> Result<BoxStream<'static, Result<Bytes, RemoteError>>, RemoteError> {
        let got = self.store.get_opts(&self.path, self.options(true)).await;
        let got = got.map_err(|error| self.failed(&error))?;
        let address = self.address.clone();
        let parts = got.into_stream();
        Ok(Box::pin(
            parts.map_err(move |error| RemoteError::of(&error, &address)),
        ))
    }

    fn options(&self, whole: bool) -> GetOptions {
        options(self.version.clone(), self.if_match.clone(), whole)
    }

    fn failed(&self, error: &Error) -> RemoteError {
        RemoteError::of(error, &self.address)
    }
}

/// The options of a request whose answer must be of a version.
pub(super) fn options(version: Version, if_match: Option<String>, whole: bool) -> GetOptions {
    let mut options = GetOptions {
        if_match,
        ..GetOptions::default()
    };
    options.extensions.insert(Expected { version, whole });
    options
}
