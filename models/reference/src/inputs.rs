//! The inputs of a graph, interpreted once from its declarations, before any weight is loaded.

use ort::{
    memory::Allocator,
    session::IoBinding,
    value::{DynTensor, Tensor, TensorElementType},
};
use rho_graph::{DataType, Dimension, Model, Port};

use crate::{ReferenceError, TokenWindow};

/// The meaning of one input.
#[derive(Debug, Clone, PartialEq)]
enum InputRole {
    /// Token ids `[batch, length]`, padded with 0 on the right.
    InputIds,
    /// 1 for tokens, 0 for padding.
    AttentionMask,
    /// 0, 1, 2, ... in each row.
    PositionIds,
    /// An empty KV cache: the sizes of its axes, `None` for the batch axis.
    Past(Vec<Option<usize>>),
    /// Whether a merged export uses its KV cache: always false.
    UseCacheBranch,
}

/// The inputs of a graph, ready to be bound for any batch.
#[derive(Debug, Clone)]
pub struct Inputs(Vec<(Port, InputRole)>);

/// A batch padded to `[batch, length]`.
pub(crate) struct Rectangle<'a> {
    pub(crate) windows: &'a [TokenWindow<'a>],
    /// Length of the longest window.
    pub(crate) length: usize,
}

impl Rectangle<'_> {
    /// `[batch, length]` numbers, computed from row and column; columns beyond a row's end get `padding`.
    fn fill<T: Copy>(&self, padding: T, number: impl Fn(&TokenWindow<'_>, usize) -> T) -> Vec<T> {
        let mut all = Vec::with_capacity(self.windows.len() * self.length);
        for window in self.windows {
            all.extend((0..window.tokens.len()).map(|i| number(window, i)));
            all.resize(all.len() + self.length - window.tokens.len(), padding);
        }
        all
    }
}

impl Inputs {
    /// Reads the graph's inputs.
    ///
    /// # Errors
    /// If an input is unknown, belongs to an encoder-decoder, or has a type or shape that cannot be fed; or if there
    /// is no `input_ids`.
    pub fn of(model: &Model) -> Result<Self, ReferenceError> {
        let path = || model.path().to_owned();
        let inputs = model.inputs().into_iter().map(|port| {
            let shown = show(&port);
            let meaning = match port.name.as_str() {
                "input_ids" => InputRole::InputIds,
                "attention_mask" => InputRole::AttentionMask,
                "position_ids" => InputRole::PositionIds,
                "use_cache_branch" => InputRole::UseCacheBranch,
                name if name.starts_with("encoder_") || name.starts_with("decoder_") || name.contains(".encoder.") => {
                    return Err(ReferenceError::EncoderDecoder { path: path(), input: name.to_owned() });
                }
                name if name.starts_with("past_key_values") || name.starts_with("past_key") || name.starts_with("past.") => {
                    let axes = past_axes(&port).ok_or_else(|| ReferenceError::InputShape {
                        path: path(),
                        input: shown.clone(),
                        expected: "float [batch, heads, past length, head size] with heads and head size given".into(),
                    })?;
                    InputRole::Past(axes)
                }
                _ => return Err(ReferenceError::UnknownInput { path: path(), input: shown }),
            };
            let integers = matches!(port.dtype, DataType::I64 | DataType::I32);
            let free = port.dims.as_ref().is_none_or(|d| d.len() == 2 && d.iter().all(|d| !matches!(d, Dimension::Fixed(_))));
            let fits = match meaning {
                InputRole::InputIds | InputRole::AttentionMask | InputRole::PositionIds => integers && free,
                InputRole::UseCacheBranch => port.dtype == DataType::Bool,
                InputRole::Past(_) => true,
            };
            if !fits {
                let expected = "integers [batch, length] with both axes free".to_owned();
                return Err(ReferenceError::InputShape { path: path(), input: shown, expected });
            }
            Ok((port, meaning))
        });
        let inputs = Self(inputs.collect::<Result<_, _>>()?);
        if !inputs.0.iter().any(|(_, m)| *m == InputRole::InputIds) {
            let input = "input_ids (missing)".to_owned();
            return Err(ReferenceError::UnknownInput {
                path: path(),
                input,
            });
        }
        Ok(inputs)
    }

    /// Binds every input for a batch. Shorter windows are padded on the right, which a causal model never attends to.
    pub(crate) fn bind(&self, batch: &Rectangle<'_>, binding: &mut IoBinding) -> ort::Result<()> {
        let shape = [batch.windows.len(), batch.length];
        for (port, meaning) in &self.0 {
            let integers = |numbers: Vec<i64>| -> ort::Result<DynTensor> {
                Ok(match port.dtype {
                    DataType::I32 => {
                        let numbers: Vec<i32> = numbers.into_iter().map(|n| n as i32).collect();
                        Tensor::from_array((shape, numbers))?.upcast()
                    }
                    _ => Tensor::from_array((shape, numbers))?.upcast(),
                })
            };
            let tensor = match meaning {
                InputRole::InputIds => {
                    integers(batch.fill(0, |window, i| i64::from(window.tokens[i])))?
                }
                InputRole::AttentionMask => integers(batch.fill(0, |_, _| 1))?,
                InputRole::PositionIds => integers(batch.fill(0, |_, i| i as i64))?,
                InputRole::UseCacheBranch => Tensor::from_array(([1usize], vec![false]))?.upcast(),
                InputRole::Past(axes) => {
                    let axes: Vec<i64> = axes
                        .iter()
                        .map(|a| a.unwrap_or(batch.windows.len()) as i64)
                        .collect();
                    let dtype = match port.dtype {
                        DataType::F16 => TensorElementType::Float16,
                        _ => TensorElementType::Float32,
                    };
                    DynTensor::new(&Allocator::default(), dtype, axes)?
                }
            };
            binding.bind_input(port.name.as_str(), &tensor)?;
        }
        Ok(())
    }
}

/// The axes of a KV cache input with its length set to 0: the first free axis is the batch, the second the past length.
fn past_axes(port: &Port) -> Option<Vec<Option<usize>>> {
    let dims = port.dims.as_ref()?;
    let mut free = 0;
    let axes: Vec<_> = dims
        .iter()
        .map(|dim| match dim {
            Dimension::Fixed(size) => Some(*size),
            _ => {
                free += 1;
                (free > 1).then_some(0)
            }
        })
        .collect();
    (free == 2 && matches!(port.dtype, DataType::F32 | DataType::F16)).then_some(axes)
}

/// An input or output in human-readable form: name, type and shape.
pub(crate) fn show(port: &Port) -> String {
    let dims = port.dims.as_ref().map(|dims| {
        let dim = |d: &Dimension| match d {
            Dimension::Fixed(size) => size.to_string(),
            Dimension::Named(name) => name.clone(),
            Dimension::Unknown => "?".to_owned(),
        };
        dims.iter().map(dim).collect::<Vec<_>>().join(", ")
    });
    format!(
        "{} {:?} [{}]",
        port.name,
        port.dtype,
        dims.unwrap_or_else(|| "?".to_owned())
    )
}
