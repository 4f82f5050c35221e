//! Sends requests to one server. Retries what may pass, waits as the server asks, stops with the run. Answers are bounded
//! in size and time; no redirect is followed, so the key goes to the named server alone.

use std::{env, fmt, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::{
    Method, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
    },
    redirect,
};
use rho_formats::remote::{GuardedResolver, host};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time};

use super::{ServerAddress, ServerError};
use crate::{
    hinted_error::{HintedError, chain_of},
    stop::Stop,
};

/// The environment variable with the key.
const KEY: &str = "RHO_MASK_SERVER_KEY";
const CONNECT: Duration = Duration::from_secs(20);
/// The pause before the second try; it doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that the server did not ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that a server may ask for.
const MOST_WAIT: Duration = Duration::from_secs(600);
/// How often to check whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// Most bytes of an answer that reports an error.
const ERROR_BYTES: usize = 64 << 10;
/// Most characters of a server's message.
const SAID: usize = 300;

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct ServerOptions {
    /// Most requests at once.
    pub(crate) concurrency: usize,
    /// How often a request that failed is sent again.
    pub(crate) retries: u32,
    /// Seconds for one answer, from the request to its last byte.
    #[serde(rename = "timeout_seconds")]
    pub(crate) timeout: u64,
}

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) address: ServerAddress,
    /// The address, for messages.
    pub(super) shown: String,
    key: Option<Key>,
    pub(super) options: ServerOptions,
    permits: Semaphore,
}

/// A failed try.
enum Failure {
    /// No retry can mend it.
    Final(ServerError),
    /// A retry may succeed, after the time that the server asks for.
    Passing {
        what: String,
        after: Option<Duration>,
    },
}

impl Client {
    /// Sets up a client, with the key from the environment.
    ///
    /// # Errors
    /// If the key cannot be sent in a header, or would be sent without encryption.
    pub(super) fn new(address: ServerAddress, options: ServerOptions) -> anyhow::Result<Self> {
        let key = Key::from_environment()?;
        let shown = address.to_string();
        if key.is_some() && address.base.scheme() != "https" && !address.is_loopback() {
            return Err(HintedError::error(
                format!("{shown}: expected https to send the key in {KEY}, got http"),
                format!(
                    "use https, or a tunnel to 127.0.0.1; unset {KEY} if the server needs no key"
                ),
            ));
        }
        // The default of the process; an embedding program may already have installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(GuardedResolver))
            .user_agent(concat!("rho-mask/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT);
        if address.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ServerError::Setup {
            server: shown.clone(),
            reason: chain_of(&error),
        })?;
        Ok(Self {
            http,
            permits: Semaphore::new(options.concurrency),
            address,
            shown,
            key,
            options,
        })
    }

    /// The JSON at an endpoint.
    pub(super) async fn get(
        &self,
        endpoint: &str,
        most: usize,
        stop: &Stop,
    ) -> Result<Vec<u8>, ServerError> {
        let retries = self.options.retries;
        self.retried(Method::GET, endpoint, None, (most, retries), stop)
            .await
    }

    /// The answer to some JSON, of at most `most` bytes.
    pub(super) async fn post(
        &self,
        endpoint: &str,
        body: Bytes,
        most: usize,
        retries: u32,
        stop: &Stop,
    ) -> Result<Vec<u8>, ServerError> {
        self.retried(Method::POST, endpoint, Some(body), (most, retries), stop)
            .await
    }

    /// Sends a request until it is answered, with pauses.
    async fn retried(
        &self,
        method: Method,
        endpoint: &str,
        body: Option<Bytes>,
        (most, retries): (usize, u32),
        stop: &Stop,
    ) -> Result<Vec<u8>, ServerError> {
        let permit = self.unless_stopped(self.permits.acquire(), stop).await?;
        let _permit = permit.expect("the semaphore is never closed");
        let mut tries = 0;
        loop {
            let seconds = self.options.timeout;
            let once = self.once(method.clone(), endpoint, body.clone(), most);
            let once = time::timeout(Duration::from_secs(seconds), once);
            let (what, after) = match self.unless_stopped(once, stop).await? {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Passing { what, after })) => (what, after),
                Err(_) => (format!("none within {seconds} seconds"), None),
            };
            tries += 1;
            if tries > retries {
                return Err(ServerError::Unanswered {
                    server: self.shown.clone(),
                    tries,
                    last: what,
                });
            }
            if let Some(after) = after.filter(|&after| after > MOST_WAIT) {
                return Err(ServerError::Wait {
                    server: self.shown.clone(),
                    most: MOST_WAIT.as_secs(),
                    seconds: after.as_secs(),
                });
            }
            let pause = time::sleep(pause(tries, after, chance()));
            self.unless_stopped(pause, stop).await?;
        }
    }

    /// Sends a request once.
    async fn once(
        &self,
        method: Method,
        endpoint: &str,
        body: Option<Bytes>,
        most: usize,
    ) -> Result<Vec<u8>, Failure> {
        let mut request = self.http.request(method, self.address.endpoint(endpoint));
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(header) = self.key.as_ref().and_then(Key::header) {
            request = request.header(AUTHORIZATION, header);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut answer = request.send().await.map_err(|error| self.broken(error))?;
        let status = answer.status();
        if status.is_success() {
            let body = self.body(&mut answer, most).await?;
            return body.ok_or_else(|| {
                Failure::Final(ServerError::Size {
                    server: self.shown.clone(),
                    most,
                })
            });
        }
        if status.is_redirection() {
            let location = answer.headers().get(LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let to = location.and_then(|to| self.address.base.join(to).ok());
            return Err(Failure::Final(ServerError::Redirect {
                server: self.shown.clone(),
                to: to.map_or_else(|| "an unknown host".to_owned(), |to| self.clean(&host(&to))),
            }));
        }
        let after = retry_after(answer.headers(), Utc::now());
        let body = self.body(&mut answer, ERROR_BYTES).await?;
        let said = self.said(&body.unwrap_or_default());
        Err(self.refused(status, said, after))
    }

    /// The failure of a request that the server refused.
    fn refused(&self, status: StatusCode, said: String, after: Option<Duration>) -> Failure {
        // The server of llama-cpp-python reports requests that it does not understand as its own failures.
        let is_invalid = status.is_server_error() && said.contains("validation error");
        let passing =
            status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED && !is_invalid
                || [
                    StatusCode::TOO_MANY_REQUESTS,
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_EARLY,
                ]
                .contains(&status);
        if passing {
            let what = format!("status {}{said}", status.as_u16());
            return Failure::Passing { what, after };
        }
        let server = self.shown.clone();
        let number = status.as_u16();
        Failure::Final(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ServerError::Key {
                server,
                status: number,
                sent: self.key.is_some(),
            },
            _ => ServerError::Refused {
                server,
                status: number,
                said,
            },
        })
    }

    /// The body of an answer; none if it is larger than `most`.
    async fn body(&self, answer: &mut Response, most: usize) -> Result<Option<Vec<u8>>, Failure> {
        let announced = answer.content_length();
        if announced.is_some_and(|bytes| bytes > most as u64) {
            return Ok(None);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > most {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body))
    }

    /// The failure of a connection.
    fn broken(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let what = match error.is_connect() {
            true => "no connection",
            false => "a broken connection",
        };
        Failure::Passing {
            what: format!("{what} ({})", self.clean(&chain_of(&error))),
            after: None,
        }
    }

    /// The message in the body of an error, after a colon; empty if there is none.
    fn said(&self, body: &[u8]) -> String {
        let text = match serde_json::from_slice::<Said>(body) {
            Ok(said) => said.text(),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        match self.clean(text.trim()) {
            text if text.is_empty() => text,
            text => format!(": {text}"),
        }
    }

    /// A text of the server on one line, without the key.
    pub(super) fn clean(&self, text: &str) -> String {
        let text = match &self.key {
            Some(Key(key)) => text.replace(key.as_str(), "***"),
            None => text.to_owned(),
        };
        let harmless = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        harmless.take(SAID).collect()
    }

    /// The result of a future; an error if the run is stopped first.
    async fn unless_stopped<T>(
        &self,
        future: impl Future<Output = T>,
        stop: &Stop,
    ) -> Result<T, ServerError> {
        let mut future = pin!(future);
        loop {
            if stop.requested() {
                let server = self.shown.clone();
                return Err(ServerError::Stopped { server });
            }
            if let Ok(done) = time::timeout(LOOK, &mut future).await {
                return Ok(done);
            }
        }
    }
}

/// The forms in which servers report errors.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    message: Option<serde_json::Value>,
    #[serde(default)]
    detail: Option<serde_json::Value>,
}

impl Said {
    fn text(self) -> String {
        let value = self.error.or(self.message).or(self.detail);
        let value = value.unwrap_or_default();
        let inner = value.get("message").unwrap_or(&value);
        match inner.as_str() {
            Some(text) => text.to_owned(),
            None => inner.to_string(),
        }
    }
}

/// The time before the next try: doubled with each, and drawn at random so that clients do not return all at once. What
/// the server asks for is waited at least.
fn pause(tries: u32, after: Option<Duration>, chance: f64) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(tries - 1));
    let own = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + chance / 2.0);
    match after {
        Some(after) => after + own.min(after / 10),
        None => own,
    }
}

/// A number at random, from 0 to 1.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, RandomState};
    // The keys of each are drawn at random.
    let drawn = RandomState::new().hash_one(0_u8);
    (drawn >> 11) as f64 / (1_u64 << 53) as f64
}

/// The time that a server asks to wait: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    date.signed_duration_since(now).to_std().ok()
}

/// A secret key, which is never displayed.
struct Key(String);

impl Key {
    /// The key in the environment; none if it is unset or empty.
    fn from_environment() -> anyhow::Result<Option<Self>> {
        let text = env::var_os(KEY).unwrap_or_default();
        let text = text.to_string_lossy();
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HintedError::error(
                format!("{KEY}: expected a key of letters, digits and signs, got something else"),
                "copy it again from the server's settings, or unset it",
            ));
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The header that carries it.
    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_keep_what_the_server_asks() {
        let seconds = |tries, chance| pause(tries, None, chance).as_secs_f64();
        assert_eq!(seconds(1, 1.0), 0.25);
        assert_eq!(seconds(1, 0.0), 0.125);
        assert_eq!(seconds(4, 1.0), 2.0);
        assert_eq!(seconds(60, 1.0), 30.0);
        let asked = Duration::from_secs(7);
        let waited = pause(1, Some(asked), 0.5);
        assert!(
            waited >= asked && waited <= asked.mul_f64(1.1),
            "{waited:?}"
        );
        assert!((0..100).map(|_| chance()).all(|c| (0.0..1.0).contains(&c)));
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = DateTime::parse_from_rfc2822("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now.to_utc()).map(|after| after.as_secs())
        };
        assert_eq!(after("12"), Some(12));
        assert_eq!(after("Wed, 21 Oct 2015 07:29:30 GMT"), Some(90));
        assert_eq!(after("Wed, 21 Oct 2015 07:27:00 GMT"), None);
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn messages_of_servers_are_found() {
        let said = |body: &str| serde_json::from_str::<Said>(body).unwrap().text();
        assert_eq!(said(r#"{"error": {"message": "a", "type": "b"}}"#), "a");
        assert_eq!(said(r#"{"error": "a"}"#), "a");
        assert_eq!(said(r#"{"message": "a", "code": 400}"#), "a");
        assert_eq!(said(r#"{"detail": [{"msg": "a"}]}"#), r#"[{"msg":"a"}]"#);
    }
}
