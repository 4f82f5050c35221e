//! The `config.json` of a Hugging Face checkpoint to what the model is made of. Takes the file, gives a [`Config`] or says
//! which value is not supported; knows no tensors.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{Result, TrainerError};

/// The families that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama, TinyLlama and whatever else says `llama`.
    Llama,
    /// Llama without a window.
    Mistral,
    /// Llama with biases on queries, keys and values.
    Qwen2,
    /// Llama with a norm on each head's queries and keys.
    Qwen3,
    /// Learned positions, LayerNorm and GELU.
    Gpt2,
}

/// A model's sizes and choices.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Its family.
    pub family: Family,
    /// Entries of the vocabulary, V.
    pub vocabulary: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width of the feed-forward layers.
    pub intermediate: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values; a divisor of `heads`.
    pub key_value_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Longest sequence.
    pub positions: usize,
    /// What norms add to the variance.
    pub norm_epsilon: f64,
    /// Base of the rotary embedding's wavelengths; none for learned positions.
    pub rotary_base: Option<f64>,
    /// Biases on queries, keys and values.
    pub query_bias: bool,
    /// Bias on attention's output.
    pub output_bias: bool,
    /// Biases in the feed-forward layers.
    pub mlp_bias: bool,
    /// Whether the head's weights are the embedding's.
    pub tied: bool,
    /// Standard deviation of fresh weights.
    pub initial_deviation: f64,
    /// The file itself, to write it again.
    pub json: serde_json::Map<String, Value>,
}

/// The fields that are read, under all names they go by.
#[derive(Deserialize)]
struct Fields {
    model_type: String,
    vocab_size: Option<usize>,
    #[serde(alias = "n_embd")]
    hidden_size: Option<usize>,
    #[serde(alias = "n_inner")]
    intermediate_size: Option<usize>,
    #[serde(alias = "n_layer")]
    num_hidden_layers: Option<usize>,
    #[serde(alias = "n_head")]
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(alias = "n_positions")]
    max_position_embeddings: Option<usize>,
    #[serde(alias = "layer_norm_epsilon")]
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    tie_word_embeddings: Option<bool>,
    initializer_range: Option<f64>,
    #[serde(alias = "activation_function")]
    hidden_act: Option<String>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    scale_attn_weights: Option<bool>,
    scale_attn_by_inverse_layer_idx: Option<bool>,
}

impl Config {
    /// Reads a `config.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| TrainerError::File {
            path: path.to_owned(),
            action: "read the model configuration",
            source,
        })?;
        let syntax = |source| TrainerError::ConfigSyntax {
            path: path.to_owned(),
            source,
        };
        let json = serde_json::from_slice(&bytes).map_err(syntax)?;
        let fields = serde_json::from_slice(&bytes).map_err(syntax)?;
        Self::from_fields(fields, json)
    }

    /// From the JSON object of a `config.json`.
    pub fn from_json(json: serde_json::Map<String, Value>) -> Result<Self> {
        let fields = serde_json::from_value(Value::Object(json.clone())).map_err(|source| {
            TrainerError::ConfigSyntax {
                path: "config.json".into(),
                source,
            }
        })?;
        Self::from_fields(fields, json)
    }

    fn from_fields(fields: Fields, json: serde_json::Map<String, Value>) -> Result<Self> {
        let family = family(&fields.model_type)?;
        let gpt2 = family == Family::Gpt2;
        refuse_unsupported(&fields, family)?;
        let hidden = needed(fields.hidden_size, "hidden_size")?;
        let heads = needed(fields.num_attention_heads, "num_attention_heads")?;
        let key_value_heads = fields.num_key_value_heads.unwrap_or(heads);
        if heads == 0 || key_value_heads == 0 || !heads.is_multiple_of(key_value_heads) {
            return Err(TrainerError::ConfigUnsupported {
                field: "num_key_value_heads",
                expected: format!("a divisor of {heads} heads"),
                got: key_value_heads.to_string(),
            });
        }
        let head_width = fields.head_dim.unwrap_or(hidden / heads);
        if head_width == 0
            || (!gpt2 && !head_width.is_multiple_of(2))
            || (gpt2 && head_width * heads != hidden)
        {
            return Err(TrainerError::ConfigUnsupported {
                field: "head_dim",
                expected: "an even width of each head (for GPT-2 all of hidden_size)".to_owned(),
                got: head_width.to_string(),
            });
        }
        let intermediate = match (fields.intermediate_size, gpt2) {
            (None, true) => 4 * hidden,
            (size, _) => needed(size, "intermediate_size")?,
        };
        Ok(Self {
            family,
            vocabulary: needed(fields.vocab_size, "vocab_size")?,
            hidden,
            intermediate,
            layers: needed(fields.num_hidden_layers, "num_hidden_layers")?,
            heads,
            key_value_heads: if gpt2 { heads } else { key_value_heads },
            head_width,
            positions: needed(fields.max_position_embeddings, "max_position_embeddings")?,
            norm_epsilon: fields
                .rms_norm_eps
                .unwrap_or(if gpt2 { 1e-5 } else { 1e-6 }),
            rotary_base: (!gpt2).then(|| rotary_base(&fields)),
            query_bias: match family {
                Family::Gpt2 | Family::Qwen2 => true,
                Family::Mistral => false,
                Family::Llama | Family::Qwen3 => fields.attention_bias.unwrap_or(false),
            },
            output_bias: match family {
                Family::Gpt2 => true,
                Family::Llama | Family::Qwen3 => fields.attention_bias.unwrap_or(false),
                Family::Mistral | Family::Qwen2 => false,
            },
            mlp_bias: gpt2 || (family == Family::Llama && fields.mlp_bias.unwrap_or(false)),
            tied: fields.tie_word_embeddings.unwrap_or(gpt2),
            initial_deviation: fields.initializer_range.unwrap_or(0.02),
            json,
        })
    }
}

fn family(model_type: &str) -> Result<Family> {
    match model_type {
        "llama" => Ok(Family::Llama),
        "mistral" => Ok(Family::Mistral),
        "qwen2" => Ok(Family::Qwen2),
        "qwen3" => Ok(Family::Qwen3),
        "gpt2" => Ok(Family::Gpt2),
        other => Err(TrainerError::ConfigUnsupported {
            field: "model_type",
            expected: "llama, mistral, qwen2, qwen3 or gpt2".to_owned(),
            got: other.to_owned(),
        }),
    }
}

fn needed(size: Option<usize>, field: &'static str) -> Result<usize> {
    match size {
        Some(0) => Err(TrainerError::ConfigUnsupported {
            field,
            expected: "at least 1".to_owned(),
            got: "0".to_owned(),
        }),
        Some(size) => Ok(size),
        None => Err(TrainerError::ConfigMissing { field }),
    }
}

/// Newer files keep it in `rope_parameters`.
fn rotary_base(fields: &Fields) -> f64 {
    let within = |value: &Option<Value>| value.as_ref()?.get("rope_theta")?.as_f64();
    fields
        .rope_theta
        .or_else(|| within(&fields.rope_parameters))
        .unwrap_or(10_000.0)
}

fn refuse_unsupported(fields: &Fields, family: Family) -> Result<()> {
    let refuse = |field, expected: &str, got: String| {
        Err(TrainerError::ConfigUnsupported {
            field,
            expected: expected.to_owned(),
            got,
        })
    };
    let gpt2 = family == Family::Gpt2;
    let (expected, default) = if gpt2 {
        ("gelu_new", "gelu_new")
    } else {
        ("silu", "silu")
    };
    let activation = fields.hidden_act.as_deref().unwrap_or(default);
    if activation != expected {
        return refuse("hidden_act", expected, activation.to_owned());
    }
    for (field, value) in [
        ("rope_scaling", &fields.rope_scaling),
        ("rope_parameters", &fields.rope_parameters),
    ] {
        let Some(value) = value else { continue };
        let kind = value.get("rope_type").or_else(|| value.get("type"));
        if !value.is_null() && kind.is_none_or(|kind| kind != "default") {
            return refuse(field, "null or of type \"default\"", value.to_string());
        }
    }
    // Qwen's files name a window even where it is not used.
    let window = match family {
        Family::Qwen2 | Family::Qwen3 => fields.use_sliding_window == Some(true),
        _ => fields.sliding_window.is_some(),
    };
    if window {
        let got = format!("{:?}", fields.sliding_window);
        return refuse(
            "sliding_window",
            "null: attention over everything before",
            got,
        );
    }
    if fields.scale_attn_weights == Some(false) {
        return refuse("scale_attn_weights", "true", "false".to_owned());
    }
    if fields.scale_attn_by_inverse_layer_idx == Some(true) {
        return refuse(
            "scale_attn_by_inverse_layer_idx",
            "false",
            "true".to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        Config::from_json(serde_json::from_str(text).unwrap())
    }

    const LLAMA: &str = r#"{"model_type":"llama","vocab_size":32,"hidden_size":8,"intermediate_size":16,
        "num_hidden_layers":2,"num_attention_heads":2,"max_position_embeddings":64"#;

    #[test]
    fn defaults_are_those_of_the_family() {
        let config = read(&format!("{LLAMA}}}")).unwrap();
        assert_eq!((config.key_value_heads, config.head_width), (2, 4));
        assert_eq!(
            (config.rotary_base, config.norm_epsilon),
            (Some(10_000.0), 1e-6)
        );
        assert!(!config.tied && !config.query_bias && !config.output_bias);
        let gpt2 = r#"{"model_type":"gpt2","vocab_size":32,"n_embd":8,"n_layer":1,"n_head":2,"n_positions":16}"#;
        let config = read(gpt2).unwrap();
        assert_eq!((config.intermediate, config.rotary_base), (32, None));
        assert!(config.tied && config.query_bias && config.output_bias && config.mlp_bias);
    }

    #[test]
    fn newer_files_name_the_base_elsewhere() {
        let text = format!(
            r#"{LLAMA},"rope_parameters":{{"rope_type":"default","rope_theta":500000.0}}}}"#
        );
        assert_eq!(read(&text).unwrap().rotary_base, Some(500_000.0));
    }

    #[test]
    fn what_is_not_built_is_refused() {
        for (field, extra) in [
            (
                "rope_scaling",
                r#""rope_scaling":{"rope_type":"llama3","factor":8.0}"#,
            ),
            ("hidden_act", r#""hidden_act":"gelu""#),
            ("sliding_window", r#""sliding_window":128"#),
            ("num_key_value_heads", r#""num_key_value_heads":3"#),
            ("head_dim", r#""head_dim":3"#),
        ] {
            let error = read(&format!("{LLAMA},{extra}}}")).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        let error = read(r#"{"model_type":"t5"}"#).unwrap_err().to_string();
        assert!(error.contains("got t5"), "{error}");
        let error = read(r#"{"model_type":"llama"}"#).unwrap_err().to_string();
        assert!(error.contains("hidden_size"), "{error}");
    }
}
