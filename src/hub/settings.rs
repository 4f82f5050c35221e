//! The cache folder, the server, the token, and whether requests are allowed. Reads the environment as the Python
//! package `huggingface_hub` does; no other part of the module reads it.

use std::{
    env,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use reqwest::header::HeaderValue;
use url::Url;

use crate::hinted_error::HintedError;

const ENDPOINT: &str = "https://huggingface.co";

/// The settings from the environment.
pub(super) struct Settings {
    /// The folder that contains `models--org--name`; none without a home directory.
    pub(super) cache: Option<PathBuf>,
    /// The variable that forbids requests, if one does.
    pub(super) offline: Option<&'static str>,
    endpoint: Option<String>,
    /// A token and the variable that holds it.
    token: Option<(&'static str, String)>,
    /// The file of the token, if no variable holds one.
    token_file: Option<PathBuf>,
}

impl Settings {
    /// `HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`, `RHO_MASK_OFFLINE`, and
    /// the older names of these.
    pub(super) fn from_environment() -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let mut settings = Self::of(&variable, env::home_dir());
        if rho_runtime::offline() {
            settings.offline = Some("RHO_MASK_OFFLINE");
        }
        settings
    }

    fn of(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        let home = home.filter(|home| home.is_absolute());
        let path = |name: &str| {
            let path = PathBuf::from(variable(name)?);
            match path.strip_prefix("~") {
                Ok(below) => Some(home.clone()?.join(below)),
                Err(_) => Some(path),
            }
        };
        let text = |name: &str| Some(variable(name)?.to_string_lossy().trim().to_owned());
        let yes = |name: &str| {
            text(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
            })
        };
        let of_user = path("XDG_CACHE_HOME").or_else(|| Some(home.clone()?.join(".cache")));
        let hugging_face = path("HF_HOME").or_else(|| Some(of_user?.join("huggingface")));
        let below = |name: &str| hugging_face.as_ref().map(|folder| folder.join(name));
        let named = |name: &'static str| Some((name, text(name)?));
        Self {
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .or_else(|| below("hub")),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .into_iter()
                .find(|name| yes(name)),
            endpoint: text("HF_ENDPOINT"),
            token: named("HF_TOKEN").or_else(|| named("HUGGING_FACE_HUB_TOKEN")),
            token_file: path("HF_TOKEN_PATH")
                .or_else(|| below("token"))
                .filter(|_| !yes("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
        }
    }

    /// The server.
    pub(super) fn endpoint(&self) -> anyhow::Result<Url> {
        let text = self.endpoint.as_deref().unwrap_or(ENDPOINT);
        let url = Url::parse(text.trim_end_matches('/'))
            .ok()
            .filter(|url| url.has_host() && ["http", "https"].contains(&url.scheme()));
        url.ok_or_else(|| {
            HintedError::error(
                "HF_ENDPOINT: expected the URL of a server, starting with http:// or https://, got something else",
                format!("unset it for {ENDPOINT}"),
            )
        })
    }

    /// The token, if there is one.
    pub(super) fn token(&self) -> anyhow::Result<Option<Token>> {
        if let Some((name, text)) = &self.token {
            return Token::new(text, name);
        }
        let Some(file) = &self.token_file else {
            return Ok(None);
        };
        let shown = file.display().to_string();
        match rho_files::read_named_text(file) {
            Ok(text) => Token::new(&text, &shown),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{shown}: cannot be read")),
        }
    }

    /// The cache's folder.
    pub(super) fn cache(&self) -> anyhow::Result<&Path> {
        self.cache.as_deref().ok_or_else(|| {
            HintedError::error(
                "expected a folder for the Hugging Face cache, got none",
                "set HF_HOME, or HOME",
            )
        })
    }
}

/// A secret token, which is never displayed.
#[derive(Clone)]
pub(super) struct Token(String);

impl Token {
    /// `from` names its variable or file in errors, because the token itself is never displayed. None if the text is
    /// only white space.
    fn new(text: &str, from: &str) -> anyhow::Result<Option<Self>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HintedError::error(
                format!("{from}: expected a token of letters and digits, got something else"),
                "copy it again from the Hub's settings, or unset it",
            ));
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The header that carries it.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// A text with the token replaced.
    pub(super) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn of(variables: &[(&str, &str)]) -> Settings {
        let variables: Vec<(String, OsString)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
            .collect();
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        };
        Settings::of(&variable, Some("/home/a".into()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| of(variables).cache.unwrap();
        let expect = |path: &str, variables: &[(&str, &str)]| {
            assert_eq!(cache(variables), PathBuf::from(path), "{variables:?}");
        };
        expect("/home/a/.cache/huggingface/hub", &[]);
        expect("/x/huggingface/hub", &[("XDG_CACHE_HOME", "/x")]);
        expect("/h/hub", &[("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")]);
        expect("/home/a/h/hub", &[("HF_HOME", "~/h")]);
        expect(
            "/old",
            &[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HOME", "/h")],
        );
        expect(
            "/c",
            &[("HF_HUB_CACHE", "/c"), ("HUGGINGFACE_HUB_CACHE", "/old")],
        );
        assert_eq!(Settings::of(&|_| None, None).cache, None);
    }

    #[test]
    fn yes_and_no() {
        for (value, expected) in [("1", true), ("true", true), ("YES", true), ("on", true)] {
            assert_eq!(of(&[("HF_HUB_OFFLINE", value)]).offline.is_some(), expected);
        }
        for value in ["0", "no", "false"] {
            assert_eq!(of(&[("HF_HUB_OFFLINE", value)]).offline, None);
        }
        let older = of(&[("TRANSFORMERS_OFFLINE", "1")]).offline;
        assert_eq!(older, Some("TRANSFORMERS_OFFLINE"));
    }

    #[test]
    fn endpoints() {
        let endpoint = |value: &str| of(&[("HF_ENDPOINT", value)]).endpoint();
        assert_eq!(
            of(&[]).endpoint().unwrap().as_str(),
            "https://huggingface.co/"
        );
        let mirror = endpoint("http://mirror:81/hf/").unwrap();
        assert_eq!(mirror.as_str(), "http://mirror:81/hf");
        for wrong in ["mirror", "ftp://mirror", "https://"] {
            let error = endpoint(wrong).unwrap_err().to_string();
            assert!(error.starts_with("HF_ENDPOINT: expected"), "{error}");
        }
    }

    #[test]
    fn tokens_are_found_and_not_shown() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().to_str().unwrap();
        fs::write(place.path().join("token"), "hf_file\n").unwrap();
        let other = place.path().join("other");
        fs::write(&other, "hf_other").unwrap();
        let sent = |variables: &[(&str, &str)]| {
            let token = of(variables).token().unwrap()?;
            assert_eq!(format!("{token:?}"), "Token(***)");
            let header = token.header().unwrap();
            assert!(!format!("{header:?}").contains("hf_"));
            Some(header.to_str().unwrap().to_owned())
        };
        let file = Some("Bearer hf_file".to_owned());
        assert_eq!(sent(&[("HF_HOME", home)]), file);
        let named = Some("Bearer hf_named".to_owned());
        assert_eq!(
            sent(&[("HF_HOME", home), ("HF_TOKEN", "hf_named\n")]),
            named
        );
        let path = [
            ("HF_HOME", home),
            ("HF_TOKEN_PATH", other.to_str().unwrap()),
        ];
        assert_eq!(sent(&path), Some("Bearer hf_other".to_owned()));
        let never = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(sent(&never), None);
        let wrong = of(&[("HF_TOKEN", "hf secret")]).token().unwrap_err();
        assert!(!wrong.to_string().contains("secret"), "{wrong}");
    }
}
