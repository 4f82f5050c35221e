//! The precision of the body's and head's matrix products.

use std::fmt;

/// How a reference's products with its weights are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As the graph says, by ONNX Runtime.
    #[default]
    AsStored,
    /// int8: weights per output, activations per row.
    Int8,
    /// bfloat16 with sums in f32.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsStored => "as stored",
            Self::Int8 => "int8",
            Self::Bf16 => "bf16",
        })
    }
}
