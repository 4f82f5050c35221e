//! The files of a tokenizer: tokenizer.json and the files beside it.
//!
//! ```text
//! tokenizer.json ───────┐
//! tokenizer_config.json ├─► added tokens, dropout off ─► one tokenizer.json ─► SHA-256
//! special_tokens_map.json, added_tokens.json ┘
//! ```
//!
//! The result is the *effective* tokenizer.json, which needs no other file. If the files beside it add nothing and
//! nothing in it is random, it is the file itself, byte for byte. Masks store it and its SHA-256, so this step is
//! idempotent: an effective file stays unchanged.
//!
//! Tokens are added as in Transformers 5 (see `settings`), with the ids that it gives them; a file with another id is
//! refused. The other files are read only if the file is named tokenizer.json; a file of another name is used alone.
//!
//! * `entries`: JSON objects in file order. `tokens`: added tokens, and how lists of them are merged.
//! * `settings`: the files beside tokenizer.json, key by key.
//! * `classes`: where a class of Transformers differs from tokenizer.json.
//!
//! `Tokenization` puts special tokens around texts, not this module.

mod classes;
mod entries;
mod error;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};
use tokenizers::{Model as _, Tokenizer};

use super::{TokenizerError, growth, limits};
use entries::Entries;
use settings::Settings;
use tokens::{Token, Wanted};

pub use error::FilesError;

/// The name of the file.
const NAME: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";

/// Most new tokens that a note shows.
const SHOWN: usize = 5;

/// A tokenizer's files, read and merged.
#[derive(Debug)]
pub struct TokenizerFiles {
    path: PathBuf,
    text: Vec<u8>,
    fingerprint: String,
    sources: BTreeMap<String, String>,
    named_tokens: Vec<(String, String)>,
    notes: Vec<String>,
}

impl TokenizerFiles {
    /// The path of tokenizer.json, for a path of the file or of its folder.
    pub fn path_of(named: &Path) -> PathBuf {
        match named.is_dir() {
            true => named.join(NAME),
            false => named.to_owned(),
        }
    }

    /// Reads this tokenizer.json, or the one in this folder, and the files beside it.
    ///
    /// # Errors
    /// If a file cannot be read, or has a setting that could change token ids and is not supported.
    pub fn open(named: &Path) -> Result<Self, FilesError> {
        let path = Self::path_of(named);
        let text = read(&path)?;
        let raw = fingerprint(&text);
        let mut files = Self {
            fingerprint: raw.clone(),
            sources: BTreeMap::new(),
            named_tokens: Vec::new(),
            notes: Vec::new(),
            text,
            path,
        };
        let mut beside = Beside::default();
        if files.path.file_name().is_some_and(|name| name == NAME) {
            beside = Beside::read(&files.path)?;
        }
        let mut named = Vec::new();
        let changed = files.without_dropout()? | files.take_in(&beside, &mut named)?;
        files.named_tokens = named;
        if changed {
            files.fingerprint = fingerprint(&files.text);
            let hashed = |(name, text): (&&str, &Vec<u8>)| ((*name).to_owned(), fingerprint(text));
            files.sources = beside.texts.iter().map(hashed).collect();
            files.sources.insert(name(&files.path), raw);
        }
        Ok(files)
    }

    /// The path of the original tokenizer.json.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with the files beside the tokenizer.json; none if it has another name and is used alone.
    pub(crate) fn folder(&self) -> Option<&Path> {
        let beside = self.path.file_name().is_some_and(|name| name == NAME);
        self.path.parent().filter(|_| beside)
    }

    /// The text of the effective tokenizer.json.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// SHA-256 of [`text`](Self::text).
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// SHA-256 of each file that the effective tokenizer.json was built from, by name; empty if it is the original
    /// file.
    pub fn sources(&self) -> &BTreeMap<String, String> {
        &self.sources
    }

    /// The special tokens that the files beside tokenizer.json name, such as `bos_token`, and their texts.
    pub(crate) fn named_tokens(&self) -> &[(String, String)] {
        &self.named_tokens
    }

    /// Notes for the user.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tokenizer of the effective file.
    ///
    /// # Errors
    /// If the tokenizers crate refuses it.
    pub fn tokenizer(&self) -> Result<Tokenizer, FilesError> {
        load(&self.path, &self.text)
    }

    fn entries(&self) -> Result<Entries<'_>, FilesError> {
        Entries::of(&self.text).map_err(|source| FilesError::Json {
            path: self.path.clone(),
            expected: "a tokenizer.json of Hugging Face tokenizers",
            source,
        })
    }

    fn note(&mut self, text: &str) {
        self.notes.push(format!("{}: {text}", self.path.display()));
    }

    /// Turns off BPE dropout, which skips random merges in training. It is the only random part of a tokenizer.json:
    /// the sampling of Unigram is not part of the file.
    fn without_dropout(&mut self) -> Result<bool, FilesError> {
        let entries = self.entries()?;
        let Some((model, dropout)) = entries.get("model").and_then(|raw| {
            let model = Entries::of(raw.get().as_bytes()).ok()?;
            let dropout = value(model.get("dropout")).as_f64()?;
            // The crate refuses any other number, or it means no dropout.
            (dropout > 0.0 && dropout <= 1.0).then_some((model, dropout))
        }) else {
            return Ok(false);
        };
        let text = entries.with("model", model.with("dropout", "null").trim_end());
        self.text = text.into_bytes();
        self.note(&format!(
            "has BPE dropout {dropout}: turned off, so that tokens depend only on the document"
        ));
        Ok(true)
    }

    /// Adds the tokens of the files beside it; yields those with a name as well.
    fn take_in(
        &mut self,
        beside: &Beside,
        named: &mut Vec<(String, String)>,
    ) -> Result<bool, FilesError> {
        if beside.is_empty() {
            return Ok(false);
        }
        let entries = self.entries()?;
        let part = |name| value(entries.get(name));
        let own = own_tokens(&self.path, entries.get("added_tokens"))?;
        let (settings, noted) =
            beside.settings(&own, &part("normalizer"), &part("pre_tokenizer"))?;
        let named_in = beside.place(&settings);
        *named = settings.named_tokens();
        let wanted = settings.wanted(&own);
        let before: Vec<Token> = own.iter().map(|(_, token)| token.clone()).collect();
        let after = wanted.added_to(&before);
        // The tokens of tokenizer.json alone, without duplicates.
        let alone = Wanted::default().added_to(&before);
        let changed = after != alone;
        let listed_elsewhere = |(id, token): &(u64, Token)| {
            let own = own.iter().find(|(_, other)| other.content == token.content);
            own.is_none_or(|(other, _)| other != id)
        };
        if !changed && !wanted.listed.iter().any(listed_elsewhere) {
            if let Some(noted) = noted {
                self.note(&noted);
            }
            return Ok(false);
        }
        let numbered = |ids: &dyn Fn(&str) -> u64| {
            let tokens = after.iter().map(|token| token.json(ids(&token.content)));
            entries.with("added_tokens", &Value::from_iter(tokens).to_string())
        };
        // The crate assigns the ids, in the order of the list.
        let tokenizer = load(&self.path, numbered(&|_| 0).as_bytes())?;
        let id = |content: &str| tokenizer.token_to_id(content);
        for (expected, token) in &wanted.listed {
            let got = id(&token.content);
            if !token.content.is_empty() && got.map(u64::from) != Some(*expected) {
                return Err(FilesError::Id {
                    path: named_in,
                    content: token.content.clone(),
                    expected: *expected,
                    got: got.map_or_else(|| "none".to_owned(), |id| id.to_string()),
                });
            }
        }
        let new: Vec<&str> = after[alone.len()..]
            .iter()
            .map(|token| token.content.as_str())
            .collect();
        for content in &new {
            let id = id(content);
            let there = id.and_then(|id| Some((id, tokenizer.get_model().id_to_token(id)?)));
            if let Some((id, other)) = there
                && other != *content
            {
                return Err(FilesError::Taken {
                    path: named_in,
                    content: (*content).to_owned(),
                    id,
                    other,
                });
            }
        }
        if !changed {
            return Ok(false);
        }
        let text = numbered(&|content| id(content).map_or(0, u64::from));
        let mut said = format!("uses added tokens of {}", name(&named_in));
        if !new.is_empty() {
            let more = new.len().saturating_sub(SHOWN);
            let first: Vec<String> = new
                .iter()
                .take(SHOWN)
                .map(|text| format!("{text:?}"))
                .collect();
            let _ = write!(said, ": {}", first.join(", "));
            if more > 0 {
                let _ = write!(said, " and {more} more");
            }
        }
        self.text = text.into_bytes();
        self.note(&said);
        if let Some(noted) = noted {
            self.note(&noted);
        }
        Ok(true)
    }
}

/// The files beside a tokenizer.json.
#[derive(Debug, Default)]
struct Beside {
    folder: PathBuf,
    /// The texts of the files that may name tokens.
    texts: BTreeMap<&'static str, Vec<u8>>,
    /// The model's config.json.
    model: Value,
}

impl Beside {
    fn read(tokenizer: &Path) -> Result<Self, FilesError> {
        let folder = tokenizer.parent().unwrap_or(Path::new("")).to_owned();
        let mut texts = BTreeMap::new();
        for name in [CONFIG, SPECIAL, ADDED] {
            let path = folder.join(name);
            if path.is_file() {
                texts.insert(name, read(&path)?);
            }
        }
        // Errors in config.json are reported where it is needed.
        let model = rho_files::read_named(&folder.join("config.json")).unwrap_or_default();
        let model = serde_json::from_slice(&model).unwrap_or_default();
        let mut beside = Self {
            folder,
            texts,
            model,
        };
        if let Some(config) = beside.entries(CONFIG)?
            && config.get("added_tokens_decoder").is_some()
        {
            beside.texts.remove(SPECIAL);
            beside.texts.remove(ADDED);
        }
        Ok(beside)
    }

    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.model.is_null()
    }

    fn entries(&self, name: &'static str) -> Result<Option<Entries<'_>>, FilesError> {
        let entries = self.texts.get(name).map(|text| Entries::of(text));
        entries.transpose().map_err(|source| FilesError::Json {
            path: self.folder.join(name),
            expected: "an object of settings",
            source,
        })
    }

    /// The settings of all files, and the note about the class.
    fn settings(
        &self,
        own: &[(u64, Token)],
        normalizer: &Value,
        pre_tokenizer: &Value,
    ) -> Result<(Settings, Option<String>), FilesError> {
        let refused = |name: &str| {
            let path = self.folder.join(name);
            move |what| FilesError::Setting { path, what }
        };
        let mut settings = Settings::default();
        if let Some(entries) = self.entries(CONFIG)? {
            let taken = settings.config(&entries, pre_tokenizer);
            taken.map_err(refused(CONFIG))?;
        }
        if let Some(entries) = self.entries(SPECIAL)? {
            let taken = settings.special_tokens_map(&entries);
            taken.map_err(refused(SPECIAL))?;
        }
        if let Some(entries) = self.entries(ADDED)? {
            let taken = settings.added_tokens(&entries, own);
            taken.map_err(refused(ADDED))?;
        }
        let config = self.texts.get(CONFIG).map(Vec::as_slice);
        let config = config.and_then(|text| serde_json::from_slice(text).ok());
        let class = settings.class.as_deref();
        let noted = classes::note(
            class.or(self.model["tokenizer_class"].as_str()),
            self.model["model_type"].as_str(),
            &config.unwrap_or_default(),
            normalizer,
            pre_tokenizer,
        );
        Ok((settings, noted))
    }

    /// The file that lists tokens by id, or names them; for error messages.
    fn place(&self, settings: &Settings) -> PathBuf {
        let lists = [ADDED, SPECIAL]
            .into_iter()
            .find(|name| self.texts.contains_key(name));
        let name = lists.filter(|_| !settings.decoder).unwrap_or(CONFIG);
        self.folder.join(name)
    }
}

/// The added tokens of tokenizer.json, with their ids.
fn own_tokens(path: &Path, raw: Option<&RawValue>) -> Result<Vec<(u64, Token)>, FilesError> {
    let listed = value(raw);
    let tokens = listed.as_array().into_iter().flatten().map(|token| {
        let id = token["id"].as_u64().unwrap_or_default();
        Ok((id, Token::of(token, None)?))
    });
    let tokens: serde_json::Result<_> = tokens.collect();
    tokens.map_err(|source| FilesError::Json {
        path: path.to_owned(),
        expected: "added_tokens with their flags",
        source,
    })
}

fn value(raw: Option<&RawValue>) -> Value {
    let value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    value.unwrap_or_default()
}

/// The tokenizer of a tokenizer.json without the files beside it.
///
/// # Errors
/// If the file cannot be read, or the tokenizers crate refuses it.
pub(super) fn load_file(path: &Path) -> Result<Tokenizer, FilesError> {
    load(path, &read(path)?)
}

fn load(path: &Path, text: &[u8]) -> Result<Tokenizer, FilesError> {
    let refused = |source| FilesError::Tokenizer {
        path: path.to_owned(),
        source,
    };
    let entries = Entries::of(text).ok();
    let normalizer = entries.and_then(|entries| Some(value(Some(entries.get("normalizer")?))));
    growth::check_charsmaps(&normalizer.unwrap_or_default())
        .map_err(|error| refused(error.into()))?;
    let loaded = limits::limited_crate(text.len(), || Tokenizer::from_bytes(text));
    loaded.map_err(|TokenizerError(source)| refused(source))
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    rho_files::read_named(path).map_err(|source| FilesError::Read {
        path: path.to_owned(),
        source,
    })
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// SHA-256, in hexadecimal.
pub(super) fn fingerprint(text: &[u8]) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
