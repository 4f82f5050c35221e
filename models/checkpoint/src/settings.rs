//! The settings of a `config.json`, typed and fully accounted for. Every name that is read is recorded;
//! [`Settings::must_be_accounted_for`] then refuses settings that were not read and are not known to have no effect.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Map, Value};

use crate::{CheckpointError, settings_without_effect, size_bounds::Bounds};

/// The settings of a checkpoint, or of a nested object.
#[derive(Debug, Clone)]
pub struct Settings {
    path: PathBuf,
    /// Prefix of full names: for a nested object its name and a dot.
    within: String,
    values: Map<String, Value>,
    /// Full names of the settings that were read, in all objects of the file.
    read: Arc<Mutex<BTreeSet<String>>>,
    /// Full names of the settings that are treated as absent.
    ignored: Arc<BTreeSet<String>>,
    /// Upper bounds of sizes.
    bounds: Bounds,
}

impl Settings {
    /// Reads the file. The settings in `ignored` (full names such as `rope_parameters.factor`) are treated as absent.
    ///
    /// # Errors
    /// When the file cannot be read, is too large or is not a JSON object.
    pub fn read(path: &Path, ignored: &[String]) -> Result<Self, CheckpointError> {
        let settings = Self {
            values: read_object(path)?,
            path: path.to_owned(),
            within: String::new(),
            read: Arc::default(),
            ignored: Arc::default(),
            bounds: Bounds::default(),
        };
        let there = ignored.iter().filter(|name| settings.has(name));
        Ok(Self {
            ignored: Arc::new(there.cloned().collect()),
            ..settings
        })
    }

    /// Settings from `values`, for a file at `path` that is not written yet.
    pub fn of(path: &Path, values: Map<String, Value>) -> Self {
        Self {
            path: path.to_owned(),
            within: String::new(),
            values,
            read: Arc::default(),
            ignored: Arc::default(),
            bounds: Bounds::default(),
        }
    }

    fn has(&self, full_name: &str) -> bool {
        let mut at = Some(&self.values);
        let mut parts = full_name.split('.').peekable();
        while let (Some(values), Some(part)) = (at, parts.next()) {
            let Some(value) = values.get(part) else {
                return false;
            };
            if parts.peek().is_none() {
                return true;
            }
            at = value.as_object();
        }
        false
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All settings, as in the file.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Full names of the ignored settings that exist in the file.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.ignored.iter().map(String::as_str)
    }

    /// A value, which may be `null`; recorded as read.
    fn value(&self, name: &str) -> Option<&Value> {
        let full = format!("{}{name}", self.within);
        if self.ignored.contains(&full) {
            return None;
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(full);
        self.values.get(name)
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.value(name).filter(|value| !value.is_null())
    }

    /// Whether the file has the setting, even as `null`: Transformers takes `null` as a value, and uses its default
    /// only for absent settings. Records the setting as read.
    pub fn says(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// An error about a setting: `expected`, and the value it has.
    pub fn refuse(&self, name: &str, expected: impl Into<String>) -> CheckpointError {
        CheckpointError::Setting {
            path: self.path.clone(),
            name: format!("{}{name}", self.within),
            expected: expected.into(),
            got: self
                .value(name)
                .map_or("nothing".to_owned(), |value| shortened(&value.to_string())),
        }
    }

    /// A positive whole number, within the bounds that the weights set.
    ///
    /// # Errors
    /// When it is absent, anything else or out of bounds.
    pub fn size(&self, name: &str) -> Result<usize, CheckpointError> {
        let number = self.get(name).and_then(Value::as_u64);
        // Sizes are multiplied with one another: within 32 bits nothing overflows.
        let number = number.filter(|n| (1..=u64::from(u32::MAX)).contains(n));
        let size = number
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| self.refuse(name, "a positive whole number"))?;
        self.within_bounds(name, size)?;
        Ok(size)
    }

    /// Refuses a size that is larger than the weights account for, before anything is allocated.
    pub(crate) fn within_bounds(&self, name: &str, size: usize) -> Result<(), CheckpointError> {
        match self.bounds.most(name) {
            Some(most) if size > most => Err(self.refuse(
                name,
                format!("at most {most}, which is what the weights hold"),
            )),
            _ => Ok(()),
        }
    }

    /// Sets the bounds of sizes.
    pub(crate) fn bounded(self, bounds: Bounds) -> Self {
        Self { bounds, ..self }
    }

    /// A positive whole number; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else or out of bounds.
    pub fn size_if(&self, name: &str) -> Result<Option<usize>, CheckpointError> {
        self.get(name).map(|_| self.size(name)).transpose()
    }

    /// A positive whole number; Transformers' `default` if absent.
    ///
    /// # Errors
    /// When it is `null`, anything else or out of bounds.
    pub fn size_or(&self, name: &str, default: usize) -> Result<usize, CheckpointError> {
        match self.says(name) {
            true => self.size(name),
            false => Ok(default),
        }
    }

    /// A positive whole number; `None` if `null`, Transformers' `default` if absent.
    ///
    /// # Errors
    /// When it is anything else or out of bounds.
    pub fn size_or_null(
        &self,
        name: &str,
        default: Option<usize>,
    ) -> Result<Option<usize>, CheckpointError> {
        match self.says(name) {
            true => self.size_if(name),
            false => Ok(default),
        }
    }

    /// A whole number, which may be 0; Transformers' `default` if absent.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn count_or(&self, name: &str, default: usize) -> Result<usize, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.refuse(name, "a whole number"))
    }

    /// A list of whole numbers; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn counts_if(&self, name: &str) -> Result<Option<Vec<usize>>, CheckpointError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let list = value.as_array().map(|list| {
            let numbers = list.iter().map(|n| usize::try_from(n.as_u64()?).ok());
            numbers.collect::<Option<Vec<usize>>>()
        });
        let list = list.flatten();
        Ok(Some(list.ok_or_else(|| {
            self.refuse(name, "a list of whole numbers")
        })?))
    }

    /// A number; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else, or overflows or underflows f32, in which models compute.
    pub fn number_if(&self, name: &str) -> Result<Option<f64>, CheckpointError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let number = value
            .as_f64()
            .ok_or_else(|| self.refuse(name, "a number"))?;
        match fits_single(number) {
            true => Ok(Some(number)),
            false => Err(self.refuse(name, "a number that f32 holds")),
        }
    }

    /// A number; Transformers' `default` if absent.
    ///
    /// # Errors
    /// When it is `null`, anything else, or overflows or underflows f32.
    pub fn number_or(&self, name: &str, default: f64) -> Result<f64, CheckpointError> {
        match (self.number_if(name)?, self.says(name)) {
            (Some(number), _) => Ok(number),
            (None, true) => Err(self.refuse(name, "a number")),
            (None, false) => Ok(default),
        }
    }

    /// The epsilon of a norm; Transformers' `default` if absent.
    ///
    /// # Errors
    /// As [`Settings::number_or`], or when it is negative.
    pub fn epsilon_or(&self, name: &str, default: f64) -> Result<f64, CheckpointError> {
        match self.number_or(name, default)? {
            number if number >= 0.0 => Ok(number),
            _ => Err(self.refuse(name, "a number that is not negative")),
        }
    }

    /// A number above zero; Transformers' `default` if absent.
    ///
    /// # Errors
    /// As [`Settings::number_or`], or when it is not above zero.
    pub fn positive_or(&self, name: &str, default: f64) -> Result<f64, CheckpointError> {
        match self.number_or(name, default)? {
            number if number > 0.0 => Ok(number),
            _ => Err(self.refuse(name, "a number above zero")),
        }
    }

    /// A number above zero.
    ///
    /// # Errors
    /// When it is absent, `null`, anything else, or overflows or underflows f32.
    pub fn positive(&self, name: &str) -> Result<f64, CheckpointError> {
        let number = self.number_if(name)?.filter(|&n| n > 0.0);
        number.ok_or_else(|| self.refuse(name, "a number above zero"))
    }

    /// A list of `length` numbers.
    ///
    /// # Errors
    /// When it is absent, anything else, of another length, or a number overflows or underflows f32.
    pub fn numbers(&self, name: &str, length: usize) -> Result<Vec<f64>, CheckpointError> {
        let list = self.get(name).and_then(Value::as_array);
        let list = list.map(|list| list.iter().filter_map(Value::as_f64).collect::<Vec<_>>());
        list.filter(|list| list.len() == length && list.iter().all(|&n| fits_single(n)))
            .ok_or_else(|| self.refuse(name, format!("a list of {length} numbers")))
    }

    /// `true` or `false`; Transformers' `default` if absent. `null` is false, as in Python.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn flag_or(&self, name: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.refuse(name, "true or false")),
        }
    }

    /// A string; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn text_if(&self, name: &str) -> Result<Option<&str>, CheckpointError> {
        let text = |value| Value::as_str(value).ok_or_else(|| self.refuse(name, "a string"));
        self.get(name).map(text).transpose()
    }

    /// A list of strings; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn texts_if(&self, name: &str) -> Result<Option<Vec<&str>>, CheckpointError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let list = value.as_array().map(|list| list.iter().map(Value::as_str));
        let texts: Option<Vec<&str>> = list.and_then(Iterator::collect);
        Ok(Some(
            texts.ok_or_else(|| self.refuse(name, "a list of strings"))?,
        ))
    }

    /// The names in a nested object whose values are not `null`; empty if there is no such object.
    pub fn names_in(&self, name: &str) -> Vec<&str> {
        let object = self.get(name).and_then(Value::as_object);
        let entries = object.into_iter().flatten();
        entries
            .filter(|(_, value)| !value.is_null())
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// A nested object; `None` if absent or `null`.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn inner_if(&self, name: &str) -> Result<Option<Self>, CheckpointError> {
        let inner = |value: &Value| match value {
            Value::Object(values) => Ok(Self {
                path: self.path.clone(),
                within: format!("{}{name}.", self.within),
                values: values.clone(),
                read: self.read.clone(),
                ignored: self.ignored.clone(),
                bounds: self.bounds,
            }),
            _ => Err(self.refuse(name, "an object")),
        };
        self.get(name).map(inner).transpose()
    }

    /// Checks a setting that must be false, `null` or absent, because nothing else is supported.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn must_not(&self, name: &str) -> Result<(), CheckpointError> {
        match self.flag_or(name, false)? {
            true => Err(self.refuse(name, "false: nothing else is supported")),
            false => Ok(()),
        }
    }

    /// Checks a setting that must be true or absent.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn must(&self, name: &str) -> Result<(), CheckpointError> {
        match self.flag_or(name, true)? {
            false => Err(self.refuse(name, "true: nothing else is supported")),
            true => Ok(()),
        }
    }

    /// Refuses settings that were not read and are not known to have no effect on scores.
    ///
    /// # Errors
    /// When there are such settings.
    pub fn must_be_accounted_for(&self, family: &'static str) -> Result<(), CheckpointError> {
        let mut names = Vec::new();
        self.unaccounted(&mut names);
        match names.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::UnknownSettings {
                path: self.path.clone(),
                family,
                names,
            }),
        }
    }

    /// As [`Settings::must_be_accounted_for`], without `text_config`, which is checked separately.
    pub(crate) fn must_be_accounted_for_here(&self) -> Result<(), CheckpointError> {
        let mut names = Vec::new();
        self.unaccounted(&mut names);
        names.retain(|name| !name.starts_with("text_config."));
        match names.is_empty() {
            true => Ok(()),
            false => Err(CheckpointError::UnknownSettings {
                path: self.path.clone(),
                family: "the model around the language model",
                names,
            }),
        }
    }

    /// Replaces a value.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    fn unaccounted(&self, names: &mut Vec<String>) {
        let read = {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.clone()
        };
        for (name, value) in &self.values {
            let full = format!("{}{name}", self.within);
            if self.ignored.contains(&full) || settings_without_effect::is(name, &full, value) {
                continue;
            }
            // If an object was opened, its settings are checked one by one.
            let inside = format!("{full}.");
            let opened = value.is_object() && read.iter().any(|name| name.starts_with(&inside));
            match opened {
                true => {
                    if let Ok(Some(inner)) = self.inner_if(name) {
                        inner.unaccounted(names);
                    }
                }
                false if read.contains(&full) => {}
                false => names.push(format!("{full} = {}", shortened(&value.to_string()))),
            }
        }
    }
}

/// The largest JSON file in bytes: the index of a model with a trillion parameters has a fifth of it.
const MOST_BYTES: u64 = 64 << 20;

/// The object in a JSON file.
pub(crate) fn read_object(path: &Path) -> Result<Map<String, Value>, CheckpointError> {
    let read = |source| CheckpointError::Read {
        path: path.to_owned(),
        source,
    };
    let file = rho_files::open_named(path).map_err(read)?;
    let mut text = Vec::new();
    // Reads at most one byte beyond the limit, which also stops files that grow or have no size.
    let bytes = file.take(MOST_BYTES + 1).read_to_end(&mut text);
    if bytes.map_err(read)? as u64 > MOST_BYTES {
        return Err(CheckpointError::JsonSize {
            path: path.to_owned(),
            most: MOST_BYTES,
        });
    }
    serde_json::from_slice(&text).map_err(|source| CheckpointError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Whether a number neither overflows nor underflows to zero in f32.
fn fits_single(number: f64) -> bool {
    let single = number as f32;
    single.is_finite() && (single != 0.0 || number == 0.0)
}

/// A value, truncated for messages.
fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} ...", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::of(
            Path::new("config.json"),
            serde_json::from_str(text).unwrap(),
        )
    }

    #[test]
    fn null_is_a_value_and_absence_is_the_default() {
        let said = settings(r#"{"a": null, "b": 7}"#);
        assert_eq!(said.size_or_null("a", Some(3)).unwrap(), None);
        assert_eq!(said.size_or_null("b", Some(3)).unwrap(), Some(7));
        assert_eq!(said.size_or_null("d", Some(3)).unwrap(), Some(3));
        assert!(!said.flag_or("a", true).unwrap());
        assert!(said.number_or("a", 1.0).is_err());
    }

    #[test]
    fn sizes_beyond_the_weights_are_refused_before_they_are_used() {
        let said = settings(
            r#"{"num_hidden_layers": 4000000000, "num_experts": 1000000000, "head_dim": 1000000000,
                "max_position_embeddings": 4000000000, "inner": {"hidden_size": 1000000000}}"#,
        );
        for name in ["num_hidden_layers", "num_experts", "head_dim"] {
            let error = said.size(name).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{name}: expected at most")),
                "{error}"
            );
        }
        // Nothing is allocated for a number of positions.
        assert!(said.size("max_position_embeddings").is_ok());
        let inner = said.inner_if("inner").unwrap().unwrap();
        assert!(inner.size("hidden_size").is_err());
    }

    #[test]
    fn numbers_have_to_be_ones_in_single_precision() {
        let said = settings(r#"{"a": 1e300, "b": 1e-300, "c": 0, "d": -1e-6, "e": [1.0, 1e-300]}"#);
        for name in ["a", "b"] {
            let error = said.number_if(name).unwrap_err().to_string();
            assert!(
                error.contains("expected a number that f32 holds"),
                "{error}"
            );
        }
        assert_eq!(said.number_if("c").unwrap(), Some(0.0));
        assert_eq!(said.epsilon_or("c", 1.0).unwrap(), 0.0);
        assert!(said.epsilon_or("d", 1.0).is_err());
        assert!(said.numbers("e", 2).is_err());
    }

    #[test]
    fn a_file_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(MOST_BYTES + 1).unwrap();
        let error = read_object(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::JsonSize { .. }), "{error}");
    }

    #[test]
    fn what_nobody_read_is_refused_by_name() {
        let text = r#"{"read": 1, "use_cache": true, "other": 2, "inner": {"read": 1, "own": 3}, "nothing": null}"#;
        let said = settings(text);
        said.size("read").unwrap();
        said.inner_if("inner")
            .unwrap()
            .unwrap()
            .size("read")
            .unwrap();
        let error = said.must_be_accounted_for("llama").unwrap_err().to_string();
        assert!(error.ends_with("got inner.own = 3, other = 2"), "{error}");
    }

    #[test]
    fn an_object_that_was_not_opened_is_refused_whole() {
        let said = settings(r#"{"inner": {"own": 3}}"#);
        let error = said.must_be_accounted_for("llama").unwrap_err().to_string();
        assert!(error.ends_with(r#"got inner = {"own":3}"#), "{error}");
    }
}
