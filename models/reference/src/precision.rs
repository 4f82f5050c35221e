//! The precision of the matmuls with weights.

use std::fmt;

/// How a reference's matmuls with its weights are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// In the types of the graph, by ONNX Runtime.
    #[default]
    AsStored,
    /// int8, with a scale per output column for weights and per row for activations.
    Int8,
    /// bfloat16 with f32 accumulation.
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
