//! Converts little-endian numbers of any dtype that weights have to f32.

use half::{bf16, f16};

use crate::DataType;

/// Converts all of `bytes` into `out`, which is cleared first. Returns `false`, with `out` empty, for dtypes that
/// weights never have.
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
        DataType::F8E8M0 => out.extend(bytes.iter().map(|&b| from_e8m0(b))),
        DataType::F4E2M1 => {
            let two = |&b: &u8| [b & 0xf, b >> 4].map(|code| E2M1[usize::from(code)]);
            out.extend(bytes.iter().flat_map(two));
        }
        DataType::I8 => out.extend(bytes.iter().map(|&b| f32::from(b.cast_signed()))),
        _ => return false,
    }
    true
}

/// OCP's E2M1, indexed by the four bits.
const E2M1: [f32; 16] = [
    0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0,
];

/// OCP's E8M0: eight exponent bits with a bias of 127, and one NaN.
fn from_e8m0(byte: u8) -> f32 {
    match byte {
        // 2^-127, half the smallest normal f32.
        0 => f32::from_bits(1 << 22),
        255 => f32::NAN,
        _ => f32::from_bits(u32::from(byte) << 23),
    }
}

/// OCP's E4M3: four exponent bits with a bias of 7, three mantissa bits; no infinities, one NaN of each sign.
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

    #[test]
    fn two_numbers_lie_in_a_byte_the_lower_bits_first() {
        let mut out = Vec::new();
        assert!(to_f32(DataType::F4E2M1, &[0x71, 0xfa], &mut out));
        assert_eq!(out, [0.5, 6.0, -1.0, -6.0]);
    }

    /// `torch.tensor([0, 1, 126, 127, 129, 254, 255], dtype=torch.uint8).view(torch.float8_e8m0fnu).float()`
    #[test]
    fn e8m0_is_that_of_pytorch() {
        let mut out = Vec::new();
        let bytes = [0, 1, 126, 127, 129, 254, 255];
        assert!(to_f32(DataType::F8E8M0, &bytes, &mut out));
        assert!(out.pop().unwrap().is_nan());
        let expected = [-127, -126, -1, 0, 2, 127].map(|n| 2f64.powi(n) as f32);
        assert_eq!(out, expected);
    }
}
