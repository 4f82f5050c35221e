//! Takes seeds, yields damaged ones. The same random seed gives the same damage.

/// SplitMix64, a pseudo-random number generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Edge cases of integers.
const EXTREMES: [i64; 14] = [
    0,
    1,
    -1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    1 << 40,
    i64::MAX,
    i64::MIN,
];

/// The largest input in bytes; larger ones only take longer.
const MOST_BYTES: usize = 16 << 10;

/// One of the `seeds`, damaged in one to four ways.
pub(crate) fn mutation(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let other = &seeds[random.below(seeds.len())];
        damage(&mut bytes, other, random);
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = place(bytes.len(), random);
    let end = at + random.below((bytes.len() - at).min(64) + 1);
    match random.below(10) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 | 3 => {
            let number = EXTREMES[random.below(EXTREMES.len())].to_le_bytes();
            let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        4 => digits(bytes, at, random),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(at..end)),
        7 => {
            let again = bytes[at..end].repeat(1 + random.below(40));
            bytes.splice(at..at, again);
        }
        8 => {
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            let from = random.below(other.len());
            let to = from + random.below((other.len() - from).min(64) + 1);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
    }
}

/// An offset, more often near the ends, where lengths are stored.
fn place(length: usize, random: &mut Random) -> usize {
    let near = random.below(length.min(200) + 1);
    match random.below(3) {
        0 => near,
        1 => length - near,
        _ => random.below(length + 1),
    }
}

/// Replaces the next decimal number.
fn digits(bytes: &mut Vec<u8>, from: usize, random: &mut Random) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[from..].iter().position(is_digit) else {
        return;
    };
    let start = from + start;
    let rest = &bytes[start..];
    let length = rest.iter().position(|byte| !is_digit(byte));
    let end = start + length.unwrap_or(rest.len());
    let number = EXTREMES[random.below(EXTREMES.len())].to_string();
    bytes.splice(start..end, number.into_bytes());
}
