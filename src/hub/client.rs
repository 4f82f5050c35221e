//! Asks a server that speaks the Hub's protocol. Takes names, yields what there is and its bytes; believes nothing of it:
//! redirects are followed here, so that the token goes to the server that was named and to no other, commits and tags are
//! looked at before they become parts of paths, and sizes before anything is compared with them.
//!
//! ```text
//! GET  /api/models/org/name/revision/main         the commit, and the names of the files
//! HEAD /org/name/resolve/COMMIT/model.safetensors  its tag and size; the server may point elsewhere for the bytes
//! GET  the same, from some byte on                the bytes
//! ```

use std::{fmt::Write as _, pin::pin, time::Duration};

use anyhow::anyhow;
use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LOCATION,
        RANGE,
    },
    redirect,
};
use serde_json::Value;
use url::Url;

use super::{
    files::is_plain,
    id::{Id, is_commit},
    settings::{Settings, Token},
};
use crate::{
    advised::{Advised, chain_of},
    stop::{Stop, Stopped},
};

/// How often in a row a request may bring nothing.
const TRIES: u32 = 5;
/// Before the next try; twice as long after each that brings nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(100);
const CONNECT: Duration = Duration::from_secs(20);
/// Without a single byte.
const SILENCE: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 10;
/// A list of files of more bytes is none.
const LARGEST_LIST: usize = 64 << 20;

/// What came instead of an answer.
pub(super) struct Failure {
    pub(super) error: anyhow::Error,
    /// Whether it may be gone a moment later.
    pub(super) passing: bool,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let passing = false;
        Self { error, passing }
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// A revision's files.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// A file as the server has it.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) name: String,
    /// What its blob is called.
    pub(super) etag: String,
    pub(super) bytes: u64,
}

impl Remote {
    /// The tag of large files is their hash.
    pub(super) fn sha256(&self) -> Option<&str> {
        let is_hash = self.etag.len() == 64 && self.etag.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then_some(self.etag.as_str())
    }
}

/// A part of a file that comes.
pub(super) struct Part {
    response: Response,
    /// The byte that it begins with.
    pub(super) from: u64,
    /// For people: whose bytes they are, and where they come from.
    shown: String,
    host: String,
}

/// Who asks.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    endpoint: Url,
    token: Option<Token>,
    id: &'a Id,
    stop: &'a Stop,
}

impl<'a> Client<'a> {
    pub(super) fn new(settings: &Settings, id: &'a Id, stop: &'a Stop) -> anyhow::Result<Self> {
        // One of the process, which an embedding program may have chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("rho-mask/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| anyhow!("cannot set up a connection: {}", chain_of(&error)))?;
        Ok(Self {
            http,
            endpoint: settings.endpoint()?,
            token: settings.token()?,
            id,
            stop,
        })
    }

    /// Which server it is, for people: its address without anything secret.
    pub(super) fn host(&self) -> String {
        host(&self.endpoint)
    }

    /// What is asked for, and where.
    pub(super) fn shown(&self) -> String {
        format!("{} at {}", self.id, self.host())
    }

    /// The commit that a revision names, and its files.
    pub(super) async fn listing(&self, revision: &str) -> Result<Listing, Failure> {
        let mut url = self.endpoint.clone();
        add(&mut url, ["api", "models"]);
        add(&mut url, self.id.model.split('/'));
        add(&mut url, ["revision", revision]);
        let text = self.retried(async || self.text(&url).await).await?;
        let wrong = |got: &str| {
            let message = format!(
                "{}: expected a commit and its files, got {got}",
                self.shown()
            );
            let hint =
                "HF_ENDPOINT names the server that is asked; does it speak the Hub's protocol?";
            Failure::from(Advised::error(message, hint))
        };
        let json: Value =
            serde_json::from_slice(&text).map_err(|_| wrong("an answer that is no JSON"))?;
        let commit = json["sha"].as_str().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| wrong("no commit"))?.to_owned();
        if is_commit(revision) && revision != commit {
            return Err(wrong("another commit"));
        }
        let siblings = json["siblings"]
            .as_array()
            .ok_or_else(|| wrong("no files"))?;
        let names = siblings
            .iter()
            .filter_map(|file| file["rfilename"].as_str());
        // Files with other names are not taken, whatever they are.
        let names = names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect();
        Ok(Listing { commit, names })
    }

    async fn text(&self, url: &Url) -> Result<Vec<u8>, Failure> {
        let (mut response, _) = self.send(Method::GET, url, 0, true).await?;
        let mut text = Vec::new();
        while let Some(part) = self
            .chunk(&mut response, &self.shown(), &self.host())
            .await?
        {
            if text.len() + part.len() > LARGEST_LIST {
                let error = anyhow!(
                    "{}: expected a list of files, got more than {LARGEST_LIST} bytes",
                    self.shown()
                );
                return Err(error.into());
            }
            text.extend_from_slice(&part);
        }
        Ok(text)
    }

    fn file(&self, commit: &str, name: &str) -> Url {
        let mut url = self.endpoint.clone();
        add(&mut url, self.id.model.split('/'));
        add(&mut url, ["resolve", commit]);
        add(&mut url, name.split('/'));
        url
    }

    /// What the server says of a file.
    pub(super) async fn remote(&self, commit: &str, name: &str) -> Result<Remote, Failure> {
        let url = self.file(commit, name);
        let head = async || self.send(Method::HEAD, &url, 0, false).await;
        let (response, _) = self.retried(head).await?;
        let (status, headers) = (response.status(), response.headers());
        let wrong = |expected: &str, got: &str| {
            let message = format!("{}: {name}: expected {expected}, got {got}", self.shown());
            let hint =
                "HF_ENDPOINT names the server that is asked; does it speak the Hub's protocol?";
            Failure::from(Advised::error(message, hint))
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
        let is_tag = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if etag.is_empty() || etag.len() > 128 || !etag.chars().all(is_tag) {
            let got = self.clean(etag);
            return Err(wrong(
                "a tag (ETag) of letters and digits",
                &format!("{got:?}"),
            ));
        }
        let of_body = || match status.is_success() {
            true => text(headers, CONTENT_LENGTH.as_str()),
            // Of the redirect itself.
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

    /// A file's bytes, from some byte on or, where the server has it so, from the first.
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

    async fn chunk(
        &self,
        response: &mut Response,
        shown: &str,
        host: &str,
    ) -> Result<Option<Bytes>, Failure> {
        let chunk = self.unless_stopped(response.chunk()).await?;
        chunk.map_err(|error| self.broken(shown, host, error))
    }

    /// One request, and those that its redirects lead to. Elsewhere without the token, and only where that is wanted. The
    /// answer's host is said with it.
    async fn send(
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
            let next = match status.is_redirection() {
                true => text(answer.headers(), LOCATION.as_str()).and_then(|to| url.join(&to).ok()),
                false => return Err(self.refused(&answer, &host(&url), at_home)),
            };
            let may_follow = |next: &Url| {
                next.has_host()
                    && (next.scheme() == "https"
                        || next.scheme() == "http" && url.scheme() == "http")
            };
            let Some(next) = next.filter(may_follow) else {
                let error = anyhow!(
                    "{}: expected an answer, got a redirect ({status}) to nowhere it may lead",
                    self.shown()
                );
                return Err(error.into());
            };
            // For good: a server elsewhere does not lead back to the token.
            at_home &= next.origin() == home;
            if !at_home && !elsewhere {
                return Ok((answer, host(&url)));
            }
            url = next;
        }
        Err(anyhow!(
            "{}: expected an answer, got {REDIRECTS} redirects in a row",
            self.shown()
        )
        .into())
    }

    /// Once more where a failure may pass, after a while; a few times.
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

    /// Whether to try again after so many tries that brought nothing, and a pause before it.
    pub(super) async fn may_try_again(&self, failure: Failure, tried: u32) -> Result<(), Failure> {
        match failure.passing && tried + 1 < TRIES {
            true => self.sleep(FIRST_PAUSE * 2_u32.pow(tried)).await,
            false => Err(failure),
        }
    }

    /// Waits.
    pub(super) async fn sleep(&self, time: Duration) -> Result<(), Failure> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    /// What comes of it, unless somebody asks to stop before.
    async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let mut future = pin!(future);
        loop {
            self.must_go_on()?;
            if let Ok(done) = tokio::time::timeout(LOOK, &mut future).await {
                return Ok(done);
            }
        }
    }

    /// Ends where somebody asked to stop.
    pub(super) fn must_go_on(&self) -> Result<(), Failure> {
        match self.stop.requested() {
            true => {
                let message = format!(
                    "stopped: the same command goes on with the download of {}",
                    self.id
                );
                Err(anyhow::Error::from(Stopped(message)).into())
            }
            false => Ok(()),
        }
    }

    /// The connection failed, or broke.
    fn broken(&self, shown: &str, host: &str, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let what = match error.is_connect() {
            true => "no connection",
            false => "a broken connection",
        };
        let message = format!(
            "{shown}: expected an answer of {host}, got {what} ({})",
            self.clean(&chain_of(&error))
        );
        let hint = "try again: what is there is kept; without a network HF_HUB_OFFLINE=1 takes what is in the cache, and \
                    HF_ENDPOINT names another server";
        Failure {
            error: Advised::error(message, hint),
            passing: true,
        }
    }

    /// The server says no.
    fn refused(&self, answer: &Response, host: &str, at_home: bool) -> Failure {
        let status = answer.status();
        let code = text(answer.headers(), "x-error-code").unwrap_or_default();
        let mut got = status.to_string();
        if let Some(said) = text(answer.headers(), "x-error-message") {
            // Writing to a text cannot fail.
            let _ = write!(got, ": {}", self.clean(&said));
        }
        let id = self.id;
        let page = format!("{}/{}", self.host(), id.model);
        let (expected, hint) = match (status, code.as_str(), &self.token) {
            // A signature that is too old by now, or a server that wants something else.
            _ if !at_home => (
                "the bytes of a file".to_owned(),
                "try again: what is there is kept".to_owned(),
            ),
            (_, "GatedRepo", None) => (
                "a model that everybody may read".to_owned(),
                format!("ask for access at {page}, then set HF_TOKEN to a token of yours"),
            ),
            (_, "GatedRepo", Some(_)) | (StatusCode::FORBIDDEN, _, Some(_)) => (
                "a model that your token may read".to_owned(),
                format!("ask for access at {page}; the token's rights must include it"),
            ),
            (_, "RevisionNotFound", _) => (
                format!("a revision {:?}", id.revision),
                format!("{page} shows the branches, tags and commits"),
            ),
            (_, "EntryNotFound", _) => (
                "a file that the repository lists".to_owned(),
                "try again".to_owned(),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _, None) => (
                "an answer".to_owned(),
                "wait some minutes, or set HF_TOKEN: who is known may ask more often".to_owned(),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _, Some(_)) => {
                ("an answer".to_owned(), "wait some minutes".to_owned())
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _, None) => (
                "a model that everybody may read, and it is no path either".to_owned(),
                "look at the name or the path; where the model is private, set HF_TOKEN".to_owned(),
            ),
            (StatusCode::UNAUTHORIZED, _, Some(_)) => (
                "a model that your token may read, and it is no path either".to_owned(),
                "look at the name or the path, and at the token (HF_TOKEN, or what `hf auth login` wrote)".to_owned(),
            ),
            (StatusCode::NOT_FOUND, ..) => (
                "a model of this name, and it is no path either".to_owned(),
                format!("look at the name or the path: is there {page}?"),
            ),
            _ if status.is_server_error() => (
                "an answer".to_owned(),
                "try again later: what is there is kept".to_owned(),
            ),
            _ => (
                "an answer".to_owned(),
                "HF_ENDPOINT names the server that is asked; does it speak the Hub's protocol?".to_owned(),
            ),
        };
        let from = match at_home {
            true => String::new(),
            false => format!(" from {host}"),
        };
        let message = format!("{}: expected {expected}{from}, got {got}", self.shown());
        Failure {
            error: Advised::error(message, hint),
            passing: status.is_server_error()
                || status == StatusCode::REQUEST_TIMEOUT
                || (!at_home && status != StatusCode::RANGE_NOT_SATISFIABLE),
        }
    }

    /// A text of the server's, fit for a line on a terminal, without the token.
    fn clean(&self, text: &str) -> String {
        let text = match &self.token {
            Some(token) => token.removed_from(text),
            None => text.to_owned(),
        };
        let text = text.chars().filter(|c| !c.is_control());
        text.take(200).collect()
    }
}

fn add<'a>(url: &mut Url, parts: impl IntoIterator<Item = &'a str>) {
    // None only of addresses that are no base, which the settings refuse.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(parts);
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.trim().to_owned())
}
