//! What identifies the version of a remote file: the ETag, Last-Modified and the size of the first answer. Every later
//! answer must agree with them, and with the part that was asked for, because a server may ignore `If-Match` and
//! `Range`, and two versions read as one would mix their rows.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::client::{HttpRequest, HttpResponse};
use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RANGE,
};

/// An answer that is not of the expected version or part.
#[derive(Debug, thiserror::Error)]
#[error(
    "expected {expected}, got {got}: the answers of the server are not of one version of the file"
)]
pub(super) struct Difference {
    expected: String,
    got: String,
}

/// The version of a file, shared by all requests for it. Equal to every other: [`super::Remote`] has the values that
/// identify the file.
#[derive(Clone, Default)]
pub(crate) struct Version(Arc<Mutex<Known>>);

/// What the first answer said. The outer option is none until then.
#[derive(Debug, Default)]
struct Known {
    etag: Option<Option<String>>,
    modified: Option<Option<String>>,
    bytes: Option<u64>,
}

/// Travels with a request to the client, which checks the answer.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) version: Version,
    /// Whether the whole file may come in place of the part that was asked for.
    pub(super) whole: bool,
}

impl Version {
    /// Of a file in a list. Times in lists are more exact than Last-Modified, so only answers are compared by it.
    pub(super) fn listed(etag: Option<&str>, bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Known {
            etag: etag.map(|etag| Some(etag.to_owned())),
            modified: None,
            bytes: Some(bytes),
        })))
    }

    /// Whether two versions can be told apart.
    pub(super) fn is_told(&self) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        [&known.etag, &known.modified]
            .iter()
            .any(|fact| matches!(fact, Some(Some(_))))
    }
}

impl PartialEq for Version {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Version {}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version")
    }
}

impl Expected {
    /// Refuses a successful answer that does not agree with those before it.
    pub(super) fn must_agree(
        &self,
        request: &HttpRequest,
        answer: &HttpResponse,
    ) -> Result<(), Difference> {
        let (status, headers) = (answer.status(), answer.headers());
        if !status.is_success() && status != StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(());
        }
        let asked = text(request.headers(), &RANGE).and_then(|range| {
            let (start, last) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((start.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
        });
        let length = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let bytes = match (asked, status) {
            (Some(asked), StatusCode::PARTIAL_CONTENT) => {
                Some(self.must_be_the_part(asked, headers, length)?)
            }
            (None, StatusCode::OK) => length,
            (Some(_), StatusCode::OK) if self.whole => length,
            (asked, status) => {
                return Err(Difference {
                    expected: match asked {
                        Some((start, last)) => format!("bytes {start}-{last} (status 206)"),
                        None => "the whole file (status 200)".to_owned(),
                    },
                    got: format!("status {}", status.as_u16()),
                });
            }
        };
        let is_head = request.method() == Method::HEAD;
        let mut known = self
            .version
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (name, fact) in [
            (&ETAG, text(headers, &ETAG)),
            (&LAST_MODIFIED, text(headers, &LAST_MODIFIED)),
        ] {
            let known = match *name == ETAG {
                true => &mut known.etag,
                false => &mut known.modified,
            };
            match known {
                Some(known) if *known != fact => {
                    let said = |fact: &Option<String>| match fact {
                        Some(fact) => format!("{} {fact}", title(name)),
                        None => format!("no {}", title(name)),
                    };
                    return Err(Difference {
                        expected: said(known),
                        got: said(&fact),
                    });
                }
                Some(_) => {}
                // Some servers send fewer headers without a body.
                None if fact.is_none() && is_head => {}
                None => *known = Some(fact),
            }
        }
        match (known.bytes, bytes) {
            (Some(expected), Some(got)) if expected != got => {
                return Err(Difference {
                    expected: format!("a file of {expected} bytes"),
                    got: format!("one of {got}"),
                });
            }
            (None, Some(got)) => known.bytes = Some(got),
            _ => {}
        }
        Ok(())
    }

    /// The size of the whole file, of an answer with a part of it.
    fn must_be_the_part(
        &self,
        (start, last): (u64, u64),
        headers: &HeaderMap,
        length: Option<u64>,
    ) -> Result<u64, Difference> {
        let range = text(headers, &CONTENT_RANGE).unwrap_or_default();
        let wrong = |got: String| Difference {
            expected: format!("Content-Range bytes {start}-{last}"),
            got,
        };
        let parsed = range.strip_prefix("bytes ").and_then(|rest| {
            let (part, total) = rest.split_once('/')?;
            let (from, to) = part.split_once('-')?;
            Some((
                from.parse::<u64>().ok()?,
                to.parse::<u64>().ok()?,
                total.parse::<u64>().ok()?,
            ))
        });
        match parsed {
            Some((from, to, total)) if (from, to) == (start, last) && last < total => {
                match length {
                    Some(length) if length != last - start + 1 => {
                        Err(wrong(format!("Content-Length {length}")))
                    }
                    _ => Ok(total),
                }
            }
            _ if range.is_empty() => Err(wrong("none".to_owned())),
            _ => Err(wrong(range)),
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
}

fn title(name: &HeaderName) -> &'static str {
    match *name == ETAG {
        true => "ETag",
        false => "Last-Modified",
    }
}
