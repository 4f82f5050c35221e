//! Takes a document's token ids, yields the key by which a trainer finds its masks.

use xxhash_rust::xxh3::xxh3_64;

/// XXH3 (64 bits, seed 0) over the ids as little-endian 32-bit integers, reinterpreted as a signed integer.
///
/// In Python: `numpy.uint64(xxhash.xxh3_64_intdigest(numpy.array(ids, "<i4").tobytes())).astype("int64")`.
pub fn token_hash(input_ids: &[u32]) -> i64 {
    let bytes: Vec<u8> = input_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    xxh3_64(&bytes).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Python:
    /// ```python
    /// for ids in ([], [0], [464, 3290, 3332, 319, 262], [2**31 - 1], list(range(1000))):
    ///     print(np.uint64(xxhash.xxh3_64_intdigest(np.array(ids, "<i4").tobytes())).astype("int64"))
    /// ```
    #[test]
    fn is_what_python_computes() {
        let thousand: Vec<u32> = (0..1000).collect();
        let greatest = [i32::MAX as u32];
        let cases: [(&[u32], i64); 5] = [
            (&[], 3_244_421_341_483_603_138),
            (&[0], 5_238_470_482_016_868_669),
            (&[464, 3290, 3332, 319, 262], -5_795_456_000_686_600_918),
            (&greatest, 6_147_526_096_378_114_303),
            (&thousand, -8_976_855_430_421_054_723),
        ];
        for (ids, hash) in cases {
            assert_eq!(token_hash(ids), hash, "{} ids", ids.len());
        }
    }
}
