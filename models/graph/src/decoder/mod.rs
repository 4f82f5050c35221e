//! Builds the graph of a decoder from its description. All families share this builder; they differ in the
//! descriptions, which come from [`rho_checkpoint::families`].
//!
//! Each part of a model has a module; `norms` also has the residual stream between blocks.

pub(crate) mod attention;
mod delta;
mod linear;
mod mixture;
pub(crate) mod mlp;
pub(crate) mod norms;
pub(crate) mod rotary;

use rho_checkpoint::decoder::{Decoder, Embedding, FeedForward, Head, Layer, Mixer};

use crate::{
    ExportError,
    export::{
        constants::Change,
        graph::{Graph, Value},
        head::HeadParts,
    },
};
use norms::{Branch, Stream};

/// The body and the head of a model.
pub(crate) struct Built {
    /// `[batch, length, hidden]`: the head's input.
    pub(crate) hidden: Value,
    /// The head's constants.
    pub(crate) head: HeadParts,
}

/// Builds the model.
pub(crate) fn build(graph: &mut Graph<'_>, decoder: &Decoder) -> Result<Built, ExportError> {
    let hidden = graph.within(decoder.scope, |graph| {
        let x = embedding(graph, decoder)?;
        let mut stream = Stream::new(x);
        for (i, layer) in decoder.layers.iter().enumerate() {
            graph.within(&format!("{}.{i}", decoder.layers_name), |graph| {
                block(graph, layer, &mut stream)
            })?;
        }
        let x = stream.norm(graph, &decoder.norm)?;
        // The head's matmul is linear, so its scale is applied here. Bias and soft cap are not scaled.
        Ok(graph.scaled(x, decoder.head.scale))
    })?;
    Ok(Built {
        head: head(graph, decoder)?,
        hidden,
    })
}

fn embedding(graph: &mut Graph<'_>, decoder: &Decoder) -> Result<Value, ExportError> {
    let Embedding {
        name,
        scale,
        positions,
        norm,
    } = &decoder.embedding;
    let ids = graph.input_ids();
    let table = graph.embedding(name, &ids, decoder.vocabulary, decoder.hidden)?;
    let mut x = graph.scaled(table, *scale);
    if let Some(table) = positions {
        let mut positions = graph.positions()?;
        if table.first > 0 {
            let first = graph.integers(&[table.first as i64], &[]);
            let kind = positions.kind();
            positions = graph.node("Add", &[&positions, &first], vec![], kind);
        }
        let places = graph.embedding(table.name, &positions, table.rows, decoder.hidden)?;
        let kind = x.kind();
        x = graph.node("Add", &[&x, &places], vec![], kind);
    }
    match norm {
        Some(norm) => graph.norm(&x, norm),
        None => Ok(x),
    }
}

fn block(graph: &mut Graph<'_>, layer: &Layer, stream: &mut Stream) -> Result<(), ExportError> {
    let x = match &layer.mixer_norm {
        Some(norm) => stream.norm(graph, norm)?,
        None => stream.settle(graph),
    };
    if layer.residual_of_norm {
        *stream = Stream::new(x.clone());
    }
    let seen = match &layer.mixer {
        Mixer::Attention(attention) => graph.attention(attention, &x)?,
        Mixer::Delta(delta) => graph.delta(delta, &x)?,
    };
    let seen = match &layer.mixer_after {
        Some(norm) => {
            let seen = seen.whole(graph);
            graph.norm(&seen, norm)?.into()
        }
        None => seen,
    };
    let seen = scaled(graph, seen, layer.residual);
    if layer.side_by_side {
        let before = stream.settle(graph);
        let x = match &layer.mlp_norm {
            Some(norm) => graph.norm(&before, norm)?,
            None => x,
        };
        let made = feed_forward(graph, &layer.mlp, &x)?;
        let made = scaled(graph, made, layer.residual).whole(graph);
        // The next norm adds attention's bias.
        let kind = made.kind();
        let both = Branch {
            value: graph.node("Add", &[&made, &seen.value], vec![], kind),
            bias: seen.bias,
        };
        stream.add(graph, both);
        return Ok(());
    }
    stream.add(graph, seen);
    let x = match &layer.mlp_norm {
        Some(norm) => stream.norm(graph, norm)?,
        None => stream.settle(graph),
    };
    if layer.residual_of_norm {
        *stream = Stream::new(x.clone());
    }
    let made = feed_forward(graph, &layer.mlp, &x)?;
    let made = match &layer.mlp_after {
        Some(norm) => {
            let made = made.whole(graph);
            graph.norm(&made, norm)?.into()
        }
        None => made,
    };
    let made = scaled(graph, made, layer.residual);
    stream.add(graph, made);
    Ok(())
}

fn scaled(graph: &mut Graph<'_>, branch: Branch, factor: f64) -> Branch {
    if factor == 1.0 {
        return branch;
    }
    let whole = branch.whole(graph);
    graph.scaled(whole, factor).into()
}

fn feed_forward(
    graph: &mut Graph<'_>,
    mlp: &FeedForward,
    x: &Value,
) -> Result<Branch, ExportError> {
    match mlp {
        FeedForward::Gated {
            scope,
            gate,
            up,
            down,
            activation,
        } => graph.within(scope, |graph| graph.gated(x, *activation, [gate, up, down])),
        FeedForward::Plain {
            scope,
            first,
            second,
            activation,
        } => graph.within(scope, |graph| graph.plain(x, *activation, [first, second])),
        FeedForward::Mixture(mixture) => {
            graph.within(mixture.scope, |graph| Ok(graph.mixture(mixture, x)?.into()))
        }
    }
}

/// The head's weights: its own, or the embedding's.
fn head(graph: &mut Graph<'_>, decoder: &Decoder) -> Result<HeadParts, ExportError> {
    let Head {
        name,
        tied,
        bias,
        cap,
        ..
    } = &decoder.head;
    let own = format!("{name}.weight");
    let shared = format!("{}.{}.weight", decoder.scope, decoder.embedding.name);
    let dims = [decoder.vocabulary, decoder.hidden];
    let weights = match tied {
        false => own,
        true => {
            let same = graph.weights.tied_head(&own, &shared, &dims)?;
            graph.taken.extend(same);
            shared
        }
    };
    let bias = match bias {
        true => {
            let name = format!("{name}.bias");
            let bias = graph.tensor(&name, &[decoder.vocabulary], Change::default())?;
            Some(bias.name)
        }
        false => None,
    };
    Ok(HeadParts {
        weights: graph.tensor(&weights, &dims, Change::default())?.name,
        bias,
        cap: *cap,
    })
}

impl Graph<'_> {
    /// Multiplies a value by a factor.
    pub(crate) fn scaled(&mut self, x: Value, factor: f64) -> Value {
        if factor == 1.0 {
            return x;
        }
        let factor = self.numbers(x.dtype, &[factor], &[]);
        let kind = x.kind();
        self.node("Mul", &[&x, &factor], vec![], kind)
    }
}
