//! The two networks behind one set of functions, and the one place where it is decided which runs: on the processor in
//! f32 the one written for it (`fused`), everywhere else candle's operations (`plain`).

use candle_core::{DType, Device};

use crate::{
    Batch, Result, Target, TrainerError, checkpoint::Model, fused, model::Architecture, plain,
};

/// A row of the head: a token to predict, and how much its loss counts in the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WeightedRow {
    /// The token.
    pub target: Target,
    /// What its loss is multiplied by.
    pub weight: f32,
}

/// The loss of a row, in nats.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowLoss {
    /// `-ln p[token]`.
    pub loss: f32,
    /// The logarithm of the sum of exp over the row's logits, which the gradient needs again.
    pub log_sum: f32,
}

/// A model with its gradients, on some device.
pub enum Network {
    /// On the processor, in f32, by our own operations.
    Fused(Box<fused::Network>),
    /// On any device and in any type, by candle's.
    Plain(Box<plain::Network>),
}

/// What backward needs of a forward pass.
pub enum Forward {
    /// Of [`Network::Fused`].
    Fused(fused::Forward),
    /// Of [`Network::Plain`].
    Plain(Box<plain::Forward>),
}

impl Network {
    /// A network on a device: our own operations on the processor; on CUDA candle's in bf16, with weights in f32.
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

    /// A network by candle's operations in the type `compute`: the oracle of the other one, in F64.
    pub fn plain(checkpoint: Model, device: &Device, compute: DType) -> Result<Self> {
        let network = plain::Network::new(checkpoint, device, compute)?;
        Ok(Self::Plain(Box::new(network)))
    }

    /// What the model is made of.
    pub fn architecture(&self) -> &Architecture {
        match self {
            Self::Fused(network) => network.architecture(),
            Self::Plain(network) => network.architecture(),
        }
    }

    /// Whether blocks keep their input alone and compute the rest again in backward.
    pub fn set_checkpointing(&mut self, on: bool) {
        match self {
            Self::Fused(network) => network.set_checkpointing(on),
            Self::Plain(network) => network.set_checkpointing(on),
        }
    }

    /// Bytes that a forward pass over so many tokens keeps until backward; none where that is not known.
    pub fn kept_bytes(&self, tokens: usize) -> Option<usize> {
        match self {
            Self::Fused(network) => Some(network.kept_bytes(tokens)),
            Self::Plain(_) => None,
        }
    }

    /// The hidden states of a batch. With `keep`, what backward needs is kept; without, only losses can be asked for.
    pub fn forward(&mut self, batch: &Batch, keep: bool) -> Result<Forward> {
        let config = &self.architecture().config;
        batch.check(config.vocabulary, config.positions)?;
        match self {
            Self::Fused(network) => Ok(Forward::Fused(network.forward(batch, keep))),
            Self::Plain(network) => Ok(Forward::Plain(Box::new(network.forward(batch, keep)?))),
        }
    }

    /// The loss of each row, whatever its weight.
    ///
    /// Refuses rows of states or tokens that there are not.
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
    /// Refuses a forward pass that was not kept, and rows that are not in the order of their states, each of one.
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
            return refused("forward pass", "one that was kept", "one for losses alone");
        }
        if !rows.is_sorted_by(|a, b| a.target.state < b.target.state) || rows.len() != losses.len()
        {
            return refused(
                "rows",
                "rows in the order of their states, and a loss of each",
                "others",
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

    /// Lets go of a forward pass that has no backward.
    pub fn release(&self, forward: Forward) {
        if let (Self::Fused(network), Forward::Fused(forward)) = (self, forward) {
            network.release(forward);
        }
    }

    /// A copy of the weights, for a checkpoint.
    pub fn weights(&self) -> Result<Vec<Vec<f32>>> {
        match self {
            Self::Fused(network) => Ok(network.weights().to_vec()),
            Self::Plain(network) => network.weights(),
        }
    }

    /// The model as it is now, to save.
    pub fn checkpoint(&self) -> Result<Model> {
        Ok(Model {
            architecture: self.architecture().clone(),
            weights: self.weights()?,
        })
    }

    /// Sets all gradients to zero: what a step that failed halfway has added must not reach the next.
    pub fn clear_gradients(&mut self) {
        match self {
            Self::Fused(network) => network.clear_gradients(),
            Self::Plain(network) => network.parts_mut().2.fill(None),
        }
    }

    /// A copy of the gradients, in f64.
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
