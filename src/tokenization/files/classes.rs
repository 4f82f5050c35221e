//! The class that Transformers 5 uses for a tokenizer, and the parts of tokenizer.json that this class replaces.
//!
//! Model-specific classes build their own normalizer and pre-tokenizer, and use only vocabulary, merges and
//! post-processor of tokenizer.json; `TokenizersBackend` uses all of it. This program always uses all of it, because
//! the model was trained with it; a note reports where the class differs.

use serde_json::{Value, json};

/// Families whose tokenizers Transformers 5.16 opens with `TokenizersBackend`, whatever class the files name.
const BACKEND: &[&str] = &[
    "ernie4_5",
    "glm",
    "glm4",
    "gpt_bigcode",
    "granite",
    "ministral",
    "ministral3",
    "mistral",
    "mistral3",
    "mixtral",
    "nemotron",
    "olmo2",
    "olmo3",
    "phi3",
    "stablelm",
];

/// Families with a model-specific class. A class that the files name takes precedence, except for Qwen 2.
const CLASSES: &[(&str, &str)] = &[
    ("cohere", "CohereTokenizer"),
    ("cohere2", "CohereTokenizer"),
    ("gemma", "GemmaTokenizer"),
    ("gemma2", "GemmaTokenizer"),
    ("gemma3", "GemmaTokenizer"),
    ("gemma3_text", "GemmaTokenizer"),
    ("gpt2", "GPT2Tokenizer"),
    ("gpt_neox", "GPTNeoXTokenizer"),
    ("gptj", "GPT2Tokenizer"),
    ("olmo", "GPTNeoXTokenizer"),
    ("olmoe", "GPTNeoXTokenizer"),
    ("opt", "GPT2Tokenizer"),
    ("phi", "GPT2Tokenizer"),
    ("qwen2", "Qwen2Tokenizer"),
    ("qwen2_moe", "Qwen2Tokenizer"),
    ("qwen3", "Qwen2Tokenizer"),
    ("qwen3_5", "Qwen3_5Tokenizer"),
    ("qwen3_moe", "Qwen2Tokenizer"),
    ("starcoder2", "GPT2Tokenizer"),
];

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN3_5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The class that Transformers 5.16 uses, if it is one of the classes here; none for `TokenizersBackend` and other
/// classes that do not build their own parts.
fn class(named: Option<&str>, family: Option<&str>) -> Option<&'static str> {
    let plain = |class: &str| class.strip_suffix("Fast").unwrap_or(class).to_owned();
    let family = family.unwrap_or_default();
    let own = CLASSES.iter().find(|(name, _)| *name == family);
    let own = own.map(|(_, class)| *class);
    let class = match (named, own) {
        (Some(_), Some(own)) if family == "qwen2" => own.to_owned(),
        (Some(_), _) if BACKEND.contains(&family) => return None,
        (Some(named), _) => plain(named),
        (None, own) => own?.to_owned(),
    };
    let known = CLASSES.iter().map(|(_, class)| *class);
    known
        .chain(["LlamaTokenizer", "CodeLlamaTokenizer", "CodeGenTokenizer"])
        .find(|known| *known == class)
}

/// The normalizer and the pre-tokenizer that a class builds.
fn parts(class: &str, config: &Value) -> Option<(Value, Value)> {
    let space = |otherwise| config["add_prefix_space"].as_bool().unwrap_or(otherwise);
    let bytes = |regex: bool| json!({"type": "ByteLevel", "add_prefix_space": space(false), "use_regex": regex});
    let split = |pattern| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            bytes(false),
        ]})
    };
    let nfc = json!({"type": "NFC"});
    Some(match class {
        "LlamaTokenizer" | "CodeLlamaTokenizer" => {
            let scheme = match (space(true), config["legacy"].as_bool().unwrap_or(false)) {
                (false, _) => "never",
                (true, true) => "always",
                (true, false) => "first",
            };
            let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": false});
            (Value::Null, metaspace)
        }
        "GemmaTokenizer" => (
            json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"}),
            json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false}),
        ),
        "Qwen2Tokenizer" => (nfc, split(QWEN2)),
        "Qwen3_5Tokenizer" => (nfc, split(QWEN3_5)),
        "GPT2Tokenizer" | "CodeGenTokenizer" => (Value::Null, bytes(true)),
        "GPTNeoXTokenizer" => (nfc, bytes(true)),
        "CohereTokenizer" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            (
                nfc,
                json!({"type": "Sequence", "pretokenizers": [digits, bytes(true)]}),
            )
        }
        _ => return None,
    })
}

/// A part in the form in which it is compared: without settings that affect only offsets, and with lists of one
/// unwrapped.
fn plain(part: &Value) -> Value {
    match part {
        Value::Object(map) => {
            for list in ["normalizers", "pretokenizers"] {
                match map.get(list).and_then(Value::as_array).map(Vec::as_slice) {
                    Some([]) => return Value::Null,
                    Some([one]) => return plain(one),
                    _ => {}
                }
            }
            let kept = map.iter().filter(|(key, _)| *key != "trim_offsets");
            kept.map(|(key, value)| (key.clone(), plain(value)))
                .collect()
        }
        Value::Array(parts) => parts.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// The note for a class that builds other parts than tokenizer.json has.
///
/// `named` and `family` are `tokenizer_class` and `model_type`; `config` is tokenizer_config.json.
pub(super) fn note(
    named: Option<&str>,
    family: Option<&str>,
    config: &Value,
    normalizer: &Value,
    pre_tokenizer: &Value,
) -> Option<String> {
    let class = class(named, family)?;
    let (its_normalizer, its_pre_tokenizer) = parts(class, config)?;
    let differ: Vec<&str> = [
        ("normalizer", normalizer, &its_normalizer),
        ("pre-tokenizer", pre_tokenizer, &its_pre_tokenizer),
    ]
    .into_iter()
    .filter(|(_, ours, theirs)| plain(ours) != plain(theirs))
    .map(|(name, ..)| name)
    .collect();
    (!differ.is_empty()).then(|| {
        format!(
            "uses the {} of tokenizer.json; Transformers 5 uses its {class} instead, and may split texts differently",
            differ.join(" and the ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // for named, family in [...]:  # folders with tokenizer.json, tokenizer_config.json and config.json, Transformers 5.16.1
    //     print(type(AutoTokenizer.from_pretrained(folder)).__name__)
    #[test]
    fn the_class_is_that_of_transformers() {
        for (named, family, expected) in [
            (None, None, None),
            (None, Some("llama"), None),
            (
                Some("LlamaTokenizerFast"),
                Some("llama"),
                Some("LlamaTokenizer"),
            ),
            (Some("LlamaTokenizer"), Some("mistral"), None),
            (Some("PreTrainedTokenizerFast"), Some("llama"), None),
            (Some("PreTrainedTokenizerFast"), Some("gpt2"), None),
            (None, Some("gpt2"), Some("GPT2Tokenizer")),
            (
                Some("LlamaTokenizer"),
                Some("qwen2"),
                Some("Qwen2Tokenizer"),
            ),
            (
                Some("Qwen2TokenizerFast"),
                Some("qwen3"),
                Some("Qwen2Tokenizer"),
            ),
            (Some("LlamaTokenizer"), Some("phi3"), None),
        ] {
            assert_eq!(class(named, family), expected, "{named:?} {family:?}");
        }
    }

    #[test]
    fn only_parts_that_differ_are_noted() {
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let of = |config: &Value| note(Some("GPT2Tokenizer"), None, config, &Value::Null, &bytes);
        assert_eq!(of(&json!({"add_prefix_space": false})), None);
        let noted = of(&json!({"add_prefix_space": true})).unwrap();
        assert!(
            noted.contains("uses the pre-tokenizer of tokenizer.json"),
            "{noted}"
        );
        let prepend = json!({"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u{2581}"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"},
        ]});
        let noted = note(
            Some("LlamaTokenizer"),
            Some("llama"),
            &json!({}),
            &prepend,
            &Value::Null,
        );
        assert!(
            noted
                .unwrap()
                .contains("uses the normalizer and the pre-tokenizer of")
        );
    }
}
