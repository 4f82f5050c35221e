//! Client of a server that speaks the Hub's protocol: sends requests and downloads files; `listing` lists them. It does
//! not trust the server: it follows redirects itself, so that the token goes only to the configured server; it checks
//! commits and ETags before they become parts of paths, and sizes before they are used.
//!
//! ```text
//! GET  /api/models/org/name/revision/main          the commit, and the names of the files
//! GET  /api/datasets/org/name/tree/COMMIT/folder   the files with their sizes and ETags, page by page
//! HEAD /org/name/resolve/COMMIT/model.safetensors  the ETag and the size; the server may redirect for the bytes
//! GET  the same, from a byte offset                the bytes
//! ```

use std::{fmt::Write as _, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LOCATION,
        RANGE,
    },
    redirect,
};
use rho_formats::remote::{
    GuardedResolver, host, must_be_allowed, redirect_target, tell_of_redirect,
};
use url::Url;

use super::{
    id::Id,
    settings::{Settings, Token},
};
use crate::{
    hinted_error::{HintedError, chain_of},
    stop::{Stop, Stopped},
};

/// Most tries in a row without a new byte.
const TRIES: u32 = 5;
/// The pause before the second try; it doubles after each try without a new byte.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often to check whether to stop.
const LOOK: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(20);
/// The timeout without a single byte.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 10;

/// A failed request.
pub(super) struct Failure {
    pub(super) error: anyhow::Error,
    /// Whether a retry may succeed.
    pub(super) passing: bool,
    /// Whether the repository has no such file or folder.
    pub(super) missing: bool,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            error,
            passing: false,
            missing: false,
        }
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A file on the server.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) name: String,
    /// The name of its blob.
    pub(super) etag: String,
    pub(super) bytes: u64,
}

impl Remote {
    /// The hash of a large file, which is its ETag.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_hash = self.etag.len() == 64 && self.etag.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then_some(self.etag.as_str())
    }
}

/// A part of a file that is being downloaded.
pub(super) struct Part {
    response: Response,
    /// The offset of its first byte.
    pub(super) from: u64,
    /// The file and the server, for messages.
    shown: String,
    host: String,
}

/// A client for one repository.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    pub(super) endpoint: Url,
    token: Option<Token>,
    pub(super) id: &'a Id,
    stop: &'a Stop,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &Settings, id: &'a Id, stop: &'a Stop) -> anyhow::Result<Self> {
        // The default of the process; an embedding program may already have installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(GuardedResolver))
            .user_agent(concat!("rho-mask/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| anyhow!("cannot set up a connection: {}", chain_of(&error)))?;
        let endpoint = settings.endpoint()?;
        must_be_allowed(&endpoint).context("HF_ENDPOINT")?;
        Ok(Self {
            http,
            endpoint,
            token: settings.token()?,
            id,
            stop,
        })
    }

    /// The server's host and port, without secrets, for messages.
    pub(super) fn host(&self) -> String {
        host(&self.endpoint)
    }

    /// The repository and the server, for messages.
    pub(super) fn shown(&self) -> String {
        format!("{} at {}", self.id, self.host())
    }

    /// An answer that is not of the protocol.
    pub(super) fn wrong(&self, expected: &str, got: &str) -> Failure {
        let message = format!("{}: expected {expected}, got {got}", self.shown());
        let hint = "check that the server in HF_ENDPOINT speaks the Hub's protocol";
        HintedError::error(message, hint).into()
    }

    /// The URL of a file.
    pub(super) fn address(&self, commit: &str, name: &str) -> String {
        self.file(commit, name).to_string()
    }

    fn file(&self, commit: &str, name: &str) -> Url {
        let mut url = self.endpoint.clone();
        add(&mut url, self.id.kind.prefix());
        add(&mut url, self.id.name.split('/'));
        add(&mut url, ["resolve", commit]);
        add(&mut url, name.split('/'));
        url
    }

    /// The ETag and size of a file.
    pub(super) async fn remote(&self, commit: &str, name: &str) -> Result<Remote, Failure> {
        let url = self.file(commit, name);
        let head = async || self.send(Method::HEAD, &url, 0, false).await;
        let (response, _) = self.retried(head).await?;
        let (status, headers) = (response.status(), response.headers());
        let wrong = |expected: &str, got: &str| {
            let message = format!("{}: {name}: expected {expected}, got {got}", self.shown());
            let hint = "check that the server in HF_ENDPOINT speaks the Hub's protocol";
            Failure::from(HintedError::error(message, hint))
        };
        if let Some(other) = text(headers, "x-repo-commit").filter(|other| other != commit) {
            let got = self.clean(&other);
            return Err(wrong(
                &format!("the file of commit {commit}"),
                &format!("that of {got}"),
            ));
        }
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, ETAG.as_str()));
        let etag = etag.unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        if !is_tag(etag) {
            let got = self.clean(etag);
            return Err(wrong(
                "a tag (ETag) of letters and digits",
                &format!("{got:?}"),
            ));
        }
        let of_body = || match status.is_success() {
            true => text(headers, CONTENT_LENGTH.as_str()),
            // The length would be that of the redirect itself.
            false => None,
        };
        let bytes = text(headers, "x-linked-size").or_else(of_body);
        let bytes = bytes.and_then(|bytes| bytes.parse().ok());
        Ok(Remote {
            name: name.to_owned(),
            etag: etag.to_owned(),
            bytes: bytes.ok_or_else(|| wrong("its size", "none"))?,
        })
    }

    /// A file's bytes from an offset on, or from the first byte if the server ignores ranges.
    pub(super) async fn open(
        &self,
        commit: &str,
        remote: &Remote,
        from: u64,
    ) -> Result<Part, Failure> {
        let url = self.file(commit, &remote.name);
        let (response, host) = self.send(Method::GET, &url, from, true).await?;
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = text(response.headers(), CONTENT_RANGE.as_str()).unwrap_or_default();
                let expected = format!("bytes {from}-");
                let total = format!("/{}", remote.bytes);
                if !range.starts_with(&expected) || !range.ends_with(&total) {
                    let (name, got) = (&remote.name, self.clean(&range));
                    let message = format!(
                        "{}: {name}: expected {expected}...{total} from {host}, got {got:?}",
                        self.shown()
                    );
                    return Err(anyhow!(message).into());
                }
                from
            }
            _ => 0,
        };
        Ok(Part {
            response,
            from: begins,
            shown: format!("{}: {}", self.shown(), remote.name),
            host,
        })
    }

    /// The next bytes of a part; none at its end.
    pub(super) async fn next(&self, part: &mut Part) -> Result<Option<Bytes>, Failure> {
        self.chunk(&mut part.response, &part.shown, &part.host)
            .await
    }

    pub(super) async fn chunk(
        &self,
        response: &mut Response,
        shown: &str,
        host: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let chunk = self.unless_stopped(response.chunk()).await?;
        chunk.map_err(|error| self.broken(shown, host, error))
    }

    /// Sends a request and follows its redirects. Requests to other servers carry no token, and are sent only if
    /// `elsewhere` is set. Also returns the host of the answer.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        from: u64,
        elsewhere: bool,
    ) -> Result<(Response, String), Failure> {
        let home = self.endpoint.origin();
        let mut url = url.clone();
        let mut at_home = true;
        for _ in 0..REDIRECTS {
            let mut request = self.http.request(method.clone(), url.clone());
            request = request.header(ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let token = self.token.as_ref().filter(|_| at_home);
            if let Some(header) = token.and_then(Token::header) {
                request = request.header(AUTHORIZATION, header);
            }
            let answer = self.unless_stopped(request.send()).await?;
            let answer = answer.map_err(|error| self.broken(&self.shown(), &host(&url), error))?;
            let status = answer.status();
            if status.is_success() {
                return Ok((answer, host(&url)));
            }
            if !status.is_redirection() {
                return Err(self.refused(&answer, &host(&url), at_home));
            }
            let location = text(answer.headers(), LOCATION.as_str()).unwrap_or_default();
            let next = redirect_target(&url, &location).with_context(|| {
                format!(
                    "{}: expected an answer, got a redirect ({status}) to an address that is not allowed",
                    self.shown()
                )
            })?;
            // Once away, always away: another server cannot redirect back to get the token.
            at_home &= next.origin() == home;
            if !at_home && !elsewhere {
                return Ok((answer, host(&url)));
            }
            tell_of_redirect(&url, &next);
            url = next;
        }
        Err(anyhow!(
            "{}: expected an answer, got {REDIRECTS} redirects in a row",
            self.shown()
        )
        .into())
    }

    /// Retries a request a few times, with pauses, if its failure may be temporary.
    pub(super) async fn retried<T>(
        &self,
        mut ask: impl AsyncFnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tried = 0;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.may_try_again(failure, tried).await?,
            }
            tried += 1;
        }
    }

    /// Pauses before the next try; an error if there is none, after `tried` tries without a new byte.
    pub(super) async fn may_try_again(&self, failure: Failure, tried: u32) -> Result<(), Failure> {
        match failure.passing && tried + 1 < TRIES {
            true => self.sleep(FIRST_PAUSE * 2_u32.pow(tried)).await,
            false => Err(failure),
        }
    }

    /// Waits, unless the run is stopped.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Failure> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    /// The result of a future; an error if the run is stopped first.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let mut future = pin!(future);
        loop {
            self.must_go_on()?;
            if let Ok(done) = tokio::time::timeout(LOOK, &mut future).await {
                return Ok(done);
            }
        }
    }

    /// An error if the run is stopped.
    pub(super) fn must_go_on(&self) -> Result<(), Failure> {
        match self.stop.requested() {
            true => {
                let message = format!(
                    "stopped: the same command resumes the download of {}",
                    self.id
                );
                Err(anyhow::Error::from(Stopped(message)).into())
            }
            false => Ok(()),
        }
    }

    /// The failure of a connection that failed or broke.
    fn broken(&self, shown: &str, host: &str, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let what = match error.is_connect() {
            true => "no connection",
            false => "a broken connection",
        };
        let message = format!(
            "{shown}: expected an answer from {host}, got {what} ({})",
            self.clean(&chain_of(&error))
        );
        let hint = "try again: downloaded bytes are kept; without a network, set HF_HUB_OFFLINE=1 to use the cache; for \
                    another server, set HF_ENDPOINT";
        Failure {
            error: HintedError::error(message, hint),
            passing: true,
            missing: false,
        }
    }

    /// The failure of a request that the server refused.
    fn refused(&self, answer: &Response, host: &str, at_home: bool) -> Failure {
        let status = answer.status();
        let code = text(answer.headers(), "x-error-code").unwrap_or_default();
        let mut got = status.to_string();
        if let Some(said) = text(answer.headers(), "x-error-message") {
            // Writing to a String cannot fail.
            let _ = write!(got, ": {}", self.clean(&said));
        }
        let id = self.id;
        let noun = id.kind.noun();
        let page = match id.kind.prefix() {
            Some(prefix) => format!("{}/{prefix}/{}", self.host(), id.name),
            None => format!("{}/{}", self.host(), id.name),
        };
        let (expected, hint) = match (status, code.as_str(), &self.token) {
            // An expired signature, or a server that expects something else.
            _ if !at_home => (
                "the bytes of a file".to_owned(),
                "try again: downloaded bytes are kept".to_owned(),
            ),
            (_, "GatedRepo", None) => (
                format!("a public {noun}"),
                format!("request access at {page}, then set HF_TOKEN to your token"),
            ),
            (_, "GatedRepo", Some(_)) | (StatusCode::FORBIDDEN, _, Some(_)) => (
                format!("a {noun} that your token may read"),
                format!("request access at {page}; the token's permissions must include it"),
            ),
            (_, "RevisionNotFound", _) => (
                format!("a revision {:?}", id.revision),
                format!("choose a branch, tag or commit from {page}"),
            ),
            (_, "EntryNotFound", _) => (
                "a file that the repository lists".to_owned(),
                "try again".to_owned(),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _, None) => (
                "an answer".to_owned(),
                "wait some minutes, or set HF_TOKEN: requests with a token have a higher limit".to_owned(),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _, Some(_)) => {
                ("an answer".to_owned(), "wait some minutes".to_owned())
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _, None) => (
                format!("a path that exists or a public {noun}"),
                format!("check the name or the path; if the {noun} is private, set HF_TOKEN"),
            ),
            (StatusCode::UNAUTHORIZED, _, Some(_)) => (
                format!("a path that exists or a {noun} that your token may read"),
                "check the name or the path, and the token (HF_TOKEN, or the one of `hf auth login`)".to_owned(),
            ),
            (StatusCode::NOT_FOUND, ..) => (
                format!("a path that exists or a {noun} of this name"),
                format!("check the name or the path, and whether {page} exists"),
            ),
            _ if status.is_server_error() => (
                "an answer".to_owned(),
                "try again later: downloaded bytes are kept".to_owned(),
            ),
            _ => (
                "an answer".to_owned(),
                "check that the server in HF_ENDPOINT speaks the Hub's protocol".to_owned(),
            ),
        };
        let from = match at_home {
            true => String::new(),
            false => format!(" from {host}"),
        };
        let message = format!("{}: expected {expected}{from}, got {got}", self.shown());
        Failure {
            error: HintedError::error(message, hint),
            passing: status.is_server_error()
                || status == StatusCode::REQUEST_TIMEOUT
                || (!at_home && status != StatusCode::RANGE_NOT_SATISFIABLE),
            missing: status == StatusCode::NOT_FOUND
                && ["", "EntryNotFound"].contains(&code.as_str()),
        }
    }

    /// A text from the server, safe to print on one line, without the token.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = match &self.token {
            Some(token) => token.removed_from(text),
            None => text.to_owned(),
        };
        let text = text.chars().filter(|c| !c.is_control());
        text.take(200).collect()
    }
}

/// Whether a text can be a file's name in the cache.
pub(super) fn is_tag(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 128 && text.chars().all(is_part)
}

pub(super) fn add<'a>(url: &mut Url, parts: impl IntoIterator<Item = &'a str>) {
    // Fails only for cannot-be-a-base URLs, which the settings refuse.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim().to_owned())
}
