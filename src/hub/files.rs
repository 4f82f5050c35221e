//! Selects the files of a repository to download, and checks whether a commit's folder in the cache has them.
//! [`is_plain`] checks every name that comes from a server.
//!
//! Weights are `model.safetensors`, or the files that its index names; without these, the ONNX file that `score` would
//! use in a folder. `pytorch_model.bin` is never downloaded: reading it can execute code.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::Context as _;
use rho_files::InsidePath;
use rho_reference::source;
use serde_json::Value;

use super::{cache::Repository, id::Id};
use crate::hinted_error::HintedError;

/// The files beside the weights: configuration and tokenizer.
pub(super) const BESIDE: [&str; 8] = [
    CONFIG,
    // rho_checkpoint refuses a folder with this file.
    "adapter_config.json",
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];
pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Most bytes of an index; larger ones are refused. Those of the largest models have a few million.
const LARGEST_INDEX: u64 = 256 << 20;

/// What is needed from a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A model to score with, export or train.
    Model,
    /// config.json and the files beside it, without weights.
    #[cfg_attr(
        not(feature = "train"),
        expect(dead_code, reason = "only `train` starts from a configuration")
    )]
    Configuration,
    /// tokenizer.json and the files beside it, without weights.
    Tokenizer,
}

/// Which of the needed files a commit's folder in the cache has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CacheState {
    /// All that the repository has.
    Whole,
    /// Enough, but it is unknown whether the repository also has these files.
    Unsure(Vec<&'static str>),
    /// Not enough.
    Less,
}

/// The weights of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Weights {
    /// One file.
    Single,
    /// The files that the index names.
    Indexed,
    /// An ONNX file, and the files that may hold its tensors.
    Onnx(Vec<String>),
}

/// Whether a name stays inside the folder that it is joined to, on every system.
pub(super) fn is_plain(name: &str) -> bool {
    // Windows forbids more than the others.
    let is_part = |part: &str| {
        !part.ends_with(['.', ' '])
            && !part.contains(|c: char| c.is_control() || "\\:*?\"<>|".contains(c))
    };
    let inside = InsidePath::new(name);
    name.len() <= 1024 && inside.is_ok_and(|path| path.parts().all(is_part))
}

/// The files that an index names. Refuses names that would leave the folder.
pub(super) fn shards(index: &Path) -> anyhow::Result<Vec<String>> {
    let shown = index.display();
    let wrong = |expected: &str, got: String| {
        HintedError::error(
            format!("{shown}: expected {expected}, got {got}"),
            "use another repository: this one is broken or malicious, and nothing that it names is downloaded",
        )
    };
    let read = || format!("{shown}: cannot be read");
    let bytes = fs::metadata(index).with_context(read)?.len();
    if bytes > LARGEST_INDEX {
        return Err(wrong("an index of safetensors", format!("{bytes} bytes")));
    }
    let text = rho_files::read_named(index).with_context(read)?;
    let json: Value = serde_json::from_slice(&text)
        .map_err(|error| wrong("an index of safetensors", format!("invalid JSON ({error})")))?;
    let Some(placed) = json["weight_map"].as_object() else {
        return Err(wrong("a weight_map", "none".to_owned()));
    };
    let mut names = BTreeSet::new();
    for name in placed.values() {
        match name.as_str() {
            Some(name) if is_plain(name) && name.ends_with(".safetensors") => {
                names.insert(name.to_owned());
            }
            _ => {
                let shown: String = name.to_string().chars().take(100).collect();
                return Err(wrong("names of .safetensors files in its folder", shown));
            }
        }
    }
    match names.is_empty() {
        true => Err(wrong("names of files", "none".to_owned())),
        false => Ok(names.into_iter().collect()),
    }
}

/// The weights among the files of a repository; `shown` names it in errors.
pub(super) fn weights(id: &Id, shown: &str, names: &[String]) -> anyhow::Result<Weights> {
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(SINGLE) {
        return Ok(Weights::Single);
    }
    if has(INDEX) {
        return Ok(Weights::Indexed);
    }
    if let Some(files) = onnx(id, names)? {
        return Ok(Weights::Onnx(files));
    }
    let with = |ends: &[&str]| {
        names
            .iter()
            .find(|name| ends.iter().any(|end| name.ends_with(end)))
    };
    let (got, hint) = match (
        with(&[".safetensors"]),
        with(&[".bin", ".pt", ".pth"]),
        with(&[".gguf"]),
    ) {
        (Some(adapter), ..) if adapter.starts_with("adapter") => (
            format!("an adapter ({adapter})"),
            "merge it into its model with PEFT, and save that: model.merge_and_unload().save_pretrained(DIR)",
        ),
        (Some(other), ..) => (
            other.clone(),
            "name a repository with the files that Transformers saves",
        ),
        (None, Some(pickled), _) => (
            format!("{pickled}, which can execute code when it is read"),
            "look for a revision with safetensors (such as @refs/pr/1), or convert it in Python: \
             AutoModelForCausalLM.from_pretrained(NAME).save_pretrained(DIR), and name DIR",
        ),
        (None, None, Some(quantised)) => (
            quantised.clone(),
            "name the repository that it was converted from: rho-mask reads safetensors and ONNX",
        ),
        (None, None, None) => (
            "none".to_owned(),
            "name the repository of a language model, with weights in safetensors",
        ),
    };
    Err(HintedError::error(
        format!("{shown}: expected weights in {SINGLE}, or an index of them, got {got}"),
        hint,
    ))
}

/// The ONNX file that [`source::Source::find`] would use in a folder with these files, and the data files named after
/// it. None if there is no ONNX file.
fn onnx(id: &Id, names: &[String]) -> anyhow::Result<Option<Vec<String>>> {
    for folder in ["", "onnx/"] {
        let there: Vec<String> = names
            .iter()
            .filter_map(|name| name.strip_prefix(folder))
            .filter(|name| !name.contains('/') && is_plain(name))
            .map(str::to_owned)
            .collect();
        let place = Path::new(&id.name).join(folder);
        if let Some(model) = source::pick(&place, &there)? {
            // Exporters use the names model.onnx_data, model.onnx_data_1, model.onnx.data and model.data.
            let stem = model.trim_end_matches(".onnx").to_owned();
            let belongs = |name: &String| {
                let after = name.strip_prefix(&model).or(name.strip_prefix(&stem));
                let after = after.map(|after| after.trim_start_matches(['.', '_']));
                *name == model || after.is_some_and(|after| after.starts_with("data"))
            };
            let files = there.iter().filter(|name| belongs(name));
            return Ok(Some(files.map(|name| format!("{folder}{name}")).collect()));
        }
    }
    Ok(None)
}

/// Which of the needed files the cache has of a commit.
pub(super) fn held(repository: &Repository, commit: &str, need: Need) -> CacheState {
    let has = |name: &str| repository.has(commit, name);
    let mut unsure: Vec<&'static str> = BESIDE
        .into_iter()
        .filter(|name| !has(name) && !repository.is_absent(commit, name))
        .collect();
    let enough = match need {
        Need::Configuration => has(CONFIG),
        Need::Tokenizer => has(TOKENIZER),
        Need::Model if has(SINGLE) => has(CONFIG),
        Need::Model if has(INDEX) => {
            let shards = shards(&repository.snapshot(commit).join(INDEX));
            has(CONFIG) && shards.is_ok_and(|shards| shards.iter().all(|name| has(name)))
        }
        Need::Model => {
            let unknown = [SINGLE, INDEX]
                .into_iter()
                .filter(|name| !repository.is_absent(commit, name));
            unsure.extend(unknown);
            source::Source::find(&repository.snapshot(commit)).is_ok()
        }
    };
    match (enough, unsure.is_empty()) {
        (false, _) => CacheState::Less,
        (true, true) => CacheState::Whole,
        (true, false) => CacheState::Unsure(unsure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Id {
        Id::parse("a/b").unwrap()
    }

    fn named(names: &[&str]) -> anyhow::Result<Weights> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        weights(&id(), "a/b", &names)
    }

    fn onnx(names: &[&str]) -> Weights {
        Weights::Onnx(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn names_that_stay_in_the_folder() {
        for name in [
            "model.safetensors",
            "onnx/model.onnx",
            "model-00001-of-00002.safetensors",
        ] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            "/etc/x",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/",
            "..",
            "a\\..\\x",
            "C:x",
            "a\n",
            "a\0",
            "x.",
            &"a".repeat(2000),
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }

    #[test]
    fn safetensors_first_then_onnx() {
        let files = ["onnx/model.onnx", INDEX, SINGLE, "pytorch_model.bin"];
        assert_eq!(named(&files).unwrap(), Weights::Single);
        assert_eq!(
            named(&["onnx/model.onnx", INDEX]).unwrap(),
            Weights::Indexed
        );
        let files = [
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1",
            "onnx/model_q4.onnx",
            "onnx/model_q4.onnx_data",
            "onnx/deeper/model.onnx",
        ];
        let expected = [
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1",
        ];
        assert_eq!(named(&files).unwrap(), onnx(&expected));
        let files = ["m.onnx", "m.data", "m.onnx.data", "data", "m.txt"];
        assert_eq!(
            named(&files).unwrap(),
            onnx(&["m.onnx", "m.data", "m.onnx.data"])
        );
    }

    #[test]
    fn other_weights_are_refused_by_name() {
        for (names, expected) in [
            (&["pytorch_model.bin"][..], "got pytorch_model.bin"),
            (&["adapter_model.safetensors"], "got an adapter"),
            (
                &["consolidated.safetensors"],
                "got consolidated.safetensors",
            ),
            (&["m.Q4.gguf"], "got m.Q4.gguf"),
            (&["README.md"], "got none"),
        ] {
            let error = named(names).unwrap_err().to_string();
            assert!(
                error.starts_with("a/b: expected weights in") && error.contains(expected),
                "{error}"
            );
        }
        let error = named(&["onnx/a.onnx", "onnx/b.onnx"]).unwrap_err();
        assert!(error.to_string().contains("a/b/onnx"), "{error}");
    }

    #[test]
    fn an_index_names_files_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let index = folder.path().join(INDEX);
        let shards = |text: &str| {
            fs::write(&index, text).unwrap();
            shards(&index).map_err(|error| error.to_string())
        };
        let two = r#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#;
        assert_eq!(shards(two).unwrap(), ["m-1.safetensors", "m-2.safetensors"]);
        for (text, expected) in [
            (
                r#"{"weight_map": {"a": "../x.safetensors"}}"#,
                r#"got "../x.safetensors""#,
            ),
            (
                r#"{"weight_map": {"a": "/x.safetensors"}}"#,
                r#"got "/x.safetensors""#,
            ),
            (r#"{"weight_map": {"a": "x.bin"}}"#, r#"got "x.bin""#),
            (r#"{"weight_map": {"a": 1}}"#, "got 1"),
            (r#"{"weight_map": {}}"#, "got none"),
            ("{}", "expected a weight_map"),
            ("<html>", "got invalid JSON"),
        ] {
            let error = shards(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_absent_is_unsure() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), &id());
        let commit = "0".repeat(40);
        let held = |need| held(&repository, &commit, need);
        let snapshot = repository.snapshot(&commit);
        fs::create_dir_all(&snapshot).unwrap();
        assert_eq!(held(Need::Model), CacheState::Less);
        fs::write(snapshot.join(SINGLE), "").unwrap();
        assert_eq!(held(Need::Model), CacheState::Less);
        fs::write(snapshot.join(CONFIG), "").unwrap();
        assert_eq!(held(Need::Tokenizer), CacheState::Less);
        let unsure = || CacheState::Unsure(BESIDE[1..].to_vec());
        assert_eq!(held(Need::Model), unsure());
        assert_eq!(held(Need::Configuration), unsure());
        for name in &BESIDE[1..] {
            repository.note_absent(&commit, name).unwrap();
        }
        assert_eq!(held(Need::Model), CacheState::Whole);
        fs::remove_file(snapshot.join(SINGLE)).unwrap();
        fs::write(
            snapshot.join(INDEX),
            r#"{"weight_map": {"a": "1.safetensors"}}"#,
        )
        .unwrap();
        assert_eq!(held(Need::Model), CacheState::Less);
        fs::write(snapshot.join("1.safetensors"), "").unwrap();
        assert_eq!(held(Need::Model), CacheState::Whole);
        fs::remove_file(snapshot.join(INDEX)).unwrap();
        fs::write(snapshot.join("model.onnx"), "").unwrap();
        // config.json is empty here, not JSON.
        assert_eq!(held(Need::Model), CacheState::Less);
        fs::write(snapshot.join(CONFIG), "{}").unwrap();
        assert_eq!(held(Need::Model), CacheState::Unsure(vec![SINGLE, INDEX]));
    }
}
