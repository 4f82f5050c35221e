//! Upper bounds for the sizes in a configuration. Layers, experts and widths become lists in memory before their
//! tensors are looked up, so none may be larger than the weights account for. A setting of four billion layers is
//! refused by name.

use crate::Weights;

/// Settings that count layers.
const LAYERS: [&str; 2] = ["num_hidden_layers", "n_layer"];
/// Settings that count the experts of a layer.
const EXPERTS: [&str; 2] = ["num_local_experts", "num_experts"];
/// Distances between tokens or layers, and counts of chosen experts: nothing of their size is allocated.
const DISTANCES: [&str; 13] = [
    "max_position_embeddings",
    "original_max_position_embeddings",
    "n_positions",
    "seq_length",
    "sliding_window",
    "sliding_window_size",
    "sliding_window_pattern",
    "_sliding_window_pattern",
    "full_attention_interval",
    "no_rope_layer_interval",
    "decoder_sparse_step",
    "experts_per_token",
    "num_experts_per_tok",
];
/// A width that no tensor has may be up to this: it may belong to a part that the model does not have.
const SPARE: usize = 1 << 16;

/// The largest values that settings may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    layers: usize,
    experts: usize,
    /// For widths and numbers of heads.
    width: usize,
}

impl Default for Bounds {
    /// For a model without weights: far more than any model has.
    fn default() -> Self {
        Self {
            layers: 1 << 14,
            experts: 1 << 14,
            width: 1 << 24,
        }
    }
}

impl Bounds {
    /// For a model with weights.
    pub(crate) fn of(weights: &Weights) -> Self {
        let (mut layers, mut experts, mut width) = (0, 0, SPARE);
        for (name, stored) in &weights.tensors {
            let mut words = name.split('.').peekable();
            while let Some(word) = words.next() {
                let number = words.peek().and_then(|next| next.parse::<usize>().ok());
                let count = number.map_or(0, |number| number.saturating_add(1));
                match word {
                    "layers" | "h" => layers = layers.max(count),
                    "experts" if number.is_some() => experts = experts.max(count),
                    // All experts in one tensor; an empty tensor holds none.
                    "experts" if stored.elements() > 0 => {
                        experts = experts.max(stored.dims.first().copied().unwrap_or(0));
                    }
                    _ => {}
                }
            }
            if stored.elements() > 0 {
                width = stored.dims.iter().copied().fold(width, usize::max);
            }
        }
        let known = Self::default();
        let held = |count: usize, known: usize| match count {
            // The tensors have other names: missing tensors are reported later.
            0 => known,
            // A name alone may claim any number, so the number of tensors bounds it.
            count => count.min(weights.tensors.len().max(known)),
        };
        Self {
            layers: held(layers, known.layers),
            experts: held(experts, known.experts),
            width,
        }
    }

    /// The largest value that the setting `name` may have; `None` if it is unbounded.
    pub(crate) fn most(&self, name: &str) -> Option<usize> {
        match name {
            _ if LAYERS.contains(&name) => Some(self.layers),
            _ if EXPERTS.contains(&name) => Some(self.experts),
            _ if DISTANCES.contains(&name) => None,
            _ => Some(self.width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(tensors: &[(&str, &str)]) -> Bounds {
        // One byte per element.
        let (mut header, mut end) = (Vec::new(), 0);
        for (name, shape) in tensors {
            let start = end;
            end += shape
                .trim_matches(['[', ']'])
                .split(',')
                .fold(1, |bytes, axis| {
                    bytes * axis.trim().parse::<usize>().unwrap()
                });
            header.push(format!(
                r#""{name}":{{"dtype":"U8","shape":{shape},"data_offsets":[{start},{end}]}}"#
            ));
        }
        let header = format!("{{{}}}", header.join(","));
        let size = (header.len() as u64).to_le_bytes();
        let folder = tempfile::tempdir().unwrap();
        let bytes = [&size[..], header.as_bytes(), &vec![0; end]].concat();
        std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
        Bounds::of(&Weights::find(folder.path()).unwrap())
    }

    #[test]
    fn the_weights_say_how_many_layers_and_experts_there_are() {
        let apart = bounds(&[
            ("model.layers.1.mlp.experts.6.up_proj.weight", "[2,2]"),
            ("model.layers.0.norm.weight", "[4]"),
        ]);
        assert_eq!(apart.most("num_hidden_layers"), Some(2));
        assert_eq!(apart.most("num_local_experts"), Some(7));
        let fused = bounds(&[("transformer.h.3.experts.gate_up_proj", "[5,2,2]")]);
        assert_eq!(fused.most("n_layer"), Some(4));
        assert_eq!(fused.most("num_experts"), Some(5));
        assert_eq!(fused.most("max_position_embeddings"), None);
    }

    #[test]
    fn what_is_empty_or_only_named_bounds_nothing() {
        let known = Bounds::default();
        let hostile = bounds(&[
            (
                "model.layers.4000000000.mlp.experts.4000000000.weight",
                "[1]",
            ),
            ("model.layers.0.mlp.experts.up_proj", "[4000000000,0]"),
        ]);
        assert_eq!(hostile.most("num_hidden_layers"), known.most("n_layer"));
        assert_eq!(hostile.most("num_experts"), known.most("num_experts"));
        assert_eq!(hostile.most("head_dim"), Some(SPARE));
    }
}
