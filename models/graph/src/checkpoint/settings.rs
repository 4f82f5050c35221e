//! config.json, read setting by setting. Takes a name and a type, gives the value or an error that names all of file,
//! setting, expected and got. `null` is the same as absent, as it is for Transformers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::ExportError;

/// The settings of a checkpoint, or of one object inside them.
#[derive(Debug, Clone)]
pub struct Settings {
    path: PathBuf,
    /// Of an object inside: its name with a dot, for messages.
    within: String,
    values: Map<String, Value>,
}

impl Settings {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let text = std::fs::read(path).map_err(|source| ExportError::Read {
            path: path.to_owned(),
            source,
        })?;
        let values = serde_json::from_slice(&text).map_err(|source| ExportError::Json {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            within: String::new(),
            values,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it, to be written again.
    pub(crate) fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// An error about a setting.
    pub(crate) fn refuse(&self, name: &str, expected: impl Into<String>) -> ExportError {
        ExportError::Setting {
            path: self.path.clone(),
            name: format!("{}{name}", self.within),
            expected: expected.into(),
            got: self
                .get(name)
                .map_or("nothing".to_owned(), |value| value.to_string()),
        }
    }

    /// A positive whole number.
    pub(crate) fn size(&self, name: &str) -> Result<usize, ExportError> {
        let number = self.get(name).and_then(Value::as_u64);
        // Sizes are multiplied with one another: within 32 bits nothing overflows.
        let number = number.filter(|n| (1..=u64::from(u32::MAX)).contains(n));
        number
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.refuse(name, "a positive whole number"))
    }

    /// A positive whole number, where it is said.
    pub(crate) fn size_if(&self, name: &str) -> Result<Option<usize>, ExportError> {
        self.get(name).map(|_| self.size(name)).transpose()
    }

    /// A whole number, 0 among them, or what Transformers takes where it is not said.
    pub(crate) fn count_or(&self, name: &str, default: usize) -> Result<usize, ExportError> {
        let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let read = |value| count(value).ok_or_else(|| self.refuse(name, "a whole number"));
        self.get(name).map_or(Ok(default), read)
    }

    /// A finite number, where it is said.
    pub(crate) fn number_if(&self, name: &str) -> Result<Option<f64>, ExportError> {
        let number = |value: &Value| value.as_f64().filter(|n| n.is_finite());
        self.get(name)
            .map(|value| number(value).ok_or_else(|| self.refuse(name, "a number")))
            .transpose()
    }

    /// A finite number, or what Transformers takes where it is not said.
    pub(crate) fn number_or(&self, name: &str, default: f64) -> Result<f64, ExportError> {
        Ok(self.number_if(name)?.unwrap_or(default))
    }

    /// A finite number above zero.
    pub(crate) fn positive(&self, name: &str) -> Result<f64, ExportError> {
        let number = self.number_if(name)?.filter(|&n| n > 0.0);
        number.ok_or_else(|| self.refuse(name, "a number above zero"))
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, name: &str, length: usize) -> Result<Vec<f64>, ExportError> {
        let list = self.get(name).and_then(Value::as_array);
        let list = list.map(|list| list.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        list.filter(|list| list.len() == length && list.iter().all(|n| n.is_finite()))
            .ok_or_else(|| self.refuse(name, format!("a list of {length} numbers")))
    }

    /// true or false, or what Transformers takes where it is not said.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> Result<bool, ExportError> {
        let flag = |value: &Value| {
            value
                .as_bool()
                .ok_or_else(|| self.refuse(name, "true or false"))
        };
        self.get(name).map_or(Ok(default), flag)
    }

    /// A text, where it is said.
    pub(crate) fn text_if(&self, name: &str) -> Result<Option<&str>, ExportError> {
        let text = |value| Value::as_str(value).ok_or_else(|| self.refuse(name, "a text"));
        self.get(name).map(text).transpose()
    }

    /// A list of texts, where it is said.
    pub(crate) fn texts_if(&self, name: &str) -> Result<Option<Vec<&str>>, ExportError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let list = value.as_array().map(|list| list.iter().map(Value::as_str));
        let texts: Option<Vec<&str>> = list.and_then(Iterator::collect);
        Ok(Some(
            texts.ok_or_else(|| self.refuse(name, "a list of texts"))?,
        ))
    }

    /// An object inside, where it is said.
    pub(crate) fn inner_if(&self, name: &str) -> Result<Option<Self>, ExportError> {
        let inner = |value: &Value| match value {
            Value::Object(values) => Ok(Self {
                path: self.path.clone(),
                within: format!("{}{name}.", self.within),
                values: values.clone(),
            }),
            _ => Err(self.refuse(name, "an object")),
        };
        self.get(name).map(inner).transpose()
    }

    /// A setting that has to be false, or not said: what it would change is not built.
    pub(crate) fn must_not(&self, name: &str) -> Result<(), ExportError> {
        match self.flag_or(name, false)? {
            true => Err(self.refuse(name, "false: nothing else is supported")),
            false => Ok(()),
        }
    }

    /// A setting that has to be true, or not said.
    pub(crate) fn must(&self, name: &str) -> Result<(), ExportError> {
        match self.flag_or(name, true)? {
            false => Err(self.refuse(name, "true: nothing else is supported")),
            true => Ok(()),
        }
    }

    /// A setting that has to be absent.
    pub(crate) fn must_be_absent(&self, name: &str, why: &str) -> Result<(), ExportError> {
        match self.get(name) {
            Some(_) => Err(self.refuse(name, format!("nothing: {why}"))),
            None => Ok(()),
        }
    }
}
