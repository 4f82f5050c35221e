//! Constants of a graph that is being written: bytes at hand, or a tensor of the checkpoint and what is done to it on
//! its way. One at a time is in memory.
//!
//! ```text
//! [outputs, inputs] in the checkpoint ─ rows ─ + add ─ transpose ─ type ─► [inputs, outputs] in the graph
//!                                                    └ 8 bits ─────────► [outputs, blocks, block] and its scales
//! ```

use std::ops::Range;

use bytes::Bytes;
use half::{bf16, f16};

use crate::{DataType, ExportError, Tensor, checkpoint::Stored};

/// A constant still to be written.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    pub(crate) dims: Vec<usize>,
    pub(crate) content: Content,
}

/// Where its bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// At hand.
    Bytes(Bytes),
    /// A tensor of the checkpoint.
    Stored(Stored, Change),
}

/// What is done to a tensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Change {
    /// Rows of the first axis to take, in this order; all where there is nothing.
    pub(crate) rows: Vec<Range<usize>>,
    /// Added to every number.
    pub(crate) add: f32,
    /// First and second axis change places.
    pub(crate) transpose: bool,
    /// Stored as `[columns, rows]`: what is said of rows is meant of the second axis.
    pub(crate) by_columns: bool,
    /// 8 bits per number.
    pub(crate) quantise: Option<Quantise>,
}

/// One of the tensors that a quantised matrix becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantise {
    /// `round(127 x / max|x|)`, the maximum over the row.
    Levels(Order),
    /// `max|x| / 127`.
    Scales(Order),
}

/// How a quantised matrix lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As MatMulNBits takes it: unsigned `[rows, blocks, block]`, zero at 128; scales `[rows, blocks]`, all of a row
    /// alike.
    Blocks {
        /// A power of two; the last block may be longer than the row.
        block: usize,
    },
    /// As DequantizeLinear takes it: signed `[columns, rows]`; scales `[rows]`.
    Columns,
}

impl Change {
    /// Axes after the change.
    pub(crate) fn dims(&self, dims: &[usize]) -> Vec<usize> {
        let mut dims = dims.to_vec();
        if self.by_columns {
            dims.swap(0, 1);
        }
        if !self.rows.is_empty() {
            dims[0] = self.rows.iter().map(Range::len).sum();
        }
        if self.transpose {
            dims.swap(0, 1);
        }
        let Some(quantise) = self.quantise else {
            return dims;
        };
        let (rows, width) = (dims[0], dims[1]);
        match quantise {
            Quantise::Levels(Order::Blocks { block }) => vec![rows, width.div_ceil(block), block],
            Quantise::Scales(Order::Blocks { block }) => vec![rows * width.div_ceil(block)],
            Quantise::Levels(Order::Columns) => vec![width, rows],
            Quantise::Scales(Order::Columns) => vec![rows],
        }
    }

    fn changes_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Constant {
    /// Its size when written.
    pub(crate) fn length(&self) -> usize {
        self.dims.iter().product::<usize>() * self.dtype.size().unwrap_or(1)
    }

    /// Its bytes: mapped where nothing is done to them, else made now.
    pub(crate) fn bytes(&self) -> Result<Bytes, ExportError> {
        let (stored, change) = match &self.content {
            Content::Bytes(bytes) => return Ok(bytes.clone()),
            Content::Stored(stored, change) => (stored, change),
        };
        let tensor = Tensor {
            name: stored.name.clone(),
            dims: stored.dims.clone(),
            dtype: stored.dtype,
            bytes: stored.bytes()?,
        };
        if change.changes_nothing() && stored.dtype == self.dtype {
            check(&tensor, stored, self.dtype)?;
            return Ok(tensor.bytes);
        }
        self.changed(&tensor, stored, change)
    }

    /// Row by row in f32, each put where it belongs.
    fn changed(
        &self,
        tensor: &Tensor,
        stored: &Stored,
        change: &Change,
    ) -> Result<Bytes, ExportError> {
        let turned;
        let (tensor, axis) = match change.by_columns {
            true => {
                turned = turn(tensor)?;
                (&turned, 1)
            }
            false => (tensor, 0),
        };
        let count = stored.dims.get(axis).copied().unwrap_or(1).max(1);
        let width = stored.elements() / count;
        let all = [0..count];
        let taken = match change.rows.is_empty() {
            true => &all[..],
            false => &change.rows,
        };
        let taken: Vec<usize> = taken.iter().cloned().flatten().collect();
        let mut out = vec![0; self.length()];
        let mut row = Vec::with_capacity(width);
        let mut place = |place: usize, encoded: &[u8]| {
            out[place..place + encoded.len()].copy_from_slice(encoded);
        };
        let size = self.dtype.size().unwrap_or(1);
        // Of a transposed matrix a band of rows is kept, so that whole stretches of columns are written at once.
        const BAND: usize = 16;
        for (first, band) in taken.chunks(BAND).enumerate() {
            let first = first * BAND;
            let mut rows: Vec<Vec<f32>> = Vec::with_capacity(band.len());
            for &from in band {
                tensor.read_f32(from * width..(from + 1) * width, &mut row)?;
                refuse(&row, stored, self.dtype, from * width)?;
                row.iter_mut().for_each(|x| *x += change.add);
                rows.push(row.clone());
            }
            match change.quantise {
                None if change.transpose => {
                    let mut column = vec![0.0; band.len()];
                    for c in 0..width {
                        rows.iter()
                            .zip(&mut column)
                            .for_each(|(row, x)| *x = row[c]);
                        place(
                            (c * taken.len() + first) * size,
                            &encode(&column, self.dtype),
                        );
                    }
                }
                None => {
                    for (r, row) in rows.iter().enumerate() {
                        place((first + r) * width * size, &encode(row, self.dtype));
                    }
                }
                Some(quantise) => {
                    for (r, row) in rows.iter().enumerate() {
                        quantised(row, first + r, taken.len(), quantise, &mut place);
                    }
                }
            }
        }
        Ok(out.into())
    }
}

/// A matrix with its axes changed, in f32.
fn turn(tensor: &Tensor) -> Result<Tensor, ExportError> {
    let numbers = tensor.to_f32()?;
    let [rows, columns] = [tensor.dims[0], tensor.dims[1]];
    let mut turned = vec![0.0; numbers.len()];
    for (r, row) in numbers.chunks_exact(columns.max(1)).enumerate() {
        for (c, x) in row.iter().enumerate() {
            turned[c * rows + r] = *x;
        }
    }
    Ok(Tensor {
        name: tensor.name.clone(),
        dims: vec![columns, rows],
        dtype: DataType::F32,
        bytes: encode(&turned, DataType::F32).into(),
    })
}

/// One row in 8 bits: as the int8 products of a scorer round it, so that they take it as it is.
fn quantised(
    row: &[f32],
    number: usize,
    rows: usize,
    quantise: Quantise,
    place: &mut impl FnMut(usize, &[u8]),
) {
    let top = row.iter().fold(0f32, |top, x| top.max(x.abs()));
    let factor = if top > 0.0 { 127.0 / top } else { 0.0 };
    let level = |x: &f32| (x * factor).round_ties_even() as i8;
    let scale = (top / 127.0).to_le_bytes();
    match quantise {
        Quantise::Levels(Order::Blocks { block }) => {
            // Zero is 128, also in what fills the last block.
            let mut levels = vec![128u8; row.len().next_multiple_of(block)];
            for (to, x) in levels.iter_mut().zip(row) {
                *to = (i16::from(level(x)) + 128) as u8;
            }
            place(number * levels.len(), &levels);
        }
        Quantise::Scales(Order::Blocks { block }) => {
            let blocks = row.len().div_ceil(block);
            place(number * blocks * 4, &scale.repeat(blocks));
        }
        Quantise::Levels(Order::Columns) => {
            for (c, x) in row.iter().enumerate() {
                place(c * rows + number, &level(x).to_le_bytes());
            }
        }
        Quantise::Scales(Order::Columns) => place(number * 4, &scale),
    }
}

/// Numbers in a float type, little-endian.
pub(crate) fn encode(numbers: &[f32], dtype: DataType) -> Vec<u8> {
    let halves = |half: fn(f32) -> u16| -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|&x| half(x).to_le_bytes())
            .collect()
    };
    match dtype {
        DataType::F16 => halves(|x| f16::from_f32(x).to_bits()),
        DataType::Bf16 => halves(|x| bf16::from_f32(x).to_bits()),
        _ => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
    }
}

/// Refuses what is no number, and what becomes none in f16.
fn refuse(row: &[f32], stored: &Stored, to: DataType, first: usize) -> Result<(), ExportError> {
    let fits = |x: f32| match to {
        DataType::F16 => f16::from_f32(x).is_finite(),
        _ => x.is_finite(),
    };
    match row.iter().position(|&x| !fits(x)) {
        None => Ok(()),
        Some(at) => Err(ExportError::OutOfRange {
            path: stored.file().to_owned(),
            name: stored.name.clone(),
            dtype: match to {
                DataType::F16 => "f16",
                DataType::Bf16 => "bf16",
                _ => "f32",
            },
            got: row[at],
            at: first + at,
        }),
    }
}

/// As [`refuse`], for a tensor that is copied as it lies.
fn check(tensor: &Tensor, stored: &Stored, to: DataType) -> Result<(), ExportError> {
    const STRETCH: usize = 1 << 16;
    let elements = stored.elements();
    let mut numbers = Vec::new();
    for from in (0..elements).step_by(STRETCH) {
        tensor.read_f32(from..elements.min(from + STRETCH), &mut numbers)?;
        refuse(&numbers, stored, to, from)?;
    }
    Ok(())
}
