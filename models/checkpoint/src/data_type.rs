//! Data types (dtypes) of tensors.

/// Data types of tensors, as ONNX numbers them.
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
    /// 8-bit float with four exponent bits and no infinities.
    F8E4M3,
    /// 4-bit float with two exponent bits; two per byte, low bits first.
    F4E2M1,
    /// Eight exponent bits and nothing else: a power of two.
    F8E8M0,
    /// Any other type, by its ONNX number.
    Other(i32),
}

impl DataType {
    /// The type with this number in the ONNX schema.
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
            17 => Self::F8E4M3,
            23 => Self::F4E2M1,
            24 => Self::F8E8M0,
            other => Self::Other(other),
        }
    }

    /// Its number in the ONNX schema.
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
            Self::F8E4M3 => 17,
            Self::F4E2M1 => 23,
            Self::F8E8M0 => 24,
            Self::Other(number) => number,
        }
    }

    /// Whether it is a floating-point type of 16 bits or more.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16 | Self::F64)
    }

    /// Bytes per element; `None` for types of less than a byte and for `Other`.
    pub fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 | Self::F8E4M3 | Self::F8E8M0 => Some(1),
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 | Self::I32 => Some(4),
            Self::F64 | Self::I64 => Some(8),
            Self::F4E2M1 | Self::Other(_) => None,
        }
    }
}
