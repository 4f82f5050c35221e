//! The decoder in plain tensor operations, in the order of the papers' formulas.

use candle_core::{D, DType, Device, Tensor, Var};

use crate::{
    Batch, Result,
    model::{Architecture, Block, Linear, Mlp, Norm},
};

/// The mask of a forbidden column: next to any other score, its exp is zero.
const FORBIDDEN: f32 = -1e30;

/// The parameters in the compute dtype, and a batch's ids, positions and mask.
pub(super) struct Decoder {
    architecture: Architecture,
    weights: Vec<Tensor>,
    rows: usize,
    length: usize,
    /// `[tokens]`.
    ids: Tensor,
    /// `[tokens]`: the index of each token in its document.
    positions: Tensor,
    /// `[rows, 1, length, length]`, added to scores.
    mask: Tensor,
    /// Cosines and sines, `[tokens, 1, head_dim / 2]`.
    angles: Option<(Tensor, Tensor)>,
}

impl Decoder {
    pub(super) fn new(
        architecture: &Architecture,
        weights: &[Var],
        compute: DType,
        batch: &Batch,
        device: &Device,
    ) -> Result<Self> {
        let weights = weights.iter().map(|w| w.as_tensor().to_dtype(compute));
        let (rows, length) = (batch.rows, batch.length);
        let starts = &batch.document_starts;
        let positions = starts.iter().enumerate();
        let positions: Vec<u32> = positions
            .map(|(i, start)| (i % length) as u32 - start)
            .collect();
        let mask = (0..rows * length * length).map(|i| {
            let (query, key) = (i / length, i % length);
            let seen = key <= query % length && key >= starts[query] as usize;
            if seen { 0.0 } else { FORBIDDEN }
        });
        let mask = Tensor::from_iter(mask, device)?.reshape((rows, 1, length, length))?;
        let config = &architecture.config;
        let half = config.head_width / 2;
        let angles = config.rotary_base.map(|base| -> Result<_> {
            // The products are in f32, as in Transformers.
            let frequencies: Vec<f32> = (0..half)
                .map(|i| (1.0 / base.powf((2 * i) as f64 / config.head_width as f64)) as f32)
                .collect();
            let angle = |p: &u32| {
                frequencies
                    .iter()
                    .map(|f| f64::from(*p as f32 * f))
                    .collect::<Vec<_>>()
            };
            let angles: Vec<f64> = positions.iter().flat_map(angle).collect();
            let angles = Tensor::from_vec(angles, (rows * length, 1, half), device)?;
            Ok((
                angles.cos()?.to_dtype(compute)?,
                angles.sin()?.to_dtype(compute)?,
            ))
        });
        Ok(Self {
            architecture: architecture.clone(),
            weights: weights.collect::<candle_core::Result<_>>()?,
            rows,
            length,
            ids: Tensor::new(batch.input_ids.as_slice(), device)?,
            positions: Tensor::new(positions, device)?,
            mask: mask.to_dtype(compute)?,
            angles: angles.transpose()?,
        })
    }

    /// The embeddings, `[tokens, hidden_size]`.
    pub(super) fn embed(&self) -> Result<Tensor> {
        let stream = self.weights[self.architecture.embedding].index_select(&self.ids, 0)?;
        Ok(match self.architecture.positions {
            Some(table) => (stream + self.weights[table].index_select(&self.positions, 0)?)?,
            None => stream,
        })
    }

    /// One block, from `[tokens, hidden_size]` to the same shape.
    pub(super) fn block(&self, block: &Block, stream: &Tensor) -> Result<Tensor> {
        let config = &self.architecture.config;
        let normed = self.norm(&block.attention_norm, stream)?;
        let tokens = self.rows * self.length;
        let heads = |linear, count| -> Result<Tensor> {
            Ok(self
                .linear(linear, &normed)?
                .reshape((tokens, count, config.head_width))?)
        };
        let mut q = heads(&block.query, config.heads)?;
        let mut k = heads(&block.key, config.key_value_heads)?;
        let v = heads(&block.value, config.key_value_heads)?;
        if let Some((query_norm, key_norm)) = &block.head_norms {
            (q, k) = (self.norm(query_norm, &q)?, self.norm(key_norm, &k)?);
        }
        let (q, k) = (self.rotate(&q)?, self.rotate(&k)?);
        let attended = self.linear(&block.output, &self.attend(&q, &k, &v)?)?;
        let stream = (stream + attended)?;
        let normed = self.norm(&block.mlp_norm, &stream)?;
        let change = match &block.mlp {
            Mlp::Gated { gate, up, down } => {
                let gate = self.linear(gate, &normed)?;
                let silu = (&gate / (gate.neg()?.exp()? + 1.0)?)?;
                self.linear(down, &(silu * self.linear(up, &normed)?)?)?
            }
            Mlp::Gelu { up, down } => {
                let x = self.linear(up, &normed)?;
                let inner =
                    ((&x + (x.powf(3.0)? * 0.044715)?)? * (2.0 / std::f64::consts::PI).sqrt())?;
                self.linear(down, &((x * 0.5)? * (inner.tanh()? + 1.0)?)?)?
            }
        };
        Ok((stream + change)?)
    }

    /// RMS norm, or LayerNorm if there is a bias, over the last dimension.
    pub(super) fn norm(&self, norm: &Norm, x: &Tensor) -> Result<Tensor> {
        let dtype = x.dtype();
        let wide = if dtype == DType::F64 {
            dtype
        } else {
            DType::F32
        };
        let mut x = x.to_dtype(wide)?;
        if norm.bias.is_some() {
            x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        }
        let variance = x.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = x
            .broadcast_div(&(variance + norm.epsilon)?.sqrt()?)?
            .to_dtype(dtype)?;
        let scaled = normed.broadcast_mul(&self.weights[norm.scale])?;
        Ok(match norm.bias {
            Some(bias) => scaled.broadcast_add(&self.weights[bias])?,
            None => scaled,
        })
    }

    fn linear(&self, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        let weights = &self.weights[linear.weights.parameter];
        let y = if linear.inputs_first {
            let part = weights.narrow(1, linear.weights.offset, linear.outputs)?;
            x.matmul(&part.contiguous()?)?
        } else {
            x.matmul(&weights.t()?)?
        };
        Ok(match linear.bias {
            Some(bias) => {
                let part = self.weights[bias.parameter].narrow(0, bias.offset, linear.outputs)?;
                y.broadcast_add(&part)?
            }
            None => y,
        })
    }

    /// Applies the rotary embedding to `[tokens, heads, head_dim]`.
    fn rotate(&self, x: &Tensor) -> Result<Tensor> {
        let Some((cosines, sines)) = &self.angles else {
            return Ok(x.clone());
        };
        let half = x.dim(2)? / 2;
        let (a, b) = (x.narrow(2, 0, half)?, x.narrow(2, half, half)?);
        let first = (a.broadcast_mul(cosines)? - b.broadcast_mul(sines)?)?;
        let second = (b.broadcast_mul(cosines)? + a.broadcast_mul(sines)?)?;
        Ok(Tensor::cat(&[first, second], 2)?)
    }

    /// Attention, `[tokens, heads * head_dim]`.
    fn attend(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        let (tokens, heads, width) = q.dims3()?;
        let few = k.dim(1)?;
        let group = heads / few;
        let split = |x: &Tensor, heads| -> Result<Tensor> {
            let x = x.reshape((self.rows, self.length, heads, width))?;
            Ok(x.transpose(1, 2)?.contiguous()?)
        };
        let repeat = |x: &Tensor| -> Result<Tensor> {
            let shape = (self.rows, few, group, self.length, width);
            let x = split(x, few)?
                .unsqueeze(2)?
                .broadcast_as(shape)?
                .contiguous()?;
            Ok(x.reshape((self.rows, heads, self.length, width))?)
        };
        let (q, k, v) = (split(q, heads)?, repeat(k)?, repeat(v)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? * (1.0 / (width as f64).sqrt()))?;
        let scores = scores.broadcast_add(&self.mask)?;
        let e = scores
            .broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?
            .exp()?;
        let p = e.broadcast_div(&e.sum_keepdim(D::Minus1)?)?;
        let out = p.matmul(&v)?.transpose(1, 2)?.contiguous()?;
        Ok(out.reshape((tokens, heads * width))?)
    }
}
