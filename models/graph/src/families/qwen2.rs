//! Qwen2 and Qwen2.5 (Yang et al. 2024): biases on queries, keys and values; later layers may have a sliding window.

use super::{
    Built,
    attention::{Heads, Rows, windows},
    head,
    linear::Linear,
    mlp::Activation,
    norms::{Branch, Norm, Stream},
    rotary::{Rotary, Scaled},
};
use crate::{
    ExportError, Settings,
    export::graph::{Graph, Value},
};

struct Config {
    hidden: usize,
    intermediate: usize,
    vocabulary: usize,
    heads: Heads,
    /// Per layer.
    windows: Vec<Option<usize>>,
    rotary: Rotary,
    activation: Activation,
    epsilon: f32,
}

fn attention(
    graph: &mut Graph<'_>,
    config: &Config,
    window: Option<usize>,
    x: &Value,
) -> Result<Branch, ExportError> {
    let hidden = config.hidden;
    let heads = Heads {
        window,
        ..config.heads.clone()
    };
    let layer = |name, count| Linear::new(name, hidden, count * heads.width).bias(true);
    let queries = graph.linear(x, &layer("q_proj", heads.queries))?;
    let keys = graph.linear(x, &layer("k_proj", heads.keys))?;
    let values = graph.linear(x, &layer("v_proj", heads.keys))?;
    let rows = graph.attend(
        &heads,
        Rows::Apart(queries, keys, values),
        Some(&config.rotary),
    )?;
    graph.branch(
        &rows,
        &Linear::new("o_proj", heads.queries * heads.width, hidden),
    )
}

fn block(
    graph: &mut Graph<'_>,
    config: &Config,
    window: Option<usize>,
    stream: &mut Stream,
) -> Result<(), ExportError> {
    let norm = |name| Norm::rms(name, config.epsilon);
    let x = stream.norm(graph, norm("input_layernorm"))?;
    let seen = graph.within("self_attn", |graph| attention(graph, config, window, &x))?;
    stream.add(graph, seen);
    let x = stream.norm(graph, norm("post_attention_layernorm"))?;
    let layers = Linear::gated(config.hidden, config.intermediate);
    let made = graph.within("mlp", |graph| graph.gated(&x, config.activation, layers))?;
    stream.add(graph, made);
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    // Transformers' own default is no matter of course.
    settings.size("num_key_value_heads")?;
    let heads = Heads::read(settings)?;
    let Scaled {
        rotary,
        most_positions,
    } = Rotary::read(settings, heads.width)?;
    let layers = settings.size("num_hidden_layers")?;
    let config = Config {
        hidden: settings.size("hidden_size")?,
        intermediate: settings.size("intermediate_size")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        windows: windows_after(settings, layers)?,
        rotary,
        activation: Activation::read(settings, "hidden_act", "silu")?,
        epsilon: settings.number_or("rms_norm_eps", 1e-6)? as f32,
    };
    let [vocabulary, hidden] = [config.vocabulary, config.hidden];
    let states = graph.within("model", |graph| {
        let ids = graph.input_ids();
        let table = graph.embedding("embed_tokens", &ids, vocabulary, hidden)?;
        let mut stream = Stream::new(table);
        for (i, &window) in config.windows.iter().enumerate() {
            graph.within(&format!("layers.{i}"), |graph| {
                block(graph, &config, window, &mut stream)
            })?;
        }
        stream.norm(graph, Norm::rms("norm", config.epsilon))
    })?;
    let tied = settings.flag_or("tie_word_embeddings", false)?;
    let names = ["lm_head", "model.embed_tokens"];
    Ok(Built {
        hidden: states,
        head: head(graph, tied, names, [vocabulary, hidden])?,
        vocabulary,
        most_positions,
    })
}

/// Windows from layer `max_window_layers` on, where `use_sliding_window` says that there are any. Qwen3 does the same.
pub(super) fn windows_after(
    settings: &Settings,
    layers: usize,
) -> Result<Vec<Option<usize>>, ExportError> {
    let window = match settings.flag_or("use_sliding_window", false)? {
        true => settings.size_if("sliding_window")?,
        false => None,
    };
    let from = match window {
        Some(_) => settings.count_or("max_window_layers", 28)?,
        None => layers,
    };
    windows(settings, layers, window, |layer| layer >= from)
}
