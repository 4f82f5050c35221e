//! The head and its loss over blocks of rows, with hand-written forward and backward.

use candle_core::{D, DType, Tensor};

use crate::{
    Result,
    network::{RowLoss, WeightedRow},
};

/// Logits in memory at a time: 64 MiB in f32.
const LOGITS: usize = 16 * 1024 * 1024;

fn block_rows(weights: &Tensor) -> Result<usize> {
    Ok((LOGITS / weights.dim(0)?).max(1))
}

/// Converts to f32, or keeps f64.
fn wide(tensor: &Tensor) -> Result<Tensor> {
    let dtype = if tensor.dtype() == DType::F64 {
        DType::F64
    } else {
        DType::F32
    };
    Ok(tensor.to_dtype(dtype)?)
}

/// States, targets `[rows, 1]` and logits of a block.
fn logits(weights: &Tensor, states: &Tensor, rows: &[WeightedRow]) -> Result<[Tensor; 3]> {
    let places: Vec<u32> = rows.iter().map(|row| row.target.state as u32).collect();
    let tokens: Vec<u32> = rows.iter().map(|row| row.target.token).collect();
    let device = states.device();
    let states = states.index_select(&Tensor::new(places, device)?, 0)?;
    let tokens = Tensor::new(tokens, device)?.unsqueeze(1)?;
    let logits = wide(&states.matmul(&weights.t()?)?)?;
    Ok([states, tokens, logits])
}

/// The unweighted loss of each row.
pub(super) fn losses(
    weights: &Tensor,
    states: &Tensor,
    rows: &[WeightedRow],
) -> Result<Vec<RowLoss>> {
    let mut all = Vec::with_capacity(rows.len());
    for rows in rows.chunks(block_rows(weights)?) {
        let [_, tokens, logits] = logits(weights, states, rows)?;
        let top = logits.max_keepdim(D::Minus1)?;
        let sum = logits.broadcast_sub(&top)?.exp()?.sum_keepdim(D::Minus1)?;
        let log_sum = sum.log()?;
        let target = logits.gather(&tokens, 1)?;
        // Subtract the large numbers first: their difference is small.
        let loss = ((&top - target)? + &log_sum)?;
        let column = |tensor: Tensor| -> Result<Vec<f32>> {
            Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
        };
        let (losses, log_sums) = (column(loss)?, column((top + log_sum)?)?);
        let pairs = losses.into_iter().zip(log_sums);
        all.extend(pairs.map(|(loss, log_sum)| RowLoss { loss, log_sum }));
    }
    Ok(all)
}

/// The gradients of the hidden states `[tokens, hidden_size]` and of the head's weights.
pub(super) fn gradient(
    weights: &Tensor,
    states: &Tensor,
    rows: &[WeightedRow],
    losses: &[RowLoss],
) -> Result<(Tensor, Tensor)> {
    let device = states.device();
    let mut states_gradient = wide(&states.zeros_like()?)?;
    let mut weights_gradient = wide(&weights.zeros_like()?)?;
    let block = block_rows(weights)?;
    for (rows, _) in rows.chunks(block).zip(losses.chunks(block)) {
        let [own, tokens, logits] = logits(weights, states, rows)?;
        let row_weights: Vec<f32> = rows.iter().map(|row| row.weight).collect();
        let row_weights = Tensor::new(row_weights, device)?
            .unsqueeze(1)?
            .to_dtype(logits.dtype())?;
        // Computes the softmax again: the stored log-sum-exps are f32, too short for f64.
        let top = logits.max_keepdim(D::Minus1)?;
        let e = logits.broadcast_sub(&top)?.exp()?;
        let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
        let d = p.broadcast_mul(&row_weights)?;
        let d = d
            .scatter_add(&tokens, &row_weights.neg()?, 1)?
            .to_dtype(weights.dtype())?;
        let places: Vec<u32> = rows.iter().map(|row| row.target.state as u32).collect();
        let places = Tensor::new(places, device)?;
        states_gradient = states_gradient.index_add(&places, &wide(&d.matmul(weights)?)?, 0)?;
        weights_gradient = (weights_gradient + wide(&d.t()?.matmul(&own)?)?)?;
    }
    Ok((states_gradient, weights_gradient))
}
