//! Mistral (Jiang et al. 2023): Llama's block without biases, with a sliding window in some releases.

use super::{
    Built,
    attention::{Heads, Rows},
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
    layers: usize,
    vocabulary: usize,
    heads: Heads,
    rotary: Rotary,
    activation: Activation,
    epsilon: f32,
}

fn attention(graph: &mut Graph<'_>, config: &Config, x: &Value) -> Result<Branch, ExportError> {
    let Config { heads, hidden, .. } = config;
    let layer = |name, count| Linear::new(name, *hidden, count * heads.width);
    let queries = graph.linear(x, &layer("q_proj", heads.queries))?;
    let keys = graph.linear(x, &layer("k_proj", heads.keys))?;
    let values = graph.linear(x, &layer("v_proj", heads.keys))?;
    let rows = graph.attend(
        heads,
        Rows::Apart(queries, keys, values),
        Some(&config.rotary),
    )?;
    let out = Linear::new("o_proj", heads.queries * heads.width, *hidden);
    graph.branch(&rows, &out)
}

fn block(graph: &mut Graph<'_>, config: &Config, stream: &mut Stream) -> Result<(), ExportError> {
    let norm = |name| Norm::rms(name, config.epsilon);
    let x = stream.norm(graph, norm("input_layernorm"))?;
    let seen = graph.within("self_attn", |graph| attention(graph, config, &x))?;
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
    let heads = Heads {
        window: settings.size_if("sliding_window")?,
        ..Heads::read(settings)?
    };
    let Scaled {
        rotary,
        most_positions,
    } = Rotary::read(settings, heads.width)?;
    let config = Config {
        hidden: settings.size("hidden_size")?,
        intermediate: settings.size("intermediate_size")?,
        layers: settings.size("num_hidden_layers")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        rotary,
        activation: Activation::read(settings, "hidden_act", "silu")?,
        epsilon: settings.number_or("rms_norm_eps", 1e-6)? as f32,
    };
    let [vocabulary, hidden] = [config.vocabulary, config.hidden];
    let states = graph.within("model", |graph| {
        let ids = graph.input_ids();
        let table = graph.embedding("embed_tokens", &ids, vocabulary, hidden)?;
        let mut stream = Stream::new(table);
        for i in 0..config.layers {
            graph.within(&format!("layers.{i}"), |graph| {
                block(graph, &config, &mut stream)
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
