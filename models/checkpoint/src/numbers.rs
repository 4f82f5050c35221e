//! Numbers of any float type, little-endian, to f32.

use half::{bf16, f16};

use crate::DataType;

/// Reads them all into `out`, which is emptied first; nothing and `false` where the type is no float.
pub fn to_f32(dtype: DataType, bytes: &[u8], out: &mut Vec<f32>) -> bool {
    out.clear();
    match dtype {
        DataType::F32 => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        DataType::F16 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f16::from_le_bytes(*b).to_f32()),
        ),
        DataType::Bf16 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| bf16::from_le_bytes(*b).to_f32()),
        ),
        DataType::F64 => out.extend(
            bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b) as f32),
        ),
        DataType::F8E4M3 => out.extend(bytes.iter().map(|&b| from_e4m3(b))),
        DataType::I8 => out.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()))),
        _ => return false,
    }
    true
}

/// OCP's E4M3: four bits of exponent with a bias of 7, three of mantissa; no infinities, one NaN of each sign.
fn from_e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 0xf), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa * 2f32.powi(-9),
        _ => (8.0 + mantissa) * 2f32.powi(exponent - 10),
    };
    match byte & 0x80 {
        0 => magnitude,
        _ => -magnitude,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.tensor([0, 1, 8, 56, 0x7e, 0x7f, 0xb8], dtype=torch.uint8).view(torch.float8_e4m3fn).float()`
    #[test]
    fn e4m3_is_that_of_pytorch() {
        let mut out = Vec::new();
        assert!(to_f32(
            DataType::F8E4M3,
            &[0, 1, 8, 56, 0x7e, 0x7f, 0xb8],
            &mut out
        ));
        assert!(out[5].is_nan());
        out[5] = 0.0;
        assert_eq!(out, [0.0, 0.001_953_125, 0.015_625, 1.0, 448.0, 0.0, -1.0]);
    }
}
