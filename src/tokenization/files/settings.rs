//! The files beside tokenizer.json: the settings of tokenizer_config.json, and the lists of tokens that older versions
//! of Transformers wrote.
//!
//! Follows `TokenizersBackend` of Transformers 5, which reads special_tokens_map.json and added_tokens.json only if
//! tokenizer_config.json has no `added_tokens_decoder`. A key that could change ids is read, or refused by name. A key
//! that is known to change none is in [`WITHOUT_EFFECT`]. Any other key is refused.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, value::RawValue};

use super::{
    entries::Entries,
    tokens::{Named, Token, Wanted},
};

/// The named special tokens of Transformers, in its order.
const ATTRIBUTES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Keys of tokenizer_config.json that change no token id if tokenizer.json exists.
const WITHOUT_EFFECT: &[&str] = &[
    // Paths and origins of files, and how they were requested.
    "_commit_hash",
    "added_tokens_file",
    "backend",
    "cache_dir",
    "device_map",
    "files_loaded",
    "force_download",
    "from_slow",
    "is_local",
    "local_files_only",
    "merges_file",
    "name_or_path",
    "processor_class",
    "revision",
    "special_tokens_map_file",
    "spm_file",
    "subfolder",
    "token",
    "tokenizer_file",
    "tokenizer_type",
    "torch_dtype",
    "transformers_version",
    "trust_remote_code",
    "use_auth_token",
    "use_fast",
    "verbose",
    "vocab_file",
    // Truncation and padding, which a caller must request; documents are scored whole.
    "max_len",
    "max_length",
    "model_input_names",
    "model_max_length",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "padding",
    "padding_side",
    "return_attention_mask",
    "return_tensors",
    "return_token_type_ids",
    "stride",
    "truncation",
    "truncation_side",
    "truncation_strategy",
    // Decoding ids to text.
    "clean_up_tokenization_spaces",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
    "errors",
    "skip_special_tokens",
    "spaces_between_special_tokens",
    // Conversations; texts are scored unchanged.
    "chat_template",
    "default_chat_template",
    "response_schema",
    "response_template",
    "use_default_system_prompt",
    // Ids of special tokens, which follow from their texts.
    "bos_token_id",
    "cls_token_id",
    "eos_token_id",
    "mask_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    // Only for tokenizers that are built without tokenizer.json, which already contains their effect. `classes` handles
    // the classes for which Transformers 5 still uses them.
    "add_dummy_prefix_space",
    "add_prefix_space",
    "do_basic_tokenize",
    "do_lower_case",
    "extra_ids",
    "keep_accents",
    "legacy",
    "legacy_behaviour",
    "never_split",
    "normalization",
    "remove_space",
    "sp_model_kwargs",
    "strip_accents",
    "tokenize_chinese_chars",
    "trim_offsets",
    "vocab_size",
    // Image sizes, for the processors of multimodal models.
    "image_size",
    "patch_size",
];

/// The pattern with which `fix_mistral_regex` replaces a wrong one.
const MISTRAL: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The settings of the files, before duplicate tokens are merged.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// `tokenizer_class`.
    pub(super) class: Option<String>,
    /// Whether `added_tokens_decoder` exists, so that the older lists are not read.
    pub(super) decoder: bool,
    /// Tokens listed by id.
    listed: Vec<(u64, Token)>,
    /// The tokens of [`ATTRIBUTES`].
    named: Vec<(String, Named)>,
    /// The names of those that are objects in tokenizer_config.json.
    objects: Vec<String>,
    /// Other `*_token` keys with flags, or from special_tokens_map.json.
    marked: Vec<(String, Named)>,
    /// Other `*_token` keys that are texts, and the tokens of objects of tokens.
    explicit: Vec<(String, Named)>,
    /// `extra_special_tokens`.
    extra: Option<Vec<Named>>,
    /// `additional_special_tokens` of special_tokens_map.json.
    additional: Option<Vec<Named>>,
}

/// The error message of a refused setting: its name, what was expected, what was found.
type Refused = String;

impl Settings {
    /// Reads the entries of tokenizer_config.json.
    pub(super) fn config(
        &mut self,
        entries: &Entries<'_>,
        pre_tokenizer: &Value,
    ) -> Result<(), Refused> {
        let (mut objects, mut specific) = (Vec::new(), Vec::new());
        for (key, raw) in &entries.0 {
            let value = of(raw);
            match key.as_str() {
                "added_tokens_decoder" => self.decoder(raw)?,
                _ if value.is_null() => {}
                "tokenizer_class" => match value {
                    Value::String(class) => self.class = Some(class),
                    other => return Err(unfit(key, "a name", &other)),
                },
                "additional_special_tokens" if entries.get("extra_special_tokens").is_some() => {}
                "extra_special_tokens" | "additional_special_tokens" => match value {
                    Value::Object(_) => objects = tokens_of(key, raw)?,
                    value => self.extra = Some(list(key, &value)?),
                },
                "model_specific_special_tokens" => specific = tokens_of(key, raw)?,
                "split_special_tokens" if value == Value::Bool(false) => {}
                "fix_mistral_regex"
                    if value == Value::Bool(false) || holds(pre_tokenizer, MISTRAL) => {}
                "fast_tokenizer_files" if value == serde_json::json!(["tokenizer.json"]) => {}
                "init_inputs" if value == serde_json::json!([]) => {}
                "auto_map" if !of_own_code(&value) => {}
                "auto_map" => {
                    let what = "custom code for the tokenizer";
                    return Err(format!(
                        "{key}: expected a tokenizer of Transformers, got {what}: {value}"
                    ));
                }
                // Transformers 5 ignores these if tokenizer.json exists: its post-processor takes precedence.
                "add_bos_token" | "add_eos_token" => {}
                attribute if ATTRIBUTES.contains(&attribute) => match token(&value) {
                    Some(token) => {
                        if matches!(token, Named::Token(_)) {
                            self.objects.push(key.clone());
                        }
                        self.named.push((key.clone(), token));
                    }
                    None => return Err(unfit(key, "a text or an AddedToken", &value)),
                },
                other if other.ends_with("_token") && (value.is_string() || value.is_object()) => {
                    match token(&value) {
                        Some(text @ Named::Text(_)) => self.explicit.push((key.clone(), text)),
                        Some(marked) => self.marked.push((key.clone(), marked)),
                        None => return Err(unfit(key, "a text or an AddedToken", &value)),
                    }
                }
                known if WITHOUT_EFFECT.contains(&known) => {}
                _ => {
                    let shown = shown(&value);
                    return Err(format!(
                        "expected settings whose effect on token ids is known, got {key}: {shown}"
                    ));
                }
            }
        }
        for (name, token) in objects {
            put(&mut self.explicit, &name, token);
        }
        if self.explicit.is_empty() {
            self.explicit = specific;
        }
        Ok(())
    }

    /// Reads `added_tokens_decoder`: an object of ids and tokens.
    fn decoder(&mut self, raw: &RawValue) -> Result<(), Refused> {
        let key = "added_tokens_decoder";
        let entries = Entries::of(raw.get().as_bytes())
            .map_err(|error| format!("{key}: expected tokens by their ids: {error}"))?;
        for (id, raw) in &entries.0 {
            let number = id
                .parse()
                .map_err(|_| format!("{key}: expected ids, got {id:?}"))?;
            let token = Token::of(&of(raw), None).map_err(|error| {
                format!("{key}: expected a token with its flags for {id}: {error}")
            })?;
            self.listed.push((number, token));
        }
        self.decoder = true;
        Ok(())
    }

    /// Reads the entries of special_tokens_map.json, which take precedence over those of tokenizer_config.json.
    pub(super) fn special_tokens_map(&mut self, entries: &Entries<'_>) -> Result<(), Refused> {
        for (key, raw) in &entries.0 {
            let value = of(raw);
            let named = match &value {
                Value::Object(_) => Token::of(&value, Some(true)).ok().map(Named::Token),
                value => token(value),
            };
            match (key.as_str(), named) {
                ("extra_special_tokens", _) => match value {
                    Value::Object(_) => {
                        for (name, token) in tokens_of(key, raw)? {
                            put(&mut self.explicit, &name, token);
                        }
                    }
                    Value::Null => self.extra = None,
                    value => {
                        let mut all = self.extra.take().unwrap_or_default();
                        for token in list(key, &value)? {
                            if !all.contains(&token) {
                                all.push(token);
                            }
                        }
                        self.extra = Some(all);
                    }
                },
                ("additional_special_tokens", _) if value.is_null() => {}
                ("additional_special_tokens", _) => {
                    self.additional = Some(list(key, &value)?);
                }
                (other, _) if value.is_null() => self.named.retain(|(name, _)| name != other),
                (other, Some(token)) if ATTRIBUTES.contains(&other) => {
                    self.objects.retain(|name| name != other);
                    put(&mut self.named, other, token);
                }
                (other, Some(token)) if other.ends_with("_token") => {
                    put(&mut self.marked, other, token);
                }
                _ => return Err(unfit(key, "a special token", &value)),
            }
        }
        Ok(())
    }

    /// Reads added_tokens.json: the ids of texts. `own` are the tokens of tokenizer.json.
    pub(super) fn added_tokens(
        &mut self,
        entries: &Entries<'_>,
        own: &[(u64, Token)],
    ) -> Result<(), Refused> {
        // Here Transformers treats neither objects nor additional tokens as special.
        let named = self.named.iter();
        let named = named.filter(|(name, _)| !self.objects.contains(name));
        let extra = self.extra.iter().flatten();
        let extra = extra.filter(|token| matches!(token, Named::Text(_)));
        let special: HashSet<&str> = named
            .map(|(_, token)| token)
            .chain(extra)
            .map(Named::content)
            .collect();
        let mut contents: HashMap<u64, &str> = HashMap::new();
        let of_file: HashSet<u64> = own.iter().map(|(id, _)| *id).collect();
        contents.extend(own.iter().map(|(id, token)| (*id, token.content.as_str())));
        for (content, raw) in &entries.0 {
            let value = of(raw);
            let id = value
                .as_u64()
                .ok_or_else(|| unfit(content, "an id", &value))?;
            let other = *contents.entry(id).or_insert(content);
            if other != content {
                return Err(format!(
                    "expected one token for each id, got {other:?} and {content:?} for {id}"
                ));
            }
            // If an id is in both, tokenizer.json takes precedence.
            if !of_file.contains(&id) {
                let token = Token::plain(content, special.contains(content.as_str()));
                self.listed.push((id, token));
            }
        }
        Ok(())
    }

    /// The special tokens with a name, which chat templates have as variables: those of [`ATTRIBUTES`], then those of the
    /// model.
    pub(super) fn named_tokens(&self) -> Vec<(String, String)> {
        let mut specific = self.marked.clone();
        for (name, token) in &self.explicit {
            put(&mut specific, name, token.clone());
        }
        let all = self.named.iter().chain(&specific);
        all.map(|(name, token)| (name.clone(), token.content().to_owned()))
            .collect()
    }

    /// The tokens to add, given these added tokens of tokenizer.json.
    pub(super) fn wanted(mut self, own: &[(u64, Token)]) -> Wanted {
        self.listed.sort_by_key(|(id, _)| *id);
        let listed = self.listed.iter().map(|(_, token)| token);
        let of_file = own.iter().map(|(_, token)| token).filter(|_| !self.decoder);
        // A named token is the listed one with the same text; of several, the last.
        let flagged: HashMap<&str, &Token> = listed
            .chain(of_file)
            .map(|token| (token.content.as_str(), token))
            .collect();
        let attribute = |name: &&str| {
            let (_, named) = self.named.iter().find(|(other, _)| other == name)?;
            let flagged = flagged.get(named.content());
            Some(flagged.map_or_else(|| named.clone(), |&token| Named::Token(token.clone())))
        };
        let mut named: Vec<Named> = ATTRIBUTES.iter().filter_map(attribute).collect();
        let mut specific = self.marked;
        for (name, token) in self.explicit {
            put(&mut specific, &name, token);
        }
        named.extend(specific.into_iter().map(|(_, token)| token));
        Wanted {
            named,
            extra: self.extra.or(self.additional).unwrap_or_default(),
            listed: self.listed,
        }
    }
}

/// Parses a raw value; the values of entries are always valid.
fn of(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// A token that is a text, or an object marked as an `AddedToken`.
fn token(value: &Value) -> Option<Named> {
    match value {
        Value::String(text) => Some(Named::Text(text.clone())),
        Value::Object(object) if object.get("__type")? == "AddedToken" => {
            Token::of(value, None).ok().map(Named::Token)
        }
        _ => None,
    }
}

/// A list of tokens.
fn list(key: &str, value: &Value) -> Result<Vec<Named>, Refused> {
    let tokens = value
        .as_array()
        .ok_or_else(|| unfit(key, "a list of tokens", value))?;
    let tokens = tokens.iter().map(|value| {
        token(value)
            .ok_or_else(|| unfit(key, "texts or AddedTokens, as Transformers 5 does", value))
    });
    tokens.collect()
}

/// An object of tokens, in file order.
fn tokens_of(key: &str, raw: &RawValue) -> Result<Vec<(String, Named)>, Refused> {
    let entries = Entries::of(raw.get().as_bytes())
        .map_err(|error| format!("{key}: expected tokens by their names: {error}"))?;
    let tokens = entries.0.iter().map(|(name, raw)| {
        let value = of(raw);
        let token = token(&value).ok_or_else(|| unfit(key, "texts or AddedTokens", &value))?;
        Ok((name.clone(), token))
    });
    tokens.collect()
}

fn put(all: &mut Vec<(String, Named)>, name: &str, token: Named) {
    match all.iter_mut().find(|(other, _)| other == name) {
        Some((_, other)) => *other = token,
        None => all.push((name.to_owned(), token)),
    }
}

/// Whether `auto_map` names a class for the tokenizer.
fn of_own_code(value: &Value) -> bool {
    let named = match value {
        Value::Object(map) => map.get("AutoTokenizer").unwrap_or(&Value::Null),
        list => list,
    };
    match named {
        Value::Array(names) => names.iter().any(|name| !name.is_null()),
        name => !name.is_null(),
    }
}

/// Whether a value contains a text, at any depth.
fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(string) => string == text,
        Value::Array(values) => values.iter().any(|value| holds(value, text)),
        Value::Object(map) => map.values().any(|value| holds(value, text)),
        _ => false,
    }
}

fn unfit(key: &str, expected: &str, got: &Value) -> Refused {
    format!("{key}: expected {expected}, got {}", shown(got))
}

/// A value, shortened.
fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
