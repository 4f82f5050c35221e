//! Matmuls with weights in 8 bits, as this crate exports them: `MatMulNBits` with one scale per output. Dequantises the
//! weights of such nodes. [`crate::products`] refuses other quantised operators.

use bytes::Bytes;
use rho_checkpoint::memory_map::map_range;

use crate::{
    DataType, GraphError, Layout, Model, Tensor,
    matmuls::{ConstantMatmul, WeightStorage},
    onnx::{NodeProto, TensorProto},
};

/// The level that stands for zero.
const ZERO: f32 = 128.0;

/// What is needed to dequantise levels.
#[derive(Debug, Clone)]
pub(crate) struct Levels {
    /// One per output.
    scales: Vec<f32>,
    /// Levels per output: the inputs, and the padding of the last block.
    stride: usize,
}

impl Levels {
    /// Dequantised weights `[outputs, inputs]` in f32.
    pub(crate) fn numbers(&self, levels: &Bytes, inputs: usize) -> Bytes {
        let rows = levels.chunks_exact(self.stride).zip(&self.scales);
        let numbers = rows.flat_map(|(row, scale)| {
            let number = move |level: &u8| ((f32::from(*level) - ZERO) * scale).to_le_bytes();
            row[..inputs].iter().flat_map(number)
        });
        numbers.collect::<Vec<u8>>().into()
    }
}

impl Model {
    /// The matmul of a node with weights in 8 bits; `None` for other operators and other formats.
    pub(crate) fn product_in_8_bits(
        &self,
        node: &NodeProto,
    ) -> Result<Option<ConstantMatmul>, GraphError> {
        if node.op_type.as_deref() != Some("MatMulNBits") {
            return Ok(None);
        }
        let whole = |name: &str| {
            let mut attributes = node.attribute.iter();
            let found = attributes.find(|a| a.name.as_deref() == Some(name));
            found
                .and_then(|a| a.i)
                .and_then(|i| usize::try_from(i).ok())
        };
        let sizes = (whole("K"), whole("N"), whole("block_size"), whole("bits"));
        let (Some(inputs), Some(outputs), Some(block @ 1..), Some(8)) = sizes else {
            return Ok(None);
        };
        // Rows, levels, scales; with zero points or a group index it is another format.
        let [_, levels, scales] = &node.input[..] else {
            return Ok(None);
        };
        let initializers = &self.graph.initializer;
        let constant = |name: &String| initializers.iter().find(|t| t.name.as_ref() == Some(name));
        let (Some(levels), Some(scales)) = (constant(levels), constant(scales)) else {
            return Ok(None);
        };
        let blocks = inputs.div_ceil(block);
        let scales = Tensor::resolve(scales, self.folder())?;
        let all = match scales.dtype {
            DataType::F32 => scales.to_f32()?,
            _ => return Ok(None),
        };
        let per_output: Vec<f32> = all.iter().copied().step_by(blocks.max(1)).collect();
        let alike = all
            .chunks(blocks.max(1))
            .all(|row| row.iter().all(|scale| *scale == row[0]));
        let stride = blocks * block;
        let elements: usize = levels.dims.iter().map(|&d| d.max(0) as usize).product();
        let unsigned = levels.data_type == Some(DataType::U8.to_onnx());
        if !alike
            || !unsigned
            || per_output.len() != outputs
            || Some(elements) != outputs.checked_mul(stride)
        {
            return Ok(None);
        }
        Ok(Some(ConstantMatmul {
            name: levels.name.clone().unwrap_or_default(),
            layout: Layout::VocabularyFirst,
            inputs,
            outputs,
            scale: 1.0,
            bias: None,
            dtype: DataType::F32,
            dims: vec![outputs, inputs],
            place: self.place_for_packing(levels, elements)?,
            levels: Some(Levels {
                scales: per_output,
                stride,
            }),
        }))
    }

    /// Where to find a constant's bytes; small ones are copied.
    pub(crate) fn place_for_packing(
        &self,
        tensor: &TensorProto,
        bytes: usize,
    ) -> Result<WeightStorage, GraphError> {
        Ok(match self.place_of(tensor)? {
            Some((path, offset, length)) => WeightStorage::File {
                path,
                offset,
                length: length.unwrap_or(bytes),
            },
            None => {
                let tensor = Tensor::resolve(tensor, self.folder())?;
                // A copy, because it is small and a view would keep the model's file mapped.
                WeightStorage::Memory(Bytes::copy_from_slice(&tensor.bytes))
            }
        })
    }
}

impl WeightStorage {
    /// The bytes, memory-mapped if they are in a file.
    pub(crate) fn bytes(&self) -> Result<Bytes, GraphError> {
        match self {
            Self::File {
                path,
                offset,
                length,
            } => map_range(path, *offset, *length).map_err(|source| GraphError::Read {
                path: path.clone(),
                source,
            }),
            Self::Memory(bytes) => Ok(bytes.clone()),
        }
    }
}
