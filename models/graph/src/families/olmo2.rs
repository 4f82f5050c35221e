//! OLMo 2 (OLMo et al. 2025): norms stand behind attention and feed-forward, not before them; queries and keys are
//! normalised over all heads together.

use super::{
    Built,
    attention::{Heads, Rows},
    head,
    linear::Linear,
    mlp::Activation,
    norms::{Norm, Stream},
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
    attention_bias: bool,
}

fn attention(graph: &mut Graph<'_>, config: &Config, x: &Value) -> Result<Value, ExportError> {
    let Config { heads, hidden, .. } = config;
    let layer =
        |name, count| Linear::new(name, *hidden, count * heads.width).bias(config.attention_bias);
    let queries = graph.linear(x, &layer("q_proj", heads.queries))?;
    let queries = graph.norm(&queries, Norm::rms("q_norm", config.epsilon))?;
    let keys = graph.linear(x, &layer("k_proj", heads.keys))?;
    let keys = graph.norm(&keys, Norm::rms("k_norm", config.epsilon))?;
    let values = graph.linear(x, &layer("v_proj", heads.keys))?;
    let rows = graph.attend(
        heads,
        Rows::Apart(queries, keys, values),
        Some(&config.rotary),
    )?;
    let out = Linear::new("o_proj", heads.queries * heads.width, *hidden);
    graph.linear(&rows, &out.bias(config.attention_bias))
}

fn block(graph: &mut Graph<'_>, config: &Config, stream: &mut Stream) -> Result<(), ExportError> {
    let norm = |name| Norm::rms(name, config.epsilon);
    let x = stream.settle(graph);
    let seen = graph.within("self_attn", |graph| attention(graph, config, &x))?;
    let seen = graph.norm(&seen, norm("post_attention_layernorm"))?;
    stream.add(graph, seen);
    let x = stream.settle(graph);
    let layers = Linear::gated(config.hidden, config.intermediate);
    let made = graph.within("mlp", |graph| graph.gated(&x, config.activation, layers))?;
    let made = graph.norm(&made.value, norm("post_feedforward_layernorm"))?;
    stream.add(graph, made);
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    let heads = Heads::read(settings)?;
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
        epsilon: settings.number_or("rms_norm_eps", 1e-5)? as f32,
        attention_bias: settings.flag_or("attention_bias", false)?,
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
