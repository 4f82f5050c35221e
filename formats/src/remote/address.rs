//! Takes a URL as the user gives it, separates what may be shown from what must not: the login before `@`, and the
//! query, which is the signature of a signed URL. Requests get them from here; messages, records and files never do.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::path::Path as Key;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use url::Url;

use super::error::{RemoteError, RemoteErrorKind};

/// Addresses on the Hub have no secrets, and `?` in them stands for any character.
const HUB: &str = "hf://";
/// What stands in place of a secret.
const HIDDEN: &str = "***";
/// Shorter values of a query, such as `dl=1`, are no secrets, and removing them would garble messages.
const SHORTEST_SECRET: usize = 6;

/// The address of a remote file or folder. Displayed without its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without login, query and fragment.
    url: Url,
    query: Option<String>,
    /// The value of the header `Authorization` for the server of `url`.
    login: Option<HeaderValue>,
    /// Texts that must not be shown.
    secrets: Vec<String>,
}

impl Address {
    /// Parses a URL.
    ///
    /// # Errors
    /// If it is no URL, or has a part that its scheme does not use: a silently ignored part would name another file.
    pub(crate) fn parse(text: &str) -> Result<Self, RemoteError> {
        let refused = |what: String| RemoteError::new(RemoteErrorKind::Address, what);
        let mut url = Url::parse(text).map_err(|error| refused(format!("not a URL: {error}")))?;
        let is_web = ["http", "https"].contains(&url.scheme());
        if url.fragment().is_some() {
            return Err(refused(
                "expected a URL without #, which is not sent to servers, got one: write %23 for a # in a name"
                    .to_owned(),
            ));
        }
        if !is_web && url.query().is_some() {
            return Err(refused(
                "expected a key without ?, got one: write %3F for a ? in a name".to_owned(),
            ));
        }
        // abfss://CONTAINER@ACCOUNT is no login.
        let is_login = is_web || !url.scheme().starts_with("abfs");
        let mut address = Self {
            query: url.query().map(str::to_owned),
            login: None,
            secrets: Vec::new(),
            url: url.clone(),
        };
        if let Some(query) = &address.query {
            address.secrets.push(query.clone());
            let values = query.split('&').filter_map(|pair| pair.split_once('='));
            for (_, value) in values.filter(|(_, value)| value.len() >= SHORTEST_SECRET) {
                address.secrets.push(value.to_owned());
                address.secrets.push(decoded(value));
            }
        }
        if url.password().is_some() || (is_login && !url.username().is_empty()) {
            if !is_web {
                return Err(refused(
                    "expected credentials in the environment, such as AWS_ACCESS_KEY_ID, got some in the URL"
                        .to_owned(),
                ));
            }
            let (user, password) = (url.username(), url.password().unwrap_or_default());
            address.secrets.push(format!("{user}:{password}"));
            if password.len() >= SHORTEST_SECRET / 2 {
                address.secrets.push(password.to_owned());
                address.secrets.push(decoded(password));
            }
            let mut plain: Vec<u8> = percent_decode_str(user).collect();
            plain.push(b':');
            plain.extend(percent_decode_str(password));
            address.log_in(&format!("Basic {}", BASE64_STANDARD.encode(plain)));
            // Fails only for URLs without a host, which have no login.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        url.set_query(None);
        address.url = url;
        // Long secrets first: a short one may be a part of a longer one.
        address
            .secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(address)
    }

    /// Sends this value of the header `Authorization` to the server of the address, and to no other.
    pub(super) fn log_in(&mut self, authorization: &str) {
        if let Ok(mut value) = HeaderValue::from_str(authorization) {
            value.set_sensitive(true);
            self.login = Some(value);
        }
        let secret = authorization.split(' ').next_back().unwrap_or_default();
        self.secrets.push(secret.to_owned());
    }

    /// The address of another file of the same server, with the same login.
    pub(super) fn with_path(&self, path: &str) -> Self {
        let mut other = self.clone();
        other.url.set_path(path);
        other
    }

    /// Without login and query.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    pub(super) fn login(&self) -> Option<&HeaderValue> {
        self.login.as_ref()
    }

    /// Whether it is on a web server, which cannot list.
    pub(super) fn is_web(&self) -> bool {
        ["http", "https"].contains(&self.url.scheme())
    }

    /// In the form of a path, for names: `/scheme/host/folder/file`, without escapes.
    pub(crate) fn as_path(&self) -> PathBuf {
        let url = &self.url;
        let host = url.host_str().unwrap_or_default();
        let port = url
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let container = match url.username() {
            "" => String::new(),
            container => format!("{container}@"),
        };
        let key = match Key::from_url_path(url.path()) {
            Ok(key) => key.to_string(),
            // The store refuses it before it is named.
            Err(_) => url.path().to_owned(),
        };
        PathBuf::from(format!("/{}/{container}{host}{port}/{key}", url.scheme()))
    }

    /// A text from a server or a client, without the secrets of this address, on one line. Of a server that was sent
    /// secrets, the body of its answer is left out: it may say them in other words.
    pub(super) fn clean(&self, text: &str) -> String {
        const STATUS: &str = "non-2xx status code: ";
        let mut text = text.to_owned();
        if !self.secrets.is_empty()
            && let Some(status) = text.find(STATUS).map(|at| at + STATUS.len())
            && let Some(body) = text[status..].find(": ")
        {
            text.truncate(status + body);
        }
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, HIDDEN);
        }
        let harmless = |c: char| if c.is_control() { ' ' } else { c };
        text.chars().map(harmless).collect()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Whether an argument is a URL.
pub(crate) fn is_url(argument: &str) -> bool {
    argument.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// An argument as it may be shown: a URL without its login and its query; anything else unchanged.
pub fn shown(argument: &Path) -> PathBuf {
    match argument.to_str() {
        Some(text) if is_url(text) && !text.starts_with(HUB) => {
            PathBuf::from(match Address::parse(text) {
                Ok(address) => address.to_string(),
                Err(_) => without_secrets(text).into_owned(),
            })
        }
        _ => argument.to_owned(),
    }
}

/// A word of a command line with the login and the query of the URL in it replaced by `***`, whatever characters these
/// have.
pub fn word_without_secrets(word: &str) -> Cow<'_, str> {
    match word.find("://").map(|at| word.split_at(at + 3)) {
        Some((before, url)) => Cow::Owned(format!("{before}{}", hidden(scheme(before), url))),
        None => Cow::Borrowed(word),
    }
}

/// The scheme at the end of a text that ends with `://`; there may be other characters before it, such as `--corpus=`.
fn scheme(before: &str) -> &str {
    let before = before.trim_end_matches("://");
    let is_scheme = |c: char| c.is_ascii_alphanumeric();
    &before[before.trim_end_matches(is_scheme).len()..]
}

/// A text with the logins and queries of all URLs in it replaced by `***`.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let (url, then) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        clean.push_str(before);
        clean.push_str(&hidden(scheme(before), url));
        rest = then;
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// The part of a URL behind `://`, without secrets.
fn hidden(scheme: &str, url: &str) -> String {
    let whole = format!("{scheme}://{url}");
    if whole.starts_with(HUB) {
        return url.to_owned();
    }
    let (authority, path) = match Url::parse(&whole) {
        Ok(_) => url.split_at(url.find(['/', '\\', '?', '#']).unwrap_or(url.len())),
        // Where the login ends is unknown: all before the last @ may be a part of it.
        Err(_) => url.split_at(url.rfind('@').map_or(0, |at| at + 1)),
    };
    let is_container = scheme.starts_with("abfs") && !authority.contains(':');
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) if !is_container => format!("{HIDDEN}@{host}"),
        _ => authority.to_owned(),
    };
    match path.split_once('?') {
        Some((path, _)) => format!("{authority}{path}?{HIDDEN}"),
        None => format!("{authority}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_queries_are_kept_and_not_shown() {
        let address =
            Address::parse("http://bob:s3c%20ret@host:81/a%20b.jsonl?sig=abcdefgh&v=1").unwrap();
        assert_eq!(address.to_string(), "http://host:81/a%20b.jsonl");
        assert_eq!(
            format!("{address:?}"),
            "Address(http://host:81/a%20b.jsonl)"
        );
        assert_eq!(address.query(), Some("sig=abcdefgh&v=1"));
        // python3 -c "import base64; print(base64.b64encode(b'bob:s3c ret'))"
        let login = address.login().unwrap();
        assert_eq!(login, "Basic Ym9iOnMzYyByZXQ=");
        assert!(!format!("{login:?}").contains("Ym9i"));
        assert_eq!(address.as_path(), PathBuf::from("/http/host:81/a b.jsonl"));
        let said = "s3c ret, s3c%20ret, Ym9iOnMzYyByZXQ=, ?sig=abcdefgh&v=1, abcdefgh\nv=1";
        assert_eq!(address.clean(said), "***, ***, ***, ?***, *** v=1");
    }

    #[test]
    fn parts_that_a_scheme_does_not_use_are_refused() {
        for url in [
            "s3://AKIA:secret@bucket/a.jsonl",
            "s3://AKIA@bucket/a.jsonl",
            "gs://bucket/a.jsonl?generation=1",
            "s3://bucket/part-?.jsonl",
            "http://host/a#b.jsonl",
            "abfss://container:secret@account/a.jsonl",
            "http://",
        ] {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let container = Address::parse("abfss://container@account/a.jsonl").unwrap();
        assert_eq!(container.login(), None);
        assert_eq!(container.to_string(), "abfss://container@account/a.jsonl");
    }

    #[test]
    fn texts_lose_the_secrets_of_their_urls() {
        for (text, expected) in [
            ("no url", "no url"),
            ("http://host/a@b.jsonl", "http://host/a@b.jsonl"),
            ("http://bob:pw@host/a", "http://***@host/a"),
            (
                "--corpus=http://bob:pw@host/a?x=1 b",
                "--corpus=http://***@host/a?*** b",
            ),
            ("at http://h/a?b=c, then", "at http://h/a?*** then"),
            ("http://bob:p/w@host/a", "http://***@host/a"),
            (
                "http://a:b@c/ and 's3://x:y@z/?q'",
                "http://***@c/ and 's3://***@z/?***",
            ),
            (
                "hf://datasets/org/name@main/a",
                "hf://datasets/org/name@main/a",
            ),
            ("hf://datasets/a/b/?.txt", "hf://datasets/a/b/?.txt"),
            ("abfss://c@account/a", "abfss://c@account/a"),
        ] {
            assert_eq!(without_secrets(text), expected, "{text}");
        }
        for (word, expected) in [
            ("plain", "plain"),
            (
                "--data=http://bob:p 'w@host/a?b=c d",
                "--data=http://***@host/a?***",
            ),
            ("http://bob:p/w x@host/a", "http://***@host/a"),
        ] {
            assert_eq!(word_without_secrets(word), expected, "{word}");
        }
        let path = |text: &str| shown(Path::new(text)).display().to_string();
        assert_eq!(path("http://bob:pw@host/a?b"), "http://host/a");
        assert_eq!(path("a?b"), "a?b");
    }
}
