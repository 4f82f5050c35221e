//! Builds the list of parameters from a configuration, with the names that Transformers gives them.

use rho_checkpoint::decoder::{self, FeedForward, Mixer, Projections};

use super::{Architecture, Block, Kind, Linear, Mlp, Norm, Parameter, ParameterId, Part};
use crate::Config;

impl Architecture {
    /// The parameters and parts of a model.
    pub fn new(config: Config) -> Self {
        let mut list = List {
            parameters: Vec::new(),
        };
        let decoder = &config.decoder;
        let scope = decoder.scope;
        let table = [config.vocabulary, config.hidden];
        let name = format!("{scope}.{}.weight", decoder.embedding.name);
        let embedding = list.add(name, &table, Kind::Embedding);
        let positions = decoder.embedding.positions.as_ref().map(|table| {
            let name = format!("{scope}.{}.weight", table.name);
            list.add(name, &[table.rows, config.hidden], Kind::Embedding)
        });
        let layers = decoder.layers.iter().enumerate();
        let blocks = layers.map(|(i, layer)| {
            let at = format!("{scope}.{}.{i}.", decoder.layers_name);
            list.block(&at, layer, config.hidden)
        });
        let blocks = blocks.collect();
        let norm = list.norm(&format!("{scope}."), &decoder.norm, config.hidden);
        let head = match decoder.head.tied {
            true => embedding,
            false => list.add(
                format!("{}.weight", decoder.head.name),
                &table,
                Kind::Matrix,
            ),
        };
        Self {
            parameters: list.parameters,
            embedding,
            positions,
            blocks,
            norm,
            head,
            config,
        }
    }
}

struct List {
    parameters: Vec<Parameter>,
}

impl List {
    fn add(&mut self, name: String, shape: &[usize], kind: Kind) -> ParameterId {
        self.parameters.push(Parameter {
            name,
            shape: shape.to_vec(),
            kind,
        });
        self.parameters.len() - 1
    }

    fn norm(&mut self, at: &str, norm: &decoder::Norm, width: usize) -> Norm {
        let name = format!("{at}{}", norm.name);
        let bias = norm.bias;
        Norm {
            scale: self.add(format!("{name}.weight"), &[width], Kind::Scale),
            bias: bias.then(|| self.add(format!("{name}.bias"), &[width], Kind::Bias)),
            epsilon: norm.epsilon,
        }
    }

    /// `N` linear layers stored in one tensor: usually one, three for GPT-2's queries, keys and values.
    fn linear<const N: usize>(
        &mut self,
        at: &str,
        linear: &decoder::Linear,
        kind: Kind,
    ) -> [Linear; N] {
        let (inputs, all, inputs_first) = (linear.inputs, linear.outputs, linear.inputs_first);
        let shape = match inputs_first {
            true => [inputs, all],
            false => [all, inputs],
        };
        let weights = self.add(format!("{at}{}", linear.weights), &shape, kind);
        let bias = linear.bias.as_ref();
        let bias = bias.map(|bias| self.add(format!("{at}{bias}"), &[all], Kind::Bias));
        let outputs = all / N;
        std::array::from_fn(|i| {
            let part = |parameter| Part {
                parameter,
                offset: i * outputs,
            };
            Linear {
                weights: part(weights),
                bias: bias.map(part),
                inputs,
                outputs,
                inputs_first,
                stride: if inputs_first { all } else { inputs },
            }
        })
    }

    fn block(&mut self, at: &str, layer: &decoder::Layer, hidden: usize) -> Block {
        let (Mixer::Attention(attention), Some(before), Some(between)) =
            (&layer.mixer, &layer.mixer_norm, &layer.mlp_norm)
        else {
            unreachable!("Config refuses layers without attention or norms");
        };
        let attention_norm = self.norm(at, before, hidden);
        let part = format!("{at}{}.", attention.scope);
        let [query, key, value] = match &attention.rows {
            Projections::Together(all) => self.linear(&part, all, Kind::Matrix),
            Projections::Apart {
                queries,
                keys,
                values,
            } => [queries, keys, values].map(|linear| {
                let [linear] = self.linear(&part, linear, Kind::Matrix);
                linear
            }),
        };
        let head_norms = attention.norms.as_ref().map(|norms| {
            let query = self.norm(&part, &norms.queries, attention.width);
            (query, self.norm(&part, &norms.keys, attention.width))
        });
        let [output] = self.linear(&part, &attention.output, Kind::Residual);
        let mlp_norm = self.norm(at, between, hidden);
        let mlp = match &layer.mlp {
            FeedForward::Gated {
                scope,
                gate,
                up,
                down,
                ..
            } => {
                let part = format!("{at}{scope}.");
                let [gate] = self.linear(&part, gate, Kind::Matrix);
                let [up] = self.linear(&part, up, Kind::Matrix);
                let [down] = self.linear(&part, down, Kind::Residual);
                Mlp::Gated { gate, up, down }
            }
            FeedForward::Plain {
                scope,
                first,
                second,
                ..
            } => {
                let part = format!("{at}{scope}.");
                let [up] = self.linear(&part, first, Kind::Matrix);
                let [down] = self.linear(&part, second, Kind::Residual);
                Mlp::Gelu { up, down }
            }
            FeedForward::Mixture(_) => unreachable!("Config refuses experts"),
        };
        Block {
            attention_norm,
            query,
            key,
            value,
            head_norms,
            output,
            mlp_norm,
            mlp,
        }
    }
}
