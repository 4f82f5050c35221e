//! Gemma 2 (Gemma Team 2024): norms before and behind every branch with weights of one plus what is stored, scaled
//! embeddings, soft caps on scores and logits, a window in every other layer.

use super::{
    Built,
    attention::{Heads, Rows, windows},
    head,
    linear::Linear,
    mlp::Activation,
    norms::{Norm, Stream},
    rotary::{Rotary, Scaled},
};
use crate::{
    ExportError, Settings,
    export::{
        graph::{Graph, Value},
        head::HeadParts,
    },
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
    attention_bias: bool,
}

impl Config {
    fn norm<'a>(&self, name: &'a str) -> Norm<'a> {
        Norm::Rms {
            name,
            epsilon: self.epsilon,
            offset: 1.0,
        }
    }
}

fn attention(
    graph: &mut Graph<'_>,
    config: &Config,
    window: Option<usize>,
    x: &Value,
) -> Result<Value, ExportError> {
    let hidden = config.hidden;
    let heads = Heads {
        window,
        ..config.heads.clone()
    };
    let layer =
        |name, count| Linear::new(name, hidden, count * heads.width).bias(config.attention_bias);
    let queries = graph.linear(x, &layer("q_proj", heads.queries))?;
    let keys = graph.linear(x, &layer("k_proj", heads.keys))?;
    let values = graph.linear(x, &layer("v_proj", heads.keys))?;
    let rows = graph.attend(
        &heads,
        Rows::Apart(queries, keys, values),
        Some(&config.rotary),
    )?;
    let out = Linear::new("o_proj", heads.queries * heads.width, hidden);
    graph.linear(&rows, &out.bias(config.attention_bias))
}

fn block(
    graph: &mut Graph<'_>,
    config: &Config,
    window: Option<usize>,
    stream: &mut Stream,
) -> Result<(), ExportError> {
    let x = stream.norm(graph, config.norm("input_layernorm"))?;
    let seen = graph.within("self_attn", |graph| attention(graph, config, window, &x))?;
    let seen = graph.norm(&seen, config.norm("post_attention_layernorm"))?;
    stream.add(graph, seen);
    let x = stream.norm(graph, config.norm("pre_feedforward_layernorm"))?;
    let layers = Linear::gated(config.hidden, config.intermediate);
    let made = graph.within("mlp", |graph| graph.gated(&x, config.activation, layers))?;
    let made = graph.norm(&made.value, config.norm("post_feedforward_layernorm"))?;
    stream.add(graph, made);
    Ok(())
}

pub(super) fn build(graph: &mut Graph<'_>, settings: &Settings) -> Result<Built, ExportError> {
    settings.must_not("use_bidirectional_attention")?;
    // Transformers' own defaults are no matter of course.
    settings.size("num_key_value_heads")?;
    settings.size("head_dim")?;
    let layers = settings.size("num_hidden_layers")?;
    let window = settings.size_if("sliding_window")?;
    let heads = Heads {
        scale: settings.positive("query_pre_attn_scalar")?.powf(-0.5),
        cap: settings.number_if("attn_logit_softcapping")?,
        ..Heads::read(settings)?
    };
    let Scaled {
        rotary,
        most_positions,
    } = Rotary::read(settings, heads.width)?;
    let config = Config {
        hidden: settings.size("hidden_size")?,
        intermediate: settings.size("intermediate_size")?,
        vocabulary: settings.size("vocab_size")?,
        heads,
        windows: windows(settings, layers, window, |layer| layer % 2 == 0)?,
        rotary,
        activation: Activation::read(settings, "hidden_activation", "gelu_pytorch_tanh")?,
        epsilon: settings.number_or("rms_norm_eps", 1e-6)? as f32,
        attention_bias: settings.flag_or("attention_bias", false)?,
    };
    let [vocabulary, hidden] = [config.vocabulary, config.hidden];
    let states = graph.within("model", |graph| {
        let ids = graph.input_ids();
        let table = graph.embedding("embed_tokens", &ids, vocabulary, hidden)?;
        let scale = graph.numbers(table.dtype, &[(hidden as f64).sqrt()], &[]);
        let kind = table.kind();
        let mut stream = Stream::new(graph.node("Mul", &[&table, &scale], vec![], kind));
        for (i, &window) in config.windows.iter().enumerate() {
            graph.within(&format!("layers.{i}"), |graph| {
                block(graph, &config, window, &mut stream)
            })?;
        }
        stream.norm(graph, config.norm("norm"))
    })?;
    let tied = settings.flag_or("tie_word_embeddings", true)?;
    let names = ["lm_head", "model.embed_tokens"];
    Ok(Built {
        hidden: states,
        head: HeadParts {
            cap: settings.number_if("final_logit_softcapping")?,
            ..head(graph, tied, names, [vocabulary, hidden])?
        },
        vocabulary,
        most_positions,
    })
}
