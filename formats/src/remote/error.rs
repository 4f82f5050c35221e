//! Why a remote file cannot be found or read. The texts of stores and servers arrive here once, and lose the secrets of
//! the address and all but their first characters, because a server may send anything.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;

use super::address::Address;
use super::hosts::Refused;
use super::version::Difference;

/// Most characters of a message.
const LONGEST: usize = 600;

/// The kinds of [`RemoteError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteErrorKind {
    /// The URL itself cannot be used.
    Address,
    /// There is no such file.
    NotFound,
    /// The server wants other credentials.
    Denied,
    /// The server cannot send a part of a file.
    NoRanges,
    /// The server does not tell versions of a file apart, so that its parts cannot be put together.
    NoVersion,
    /// An answer was of another version of the file than the first, or of another part than was asked for.
    Changed,
    /// A server or redirect that is not allowed.
    Refused,
    /// A broken connection, or another failure that may pass.
    Broken,
}

/// Why a remote file cannot be found or read. Without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    kind: RemoteErrorKind,
    message: String,
}

impl RemoteError {
    pub(super) fn new(kind: RemoteErrorKind, message: String) -> Self {
        Self { kind, message }
    }

    /// What kind of error it is.
    pub fn kind(&self) -> RemoteErrorKind {
        self.kind
    }

    /// The error of a store, as it may be shown.
    pub(super) fn of(error: &StoreError, address: &Address) -> Self {
        let first: &(dyn Error + 'static) = error;
        let causes = || std::iter::successors(Some(first), |&cause| cause.source());
        let refused = causes().find_map(|cause| cause.downcast_ref::<Refused>());
        let changed = causes().find_map(|cause| cause.downcast_ref::<Difference>());
        let (kind, message) = match (refused, changed) {
            (Some(refused), _) => (RemoteErrorKind::Refused, refused.to_string()),
            (_, Some(changed)) => (RemoteErrorKind::Changed, changed.to_string()),
            (None, None) => {
                let kind = match error {
                    StoreError::NotFound { .. } => RemoteErrorKind::NotFound,
                    StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                        RemoteErrorKind::Denied
                    }
                    StoreError::Precondition { .. } => RemoteErrorKind::Changed,
                    StoreError::NotSupported { .. } => RemoteErrorKind::NoRanges,
                    _ => RemoteErrorKind::Broken,
                };
                let mut message = String::new();
                for cause in causes() {
                    let text = cause.to_string();
                    // The stores' messages contain those of most of their causes.
                    if !message.contains(&text) {
                        let colon = if message.is_empty() { "" } else { ": " };
                        message = format!("{message}{colon}{text}");
                    }
                }
                (kind, message)
            }
        };
        let message = address.clean(&message).chars().take(LONGEST).collect();
        Self { kind, message }
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        self.kind == RemoteErrorKind::Broken
    }
}

impl From<RemoteError> for io::Error {
    fn from(error: RemoteError) -> Self {
        let kind = match error.kind {
            RemoteErrorKind::NotFound => io::ErrorKind::NotFound,
            RemoteErrorKind::Denied => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
