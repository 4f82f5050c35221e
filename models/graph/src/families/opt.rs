//! OPT (Zhang et al. 2022), the releases with norms before each branch: learned positions that start at 2.

use super::{
    Built,
    attention::{Heads, Rows},
    head,
    linear::Linear,
    mlp::Activation,
    norms::{Branch, Norm, Stream},
};
use crate::{
    ExportError, Settings,
    export::graph::{Graph, Value},
};

/// Rows of the position table before the first position.
const OFFSET: usize = 2;
/// PyTorch's default, for the configuration does not say.
const EPSILON: f32 = 1e-5;

struct Config {
    hidden: usize,
    inner: usize,
    layers: usize,
    positions: usize,
    vocabulary: usize,
    heads: Heads,
    activation: Activation,
    bias: bool,
}

fn attention(graph: &mut Graph<'_>, config: &Config, x: &Value) -> Result<Branch, ExportError> {
    let layer = |name| Linear::new(name, config.hidden, config.hidden).bias(config.bias);
    let queries = graph.linear(x, &layer("q_proj"))?;
    let keys = graph.linear(x, &layer("k_proj"))?;
    let values = graph.linear(x, &layer("v_proj"))?;
    let rows = graph.attend(&config.heads, Rows::Apart(queries, keys, values), None)?;
    graph.branch(&rows, &layer("out_proj"))
}

fn block(graph: &mut Graph<'_>, config: &Config, stream: &mut Stream) -> Result<(), ExportError> {
    let x = stream.norm(graph, Norm::layer("self_attn_layer_norm", EPSILON))?;
    let seen = graph.within("self_attn", |graph| attention(graph, config, &x))?;
    stream.add(graph, seen);
    let x = stream.norm(graph, Norm::layer("final_layer_norm", EPSILON))?;
    let layers = [
        Linear::new("fc1", config.hidden, config.inner).bias(config.bias),
        Linear::new("fc2", config.inner, config.hidden).bias(config.bias),
    ];
    let made = graph.plain(&x, config.activation, layers)?;
    stream.add(graph, made);
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    settings.must("do_layer_norm_before")?;
    settings.must("layer_norm_elementwise_affine")?;
    settings.must_not("_remove_final_layer_norm")?;
    let hidden = settings.size("hidden_size")?;
    if settings
        .size_if("word_embed_proj_dim")?
        .is_some_and(|width| width != hidden)
    {
        return Err(settings.refuse("word_embed_proj_dim", format!("{hidden}, as hidden_size")));
    }
    let heads = Heads::read(settings)?;
    let config = Config {
        hidden,
        inner: settings.size("ffn_dim")?,
        layers: settings.size("num_hidden_layers")?,
        positions: settings.size("max_position_embeddings")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        activation: Activation::read(settings, "activation_function", "relu")?,
        bias: settings.flag_or("enable_bias", true)?,
    };
    let vocabulary = config.vocabulary;
    let states = graph.within("model.decoder", |graph| {
        let ids = graph.input_ids();
        let tokens = graph.embedding("embed_tokens", &ids, vocabulary, hidden)?;
        let positions = graph.positions()?;
        let offset = graph.integers(&[OFFSET as i64], &[]);
        let kind = positions.kind();
        let positions = graph.node("Add", &[&positions, &offset], vec![], kind);
        let rows = config.positions + OFFSET;
        let places = graph.embedding("embed_positions", &positions, rows, hidden)?;
        let kind = tokens.kind();
        let mut stream = Stream::new(graph.node("Add", &[&tokens, &places], vec![], kind));
        for i in 0..config.layers {
            graph.within(&format!("layers.{i}"), |graph| {
                block(graph, &config, &mut stream)
            })?;
        }
        stream.norm(graph, Norm::layer("final_layer_norm", EPSILON))
    })?;
    let tied = settings.flag_or("tie_word_embeddings", true)?;
    let names = ["lm_head", "model.decoder.embed_tokens"];
    Ok(Built {
        hidden: states,
        head: head(graph, tied, names, [vocabulary, hidden])?,
        vocabulary,
        most_positions: None,
    })
}
