//! GPT-OSS (OpenAI 2025): experts with biases and a clamped gate, attention sinks, sliding windows in every other
//! layer.

use super::common::{Defaults, LLAMA, windows};
use super::mixtral;
use crate::{
    CheckpointError, Decoder, Settings, Stored, Weights,
    decoder::{Expert, FeedForward, Glu, Linear, Mixture, Routing},
    rope::Names,
};

pub(super) fn describe(
    settings: &Settings,
    weights: Option<&Weights>,
) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' defaults are not what most models have.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    if settings.names_in("rope_parameters").is_empty()
        && settings.names_in("rope_scaling").is_empty()
    {
        return Err(settings.refuse("rope_parameters", "an object"));
    }
    let defaults = Defaults {
        epsilon: 1e-5,
        activation_name: "-",
        ..LLAMA
    };
    let names = Names {
        theta: 150_000.0,
        ..Names::default()
    };
    // The experts have their own activation, whatever the setting says.
    settings.says("hidden_act");
    let limit = settings.positive_or("swiglu_limit", 7.0)?;
    if limit != 7.0 {
        return Err(settings.refuse("swiglu_limit", "7: Transformers supports no other"));
    }
    let mut decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let window = settings.size_or_null("sliding_window", Some(128))?;
    let windows = windows(settings, decoder.layers.len(), window, |i| i % 2 == 0)?;
    let count = match settings.size_if("num_local_experts")? {
        Some(count) => count,
        None => settings.size("num_experts")?,
    };
    settings.size_if("num_experts")?;
    settings.size_if("experts_per_token")?;
    let top = mixtral::chosen(settings, count)?;
    let [hidden, inner] = [decoder.hidden, decoder.inner()];
    for (i, layer) in decoder.layers.iter_mut().enumerate() {
        let stored = |name: &str| {
            let full = format!("model.layers.{i}.mlp.experts.{name}");
            weights.and_then(|weights| weights.find_tensor(&full))
        };
        // In 4 bits, outputs come first.
        let inputs_first = |name: &str| !stored(name).is_some_and(Stored::is_quantised);
        let expert = |i| expert(i, count, [hidden, inner], &inputs_first);
        layer.mlp = FeedForward::Mixture(Box::new(Mixture {
            scope: "mlp",
            router: Linear::new("router", hidden, count).with_bias(true),
            routing: Routing::TopFirst,
            top,
            experts: (0..count).map(expert).collect(),
            glu: Glu::Clamped {
                alpha: 1.702,
                limit,
            },
        }));
    }
    for attention in decoder.attentions_mut() {
        attention.sinks = Some("sinks".to_owned());
    }
    let bias = settings.flag_or("attention_bias", true)?;
    Ok(decoder.attention_bias(bias, bias).windowed(windows))
}

/// Stored as `[experts, inputs, outputs]` or `[experts, outputs, inputs]`, with rows of gate and up alternating.
fn expert(
    i: usize,
    count: usize,
    [hidden, inner]: [usize; 2],
    inputs_first: &dyn Fn(&str) -> bool,
) -> Expert {
    let of_all = |name: &str, inputs, outputs| {
        Linear {
            weights: format!("experts.{name}"),
            inputs_first: inputs_first(name),
            expert: Some((i, count)),
            part: format!(".{i}"),
            ..Linear::new("", inputs, outputs)
        }
        .with_bias(true)
    };
    let every_other = |part: &str, from: usize| {
        let rows = (from..2 * inner).step_by(2).collect();
        of_all("gate_up_proj", hidden, 2 * inner).take(rows, &format!(".{i}.{part}"))
    };
    Expert {
        gate: every_other("gate", 0),
        up: every_other("up", 1),
        down: of_all("down_proj", inner, hidden),
    }
}
