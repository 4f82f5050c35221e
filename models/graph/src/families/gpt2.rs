//! GPT-2 (Radford et al. 2019): learned positions, matrices stored as `[inputs, outputs]`, queries, keys and values in
//! one of them.

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

struct Config {
    hidden: usize,
    inner: usize,
    layers: usize,
    positions: usize,
    vocabulary: usize,
    heads: Heads,
    activation: Activation,
    epsilon: f32,
    scaled_by_layer: bool,
}

/// `Conv1D`, as GPT-2 calls it.
fn layer(name: &str, inputs: usize, outputs: usize) -> Linear<'_> {
    Linear {
        inputs_first: true,
        ..Linear::new(name, inputs, outputs).bias(true)
    }
}

fn attention(
    graph: &mut Graph<'_>,
    config: &Config,
    number: usize,
    x: &Value,
) -> Result<Branch, ExportError> {
    let hidden = config.hidden;
    let mut heads = config.heads.clone();
    if config.scaled_by_layer {
        heads.scale /= (number + 1) as f64;
    }
    let all = graph.linear(x, &layer("c_attn", hidden, 3 * hidden))?;
    let rows = graph.attend(&heads, Rows::Together(all), None)?;
    graph.branch(&rows, &layer("c_proj", hidden, hidden))
}

fn block(
    graph: &mut Graph<'_>,
    config: &Config,
    number: usize,
    stream: &mut Stream,
) -> Result<(), ExportError> {
    let norm = |name| Norm::layer(name, config.epsilon);
    let x = stream.norm(graph, norm("ln_1"))?;
    let seen = graph.within("attn", |graph| attention(graph, config, number, &x))?;
    stream.add(graph, seen);
    let x = stream.norm(graph, norm("ln_2"))?;
    let [hidden, inner] = [config.hidden, config.inner];
    let layers = [layer("c_fc", hidden, inner), layer("c_proj", inner, hidden)];
    let made = graph.within("mlp", |graph| graph.plain(&x, config.activation, layers))?;
    stream.add(graph, made);
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    settings.must_not("reorder_and_upcast_attn")?;
    let hidden = settings.size("n_embd")?;
    let count = settings.size("n_head")?;
    if !hidden.is_multiple_of(count) {
        return Err(settings.refuse("n_head", format!("a divisor of n_embd, {hidden}")));
    }
    let mut heads = Heads::new(count, count, hidden / count);
    if !settings.flag_or("scale_attn_weights", true)? {
        heads.scale = 1.0;
    }
    let config = Config {
        hidden,
        inner: settings.size_if("n_inner")?.unwrap_or(4 * hidden),
        layers: settings.size("n_layer")?,
        positions: settings.size("n_positions")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        activation: Activation::read(settings, "activation_function", "gelu_new")?,
        epsilon: settings.number_or("layer_norm_epsilon", 1e-5)? as f32,
        scaled_by_layer: settings.flag_or("scale_attn_by_inverse_layer_idx", false)?,
    };
    let vocabulary = config.vocabulary;
    let states = graph.within("transformer", |graph| {
        let ids = graph.input_ids();
        let tokens = graph.embedding("wte", &ids, vocabulary, hidden)?;
        let positions = graph.positions()?;
        let places = graph.embedding("wpe", &positions, config.positions, hidden)?;
        let kind = tokens.kind();
        let mut stream = Stream::new(graph.node("Add", &[&tokens, &places], vec![], kind));
        for i in 0..config.layers {
            graph.within(&format!("h.{i}"), |graph| {
                block(graph, &config, i, &mut stream)
            })?;
        }
        stream.norm(graph, Norm::layer("ln_f", config.epsilon))
    })?;
    let tied = settings.flag_or("tie_word_embeddings", true)?;
    let names = ["lm_head", "transformer.wte"];
    Ok(Built {
        hidden: states,
        head: head(graph, tied, names, [vocabulary, hidden])?,
        vocabulary,
        most_positions: None,
    })
}
