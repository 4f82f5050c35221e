//! Constants of a graph: shapes, and bytes that stay in their file until they are read.

use std::path::Path;

use bytes::Bytes;
pub use rho_checkpoint::DataType;
use rho_checkpoint::{memory_map::map, to_f32};

use crate::{GraphError, external_data::external, onnx::TensorProto};

/// A constant with its bytes (little-endian, row-major), usually a view into a memory-mapped file.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name in the graph.
    pub name: String,
    /// Shape.
    pub dims: Vec<usize>,
    /// Data type.
    pub dtype: DataType,
    /// `product(dims) * dtype.size()` bytes.
    pub bytes: Bytes,
}

impl Tensor {
    /// Finds the bytes of a constant: in the model, or in the external file that it names, relative to `folder`.
    ///
    /// # Errors
    /// When the dtype has no fixed size in bytes, the external file cannot be mapped, or the number of bytes does not
    /// match the shape.
    pub fn resolve(proto: &TensorProto, folder: &Path) -> Result<Self, GraphError> {
        let name = proto.name.clone().unwrap_or_default();
        let dims: Vec<usize> = proto.dims.iter().map(|&d| d.max(0) as usize).collect();
        let dtype = DataType::from_onnx(proto.data_type.unwrap_or(0));
        let Some(size) = dtype.size() else {
            return Err(GraphError::TensorType {
                name,
                expected: "a float or integer type",
                got: dtype,
            });
        };
        let expected = bytes_of(&proto.dims, size);
        let (bytes, place) = match external(proto, folder)? {
            Some(external) => {
                let path = folder.join(&external.location);
                let whole = map(&path).map_err(|source| GraphError::Read {
                    path: path.clone(),
                    source,
                })?;
                let end = external
                    .length
                    .map_or(whole.len(), |n| external.offset.saturating_add(n))
                    .min(whole.len());
                (
                    whole.slice(external.offset.min(end)..end),
                    path.display().to_string(),
                )
            }
            None => (inline_bytes(proto, dtype), "in the model".to_owned()),
        };
        if bytes.len() != expected {
            return Err(GraphError::TensorBytes {
                name,
                expected,
                got: bytes.len(),
                place,
            });
        }
        Ok(Self {
            name,
            dims,
            dtype,
            bytes,
        })
    }

    /// Reads the elements `range` of the flattened tensor into `out`, in f32.
    ///
    /// # Errors
    /// When the dtype is not a float type.
    pub fn read_f32(
        &self,
        range: std::ops::Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), GraphError> {
        let size = self.dtype.size().unwrap_or(1);
        let bytes = &self.bytes[range.start * size..range.end * size];
        if !self.dtype.is_float() || !to_f32::to_f32(self.dtype, bytes, out) {
            return Err(GraphError::TensorType {
                name: self.name.clone(),
                expected: "a float type",
                got: self.dtype,
            });
        }
        Ok(())
    }

    /// All elements in f32.
    ///
    /// # Errors
    /// When the dtype is not a float type.
    pub fn to_f32(&self) -> Result<Vec<f32>, GraphError> {
        let mut out = Vec::new();
        self.read_f32(0..self.dims.iter().product(), &mut out)?;
        Ok(out)
    }
}

/// The number of bytes that a tensor of this shape has; the largest number if there is none, so that it equals no number
/// of bytes.
pub(crate) fn bytes_of(dims: &[i64], size: usize) -> usize {
    let axes = dims.iter().map(|&axis| usize::try_from(axis).ok());
    let mut all = Some(size);
    for axis in axes {
        all = all.zip(axis).and_then(|(all, axis)| all.checked_mul(axis));
    }
    all.unwrap_or(usize::MAX)
}

/// The bytes of a tensor inside the model: raw, or in one of the typed lists.
fn inline_bytes(proto: &TensorProto, dtype: DataType) -> Bytes {
    if let Some(raw) = &proto.raw_data {
        return raw.clone();
    }
    let flat: Vec<u8> = match dtype {
        DataType::F32 => proto
            .float_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DataType::F64 => proto
            .double_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DataType::I64 => proto
            .int64_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DataType::I32 => proto
            .int32_data
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        DataType::F16 | DataType::Bf16 => proto
            .int32_data
            .iter()
            .flat_map(|&v| (v as u16).to_le_bytes())
            .collect(),
        DataType::Bool | DataType::U8 | DataType::I8 => {
            proto.int32_data.iter().map(|&v| v as u8).collect()
        }
        DataType::F8E4M3 | DataType::F8E8M0 | DataType::F4E2M1 | DataType::Other(_) => Vec::new(),
    };
    flat.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_typed_lists_raw_bytes_and_external_files() {
        let folder = tempfile::tempdir().unwrap();
        let raw: Vec<u8> = [1.0f32, -2.5]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        std::fs::write(folder.path().join("w.data"), [&[0u8; 6][..], &raw].concat()).unwrap();
        let entry = |k: &str, v: &str| crate::onnx::StringStringEntryProto {
            key: Some(k.to_owned()),
            value: Some(v.to_owned()),
        };
        let base = TensorProto {
            dims: vec![2],
            data_type: Some(1),
            ..Default::default()
        };
        let listed = TensorProto {
            float_data: vec![1.0, -2.5],
            ..base.clone()
        };
        let inline = TensorProto {
            raw_data: Some(raw.into()),
            ..base.clone()
        };
        let outside = TensorProto {
            data_location: Some(1),
            external_data: vec![
                entry("location", "w.data"),
                entry("offset", "6"),
                entry("length", "8"),
            ],
            ..base
        };
        for proto in [listed, inline, outside] {
            assert_eq!(
                Tensor::resolve(&proto, folder.path())
                    .unwrap()
                    .to_f32()
                    .unwrap(),
                [1.0, -2.5]
            );
        }
    }

    #[test]
    fn shapes_that_no_memory_holds_fit_no_bytes() {
        assert_eq!(bytes_of(&[2, 3], 4), 24);
        assert_eq!(bytes_of(&[], 4), 4);
        assert_eq!(bytes_of(&[0, 3], 4), 0);
        // The product of 64 bits would be 0.
        for dims in [&[1 << 32, 1 << 32][..], &[1 << 62, 4, 0], &[-1], &[-2, -2]] {
            assert_eq!(bytes_of(dims, 1), usize::MAX);
            let proto = TensorProto {
                dims: dims.to_vec(),
                data_type: Some(2),
                ..Default::default()
            };
            assert!(Tensor::resolve(&proto, Path::new(".")).is_err());
        }
    }

    #[test]
    fn a_short_tensor_is_an_error_not_a_panic() {
        let proto = TensorProto {
            dims: vec![3],
            data_type: Some(1),
            float_data: vec![1.0],
            ..Default::default()
        };
        let error = Tensor::resolve(&proto, Path::new(".")).unwrap_err();
        assert!(matches!(
            error,
            GraphError::TensorBytes {
                expected: 12,
                got: 4,
                ..
            }
        ));
    }
}
