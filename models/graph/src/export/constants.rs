//! Constants of a graph to be written: bytes, or a tensor of the checkpoint and how to change it. Only one at a time is
//! in memory.
//!
//! ```text
//! [outputs, inputs] in the checkpoint ─ rows ─ + add ─ transpose ─ dtype ─► [inputs, outputs] in the graph
//!                                                    └ 8 bits ──────────► [outputs, blocks, block] and its scales
//! ```

use bytes::Bytes;
use half::{bf16, f16};

use rho_checkpoint::{CheckpointError, Rows, Stored};

use crate::{DataType, ExportError, Tensor};

/// A constant to be written.
#[derive(Debug, Clone)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    pub(crate) dims: Vec<usize>,
    pub(crate) content: Content,
}

/// The source of a constant's bytes.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// In memory.
    Bytes(Bytes),
    /// A tensor of the checkpoint.
    Stored(Stored, Change),
}

/// How a tensor is changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Change {
    /// Rows of the first axis to select, in this order; all if empty.
    pub(crate) rows: Vec<usize>,
    /// Added to every value.
    pub(crate) add: f32,
    /// Whether to transpose the first two axes.
    pub(crate) transpose: bool,
    /// Whether the tensor is stored as `[columns, rows]`: rows then are slices along the second axis.
    pub(crate) by_columns: bool,
    /// Quantisation to 8 bits.
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

/// Layout of a quantised matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// For MatMulNBits: unsigned `[rows, blocks, block]`, zero at 128; scales `[rows, blocks]`, the same for all blocks
    /// of a row.
    Blocks {
        /// A power of two; the last block is padded.
        block: usize,
    },
    /// For DequantizeLinear: signed `[columns, rows]`; scales `[rows]`.
    Columns,
}

impl Change {
    /// The shape after the change.
    pub(crate) fn dims(&self, dims: &[usize]) -> Vec<usize> {
        let mut dims = dims.to_vec();
        if self.by_columns {
            dims.swap(0, 1);
        }
        if !self.rows.is_empty() {
            dims[0] = self.rows.len();
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
    /// Its size in bytes when written.
    pub(crate) fn length(&self) -> usize {
        self.dims.iter().product::<usize>() * self.dtype.size().unwrap_or(1)
    }

    /// Its bytes: memory-mapped if unchanged, else computed.
    pub(crate) fn bytes(&self) -> Result<Bytes, ExportError> {
        let (stored, change) = match &self.content {
            Content::Bytes(bytes) => return Ok(bytes.clone()),
            Content::Stored(stored, change) => (stored, change),
        };
        if change.changes_nothing() && stored.dtype == self.dtype && !stored.is_quantised() {
            let tensor = Tensor {
                name: stored.name.clone(),
                dims: stored.dims.clone(),
                dtype: stored.dtype,
                bytes: stored.bytes()?,
            };
            check(&tensor, stored, self.dtype)?;
            return Ok(tensor.bytes);
        }
        self.changed(stored, change)
    }

    /// Applies the change row by row, in f32.
    fn changed(&self, stored: &Stored, change: &Change) -> Result<Bytes, ExportError> {
        let (source, axis) = match change.by_columns {
            true => (Source::Columns(turn(stored)?), 1),
            false => (Source::Rows(stored.rows()?), 0),
        };
        let count = stored.dims.get(axis).copied().unwrap_or(1).max(1);
        let width = stored.elements() / count;
        let taken: Vec<usize> = match change.rows.is_empty() {
            true => (0..count).collect(),
            false => change.rows.clone(),
        };
        let mut out = vec![0; self.length()];
        let mut row = Vec::with_capacity(width);
        let size = self.dtype.size().unwrap_or(1);
        // A transposed matrix is read in bands of rows, so that each column is written in longer runs.
        const BAND: usize = 16;
        for (first, band) in taken.chunks(BAND).enumerate() {
            let first = first * BAND;
            let mut rows: Vec<Vec<f32>> = Vec::with_capacity(band.len());
            for &from in band {
                source.read(from, width, &mut row)?;
                refuse(&row, stored, self.dtype, from * width)?;
                row.iter_mut().for_each(|x| *x += change.add);
                rows.push(row.clone());
            }
            match change.quantise {
                None if change.transpose => {
                    let mut column = vec![0.0; band.len()];
                    let length = band.len() * size;
                    for c in 0..width {
                        rows.iter()
                            .zip(&mut column)
                            .for_each(|(row, x)| *x = row[c]);
                        let at = (c * taken.len() + first) * size;
                        encode_into(&column, self.dtype, &mut out[at..at + length]);
                    }
                }
                None => {
                    for (r, row) in rows.iter().enumerate() {
                        encode_into(
                            row,
                            self.dtype,
                            &mut out[(first + r) * width * size..][..width * size],
                        );
                    }
                }
                Some(quantise) => {
                    for (r, row) in rows.iter().enumerate() {
                        quantised(row, first + r, taken.len(), quantise, &mut out);
                    }
                }
            }
        }
        Ok(out.into())
    }
}

/// The source of rows.
enum Source {
    Rows(Rows),
    /// A transposed matrix.
    Columns(Vec<f32>),
}

impl Source {
    fn read(&self, row: usize, width: usize, out: &mut Vec<f32>) -> Result<(), CheckpointError> {
        match self {
            Self::Rows(rows) => rows.read(row, out),
            Self::Columns(numbers) => {
                out.clear();
                out.extend_from_slice(&numbers[row * width..(row + 1) * width]);
                Ok(())
            }
        }
    }
}

/// Transposes a matrix, in f32.
fn turn(stored: &Stored) -> Result<Vec<f32>, ExportError> {
    let numbers = stored.to_f32()?;
    let [rows, columns] = [stored.dims[0], stored.dims[1]];
    let mut turned = vec![0.0; numbers.len()];
    for (r, row) in numbers.chunks_exact(columns.max(1)).enumerate() {
        for (c, x) in row.iter().enumerate() {
            turned[c * rows + r] = *x;
        }
    }
    Ok(turned)
}

/// Quantises one row to 8 bits, with the rounding of the scorer's int8 matmuls, so that these use the levels unchanged.
fn quantised(row: &[f32], number: usize, rows: usize, quantise: Quantise, out: &mut [u8]) {
    let top = row.iter().fold(0f32, |top, x| top.max(x.abs()));
    let factor = if top > 0.0 { 127.0 / top } else { 0.0 };
    let level = |x: &f32| (x * factor).round_ties_even() as i8;
    let scale = (top / 127.0).to_le_bytes();
    let mut place = |place: usize, encoded: &[u8]| {
        out[place..place + encoded.len()].copy_from_slice(encoded);
    };
    match quantise {
        Quantise::Levels(Order::Blocks { block }) => {
            // Zero is 128, also in the padding.
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

/// Values in a float dtype, little-endian.
pub(crate) fn encode(numbers: &[f32], dtype: DataType) -> Vec<u8> {
    let mut out = vec![0; numbers.len() * dtype.size().unwrap_or(4)];
    encode_into(numbers, dtype, &mut out);
    out
}

fn encode_into(numbers: &[f32], dtype: DataType, out: &mut [u8]) {
    fn put<const N: usize>(numbers: &[f32], out: &mut [u8], bytes: impl Fn(f32) -> [u8; N]) {
        for (x, to) in numbers.iter().zip(out.as_chunks_mut::<N>().0) {
            *to = bytes(*x);
        }
    }
    match dtype {
        DataType::F16 => put(numbers, out, |x| f16::from_f32(x).to_le_bytes()),
        DataType::Bf16 => put(numbers, out, |x| bf16::from_f32(x).to_le_bytes()),
        _ => put(numbers, out, f32::to_le_bytes),
    }
}

/// Refuses NaN, infinity, and values that overflow f16 if that is the dtype.
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

/// As [`refuse`], for a tensor that is copied unchanged.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(content: Change, dims: &[usize], dtype: DataType) -> (Constant, tempfile::TempDir) {
        // 0, 1, 2, ... as f16 in a safetensors file.
        let folder = tempfile::tempdir().unwrap();
        let elements: usize = dims.iter().product();
        let numbers: Vec<f32> = (0..elements).map(|i| i as f32).collect();
        let data = encode(&numbers, DataType::F16);
        let shape = dims
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join(",");
        let end = data.len();
        let header =
            format!(r#"{{"w":{{"dtype":"F16","shape":[{shape}],"data_offsets":[0,{end}]}}}}"#);
        let size = (header.len() as u64).to_le_bytes();
        let path = folder.path().join("model.safetensors");
        std::fs::write(path, [&size[..], header.as_bytes(), &data].concat()).unwrap();
        let weights = rho_checkpoint::Weights::find(folder.path()).unwrap();
        let stored = weights.expect("model.w", dims).unwrap().clone();
        let constant = Constant {
            name: "w".to_owned(),
            dtype,
            dims: content.dims(dims),
            content: Content::Stored(stored, content),
        };
        (constant, folder)
    }

    fn numbers(constant: &Constant) -> Vec<f32> {
        let bytes = constant.bytes().unwrap();
        assert_eq!(bytes.len(), constant.length());
        let tensor = Tensor {
            name: String::new(),
            dims: constant.dims.clone(),
            dtype: constant.dtype,
            bytes,
        };
        tensor.to_f32().unwrap()
    }

    #[test]
    fn rows_are_chosen_moved_and_turned() {
        let change = Change {
            rows: vec![2, 0],
            add: 0.5,
            transpose: true,
            ..Change::default()
        };
        let (constant, _folder) = constant(change, &[3, 2], DataType::F32);
        assert_eq!(constant.dims, [2, 2]);
        assert_eq!(numbers(&constant), [4.5, 0.5, 5.5, 1.5]);
    }

    #[test]
    fn a_tall_matrix_is_turned_band_by_band() {
        let change = Change {
            transpose: true,
            ..Change::default()
        };
        for dtype in [DataType::F32, DataType::F16, DataType::Bf16] {
            let (constant, _folder) = constant(change.clone(), &[37, 3], dtype);
            let got = numbers(&constant);
            let expected = (0..3).flat_map(|c| (0..37).map(move |r| (r * 3 + c) as f32));
            assert_eq!(got, expected.collect::<Vec<_>>(), "{dtype:?}");
        }
    }

    #[test]
    fn levels_and_scales_give_the_numbers_back() {
        let order = Order::Blocks { block: 16 };
        let parts = [Quantise::Levels(order), Quantise::Scales(order)];
        for by_columns in [false, true] {
            let dims = if by_columns { [20, 3] } else { [3, 20] };
            let [levels, scales] = parts.map(|part| {
                let change = Change {
                    quantise: Some(part),
                    by_columns,
                    ..Change::default()
                };
                let dtype = match part {
                    Quantise::Levels(_) => DataType::U8,
                    Quantise::Scales(_) => DataType::F32,
                };
                let (constant, _folder) = constant(change, &dims, dtype);
                (constant.dims.clone(), constant.bytes().unwrap())
            });
            assert_eq!((levels.0, scales.0), (vec![3, 2, 16], vec![6]));
            for row in 0..3 {
                let scale = |block: usize| {
                    let at = (row * 2 + block) * 4;
                    f32::from_le_bytes(scales.1[at..at + 4].try_into().unwrap())
                };
                assert_eq!(scale(0), scale(1));
                for column in 0..32 {
                    let level = f32::from(levels.1[row * 32 + column]) - 128.0;
                    let number = match (column < 20, by_columns) {
                        (false, _) => 0.0,
                        (true, false) => (row * 20 + column) as f32,
                        (true, true) => (column * 3 + row) as f32,
                    };
                    assert!((level * scale(0) - number).abs() <= scale(0) / 2.0 + 1e-5);
                }
            }
        }
    }
}
