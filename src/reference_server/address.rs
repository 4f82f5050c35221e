//! Takes a `--model` such as `http://host:port/v1#NAME` apart. An address has no secrets: a key comes from the environment.

use std::{fmt, path::Path};

use rho_formats::remote::must_be_allowed;
use url::{Host, Url};

use crate::hinted_error::HintedError;

/// Most characters of a model's name.
const LONGEST_NAME: usize = 256;
const FORM: &str = "name the server and its model: --model http://127.0.0.1:8000/v1#NAME, where NAME is one of those at /v1/models";

/// A model on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    /// The URL before `/completions`.
    pub(super) base: Url,
    /// The model's name on the server.
    pub(crate) name: String,
}

/// Whether a model is on a server: its path is a web address.
pub(crate) fn is_server(model: &Path) -> bool {
    let scheme = model.to_str().and_then(|text| text.split_once("://"));
    scheme.is_some_and(|(scheme, _)| {
        ["http", "https"]
            .iter()
            .any(|web| scheme.eq_ignore_ascii_case(web))
    })
}

impl ServerAddress {
    /// Parses an address.
    ///
    /// # Errors
    /// If a part is missing, or one is there that would be ignored, or a secret.
    pub(crate) fn parse(model: &Path) -> anyhow::Result<Self> {
        // A login in it must not be shown.
        let refused = |expected: &str, got: &str, hint: &str| {
            HintedError::error(
                format!("--model: expected the address of a server {expected}, got {got}"),
                hint,
            )
        };
        let text = model.to_str().unwrap_or_default();
        let Some((address, name)) = text.split_once('#') else {
            return Err(refused("with the model's name after a #", "none", FORM));
        };
        let is_plain = !name.chars().any(|c| c.is_control() || c.is_whitespace());
        if name.is_empty() || !is_plain || name.chars().count() > LONGEST_NAME {
            let got = match name {
                "" => "an empty name",
                _ => "a name with spaces, or of more than 256 characters",
            };
            return Err(refused("with the model's name after a #", got, FORM));
        }
        let base = Url::parse(address).map_err(|_| refused("", "something else", FORM))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refused(
                "without a login",
                "one with a login before the @",
                "put the server's key into the environment variable RHO_MASK_SERVER_KEY",
            ));
        }
        if base.query().is_some() {
            return Err(refused("without a query", "one with a ?", FORM));
        }
        if !base.has_host() {
            return Err(refused("with a host", "none", FORM));
        }
        must_be_allowed(&base)?;
        Ok(Self {
            base,
            name: name.to_owned(),
        })
    }

    /// The URL of an endpoint.
    pub(super) fn endpoint(&self, name: &str) -> Url {
        let mut url = self.base.clone();
        // Fails only for URLs without a host.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(name);
        }
        url
    }

    /// The URL, without the model's name and without a slash at its end.
    pub(crate) fn url(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Whether the server is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self.base.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.url(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let address = ServerAddress::parse(Path::new("http://127.0.0.1:80/v1/#org/name")).unwrap();
        assert_eq!(address.url(), "http://127.0.0.1/v1");
        assert_eq!(address.name, "org/name");
        assert_eq!(address.to_string(), "http://127.0.0.1/v1#org/name");
        let completions = address.endpoint("completions");
        assert_eq!(completions.as_str(), "http://127.0.0.1/v1/completions");
        for (text, expected) in [
            ("HTTPS://a/v1#b", true),
            ("http://a", true),
            ("org/name", false),
            ("s3://a/b", false),
            ("folder/http:/", false),
        ] {
            assert_eq!(is_server(Path::new(text)), expected, "{text}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        let loopback = |text: &str| ServerAddress::parse(Path::new(text)).unwrap().is_loopback();
        for text in [
            "http://127.1.2.3/#a",
            "http://[::1]:8/#a",
            "http://localhost/v1#a",
        ] {
            assert!(loopback(text), "{text}");
        }
        for text in ["http://10.0.0.1/#a", "http://localhost.org/#a"] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn what_would_be_ignored_or_shown_is_refused() {
        for (text, got) in [
            ("http://host/v1", "got none"),
            ("http://host/v1#", "an empty name"),
            ("http://host/v1#a b", "a name with spaces"),
            ("http://bob:secret@host/v1#a", "a login"),
            ("http://host/v1?key=secret#a", "a ?"),
            ("http://#a", "something else"),
            ("http://169.254.169.254/v1#a", "which is refused"),
        ] {
            let error = ServerAddress::parse(Path::new(text))
                .unwrap_err()
                .to_string();
            assert!(error.contains(got), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
