//! The baseline of every comparison: tokens kept at random.
//!
//! A token's key depends only on the seed, its document and its index in the document, so the same tokens are kept
//! for any order of the shards and any number of workers.
//!
//! ```text
//! document = mix(mix(xxh3(shard's name, seed) ^ token_hash) ^ row)
//! key      = upper 32 bits of mix(document + 0x9e3779b97f4a7c15 * (index + 1))
//! ```
//!
//! `mix` is the output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014). All arithmetic is modulo 2^64.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::UNSCORED;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The random keys of one document's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomDocument(u64);

impl RandomDocument {
    /// The keys of the document with this token hash in this row of this shard.
    pub fn new(seed: u64, shard: &str, row: i64, token_hash: i64) -> Self {
        let shard = xxh3_64_with_seed(shard.as_bytes(), seed);
        let tokens = mix(shard ^ token_hash.cast_unsigned());
        Self(mix(tokens ^ row.cast_unsigned()))
    }

    /// The key of the token at `index`; never [`UNSCORED`].
    pub fn key(self, index: usize) -> u32 {
        let step = GOLDEN.wrapping_mul(index as u64 + 1);
        let key = (mix(self.0.wrapping_add(step)) >> 32) as u32;
        key.min(UNSCORED - 1)
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of SplitMix64 from seed 1234567, as published with the generator.
    #[test]
    fn is_splitmix() {
        let document = RandomDocument(1_234_567);
        let expected: [u64; 3] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        let keys = [0, 1, 2].map(|i| document.key(i));
        assert_eq!(keys, expected.map(|number| (number >> 32) as u32));
    }

    #[test]
    fn is_even_and_differs_by_everything() {
        let base = RandomDocument::new(1, "a.jsonl", 7, 99);
        let others = [
            RandomDocument::new(2, "a.jsonl", 7, 99),
            RandomDocument::new(1, "b.jsonl", 7, 99),
            RandomDocument::new(1, "a.jsonl", 8, 99),
            RandomDocument::new(1, "a.jsonl", 7, 98),
        ];
        assert!(others.iter().all(|other| other.key(0) != base.key(0)));
        let low = (0..100_000).filter(|&i| base.key(i) < 1 << 31).count();
        assert!((49_000..51_000).contains(&low), "{low}");
    }
}
