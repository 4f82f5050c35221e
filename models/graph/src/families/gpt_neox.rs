//! GPT-NeoX and Pythia (Black et al. 2022; Biderman et al. 2023): a part of each head is turned, attention and
//! feed-forward may stand side by side; queries, keys and values lie head by head in one matrix.

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
    attention_bias: bool,
    side_by_side: bool,
}

fn attention(graph: &mut Graph<'_>, config: &Config, x: &Value) -> Result<Branch, ExportError> {
    let Config { heads, hidden, .. } = config;
    // Stored as query, key, value of the first head, then of the second: all queries come first here.
    let first = |part: usize, head: usize| (3 * head + part) * heads.width;
    let parts = (0..3).flat_map(|part| (0..heads.queries).map(move |head| (part, head)));
    let firsts = parts.map(|(part, head)| first(part, head));
    let all = Linear {
        rows: firsts.flat_map(|row| row..row + heads.width).collect(),
        ..Linear::new("query_key_value", *hidden, 3 * hidden)
    };
    let all = graph.linear(x, &all.bias(config.attention_bias))?;
    let rows = graph.attend(heads, Rows::Together(all), Some(&config.rotary))?;
    let out = Linear::new("dense", *hidden, *hidden);
    graph.branch(&rows, &out.bias(config.attention_bias))
}

fn mlp(graph: &mut Graph<'_>, config: &Config, x: &Value) -> Result<Branch, ExportError> {
    let [hidden, intermediate] = [config.hidden, config.intermediate];
    let layers = [
        Linear::new("dense_h_to_4h", hidden, intermediate).bias(true),
        Linear::new("dense_4h_to_h", intermediate, hidden).bias(true),
    ];
    graph.within("mlp", |graph| graph.plain(x, config.activation, layers))
}

fn block(graph: &mut Graph<'_>, config: &Config, stream: &mut Stream) -> Result<(), ExportError> {
    let norm = |name| Norm::layer(name, config.epsilon);
    let x = stream.norm(graph, norm("input_layernorm"))?;
    let before = stream.settle(graph);
    let seen = graph.within("attention", |graph| attention(graph, config, &x))?;
    if config.side_by_side {
        let x = graph.norm(&before, norm("post_attention_layernorm"))?;
        let made = mlp(graph, config, &x)?.whole(graph);
        // Attention's bias is left to the next norm.
        let kind = made.kind();
        let both = Branch {
            value: graph.node("Add", &[&made, &seen.value], vec![], kind),
            bias: seen.bias,
        };
        stream.add(graph, both);
    } else {
        stream.add(graph, seen);
        let x = stream.norm(graph, norm("post_attention_layernorm"))?;
        let made = mlp(graph, config, &x)?;
        stream.add(graph, made);
    }
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    let heads = Heads::read(settings)?;
    let hidden = settings.size("hidden_size")?;
    if heads.queries != heads.keys || heads.queries * heads.width != hidden {
        return Err(settings.refuse(
            "num_key_value_heads",
            "nothing: every head has its own keys",
        ));
    }
    // The newer names have the first word, as in Transformers.
    let share = settings.number_or("rotary_pct", 0.25)?;
    let (name, share) = match settings.number_if("partial_rotary_factor")? {
        Some(share) => ("partial_rotary_factor", share),
        None => ("rotary_pct", share),
    };
    let theta = match settings.number_if("rope_theta")? {
        Some(_) => "rope_theta",
        None => "rotary_emb_base",
    };
    let Scaled {
        rotary,
        most_positions,
    } = Rotary::partial(settings, heads.width, theta, name, share)?;
    let config = Config {
        hidden,
        intermediate: settings.size("intermediate_size")?,
        layers: settings.size("num_hidden_layers")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        rotary,
        activation: Activation::read(settings, "hidden_act", "gelu")?,
        epsilon: settings.number_or("layer_norm_eps", 1e-5)? as f32,
        attention_bias: settings.flag_or("attention_bias", true)?,
        side_by_side: settings.flag_or("use_parallel_residual", true)?,
    };
    let vocabulary = config.vocabulary;
    let states = graph.within("gpt_neox", |graph| {
        let ids = graph.input_ids();
        let table = graph.embedding("embed_in", &ids, vocabulary, hidden)?;
        let mut stream = Stream::new(table);
        for i in 0..config.layers {
            graph.within(&format!("layers.{i}"), |graph| {
                block(graph, &config, &mut stream)
            })?;
        }
        stream.norm(graph, Norm::layer("final_layer_norm", config.epsilon))
    })?;
    let tied = settings.flag_or("tie_word_embeddings", false)?;
    let names = ["embed_out", "gpt_neox.embed_in"];
    Ok(Built {
        hidden: states,
        head: head(graph, tied, names, [vocabulary, hidden])?,
        vocabulary,
        most_positions,
    })
}
