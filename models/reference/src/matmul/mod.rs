//! Matmuls in reduced precision, int8 and bf16, with elements packed into units of four bytes.
//!
//! ```text
//! weights [inputs, outputs] ─ once ─► panels of C columns: units [inputs / U][C], a scale per column
//! rows    [n, inputs]       ─ each ─► groups of R rows:    units [inputs / U][R], a scale per row
//! tile [R, C] = group x panel in registers;  out = sum * scale of the column * scale of the row (+ bias)
//! ```
//!
//! * int8 (U = 4): `q = round(127 x / max|x|)` per row and per column. A row's scale depends on that row alone, so
//!   the rest of the batch does not matter. Rows are stored as `q + 128`, unsigned as the CPU instructions require;
//!   sums start at `-128 Σ q_weight` to compensate. Sums are exact integers: all instruction sets give the same bits.
//! * A matmul with more inputs than outputs is the last one of a feed-forward block. Its rows come from an activation
//!   function: few large numbers among many small ones. One int8 scale for both costs more accuracy than all other
//!   matmuls together (docs/performance.md). Such rows are quantised in two levels, `q + q_rest / 254`, at twice the
//!   work.
//! * bf16 (U = 2): numbers are rounded to 8 bits of mantissa, sums are f32, all scales are 1.
//!
//! A row or column that contains a NaN or an infinity gives NaN: its scale is NaN.
//!
//! * [`plain`]: the definition in f64 over the same rounded numbers.
//! * `units`: the inner loops by CPU instructions.
//! * `pack`: rounding and packing.

mod pack;
pub mod plain;
#[cfg(test)]
mod tests;
mod units;

use std::fmt;

use rayon::prelude::*;
use rho_graph::{GraphError, Layout, Tensor};

pub(crate) use pack::PackedRows;

use rho_kernels::Aligned;

use crate::{Precision, ReferenceError};

/// With more inputs a sum of int8 products could overflow 32 bits: 255 * 127 * 66,311 < 2^31.
const MOST_INPUTS: usize = 66_311;

/// The instruction set and precision of a matmul: `Int8Avx512`, `Int8AvxVnni`, `Int8Avx2`, `Int8Portable` or
/// `Bf16Avx512`, as [`Debug`](fmt::Debug) prints them.
///
/// # Invariant
/// A value proves that this CPU has the instructions. Only [`detect`](Self::detect) and [`available`](Self::available)
/// create one, after they have asked the CPU.
///
/// ```compile_fail,E0599
/// let multiplier = rho_reference::matmul::Multiplier::Int8Avx512;
/// ```
///
/// ```compile_fail,E0423
/// let multiplier = rho_reference::matmul::Multiplier(unreachable!());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Multiplier(Kind);

/// What a [`Multiplier`] proves. A kind alone proves nothing: no function that needs the instructions takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// int8 with AVX-512 VNNI, tiles of 14 x 32.
    #[cfg(target_arch = "x86_64")]
    Int8Avx512,
    /// int8 with the 256-bit VNNI of CPUs without AVX-512, tiles of 6 x 16.
    #[cfg(target_arch = "x86_64")]
    Int8AvxVnni,
    /// int8 as 16-bit products with AVX2, tiles of 4 x 16: no faster than f32.
    #[cfg(target_arch = "x86_64")]
    Int8Avx2,
    /// int8 in plain Rust for any CPU, tiles of 4 x 16.
    Int8Portable,
    /// bf16 with AVX-512, tiles of 14 x 32.
    #[cfg(target_arch = "x86_64")]
    Bf16Avx512,
}

impl fmt::Debug for Multiplier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Multiplier {
    /// The best multiplier of this CPU for a precision. int8 works everywhere, bf16 only on CPUs with bf16
    /// instructions: without them it would be slower than f32 and no more exact.
    ///
    /// # Errors
    /// If this CPU has no multiplier for the precision.
    pub fn detect(precision: Precision) -> Result<Self, ReferenceError> {
        let found = Self::available().into_iter();
        let mut found = found.filter(|m| m.precision() == precision);
        found.next().ok_or(ReferenceError::NoInstructions {
            precision,
            needed: "avx512_bf16",
        })
    }

    /// All multipliers of this CPU, best first.
    pub fn available() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw");
            if wide && is_x86_feature_detected!("avx512vnni") {
                all.push(Self(Kind::Int8Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                if is_x86_feature_detected!("avxvnni") {
                    all.push(Self(Kind::Int8AvxVnni));
                }
                all.push(Self(Kind::Int8Avx2));
            }
            if wide && is_x86_feature_detected!("avx512bf16") {
                all.push(Self(Kind::Bf16Avx512));
            }
        }
        all.push(Self(Kind::Int8Portable));
        all
    }

    /// The precision it computes in.
    pub fn precision(self) -> Precision {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16Avx512 => Precision::Bf16,
            _ => Precision::Int8,
        }
    }

    /// Whether it has no instructions for its precision, which makes it slower than f32.
    pub fn is_portable(self) -> bool {
        self.0 == Kind::Int8Portable
    }

    /// Rows and columns of a tile.
    pub(crate) fn tile(self) -> (usize, usize) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Int8Avx512 | Kind::Bf16Avx512 => (14, 32),
            #[cfg(target_arch = "x86_64")]
            Kind::Int8AvxVnni => (6, 16),
            #[cfg(target_arch = "x86_64")]
            Kind::Int8Avx2 => (4, 16),
            Kind::Int8Portable => (4, 16),
        }
    }

    /// Elements per unit of four bytes.
    pub(crate) fn numbers_per_unit(self) -> usize {
        match self.precision() {
            Precision::Bf16 => 2,
            _ => 4,
        }
    }
}

/// An unpacked weight matrix `[inputs, outputs]`, with the scale and bias of its matmul.
pub struct Weights<'a> {
    /// A matrix of floats.
    pub tensor: &'a Tensor,
    /// Which axis is stored first.
    pub layout: Layout,
    /// Width of the input rows.
    pub inputs: usize,
    /// Width of the output rows.
    pub outputs: usize,
    /// The factor on the matmul's result.
    pub scale: f32,
    /// Added to the scaled result.
    pub bias: Option<&'a [f32]>,
}

/// Weights packed for a multiplier: about `inputs * outputs` elements of its precision.
pub struct PackedMatmul {
    multiplier: Multiplier,
    inputs: usize,
    outputs: usize,
    /// Units per column.
    pub(crate) units: usize,
    /// `[units][columns]` each.
    pub(crate) panels: Vec<Aligned>,
    /// Per column, padded to whole panels: the initial value of the sums (the bits of an accumulator).
    pub(crate) starts: Vec<u32>,
    /// Per column, padded: the factor on sums.
    pub(crate) scales: Vec<f32>,
    /// Per column, padded.
    bias: Option<Vec<f32>>,
    /// Rows are quantised to int8 in two levels.
    fine: bool,
}

/// Whether a matmul's int8 rows are quantised in two levels.
fn takes_fine_rows(inputs: usize, outputs: usize) -> bool {
    inputs > outputs
}

impl PackedMatmul {
    /// Rounds and packs weights on the threads of the current rayon pool.
    ///
    /// # Errors
    /// If the tensor is not a float matrix of `inputs * outputs` elements, has more than 66,311 inputs, or cannot be
    /// read.
    pub fn new(weights: &Weights<'_>, multiplier: Multiplier) -> Result<Self, GraphError> {
        let Weights {
            inputs, outputs, ..
        } = *weights;
        let fits = weights.tensor.dims.iter().product::<usize>() == inputs * outputs;
        if !weights.tensor.dtype.is_float() || !fits || inputs > MOST_INPUTS {
            return Err(GraphError::TensorType {
                name: weights.tensor.name.clone(),
                expected: "a matrix of floats with at most 66,311 rows",
                got: weights.tensor.dtype,
            });
        }
        let columns = multiplier.tile().1;
        let count = outputs.div_ceil(columns);
        let panels = (0..count).into_par_iter().map(|p| {
            let mut floats = Aligned::zeroed(inputs * columns);
            read_columns(weights, p * columns, columns, floats.as_mut_slice())?;
            Ok(pack::panel(
                floats.as_slice(),
                inputs,
                columns,
                multiplier,
                weights.scale,
            ))
        });
        let packed = panels.collect::<Result<Vec<_>, GraphError>>()?;
        let bias = weights.bias.map(|bias| {
            let mut bias = bias.to_vec();
            bias.resize(count * columns, 0.0);
            bias
        });
        let mut product = Self {
            multiplier,
            inputs,
            outputs,
            units: inputs.div_ceil(multiplier.numbers_per_unit()),
            panels: Vec::with_capacity(count),
            starts: Vec::with_capacity(count * columns),
            scales: Vec::with_capacity(count * columns),
            bias,
            fine: multiplier.precision() == Precision::Int8 && takes_fine_rows(inputs, outputs),
        };
        for panel in packed {
            product.panels.push(panel.units);
            product.starts.extend(panel.starts);
            product.scales.extend(panel.scales);
        }
        Ok(product)
    }

    /// Width of the input rows.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the output rows.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The multiplier that the weights are packed for.
    pub fn multiplier(&self) -> Multiplier {
        self.multiplier
    }

    /// `out [n, outputs] = rows [n, inputs] x weights * scale + bias`, on the calling thread.
    ///
    /// # Panics
    /// If the slices are not whole rows, or do not have the same number of rows.
    pub fn multiply(&self, rows: &[f32], out: &mut [f32]) {
        assert_eq!(rows.len() % self.inputs, 0, "whole rows");
        let count = rows.len() / self.inputs;
        assert_eq!(
            out.len(),
            count * self.outputs,
            "an output row per input row"
        );
        let packed = PackedRows::new(
            self.multiplier,
            self.fine,
            self.inputs,
            count,
            |r, numbers| numbers.copy_from_slice(&rows[r * self.inputs..][..self.inputs]),
        );
        units::multiply(self, &packed, out);
    }

    /// Whether rows are quantised to int8 in two levels.
    pub(crate) fn fine(&self) -> bool {
        self.fine
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }
}

/// Reads columns `from..from + columns` as `[inputs][columns]` floats; columns beyond the last stay unchanged.
pub(crate) fn read_columns(
    weights: &Weights<'_>,
    from: usize,
    columns: usize,
    panel: &mut [f32],
) -> Result<(), GraphError> {
    let width = columns.min(weights.outputs - from);
    let mut numbers = Vec::new();
    match weights.layout {
        Layout::HiddenFirst => {
            for k in 0..weights.inputs {
                let at = k * weights.outputs + from;
                weights.tensor.read_f32(at..at + width, &mut numbers)?;
                panel[k * columns..][..width].copy_from_slice(&numbers);
            }
        }
        Layout::VocabularyFirst => {
            for column in 0..width {
                let at = (from + column) * weights.inputs;
                weights
                    .tensor
                    .read_f32(at..at + weights.inputs, &mut numbers)?;
                for (k, &number) in numbers.iter().enumerate() {
                    panel[k * columns + column] = number;
                }
            }
        }
    }
    Ok(())
}
