//! The network by candle's operations and autograd: for CUDA, and as the f64 oracle of `fused`.
//!
//! Its head is hand-written over blocks of rows, so that `[tokens, vocab_size]` is never in memory here either;
//! attention does hold `[batch, heads, length, length]`. Only operations with a backward pass are used: candle's
//! fused norm, softmax and rotary embedding have none and would silently cut the autograd graph.

mod decoder;
mod head;

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};

use self::decoder::Decoder;
use crate::{
    Batch, Result,
    checkpoint::Model,
    model::Architecture,
    network::{RowLoss, WeightedRow},
};

/// A model in tensors with its gradients.
pub struct Network {
    architecture: Architecture,
    compute: DType,
    /// In f64 if the network computes in f64, else in f32.
    weights: Vec<Var>,
    gradients: Vec<Option<Tensor>>,
    checkpointing: bool,
}

/// A forward pass: its autograd graph, or with gradient checkpointing the inputs of its blocks.
pub struct Forward {
    decoder: Decoder,
    kept: Kept,
    /// `[tokens, hidden]`, after the last norm.
    states: Tensor,
}

enum Kept {
    Graph,
    Inputs(Vec<Tensor>),
    Nothing,
}

impl Forward {
    /// Number of tokens of its batch.
    pub(crate) fn tokens(&self) -> usize {
        self.states.dims().first().copied().unwrap_or(0)
    }

    /// Whether backward is possible.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.kept, Kept::Nothing)
    }
}

impl Network {
    /// A network with these weights that computes in the dtype `compute` on a device.
    ///
    /// # Errors
    /// If the weights cannot be copied to the device.
    pub fn new(checkpoint: Model, device: &Device, compute: DType) -> Result<Self> {
        let Model {
            architecture,
            weights,
        } = checkpoint;
        let stored = if compute == DType::F64 {
            DType::F64
        } else {
            DType::F32
        };
        let parameters = architecture.parameters.iter().zip(weights);
        let weights = parameters.map(|(parameter, numbers)| {
            let tensor = Tensor::from_vec(numbers, parameter.shape.as_slice(), device)?;
            Ok(Var::from_tensor(&tensor.to_dtype(stored)?)?)
        });
        let weights = weights.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            gradients: vec![None; weights.len()],
            architecture,
            compute,
            weights,
            checkpointing: false,
        })
    }

    /// Turns gradient checkpointing on or off: blocks keep only their input and recompute the rest in backward.
    pub fn set_checkpointing(&mut self, on: bool) {
        self.checkpointing = on;
    }

    /// The model's architecture.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Weights and gradients, for the optimiser.
    pub fn parts_mut(&mut self) -> (&Architecture, &[Var], &mut [Option<Tensor>]) {
        (&self.architecture, &self.weights, &mut self.gradients)
    }

    /// The hidden states of a batch, see [`crate::Network::forward`].
    pub(crate) fn forward(&mut self, batch: &Batch, keep: bool) -> Result<Forward> {
        let device = self.weights[0].device();
        let decoder = Decoder::new(
            &self.architecture,
            &self.weights,
            self.compute,
            batch,
            device,
        )?;
        let mut stream = decoder.embed()?;
        let mut inputs = Vec::new();
        let whole = keep && !self.checkpointing;
        for block in &self.architecture.blocks {
            if !whole {
                stream = stream.detach();
                if keep {
                    inputs.push(stream.clone());
                }
            }
            stream = decoder.block(block, &stream)?;
        }
        if !whole {
            stream = stream.detach();
            inputs.push(stream.clone());
        }
        let states = decoder.norm(&self.architecture.norm, &stream)?;
        Ok(Forward {
            decoder,
            kept: match (keep, whole) {
                (_, true) => Kept::Graph,
                (true, false) => Kept::Inputs(inputs),
                (false, false) => Kept::Nothing,
            },
            states,
        })
    }

    /// The loss of each row.
    pub(crate) fn losses(&self, forward: &Forward, rows: &[WeightedRow]) -> Result<Vec<RowLoss>> {
        head::losses(&self.head_weights()?, &forward.states.detach(), rows)
    }

    /// Adds to the gradients, see [`crate::Network::backward`].
    pub(crate) fn backward(
        &mut self,
        forward: Forward,
        rows: &[WeightedRow],
        losses: &[RowLoss],
    ) -> Result<()> {
        let Forward {
            decoder,
            kept,
            states,
        } = forward;
        let weights = self.head_weights()?;
        let (states_gradient, weights_gradient) =
            head::gradient(&weights, &states.detach(), rows, losses)?;
        self.add(self.architecture.head, &weights_gradient)?;
        match kept {
            // Refused by the caller.
            Kept::Nothing => {}
            Kept::Graph => {
                let grads = inject(&states, &states_gradient)?;
                self.collect(&grads)?;
            }
            Kept::Inputs(mut inputs) => {
                let Some(last) = inputs.pop() else {
                    return Ok(());
                };
                let last = Var::from_tensor(&last)?;
                let output = decoder.norm(&self.architecture.norm, &last)?;
                let mut stream = self.segment(&last, &output, &states_gradient)?;
                for (input, block) in inputs.iter().zip(self.architecture.blocks.clone()).rev() {
                    let input = Var::from_tensor(input)?;
                    let output = decoder.block(&block, &input)?;
                    stream = self.segment(&input, &output, &stream)?;
                }
                let grads = inject(&decoder.embed()?, &stream)?;
                self.collect(&grads)?;
            }
        }
        Ok(())
    }

    /// The gradient of `input`, given that of `output`. Adds the gradients of the parameters in between.
    fn segment(&mut self, input: &Var, output: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let grads = inject(output, gradient)?;
        self.collect(&grads)?;
        let own = grads.get(input.as_tensor()).cloned();
        own.map_or_else(|| Ok(input.zeros_like()?), Ok)
    }

    fn collect(&mut self, grads: &GradStore) -> Result<()> {
        for i in 0..self.weights.len() {
            if let Some(gradient) = grads.get(self.weights[i].as_tensor()) {
                self.add(i, &gradient.clone())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, parameter: usize, gradient: &Tensor) -> Result<()> {
        let gradient = gradient
            .detach()
            .to_dtype(self.weights[parameter].dtype())?;
        let place = &mut self.gradients[parameter];
        *place = Some(match place.take() {
            Some(before) => (before + gradient)?,
            None => gradient,
        });
        Ok(())
    }

    fn head_weights(&self) -> Result<Tensor> {
        let weights = self.weights[self.architecture.head].as_tensor();
        Ok(weights.detach().to_dtype(self.compute)?)
    }

    /// A copy of the weights in f32.
    ///
    /// # Errors
    /// If they cannot be copied from the device.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>> {
        let copy = |weights: &Var| Ok(weights.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?);
        self.weights.iter().map(copy).collect()
    }

    /// A copy of the gradients in f64; zeros where there is none yet.
    ///
    /// # Errors
    /// If they cannot be copied from the device.
    pub fn gradients(&self) -> Result<Vec<Vec<f64>>> {
        let gradients = self.gradients.iter().zip(&self.architecture.parameters);
        let copy = gradients.map(|(gradient, parameter)| match gradient {
            Some(gradient) => Ok(gradient.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?),
            None => Ok(vec![0.0; parameter.numbers()]),
        });
        copy.collect()
    }
}

/// Backward from `output` with a given gradient. Candle's backward starts from ones, so it starts from the sum of
/// `output * gradient` here.
fn inject(output: &Tensor, gradient: &Tensor) -> Result<GradStore> {
    let gradient = gradient.to_dtype(output.dtype())?.detach();
    Ok((output * gradient)?.sum_all()?.backward()?)
}
