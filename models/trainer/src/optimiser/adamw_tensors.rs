//! AdamW by candle's operations, on any device.

use candle_core::{DType, Tensor, Var};

use super::Factors;
use crate::{Result, model::Architecture};

/// The norm of all gradients together.
pub(super) fn norm(gradients: &[Option<Tensor>]) -> Result<f64> {
    let mut total = 0.0;
    for gradient in gradients.iter().flatten() {
        total += gradient
            .sqr()?
            .sum_all()?
            .to_dtype(DType::F64)?
            .to_scalar::<f64>()?;
    }
    Ok(total.sqrt())
}

/// One step of all parameters. Removes the gradients.
pub(super) fn update(
    (architecture, weights, gradients): (&Architecture, &[Var], &mut [Option<Tensor>]),
    mean: &mut [Tensor],
    square: &mut [Tensor],
    f: Factors,
) -> Result<()> {
    for (i, parameter) in architecture.parameters.iter().enumerate() {
        let weights = &weights[i];
        let gradient = match gradients[i].take() {
            Some(gradient) => (gradient * f.scale)?,
            None => weights.zeros_like()?,
        };
        mean[i] = ((&mean[i] * f.beta1)? + (&gradient * (1.0 - f.beta1))?)?;
        square[i] = ((&square[i] * f.beta2)? + (gradient.sqr()? * (1.0 - f.beta2))?)?;
        let root = ((&square[i] / f.correction2)?.sqrt()? + f.epsilon)?;
        let change = ((&mean[i] / root)? * (f.learning_rate / f.correction1))?;
        let decay = if parameter.decays() {
            f.weight_decay
        } else {
            0.0
        };
        let kept = (weights.as_tensor() * (1.0 - f.learning_rate * decay))?;
        weights.set(&(kept - change)?.detach())?;
    }
    Ok(())
}

/// Copies tensors to f32 vectors.
pub(super) fn numbers(tensors: &[Tensor]) -> Result<Vec<Vec<f32>>> {
    let copy = |t: &Tensor| Ok(t.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?);
    tensors.iter().map(copy).collect()
}

/// Fills tensors from f32 vectors.
pub(super) fn fill(tensors: &mut [Tensor], numbers: Vec<Vec<f32>>) -> Result<()> {
    for (tensor, numbers) in tensors.iter_mut().zip(numbers) {
        let filled = Tensor::from_vec(numbers, tensor.shape(), tensor.device())?;
        *tensor = filled.to_dtype(tensor.dtype())?;
    }
    Ok(())
}
