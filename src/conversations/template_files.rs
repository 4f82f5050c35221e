//! Where the chat template of a model is: in chat_template.jinja and its folder additional_chat_templates, or in
//! tokenizer_config.json, as Transformers reads them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_files::read_named_text;
use serde_json::Value;

use crate::hinted_error::HintedError;

const FILE: &str = "chat_template.jinja";
const FOLDER: &str = "additional_chat_templates";
const CONFIG: &str = "tokenizer_config.json";

const HINT: &str = "name a Jinja file with --chat-template: such as the chat_template.jinja of the model that will be trained";

/// The templates of a model by their names; most have only `default`.
#[derive(Debug)]
pub(super) struct Templates {
    /// The file that has them, for error messages.
    pub(super) path: PathBuf,
    pub(super) sources: BTreeMap<String, String>,
}

impl Templates {
    /// Reads the file that is named, or the templates beside a tokenizer.
    ///
    /// # Errors
    /// If a file cannot be read, or there is no template.
    pub(super) fn read(named: Option<&Path>, folder: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = named {
            let source = read(path)?;
            return Ok(Self {
                path: path.to_owned(),
                sources: default(source),
            });
        }
        let Some(folder) = folder else {
            return Err(HintedError::error(
                "expected a chat template, got a tokenizer that is used without the files beside it",
                HINT,
            ));
        };
        let mut sources = BTreeMap::new();
        let path = folder.join(FILE);
        if path.is_file() {
            sources = default(read(&path)?);
        }
        let more = folder.join(FOLDER);
        if more.is_dir() {
            let entries = fs::read_dir(&more)
                .with_context(|| format!("{}: cannot be read", more.display()))?;
            for entry in entries {
                let entry = entry
                    .with_context(|| format!("{}: cannot be read", more.display()))?
                    .path();
                let name = entry.file_stem().and_then(|name| name.to_str());
                if entry
                    .extension()
                    .is_some_and(|extension| extension == "jinja")
                    && let Some(name) = name
                {
                    sources.insert(name.to_owned(), read(&entry)?);
                }
            }
        }
        if !sources.is_empty() {
            return Self { path, sources }.with_default();
        }
        let path = folder.join(CONFIG);
        let missing = || {
            let shown = folder.display();
            HintedError::error(
                format!("{shown}: expected a chat template in {FILE} or {CONFIG}, got none"),
                HINT,
            )
        };
        if !path.is_file() {
            return Err(missing());
        }
        let shown = path.display();
        let config: Value = serde_json::from_str(&read(&path)?)
            .with_context(|| format!("{shown}: expected an object of settings"))?;
        let sources = match &config["chat_template"] {
            Value::Null => return Err(missing()),
            Value::String(source) => default(source.clone()),
            Value::Array(list) => named_templates(list).with_context(|| {
                format!("{shown}: chat_template: expected a list of names and templates")
            })?,
            _ => {
                return Err(HintedError::error(
                    format!(
                        "{shown}: chat_template: expected a text, or a list of names and templates"
                    ),
                    HINT,
                ));
            }
        };
        Self { path, sources }.with_default()
    }

    fn with_default(self) -> anyhow::Result<Self> {
        if self.sources.contains_key("default") {
            return Ok(self);
        }
        let names: Vec<&str> = self.sources.keys().map(String::as_str).collect();
        let shown = self.path.display();
        Err(HintedError::error(
            format!(
                "{shown}: expected a chat template with the name \"default\", got {}",
                names.join(", ")
            ),
            HINT,
        ))
    }
}

fn default(source: String) -> BTreeMap<String, String> {
    BTreeMap::from([("default".to_owned(), source)])
}

fn named_templates(list: &[Value]) -> Option<BTreeMap<String, String>> {
    let one = |entry: &Value| {
        Some((
            entry["name"].as_str()?.to_owned(),
            entry["template"].as_str()?.to_owned(),
        ))
    };
    list.iter().map(one).collect()
}

fn read(path: &Path) -> anyhow::Result<String> {
    read_named_text(path).with_context(|| format!("{}: cannot be read", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let read = Templates::read(None, Some(folder.path()));
        read.map(|templates| templates.sources.into_iter().collect())
            .map_err(|error| error.to_string())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn the_file_goes_before_the_configuration() {
        let config = (CONFIG, r#"{"chat_template": "c"}"#);
        assert_eq!(sources(&[config]).unwrap(), pairs(&[("default", "c")]));
        assert_eq!(
            sources(&[config, (FILE, "f")]).unwrap(),
            pairs(&[("default", "f")])
        );
        let more = ("additional_chat_templates/tool_use.jinja", "t");
        assert_eq!(
            sources(&[config, (FILE, "f"), more]).unwrap(),
            pairs(&[("default", "f"), ("tool_use", "t")])
        );
        let list = (
            CONFIG,
            r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]}"#,
        );
        assert_eq!(
            sources(&[list]).unwrap(),
            pairs(&[("default", "d"), ("rag", "r")])
        );
    }

    #[test]
    fn what_has_no_template_is_refused() {
        for (files, said) in [
            (
                &[][..],
                "expected a chat template in chat_template.jinja or tokenizer_config.json, got none",
            ),
            (&[(CONFIG, "{}")], "got none"),
            (
                &[(CONFIG, r#"{"chat_template": 3}"#)],
                "chat_template: expected a text, or a list",
            ),
            (
                &[(CONFIG, r#"{"chat_template": [{"name": "a"}]}"#)],
                "expected a list of names and templates",
            ),
            (
                &[(
                    CONFIG,
                    r#"{"chat_template": [{"name": "rag", "template": ""}]}"#,
                )],
                "with the name \"default\", got rag",
            ),
            (
                &[("additional_chat_templates/rag.jinja", "")],
                "with the name \"default\", got rag",
            ),
        ] {
            let got = sources(files).unwrap_err();
            assert!(got.contains(said), "{got}");
        }
        assert!(Templates::read(None, None).is_err());
    }
}
