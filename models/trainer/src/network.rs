//! The two networks behind one interface, and the choice between them: `fused` on the CPU in f32, `plain` (candle's
//! operations) everywhere else.

use candle_core::{DType, Device};

use crate::{
    Batch, Result, Target, TrainerError, checkpoint::Model, fused, model::Architecture, plain,
};

/// A row of the head: a target, and the weight of its loss in the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedRow {
    /// The target.
    pub target: Target,
    /// The factor on its loss.
    pub weight: f32,
}

/// The loss of a row, in nats.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowLoss {
    /// `-ln p[token]`.
    pub loss: f32,
    /// The log-sum-exp of the row's logits, which the gradient needs again.
    pub log_sum: f32,
}

/// A model with its gradients, on a device.
pub enum Network {
    /// On the CPU, in f32, by our own operations.
    Fused(Box<fused::Network>),
    /// On any device and in any dtype, by candle's operations.
    Plain(Box<plain::Network>),
}

/// A forward pass, with what its backward pass needs.
pub enum Forward {
    /// Of [`Network::Fused`].
    Fused(fused::Forward),
    /// Of [`Network::Plain`].
    Plain(Box<plain::Forward>),
}

impl Network {
    /// A network on a device: by our own operations on the CPU; by candle's in bf16 on CUDA, with weights in f32.
    ///
    /// # Errors
    /// If the weights cannot be copied to the device.
    pub fn new(checkpoint: Model, device: &Device) -> Result<Self> {
        match device {
            Device::Cpu => {
                let Model {
                    architecture,
                    weights,
                } = checkpoint;
                let network = fused::Network::new(architecture, weights);
                Ok(Self::Fused(Box::new(network)))
            }
            device => Self::plain(checkpoint, device, DType::BF16),
        }
    }

    /// A network by candle's operations in the dtype `compute`. In F64 it is the oracle of the fused network.
    ///
    /// # Errors
    /// If the weights cannot be copied to the device.
    pub fn plain(checkpoint: Model, device: &Device, compute: DType) -> Result<Self> {
        let network = plain::Network::new(checkpoint, device, compute)?;
        Ok(Self::Plain(Box::new(network)))
    }

    /// The model's architecture.
    pub fn architecture(&self) -> &Architecture {
        match self {
            Self::Fused(network) => network.architecture(),
            Self::Plain(network) => network.architecture(),
        }
    }

    /// Turns gradient checkpointing on or off: blocks keep only their input and recompute the rest in backward.
    pub fn set_checkpointing(&mut self, on: bool) {
        match self {
            Self::Fused(network) => network.set_checkpointing(on),
            Self::Plain(network) => network.set_checkpointing(on),
        }
    }

    /// Bytes that a forward pass over `tokens` tokens keeps until backward; `None` if unknown.
    pub fn kept_bytes(&self, tokens: usize) -> Option<usize> {
        match self {
            Self::Fused(network) => Some(network.kept_bytes(tokens)),
            Self::Plain(_) => None,
        }
    }

    /// Computes the hidden states of a batch. With `keep`, the activations that backward needs are kept; without, only
    /// losses can be computed.
    ///
    /// # Errors
    /// If the batch does not fit the model (see [`Batch::check`]), or an operation of candle fails.
    pub fn forward(&mut self, batch: &Batch, keep: bool) -> Result<Forward> {
        let config = &self.architecture().config;
        batch.check(config.vocabulary, config.positions)?;
        match self {
            Self::Fused(network) => Ok(Forward::Fused(network.forward(batch, keep))),
            Self::Plain(network) => Ok(Forward::Plain(Box::new(network.forward(batch, keep)?))),
        }
    }

    /// The unweighted loss of each row.
    ///
    /// # Errors
    /// If a row's state or token is out of range, the forward pass belongs to another network, or an operation of
    /// candle fails.
    pub fn losses(&self, forward: &Forward, rows: &[WeightedRow]) -> Result<Vec<RowLoss>> {
        self.check(forward, rows)?;
        match (self, forward) {
            (Self::Fused(network), Forward::Fused(forward)) => Ok(network.losses(forward, rows)),
            (Self::Plain(network), Forward::Plain(forward)) => network.losses(forward, rows),
            _ => Err(foreign()),
        }
    }

    /// Adds the gradient of `Σ weight loss` over these rows to the gradients. `losses` are those of the same rows.
    ///
    /// # Errors
    /// If a row's state or token is out of range, the forward pass was not kept or belongs to another network, rows
    /// are not sorted by state with one row per state, or an operation of candle fails.
    pub fn backward(
        &mut self,
        forward: Forward,
        rows: &[WeightedRow],
        losses: &[RowLoss],
    ) -> Result<()> {
        self.check(&forward, rows)?;
        let kept = match &forward {
            Forward::Fused(forward) => forward.is_kept(),
            Forward::Plain(forward) => forward.is_kept(),
        };
        let refused = |what, expected: &str, got: &str| {
            Err(TrainerError::Batch {
                what,
                expected: expected.to_owned(),
                got: got.to_owned(),
            })
        };
        if !kept {
            return refused(
                "forward pass",
                "one kept for backward",
                "one for losses alone",
            );
        }
        if !rows.is_sorted_by(|a, b| a.target.state < b.target.state) || rows.len() != losses.len()
        {
            return refused(
                "rows",
                "rows sorted by state, one per state, with one loss each",
                "other rows",
            );
        }
        match (self, forward) {
            (Self::Fused(network), Forward::Fused(forward)) => {
                network.backward(forward, rows, losses);
                Ok(())
            }
            (Self::Plain(network), Forward::Plain(forward)) => {
                network.backward(*forward, rows, losses)
            }
            _ => Err(foreign()),
        }
    }

    /// Frees a forward pass that needs no backward.
    pub fn release(&self, forward: Forward) {
        if let (Self::Fused(network), Forward::Fused(forward)) = (self, forward) {
            network.release(forward);
        }
    }

    /// A copy of the weights, for a checkpoint.
    ///
    /// # Errors
    /// If they cannot be copied from the device.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>> {
        match self {
            Self::Fused(network) => Ok(network.weights().to_vec()),
            Self::Plain(network) => network.weights(),
        }
    }

    /// A copy of the model, to save.
    ///
    /// # Errors
    /// If the weights cannot be copied from the device.
    pub fn checkpoint(&self) -> Result<Model> {
        Ok(Model {
            architecture: self.architecture().clone(),
            weights: self.weights()?,
        })
    }

    /// Sets all gradients to zero, so that what a failed step has added does not reach the next step.
    pub fn clear_gradients(&mut self) {
        match self {
            Self::Fused(network) => network.clear_gradients(),
            Self::Plain(network) => network.parts_mut().2.fill(None),
        }
    }

    /// A copy of the gradients, in f64.
    ///
    /// # Errors
    /// If they cannot be copied from the device.
    pub fn gradients(&self) -> Result<Vec<Vec<f64>>> {
        match self {
            Self::Fused(network) => {
                let wide = |numbers: &Vec<f32>| numbers.iter().map(|&x| f64::from(x)).collect();
                Ok(network.gradients().iter().map(wide).collect())
            }
            Self::Plain(network) => network.gradients(),
        }
    }
}

impl Network {
    fn check(&self, forward: &Forward, rows: &[WeightedRow]) -> Result<()> {
        let tokens = match forward {
            Forward::Fused(forward) => forward.tokens(),
            Forward::Plain(forward) => forward.tokens(),
        };
        let vocabulary = self.architecture().config.vocabulary;
        let beyond = |row: &&WeightedRow| {
            row.target.state >= tokens || row.target.token as usize >= vocabulary
        };
        match rows.iter().find(beyond) {
            Some(row) => Err(TrainerError::Batch {
                what: "rows",
                expected: format!("states below {tokens} and tokens below {vocabulary}"),
                got: format!("state {} and token {}", row.target.state, row.target.token),
            }),
            None => Ok(()),
        }
    }
}

fn foreign() -> TrainerError {
    TrainerError::Batch {
        what: "forward pass",
        expected: "one of this network".to_owned(),
        got: "one of another".to_owned(),
    }
}
