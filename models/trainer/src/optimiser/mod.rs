//! From gradients to new weights: gradient clipping, AdamW and the learning rate schedule. Takes a network whose
//! gradients are complete. The training loop decides when to step and stores the state.

mod adamw;
mod adamw_tensors;
mod schedule;
#[cfg(test)]
mod tests;

pub use schedule::{Decay, Schedule};

use candle_core::Tensor;

use crate::{Network, Result, TrainerError};

/// Settings of AdamW (Loshchilov and Hutter, arXiv 1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Decay rates of the running mean and mean square of the gradients.
    pub betas: (f64, f64),
    /// Added to the square root of the mean square.
    pub epsilon: f64,
    /// Weight decay of embeddings and matrices; norms and biases do not decay.
    pub weight_decay: f64,
    /// Largest norm of the gradient of all parameters together; a larger one is scaled down. `None`: no clipping.
    pub clip: Option<f64>,
}

impl Default for AdamW {
    /// PyTorch's epsilon, and the betas, weight decay and clipping that are usual for language models.
    fn default() -> Self {
        Self {
            betas: (0.9, 0.95),
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip: Some(1.0),
        }
    }
}

/// AdamW with its state.
pub struct Optimiser {
    settings: AdamW,
    steps: u64,
    moments: Moments,
}

/// Running means and mean squares of the gradients, on the network's device.
enum Moments {
    Numbers {
        mean: Vec<Vec<f32>>,
        square: Vec<Vec<f32>>,
    },
    Tensors {
        mean: Vec<Tensor>,
        square: Vec<Tensor>,
    },
}

/// The state of an optimiser, to store and resume.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Steps taken.
    pub steps: u64,
    /// Running means of the gradients, in the order of the model's parameters.
    pub mean: Vec<Vec<f32>>,
    /// Running means of their squares.
    pub square: Vec<Vec<f32>>,
}

/// The result of one optimiser step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// The norm of all gradients together, before clipping.
    pub gradient_norm: f64,
    /// The factor that clipping applied to the gradients.
    pub scale: f64,
}

/// The factors of one step, equal for all parameters.
#[derive(Debug, Clone, Copy)]
struct Factors {
    learning_rate: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    weight_decay: f64,
    /// Bias correction `1 - beta^step`: the means start at 0.
    correction1: f64,
    correction2: f64,
    /// The factor of clipping.
    scale: f64,
}

impl Optimiser {
    /// A fresh optimiser for a network.
    ///
    /// # Errors
    /// If a setting is out of its range, or the moments cannot be allocated on the device.
    pub fn new(network: &mut Network, settings: AdamW) -> Result<Self> {
        for (setting, got) in [("beta1", settings.betas.0), ("beta2", settings.betas.1)] {
            if !(0.0..1.0).contains(&got) {
                let expected = "a number from 0 to below 1";
                return Err(TrainerError::Setting {
                    setting,
                    expected,
                    got,
                });
            }
        }
        for (setting, got) in [
            ("epsilon", settings.epsilon),
            ("weight_decay", settings.weight_decay),
            ("clip", settings.clip.unwrap_or(0.0)),
        ] {
            if !(got.is_finite() && got >= 0.0) {
                let expected = "a number of at least 0";
                return Err(TrainerError::Setting {
                    setting,
                    expected,
                    got,
                });
            }
        }
        let moments = match network {
            Network::Fused(network) => {
                let zeros = || {
                    network
                        .weights()
                        .iter()
                        .map(|w| vec![0.0; w.len()])
                        .collect()
                };
                Moments::Numbers {
                    mean: zeros(),
                    square: zeros(),
                }
            }
            Network::Plain(network) => {
                let (_, weights, _) = network.parts_mut();
                let zeros = || {
                    weights
                        .iter()
                        .map(|w| w.zeros_like())
                        .collect::<candle_core::Result<_>>()
                };
                Moments::Tensors {
                    mean: zeros()?,
                    square: zeros()?,
                }
            }
        };
        Ok(Self {
            settings,
            steps: 0,
            moments,
        })
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates the network's weights by its gradients, and sets the gradients to zero.
    ///
    /// # Errors
    /// If the gradient's norm is not finite (weights and state then stay unchanged), the optimiser belongs to another
    /// kind of network, or an operation of candle fails.
    pub fn step(&mut self, network: &mut Network, learning_rate: f64) -> Result<Update> {
        let gradient_norm = match network {
            Network::Fused(network) => adamw::norm(network.gradients()),
            Network::Plain(network) => adamw_tensors::norm(network.parts_mut().2)?,
        };
        if !gradient_norm.is_finite() {
            network.clear_gradients();
            return Err(TrainerError::NotFinite {
                step: self.steps,
                what: "gradient's norm",
                got: gradient_norm,
            });
        }
        // As PyTorch's clip_grad_norm_.
        let scale = self
            .settings
            .clip
            .map_or(1.0, |clip| (clip / (gradient_norm + 1e-6)).min(1.0));
        let (beta1, beta2) = self.settings.betas;
        let count = i32::try_from(self.steps + 1).unwrap_or(i32::MAX);
        let factors = Factors {
            learning_rate,
            beta1,
            beta2,
            epsilon: self.settings.epsilon,
            weight_decay: self.settings.weight_decay,
            correction1: 1.0 - beta1.powi(count),
            correction2: 1.0 - beta2.powi(count),
            scale,
        };
        match (network, &mut self.moments) {
            (Network::Fused(network), Moments::Numbers { mean, square }) => {
                adamw::update(network.parts_mut(), mean, square, factors);
            }
            (Network::Plain(network), Moments::Tensors { mean, square }) => {
                adamw_tensors::update(network.parts_mut(), mean, square, factors)?;
            }
            (network, _) => {
                return Err(TrainerError::State {
                    what: "moments",
                    expected: network.architecture().parameters.len(),
                    got: 0,
                });
            }
        }
        self.steps += 1;
        Ok(Update {
            gradient_norm,
            scale,
        })
    }

    /// A copy of the state.
    ///
    /// # Errors
    /// If it cannot be copied from the device.
    pub fn state(&self) -> Result<State> {
        let (mean, square) = match &self.moments {
            Moments::Numbers { mean, square } => (mean.clone(), square.clone()),
            Moments::Tensors { mean, square } => (
                adamw_tensors::numbers(mean)?,
                adamw_tensors::numbers(square)?,
            ),
        };
        Ok(State {
            steps: self.steps,
            mean,
            square,
        })
    }

    /// Resumes from a state.
    ///
    /// # Errors
    /// If the state's sizes are not those of the model, or it cannot be copied to the device.
    pub fn restore(&mut self, network: &Network, state: State) -> Result<()> {
        let parameters = &network.architecture().parameters;
        for (what, vectors) in [("means", &state.mean), ("mean squares", &state.square)] {
            let fits = vectors
                .iter()
                .zip(parameters)
                .filter(|(v, p)| v.len() == p.numbers())
                .count();
            if fits != parameters.len() || vectors.len() != fits {
                return Err(TrainerError::State {
                    what,
                    expected: parameters.len(),
                    got: fits,
                });
            }
        }
        match &mut self.moments {
            Moments::Numbers { mean, square } => (*mean, *square) = (state.mean, state.square),
            Moments::Tensors { mean, square } => {
                adamw_tensors::fill(mean, state.mean)?;
                adamw_tensors::fill(square, state.square)?;
            }
        }
        self.steps = state.steps;
        Ok(())
    }
}
