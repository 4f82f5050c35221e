//! How scores are rounded and stored: in 32 or in 16 bits.

use half::f16;
use serde::{Deserialize, Serialize};

/// How scores are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreType {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits: half the space, three significant digits.
    Float16,
}

impl ScoreType {
    /// The score after a round trip through the file. A score beyond the range of 16 bits becomes the largest finite
    /// number, not infinity.
    pub fn round(self, score: f32) -> f32 {
        match self {
            Self::Float32 => score,
            Self::Float16 if score.is_finite() => {
                let (least, most) = (f16::MIN.to_f32(), f16::MAX.to_f32());
                f16::from_f32(score.clamp(least, most)).to_f32()
            }
            Self::Float16 => score,
        }
    }
}
