//! Constants of a graph: element types, shapes, and bytes that stay in their file until somebody reads them.

use std::path::Path;

use bytes::Bytes;
use half::{bf16, f16};

use crate::{GraphError, map::map, onnx::TensorProto};

/// Element types by their ONNX number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// bfloat16.
    Bf16,
    /// 64-bit float.
    F64,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// Boolean.
    Bool,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// Any other type, by its number.
    Other(i32),
}

impl DataType {
    /// The type with this number in the schema.
    pub fn from_onnx(number: i32) -> Self {
        match number {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::Bf16,
            other => Self::Other(other),
        }
    }

    /// Its number in the schema.
    pub fn to_onnx(self) -> i32 {
        match self {
            Self::F32 => 1,
            Self::U8 => 2,
            Self::I8 => 3,
            Self::I32 => 6,
            Self::I64 => 7,
            Self::Bool => 9,
            Self::F16 => 10,
            Self::F64 => 11,
            Self::Bf16 => 16,
            Self::Other(number) => number,
        }
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64)
    }

    /// Bytes per element, for the types that have a name here.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 | Self::I32 => Some(4),
            Self::F64 | Self::I64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

/// A constant with its bytes (little-endian, row-major), most often a view into a memory-mapped file.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Name in the graph.
    pub name: String,
    /// Axes.
    pub dims: Vec<usize>,
    /// Element type.
    pub dtype: DataType,
    /// `product(dims) * dtype.size()` bytes.
    pub bytes: Bytes,
}

impl Tensor {
    /// Finds the bytes of a constant: in the model, or in the external file it names, relative to `folder`.
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
        let expected = dims.iter().product::<usize>() * size;
        let (bytes, place) = match external(proto) {
            Some(external) => {
                let path = folder.join(&external.location);
                let whole = map(&path)?;
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

    /// The elements `range` of the flat tensor as f32. Floats only.
    pub fn read_f32(
        &self,
        range: std::ops::Range<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), GraphError> {
        let size = self.dtype.size().unwrap_or(1);
        let bytes = &self.bytes[range.start * size..range.end * size];
        out.clear();
        match self.dtype {
            DataType::F32 => out.extend(
                bytes
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            ),
            DataType::F16 => out.extend(
                bytes
                    .chunks_exact(2)
                    .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()),
            ),
            DataType::Bf16 => out.extend(
                bytes
                    .chunks_exact(2)
                    .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()),
            ),
            DataType::F64 => out.extend(bytes.chunks_exact(8).map(|b| {
                f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32
            })),
            got => {
                return Err(GraphError::TensorType {
                    name: self.name.clone(),
                    expected: "a float type",
                    got,
                });
            }
        }
        Ok(())
    }

    /// All elements as f32. Floats only.
    pub fn to_f32(&self) -> Result<Vec<f32>, GraphError> {
        let mut out = Vec::new();
        self.read_f32(0..self.dims.iter().product(), &mut out)?;
        Ok(out)
    }
}

/// Where the bytes of an external tensor lie.
pub(crate) struct External {
    pub(crate) location: String,
    pub(crate) offset: usize,
    pub(crate) length: Option<usize>,
}

/// The external place of a tensor, if it has one.
pub(crate) fn external(proto: &TensorProto) -> Option<External> {
    if proto.data_location != Some(1) {
        return None;
    }
    let value = |key: &str| {
        let entry = proto
            .external_data
            .iter()
            .find(|e| e.key.as_deref() == Some(key))?;
        entry.value.clone()
    };
    Some(External {
        location: value("location")?,
        offset: value("offset").and_then(|v| v.parse().ok()).unwrap_or(0),
        length: value("length").and_then(|v| v.parse().ok()),
    })
}

/// The bytes of a tensor kept in the model: raw, or in one of the typed lists.
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
        DataType::Other(_) => Vec::new(),
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
