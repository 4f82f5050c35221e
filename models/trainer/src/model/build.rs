//! From a configuration to the list of parameters under the names that Transformers gives them.

use super::{Architecture, Block, Kind, Linear, Mlp, Norm, Parameter, ParameterId, Part};
use crate::{Config, config::Family};

impl Architecture {
    /// The parameters and parts of a model.
    pub fn new(config: Config) -> Self {
        let mut list = List {
            parameters: Vec::new(),
            epsilon: config.norm_epsilon,
        };
        match config.family {
            Family::Gpt2 => gpt2(config, &mut list),
            _ => llama(config, &mut list),
        }
    }
}

struct List {
    parameters: Vec<Parameter>,
    epsilon: f64,
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

    fn norm(&mut self, name: &str, width: usize, bias: bool) -> Norm {
        Norm {
            scale: self.add(format!("{name}.weight"), &[width], Kind::Scale),
            bias: bias.then(|| self.add(format!("{name}.bias"), &[width], Kind::Bias)),
            epsilon: self.epsilon,
        }
    }

    /// Weights `[outputs, inputs]`.
    fn linear(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        bias: bool,
        kind: Kind,
    ) -> Linear {
        let weights = self.add(format!("{name}.weight"), &[outputs, inputs], kind);
        let bias = bias.then(|| self.add(format!("{name}.bias"), &[outputs], Kind::Bias));
        let whole = |parameter| Part {
            parameter,
            offset: 0,
        };
        Linear {
            weights: whole(weights),
            bias: bias.map(whole),
            inputs,
            outputs,
            inputs_first: false,
            stride: inputs,
        }
    }

    /// GPT-2's `Conv1D`: weights `[inputs, parts * outputs]`, here as `N` layers side by side.
    fn convolution<const N: usize>(
        &mut self,
        name: &str,
        inputs: usize,
        outputs: usize,
        kind: Kind,
    ) -> [Linear; N] {
        let weights = self.add(format!("{name}.weight"), &[inputs, N * outputs], kind);
        let bias = self.add(format!("{name}.bias"), &[N * outputs], Kind::Bias);
        std::array::from_fn(|i| {
            let part = |parameter| Part {
                parameter,
                offset: i * outputs,
            };
            Linear {
                weights: part(weights),
                bias: Some(part(bias)),
                inputs,
                outputs,
                inputs_first: true,
                stride: N * outputs,
            }
        })
    }
}

fn llama(config: Config, list: &mut List) -> Architecture {
    let Config {
        vocabulary,
        hidden,
        intermediate,
        heads,
        key_value_heads,
        head_width,
        query_bias,
        output_bias,
        mlp_bias,
        ..
    } = config;
    let table = [vocabulary, hidden];
    let embedding = list.add("model.embed_tokens.weight".into(), &table, Kind::Embedding);
    let block = |i| {
        let at = |name: &str| format!("model.layers.{i}.{name}");
        let attention_norm = list.norm(&at("input_layernorm"), hidden, false);
        let mut attention =
            |name, width| list.linear(&at(name), hidden, width, query_bias, Kind::Matrix);
        let query = attention("self_attn.q_proj", heads * head_width);
        let key = attention("self_attn.k_proj", key_value_heads * head_width);
        let value = attention("self_attn.v_proj", key_value_heads * head_width);
        let head_norms = (config.family == Family::Qwen3).then(|| {
            let query = list.norm(&at("self_attn.q_norm"), head_width, false);
            (query, list.norm(&at("self_attn.k_norm"), head_width, false))
        });
        let wide = heads * head_width;
        let output = list.linear(
            &at("self_attn.o_proj"),
            wide,
            hidden,
            output_bias,
            Kind::Residual,
        );
        let mlp_norm = list.norm(&at("post_attention_layernorm"), hidden, false);
        let mlp = Mlp::Gated {
            gate: list.linear(
                &at("mlp.gate_proj"),
                hidden,
                intermediate,
                mlp_bias,
                Kind::Matrix,
            ),
            up: list.linear(
                &at("mlp.up_proj"),
                hidden,
                intermediate,
                mlp_bias,
                Kind::Matrix,
            ),
            down: list.linear(
                &at("mlp.down_proj"),
                intermediate,
                hidden,
                mlp_bias,
                Kind::Residual,
            ),
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
    };
    let blocks = (0..config.layers).map(block).collect();
    let norm = list.norm("model.norm", hidden, false);
    let head = if config.tied {
        embedding
    } else {
        list.add("lm_head.weight".into(), &table, Kind::Matrix)
    };
    Architecture {
        parameters: std::mem::take(&mut list.parameters),
        embedding,
        positions: None,
        blocks,
        norm,
        head,
        config,
    }
}

fn gpt2(config: Config, list: &mut List) -> Architecture {
    let (hidden, intermediate) = (config.hidden, config.intermediate);
    let table = [config.vocabulary, hidden];
    let embedding = list.add("transformer.wte.weight".into(), &table, Kind::Embedding);
    let places = [config.positions, hidden];
    let positions = list.add("transformer.wpe.weight".into(), &places, Kind::Embedding);
    let block = |i| {
        let at = |name: &str| format!("transformer.h.{i}.{name}");
        let attention_norm = list.norm(&at("ln_1"), hidden, true);
        let [query, key, value] =
            list.convolution(&at("attn.c_attn"), hidden, hidden, Kind::Matrix);
        let [output] = list.convolution(&at("attn.c_proj"), hidden, hidden, Kind::Residual);
        let mlp_norm = list.norm(&at("ln_2"), hidden, true);
        let [up] = list.convolution(&at("mlp.c_fc"), hidden, intermediate, Kind::Matrix);
        let [down] = list.convolution(&at("mlp.c_proj"), intermediate, hidden, Kind::Residual);
        Block {
            attention_norm,
            query,
            key,
            value,
            head_norms: None,
            output,
            mlp_norm,
            mlp: Mlp::Gelu { up, down },
        }
    };
    let blocks = (0..config.layers).map(block).collect();
    let norm = list.norm("transformer.ln_f", hidden, true);
    let head = if config.tied {
        embedding
    } else {
        list.add("lm_head.weight".into(), &table, Kind::Matrix)
    };
    Architecture {
        parameters: std::mem::take(&mut list.parameters),
        embedding,
        positions: Some(positions),
        blocks,
        norm,
        head,
        config,
    }
}
