//! The ids of words that were met before, within a fixed bound of memory.
//!
//! Nearly all words of a text are short and of few tokens. They lie in a table of fixed size, each in 32 bytes, found
//! by a hash and compared in one go; when a place is full, one of those there has to leave. The others lie in a map that
//! is emptied when it is full.

use std::collections::HashMap;

/// Bytes of memory that a cache takes at the most; there is one per thread.
pub(crate) const BYTES: usize = SETS * size_of::<Set>() + OTHERS;

/// Places of the table, by the hash of a word.
const SETS: usize = 1 << 15;
/// Words in a place.
const WAYS: usize = 4;
/// Bytes of a word in the table: sixteen, of which one is its length.
const SHORT: usize = 15;
/// Ids of a word in the table.
const FEW: usize = 3;
/// Bytes of the map, and of a word in it.
const OTHERS: usize = 4 << 20;
const LONGEST: usize = 256;
/// What a word takes in the map beside its bytes and its ids (a slot, half of them empty, and two allocations).
const ENTRY: usize = 112;

type Set = [Slot; WAYS];

/// A word as a number and its ids. No word at all is the number 0.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u128,
    ids: [u32; FEW],
    count: u32,
}

/// See above.
pub(super) struct Cache {
    sets: Box<[Set]>,
    /// Which one of a full place leaves next.
    turn: usize,
    others: HashMap<Box<str>, Box<[u32]>>,
    /// Bytes of `others`.
    bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            sets: vec![Set::default(); SETS].into(),
            turn: 0,
            others: HashMap::new(),
            bytes: 0,
        }
    }
}

impl Cache {
    /// Puts the ids of `text[start..end]` behind `ids`, if they are known.
    #[inline]
    pub(super) fn find(&self, text: &str, start: usize, end: usize, ids: &mut Vec<u32>) -> bool {
        if end - start <= SHORT {
            let key = key(text.as_bytes(), start, end);
            for slot in &self.sets[place(key)] {
                if slot.key == key {
                    ids.extend_from_slice(&slot.ids[..slot.count as usize]);
                    return true;
                }
            }
        }
        if self.others.is_empty() || end - start > LONGEST {
            return false;
        }
        let known = self.others.get(&text[start..end]);
        ids.extend_from_slice(known.map_or(&[], |known| known));
        known.is_some()
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.sets) + self.bytes
    }

    /// Remembers the ids of a word that was not found.
    pub(super) fn keep(&mut self, word: &str, ids: &[u32]) {
        if word.len() <= SHORT && ids.len() <= FEW {
            let key = key(word.as_bytes(), 0, word.len());
            let set = &mut self.sets[place(key)];
            let free = set.iter().position(|slot| slot.key == 0);
            self.turn = (self.turn + 1) % WAYS;
            let slot = &mut set[free.unwrap_or(self.turn)];
            slot.key = key;
            slot.ids[..ids.len()].copy_from_slice(ids);
            slot.count = ids.len() as u32;
        } else if word.len() <= LONGEST {
            let bytes = word.len() + size_of_val(ids) + ENTRY;
            if self.bytes + bytes > OTHERS {
                self.others.clear();
                self.bytes = 0;
            }
            self.bytes += bytes;
            self.others.insert(word.into(), ids.into());
        }
    }
}

/// A word of 1 to [`SHORT`] bytes as a number: its bytes, then zeros, then its length.
#[inline]
fn key(bytes: &[u8], start: usize, end: usize) -> u128 {
    let length = end - start;
    let word = match bytes[start..].first_chunk() {
        // What follows the word is cut off.
        Some(&sixteen) => u128::from_le_bytes(sixteen) & ((1 << (8 * length)) - 1),
        None => {
            let mut sixteen = [0; 16];
            sixteen[..length].copy_from_slice(&bytes[start..end]);
            u128::from_le_bytes(sixteen)
        }
    };
    word | (length as u128) << 120
}

/// The place of a word in the table: both halves multiplied, so that each bit of them counts.
#[inline]
fn place(key: u128) -> usize {
    let low = key as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let high = (key >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03;
    let product = u128::from(low) * u128::from(high);
    (product as u64 ^ (product >> 64) as u64) as usize % SETS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More words than there is room for, of both kinds: what is found is right, and the last ones are found.
    #[test]
    fn a_full_cache_forgets_and_never_errs() {
        let mut cache = Cache::default();
        let ids = |i: u32| vec![i; (i % 5) as usize];
        let word = |i: u32| format!(" {i}{}", "x".repeat((i % 7 / 6 * 40) as usize));
        for i in 0..400_000 {
            cache.keep(&word(i), &ids(i));
        }
        let mut found = vec![];
        for i in 0..400_000 {
            let (word, mut got) = (word(i), vec![]);
            if cache.find(&word, 0, word.len(), &mut got) {
                assert_eq!(got, ids(i), "{word}");
                found.push(i);
            } else {
                assert!(got.is_empty());
            }
        }
        assert!(found.len() < 200_000 && found.ends_with(&[399_999]));
        assert!(cache.size() <= BYTES);
    }
}
