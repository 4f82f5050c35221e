//! Mixtral (Jiang et al. 2024): Mistral with experts. Also how experts are stored, for all families with experts.
//!
//! ```text
//! Transformers 5:  experts.gate_up_proj [experts, 2 inner, hidden], experts.down_proj [experts, hidden, inner]
//! Transformers 4:  experts.0.gate_proj.weight [inner, hidden], experts.0.up_proj.weight, experts.0.down_proj.weight
//! ```

use super::common::{Defaults, LLAMA};
use crate::{
    CheckpointError, Decoder, Settings, Weights,
    decoder::{Activation, Expert, FeedForward, Glu, Linear, Mixture, Routing},
    rope::Names,
};

/// Names of gate, up and down projection of an expert with its own tensors.
pub(super) const LLAMA_NAMES: [&str; 3] = ["gate_proj", "up_proj", "down_proj"];

pub(super) fn describe(
    settings: &Settings,
    weights: Option<&Weights>,
) -> Result<Decoder, CheckpointError> {
    // Required: Transformers' default is not what most models have.
    settings.size("num_key_value_heads")?;
    let defaults = Defaults {
        epsilon: 1e-5,
        ..LLAMA
    };
    let names = Names {
        theta: 1_000_000.0,
        ..Names::default()
    };
    let mut decoder = Decoder::like_llama(settings, &defaults)?.turned(settings, names)?;
    let window = settings.size_if("sliding_window")?;
    let count = match settings.size_if("num_local_experts")? {
        Some(count) => count,
        None => settings.size("num_experts")?,
    };
    let top = chosen(settings, count)?;
    let sizes = [decoder.hidden, decoder.inner()];
    let activation = Activation::read(settings, "hidden_act", "silu")?;
    for (i, layer) in decoder.layers.iter_mut().enumerate() {
        let old = ExpertTensors::new(
            weights,
            format!("model.layers.{i}.block_sparse_moe."),
            "experts",
        );
        let (scope, place, names) = match old.has("gate.weight") {
            true => ("block_sparse_moe", old, ["w1", "w3", "w2"]),
            false => {
                let place =
                    ExpertTensors::new(weights, format!("model.layers.{i}.mlp."), "experts");
                ("mlp", place, LLAMA_NAMES)
            }
        };
        layer.mlp = FeedForward::Mixture(Box::new(Mixture {
            scope,
            router: Linear::new("gate", sizes[0], count),
            routing: Routing::SoftmaxFirst { normalised: true },
            top,
            experts: place.experts(count, sizes, names),
            glu: Glu::Gated(activation),
        }));
    }
    let windows = vec![window; decoder.layers.len()];
    Ok(decoder.windowed(windows))
}

/// Number of experts per token.
pub(super) fn chosen(settings: &Settings, experts: usize) -> Result<usize, CheckpointError> {
    let top = settings.size("num_experts_per_tok")?;
    match top <= experts {
        true => Ok(top),
        false => Err(settings.refuse("num_experts_per_tok", format!("at most {experts} experts"))),
    }
}

/// Locates the experts' tensors of a layer.
pub(super) struct ExpertTensors<'a> {
    weights: Option<&'a Weights>,
    prefix: String,
    name: &'static str,
}

impl<'a> ExpertTensors<'a> {
    /// `prefix`: the module's prefix in tensor names; `name`: the name of the experts in the module.
    pub(super) fn new(weights: Option<&'a Weights>, prefix: String, name: &'static str) -> Self {
        Self {
            weights,
            prefix,
            name,
        }
    }

    /// Whether the tensor exists.
    fn has(&self, name: &str) -> bool {
        let full = format!("{}{name}", self.prefix);
        self.weights
            .is_some_and(|weights| weights.find_tensor(&full).is_some())
    }

    /// The experts, stored in one tensor for all or separately under the given names.
    pub(super) fn experts(
        &self,
        count: usize,
        [hidden, inner]: [usize; 2],
        [gate, up, down]: [&str; 3],
    ) -> Vec<Expert> {
        let together = self.has(&format!("{}.gate_up_proj", self.name));
        let expert = |i: usize| match together {
            true => {
                let of_all = |name: &str, inputs, outputs| Linear {
                    weights: format!("{}.{name}", self.name),
                    expert: Some((i, count)),
                    part: format!(".{i}"),
                    ..Linear::new("", inputs, outputs)
                };
                let half = |part: &str, from: usize| {
                    let rows = (from..from + inner).collect();
                    of_all("gate_up_proj", hidden, 2 * inner).take(rows, &format!(".{i}.{part}"))
                };
                Expert {
                    gate: half("gate", 0),
                    up: half("up", inner),
                    down: of_all("down_proj", inner, hidden),
                }
            }
            false => {
                let own = |name: &str, inputs, outputs| {
                    Linear::new(&format!("{}.{i}.{name}", self.name), inputs, outputs)
                };
                Expert {
                    gate: own(gate, hidden, inner),
                    up: own(up, hidden, inner),
                    down: own(down, inner, hidden),
                }
            }
        };
        (0..count).map(expert).collect()
    }
}
