//! The HTTP client under all stores. It follows redirects itself, so that no credential of any kind goes to another
//! server; sends the login and the query of an address to its own server; and checks each answer (see `version`).
//!
//! ```text
//! store ─► request ─► origin of the store: all headers, the login and the query of the address
//!                  └► redirect ─► another origin: only the headers that ask for bytes, from then on
//! ```
//!
//! An origin is a scheme, a host and a port. A list of headers that may go on is safe for credentials that are not known
//! here: stores have headers of their own, such as `x-amz-security-token`.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpResponse, HttpService,
};
use object_store::{ClientOptions, Error};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, IF_MATCH, LOCATION, RANGE,
    USER_AGENT,
};
use reqwest::{Method, StatusCode, redirect};
use url::Url;

use super::address::Address;
use super::hosts::{GuardedResolver, Refused, host, must_be_allowed, redirect_target};
use super::version::Expected;

/// Most redirects in a row.
const REDIRECTS: usize = 10;
/// The headers that go to another server.
const HARMLESS: [HeaderName; 5] = [ACCEPT, ACCEPT_ENCODING, IF_MATCH, RANGE, USER_AGENT];

/// Told of each redirect to another server: the host that redirects, and the host that it names.
static OBSERVER: OnceLock<fn(&str, &str)> = OnceLock::new();

/// Sets what is told of each redirect to another server: the host that redirects, and the host that it names. Only the
/// first call of a process has an effect.
pub fn on_redirect(observer: fn(&str, &str)) {
    // It is only an error to have set one before.
    let _ = OBSERVER.set(observer);
}

/// Tells the observer of a redirect if it leads to another server.
pub fn tell_of_redirect(from: &Url, to: &Url) {
    if from.host_str() != to.host_str()
        || from.port_or_known_default() != to.port_or_known_default()
    {
        OBSERVER.get().inspect(|tell| tell(&host(from), &host(to)));
    }
}

/// Makes the clients of a store.
#[derive(Debug)]
pub(super) struct Connector {
    /// For a web server: an address on it, whose login and query each request to it gets.
    pub(super) web: Option<Address>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient, Error> {
        Ok(HttpClient::new(Client {
            http: http(options)?,
            web: self.web.clone(),
        }))
    }
}

struct Client {
    http: reqwest::Client,
    web: Option<Address>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let home = url(&request.uri().to_string())?;
        let expected = request.extensions().get::<Expected>().cloned();
        let may_follow = [Method::GET, Method::HEAD].contains(request.method());
        if expected.is_some() {
            // Requests without it are those for the credentials of the machine, which go to such addresses.
            must_be_allowed(&home).map_err(unusable)?;
        }
        let mut at = home.clone();
        // Once away, always away: another server cannot redirect back to get the credentials.
        let mut at_home = true;
        for _ in 0..=REDIRECTS {
            let mut next = request.clone();
            let mut to = at.clone();
            match (at_home, &self.web) {
                (true, Some(web)) => {
                    if at == home {
                        to.set_query(web.query());
                    }
                    if let Some(login) = web.login() {
                        next.headers_mut().insert(AUTHORIZATION, login.clone());
                    }
                }
                (true, None) => {}
                (false, _) => *next.headers_mut() = harmless(request.headers()),
            }
            *next.uri_mut() = FromStr::from_str(to.as_str()).map_err(unusable)?;
            let answer = self.http.call(next).await?;
            let location = answer.headers().get(LOCATION);
            let Some(location) = location.filter(|_| may_follow && is_redirect(answer.status()))
            else {
                if let Some(expected) = expected {
                    expected.must_agree(&request, &answer).map_err(unusable)?;
                }
                return Ok(answer);
            };
            let location = location.to_str().unwrap_or_default();
            let target = redirect_target(&at, location).map_err(unusable)?;
            tell_of_redirect(&at, &target);
            at_home &= target.origin() == home.origin();
            at = target;
        }
        Err(unusable(Refused::TooMany {
            from: host(&home),
            count: REDIRECTS,
        }))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    [301, 302, 303, 307, 308].contains(&status.as_u16())
}

fn harmless(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in HARMLESS {
        if let Some(value) = headers.get(&name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

/// An error that no retry can mend.
fn unusable(error: impl std::error::Error + Send + Sync + 'static) -> HttpError {
    HttpError::new(HttpErrorKind::Unknown, error)
}

fn url(text: &str) -> Result<Url, HttpError> {
    Url::parse(text).map_err(unusable)
}

/// The client with the store's options, which come from the environment; those of `object_store` itself would follow
/// redirects with the stores' own headers.
fn http(options: &ClientOptions) -> Result<reqwest::Client, Error> {
    use ClientConfigKey as Key;
    let text = |key: Key| options.get_config_value(&key);
    let wrong = |key: Key, got: &str| Error::Generic {
        store: "client",
        source: format!("{}: expected another value, got {got:?}", key.as_ref()).into(),
    };
    let on = |key: Key| {
        let value = text(key).unwrap_or_default().to_ascii_lowercase();
        ["1", "true", "on", "yes", "y"].contains(&value.as_str())
    };
    let time = |key: Key| -> Result<Option<Duration>, Error> {
        let parsed = |text: String| humantime::parse_duration(&text).map_err(|_| wrong(key, &text));
        text(key).map(parsed).transpose()
    };
    let number = |key: Key| -> Result<Option<u32>, Error> {
        let parsed = |text: String| text.parse().map_err(|_| wrong(key, &text));
        text(key).map(parsed).transpose()
    };
    let failed = |source: reqwest::Error| Error::Generic {
        store: "client",
        source: source.without_url().into(),
    };
    let mut builder = reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .dns_resolver(std::sync::Arc::new(GuardedResolver))
        .https_only(!on(Key::AllowHttp))
        .danger_accept_invalid_certs(on(Key::AllowInvalidCertificates))
        .user_agent(
            text(Key::UserAgent)
                .unwrap_or_else(|| concat!("rho-mask/", env!("CARGO_PKG_VERSION")).to_owned()),
        );
    if let Some(address) = text(Key::ProxyUrl) {
        let mut proxy = reqwest::Proxy::all(address).map_err(failed)?;
        if let Some(certificate) = text(Key::ProxyCaCertificate) {
            let certificate = reqwest::tls::Certificate::from_pem(certificate.as_bytes());
            builder = builder.tls_certs_merge([certificate.map_err(failed)?]);
        }
        if let Some(excluded) = text(Key::ProxyExcludes) {
            proxy = proxy.no_proxy(reqwest::NoProxy::from_string(&excluded));
        }
        builder = builder.proxy(proxy);
    }
    if on(Key::NoSystemCertificates) {
        builder = builder.tls_certs_only([]);
    }
    if let Some(time) = time(Key::Timeout)? {
        builder = builder.timeout(time);
    }
    if let Some(time) = time(Key::ConnectTimeout)? {
        builder = builder.connect_timeout(time);
    }
    if let Some(time) = time(Key::ReadTimeout)? {
        builder = builder.read_timeout(time);
    }
    if let Some(time) = time(Key::PoolIdleTimeout)? {
        builder = builder.pool_idle_timeout(time);
    }
    if let Some(most) = number(Key::PoolMaxIdlePerHost)? {
        builder = builder.pool_max_idle_per_host(most as usize);
    }
    builder.build().map_err(failed)
}
