//! Converts a decoder description into the sizes that the trainer needs, or names the part that the trainer does not
//! support. [`rho_checkpoint`] interprets `config.json`. Reads no tensors.

use std::path::Path;

use rho_checkpoint::{
    Decoder, Settings,
    decoder::{
        Activation, Attention, FeedForward, Layer, Mixer, Norm, NormKind, NormOver, Projections,
    },
    families,
};
use serde_json::{Map, Value};

use crate::{Result, TrainerError};

/// A model's sizes and options.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The decoder description, with the names of its tensors.
    pub decoder: Decoder,
    /// vocab_size, V.
    pub vocabulary: usize,
    /// hidden_size.
    pub hidden: usize,
    /// intermediate_size of the feed-forward layers.
    pub intermediate: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// kv_heads; a divisor of `heads`.
    pub key_value_heads: usize,
    /// head_dim.
    pub head_width: usize,
    /// Longest sequence length.
    pub positions: usize,
    /// Epsilon that norms add to the variance.
    pub norm_epsilon: f64,
    /// rope_theta, the base of the rotary embedding; `None` for learned positions.
    pub rotary_base: Option<f64>,
    /// Whether the head shares the embedding's weights.
    pub tied: bool,
    /// Standard deviation of fresh weights.
    pub initial_deviation: f64,
    /// The contents of the file, to write it again.
    pub json: Map<String, Value>,
}

impl Config {
    /// Reads the `config.json` of a model that has no weights yet.
    ///
    /// # Errors
    /// If the file cannot be read or understood, or the trainer does not support a part of the model.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of_settings(&Settings::read(path, &[])?)
    }

    /// From the JSON object of a `config.json`.
    ///
    /// # Errors
    /// If it is not understood, or the trainer does not support a part of the model.
    pub fn from_json(json: Map<String, Value>) -> Result<Self> {
        Self::of_settings(&Settings::of(Path::new("config.json"), json))
    }

    fn of_settings(settings: &Settings) -> Result<Self> {
        Self::new(
            families::describe(settings, None)?,
            settings.values().clone(),
        )
    }

    /// From a decoder description and the contents of its `config.json`.
    ///
    /// # Errors
    /// If the trainer does not support a part of the model (silently training something else would be worse), or the
    /// longest sequence length is unknown.
    pub fn new(decoder: Decoder, json: Map<String, Value>) -> Result<Self> {
        let unsupported = Unsupported(decoder.family);
        let Some(first) = decoder.layers.first() else {
            return unsupported.part("no layers");
        };
        let attention = attention(first, &unsupported)?.clone();
        for layer in &decoder.layers {
            unsupported.check_layer(layer, &attention, &decoder.norm)?;
        }
        unsupported.check_ends(&decoder)?;
        let learned = decoder.embedding.positions.as_ref();
        let positions = match learned {
            Some(table) => table.rows,
            None => {
                let said = json.get("max_position_embeddings").and_then(Value::as_u64);
                let said = said
                    .and_then(|n| usize::try_from(n).ok())
                    .filter(|&n| n > 0);
                said.ok_or(TrainerError::ConfigMissing {
                    field: "max_position_embeddings",
                })?
            }
        };
        let intermediate = match &first.mlp {
            FeedForward::Gated { gate, .. } => gate.outputs,
            FeedForward::Plain { first, .. } => first.outputs,
            FeedForward::Mixture(_) => return unsupported.part("experts"),
        };
        let deviation = json.get("initializer_range").and_then(Value::as_f64);
        Ok(Self {
            vocabulary: decoder.vocabulary,
            hidden: decoder.hidden,
            intermediate,
            layers: decoder.layers.len(),
            heads: attention.queries,
            key_value_heads: attention.keys,
            head_width: attention.width,
            positions,
            norm_epsilon: decoder.norm.epsilon,
            rotary_base: attention.rotation.as_ref().map(|rotation| rotation.theta),
            tied: decoder.head.tied,
            initial_deviation: deviation.unwrap_or(0.02),
            json,
            decoder,
        })
    }
}

fn attention<'l>(layer: &'l Layer, unsupported: &Unsupported) -> Result<&'l Attention> {
    match &layer.mixer {
        Mixer::Attention(attention) => Ok(attention),
        Mixer::Delta(_) => unsupported.part("a gated delta rule"),
    }
}

/// Refuses unsupported parts of a family by name.
struct Unsupported(&'static str);

impl Unsupported {
    fn part<T>(&self, part: &str) -> Result<T> {
        Err(TrainerError::NotTrainable {
            family: self.0,
            part: part.to_owned(),
        })
    }

    fn check(&self, has: bool, part: &str) -> Result<()> {
        match has {
            true => self.part(part),
            false => Ok(()),
        }
    }

    /// Checks that a layer equals the first one, and has pre-norms and sequential attention and feed-forward.
    fn check_layer(&self, layer: &Layer, first: &Attention, last: &Norm) -> Result<()> {
        let attention = attention(layer, self)?;
        self.check_attention(attention)?;
        self.check(attention != first, "layers that differ")?;
        let after = [&layer.mixer_after, &layer.mlp_after];
        self.check(
            after.iter().any(|norm| norm.is_some()),
            "norms after attention or feed-forward",
        )?;
        self.check(layer.side_by_side, "parallel attention and feed-forward")?;
        self.check(layer.residual != 1.0, "a residual multiplier")?;
        self.check(layer.residual_of_norm, "residuals taken after the norm")?;
        let (Some(before), Some(between)) = (&layer.mixer_norm, &layer.mlp_norm) else {
            return self.part("layers without pre-norms");
        };
        for norm in [before, between, last] {
            let plain = norm.weight && norm.offset == 0.0 && norm.epsilon == last.epsilon;
            self.check(!plain, "norms with an offset, no weights or other epsilons")?;
            let biased = norm.kind == NormKind::Layer;
            self.check(
                norm.bias != biased || norm.kind != last.kind,
                "norms of mixed kinds or unusual biases",
            )?;
        }
        match (&layer.mlp, last.kind) {
            (
                FeedForward::Gated {
                    activation: Activation::Silu,
                    gate,
                    up,
                    down,
                    ..
                },
                NormKind::Rms,
            ) => {
                let parts = [gate, up, down];
                let biases = parts.map(|linear| linear.bias.is_some());
                self.check(
                    biases != [biases[0]; 3],
                    "biases on some feed-forward projections only",
                )?;
                self.check(
                    parts.iter().any(|l| !l.rows.is_empty() || l.inputs_first),
                    "gate and up in one tensor",
                )
            }
            (
                FeedForward::Plain {
                    activation: Activation::GeluTanh,
                    first,
                    second,
                    ..
                },
                NormKind::Layer,
            ) => {
                let plain = first.inputs_first
                    && second.inputs_first
                    && first.bias.is_some()
                    && second.bias.is_some();
                self.check(!plain, "a feed-forward layer unlike GPT-2's")
            }
            (FeedForward::Mixture(_), _) => self.part("experts"),
            (FeedForward::Gated { activation, .. } | FeedForward::Plain { activation, .. }, _) => {
                self.part(&format!("the activation {activation:?} with its norms"))
            }
        }
    }

    fn check_attention(&self, attention: &Attention) -> Result<()> {
        self.check(attention.window.is_some(), "a sliding window")?;
        self.check(attention.cap.is_some(), "a soft cap on attention scores")?;
        self.check(attention.slopes.is_some(), "ALiBi")?;
        self.check(attention.sinks.is_some(), "attention sinks")?;
        self.check(attention.clip.is_some(), "clipped queries, keys and values")?;
        self.check(attention.gate.is_some(), "gated attention")?;
        self.check(
            attention.position_scale.is_some(),
            "queries scaled by position",
        )?;
        let usual = 1.0 / (attention.width as f64).sqrt();
        self.check(
            attention.scale != usual,
            "an attention scale other than 1/sqrt(head_dim)",
        )?;
        if let Some(norms) = &attention.norms {
            let plain = |norm: &Norm| {
                norm.kind == NormKind::Rms && norm.weight && !norm.bias && norm.offset == 0.0
            };
            let by_head = norms.over == NormOver::Head
                && !norms.after_rotation
                && norms.order.is_empty()
                && plain(&norms.queries)
                && plain(&norms.keys);
            self.check(!by_head, "QK norms other than a plain RMS norm per head")?;
        }
        match &attention.rows {
            Projections::Apart {
                queries,
                keys,
                values,
            } => {
                let reordered = [queries, keys, values].iter().any(|l| !l.rows.is_empty());
                self.check(reordered, "interleaved RoPE")?;
                let Some(rotation) = &attention.rotation else {
                    return self.part("layers without RoPE");
                };
                self.check(rotation.width != attention.width, "partial RoPE")?;
                self.check(!rotation.is_plain(), "scaled RoPE")
            }
            Projections::Together(all) => {
                let gpt2 = all.inputs_first && all.rows.is_empty() && all.bias.is_some();
                self.check(!gpt2, "a QKV projection unlike GPT-2's")?;
                self.check(attention.rotation.is_some(), "RoPE after a QKV projection")?;
                self.check(attention.norms.is_some(), "QK norms after a QKV projection")?;
                self.check(
                    attention.queries != attention.keys,
                    "fewer kv_heads in a QKV projection",
                )
            }
        }
    }

    fn check_ends(&self, decoder: &Decoder) -> Result<()> {
        let (embedding, head) = (&decoder.embedding, &decoder.head);
        self.check(embedding.scale != 1.0, "a multiplier on the embedding")?;
        self.check(embedding.norm.is_some(), "a norm after the embedding")?;
        let turned = decoder
            .attentions()
            .any(|attention| attention.rotation.is_some());
        self.check(
            embedding.positions.is_some() == turned,
            "both or none of learned positions and RoPE",
        )?;
        let first = embedding.positions.as_ref().map_or(0, |table| table.first);
        self.check(first != 0, "an offset of positions")?;
        self.check(head.bias, "a bias on the head")?;
        self.check(head.scale != 1.0, "a multiplier on the logits")?;
        self.check(head.cap.is_some(), "a soft cap on the logits")
    }
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
        assert!(!config.tied);
        let gpt2 = r#"{"model_type":"gpt2","vocab_size":32,"n_embd":8,"n_layer":1,"n_head":2,"n_positions":16}"#;
        let config = read(gpt2).unwrap();
        assert_eq!((config.intermediate, config.rotary_base), (32, None));
        assert!(config.tied);
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
        let yarn = r#""rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0}"#;
        for (part, extra) in [
            ("scaled RoPE", yarn),
            ("the activation Gelu", r#""hidden_act":"gelu""#),
            ("sliding_window = 128", r#""sliding_window":128"#),
            ("num_key_value_heads", r#""num_key_value_heads":3"#),
            ("an even number", r#""head_dim":3"#),
        ] {
            let error = read(&format!("{LLAMA},{extra}}}")).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let mistral = LLAMA.replace("llama", "mistral");
        let text = format!(r#"{mistral},"num_key_value_heads":2}}"#);
        let error = read(&text).unwrap_err().to_string();
        // Transformers' default for Mistral is a window of 4,096.
        assert!(error.contains("mistral with a sliding window"), "{error}");
        let error = read(r#"{"model_type":"t5"}"#).unwrap_err().to_string();
        assert!(error.contains("got t5"), "{error}");
        let error = read(r#"{"model_type":"llama"}"#).unwrap_err().to_string();
        assert!(error.contains("hidden_size"), "{error}");
    }
}
