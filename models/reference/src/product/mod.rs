//! Matrix products below f32: int8 and bf16, with numbers packed into units of four bytes.
//!
//! ```text
//! weights [inputs, outputs] ─ once ─► panels of C columns: units [inputs / U][C], a scale per column
//! rows    [n, inputs]       ─ each ─► groups of R rows:    units [inputs / U][R], a scale per row
//! tile [R, C] = group x panel in registers;  out = sum * scale of the column * scale of the row (+ bias)
//! ```
//!
//! * int8 (U = 4): `q = round(127 x / max|x|)` per row and per column. A row's scale depends on that row alone, so
//!   what else is in a batch changes nothing. Rows are kept as `q + 128`, unsigned as the processor wants them; the
//!   sums start at `-128 Σ q_weight`, which takes it out again. Sums are exact integers: all instructions give the
//!   same bits.
//! * Products with more inputs than outputs lead out of a feed-forward block: their rows come from an activation
//!   function and have a few large numbers beside many small ones, and one int8 step for both costs more than all
//!   other products together (docs/performance.md). Such rows are taken in two steps, `q + q_rest / 254`, at
//!   twice the work.
//! * bf16 (U = 2): numbers are rounded to 8 bits of mantissa, sums are f32, all scales are 1.
//!
//! A row or column that holds a NaN or an infinity gives NaN: its scale is NaN.
//!
//! * [`plain`]: the definition in f64 over the same rounded numbers.
//! * `units`: the processor's instructions. * `pack`: rounding and packing.

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

/// Above this many inputs a sum of int8 products might leave 32 bits: 255 * 127 * 66,311 < 2^31.
const MOST_INPUTS: usize = 66_311;

/// Which instructions multiply, and in which precision: `Int8Avx512`, `Int8AvxVnni`, `Int8Avx2`, `Int8Portable` or
/// `Bf16Avx512`, as [`Debug`](fmt::Debug) prints them.
///
/// # Invariant
/// A value is the proof that this processor has the instructions. Only [`detect`](Self::detect) and
/// [`available`](Self::available) make one, after they have asked the processor.
///
/// ```compile_fail,E0599
/// let multiplier = rho_reference::product::Multiplier::Int8Avx512;
/// ```
///
/// ```compile_fail,E0423
/// let multiplier = rho_reference::product::Multiplier(unreachable!());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Multiplier(Kind);

/// What a [`Multiplier`] has proved. A kind alone proves nothing: no function that needs instructions takes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// int8 with AVX-512 VNNI, tiles of 14 x 32.
    #[cfg(target_arch = "x86_64")]
    Int8Avx512,
    /// int8 with the 256-bit VNNI of processors without AVX-512, tiles of 6 x 16.
    #[cfg(target_arch = "x86_64")]
    Int8AvxVnni,
    /// int8 as products of 16 bits with AVX2, tiles of 4 x 16: no faster than f32.
    #[cfg(target_arch = "x86_64")]
    Int8Avx2,
    /// int8 as the compiler makes it for any processor, tiles of 4 x 16.
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
    /// The best this processor has for a precision. int8 works everywhere, bf16 only where the processor multiplies
    /// it: anything else would be slower than f32 and no more exact.
    pub fn detect(precision: Precision) -> Result<Self, ReferenceError> {
        let found = Self::available().into_iter();
        let mut found = found.filter(|m| m.precision() == precision);
        found.next().ok_or(ReferenceError::NoInstructions {
            precision,
            needed: "avx512_bf16",
        })
    }

    /// All that this processor has, best first.
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

    /// The precision of its numbers.
    pub fn precision(self) -> Precision {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16Avx512 => Precision::Bf16,
            _ => Precision::Int8,
        }
    }

    /// Whether it multiplies without instructions for its precision: slower than f32.
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

    /// Numbers in a unit of four bytes.
    pub(crate) fn numbers_per_unit(self) -> usize {
        match self.precision() {
            Precision::Bf16 => 2,
            _ => 4,
        }
    }
}

/// A matrix `[inputs, outputs]` as it lies, and what a product with it adds.
pub struct Weights<'a> {
    /// Two axes of floats.
    pub tensor: &'a Tensor,
    /// Which axis comes first.
    pub layout: Layout,
    /// Width of the rows.
    pub inputs: usize,
    /// Width of the answer.
    pub outputs: usize,
    /// The product is multiplied by this.
    pub scale: f32,
    /// Added at the end.
    pub bias: Option<&'a [f32]>,
}

/// Weights packed for a multiplier: about `inputs * outputs` numbers of its precision.
pub struct Product {
    multiplier: Multiplier,
    inputs: usize,
    outputs: usize,
    /// Units per column.
    pub(crate) units: usize,
    /// `[units][columns]` each.
    pub(crate) panels: Vec<Aligned>,
    /// Per column, padded to whole panels: where sums start (the bits of an accumulator).
    pub(crate) starts: Vec<u32>,
    /// Per column, padded: what sums are multiplied by.
    pub(crate) scales: Vec<f32>,
    /// Per column, padded.
    bias: Option<Vec<f32>>,
    /// Rows are taken in two int8 steps.
    fine: bool,
}

/// Whether int8 rows of a product are taken in two steps.
fn takes_fine_rows(inputs: usize, outputs: usize) -> bool {
    inputs > outputs
}

impl Product {
    /// Rounds and packs weights with the threads of the current rayon pool.
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

    /// Width of the rows.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Width of the answer.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Who multiplies.
    pub fn multiplier(&self) -> Multiplier {
        self.multiplier
    }

    /// `out [n, outputs] = rows [n, inputs] x weights * scale + bias`, on the calling thread.
    ///
    /// # Panics
    /// Where the slices are not whole rows, and as many.
    pub fn multiply(&self, rows: &[f32], out: &mut [f32]) {
        assert_eq!(rows.len() % self.inputs, 0, "whole rows");
        let count = rows.len() / self.inputs;
        assert_eq!(out.len(), count * self.outputs, "a row of answers per row");
        let packed = PackedRows::new(
            self.multiplier,
            self.fine,
            self.inputs,
            count,
            |r, numbers| numbers.copy_from_slice(&rows[r * self.inputs..][..self.inputs]),
        );
        units::multiply(self, &packed, out);
    }

    /// Whether rows are taken in two int8 steps.
    pub(crate) fn fine(&self) -> bool {
        self.fine
    }

    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }
}

/// Columns `from..from + columns` as `[inputs][columns]` floats; columns beyond the last stay as they are.
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
