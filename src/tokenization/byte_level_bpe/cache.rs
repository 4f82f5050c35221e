//! A cache of the ids of words, with bounded memory.
//!
//! Nearly all words of a text are short and have few tokens. They are in a set-associative table of fixed size: 32
//! bytes per word, found by a hash and compared as one number; in a full set, a new word evicts another. The other
//! words are in a map that is cleared when it is full.

use std::collections::HashMap;

/// Most bytes of memory of a cache; there is one per thread.
pub(crate) const BYTES: usize = SETS * size_of::<Set>() + OTHERS;

/// Sets in the table, indexed by the hash of a word.
const SETS: usize = 1 << 15;
/// Words in a set.
const WAYS: usize = 4;
/// Most bytes of a word in the table: 16, less one for its length.
const SHORT: usize = 15;
/// Most ids of a word in the table.
const FEW: usize = 3;
/// Most bytes of the map, and of a word in it.
const OTHERS: usize = 4 << 20;
const LONGEST: usize = 256;
/// Bytes that a word takes in the map besides its bytes and ids (a slot, half of them empty, and two allocations).
const ENTRY: usize = 112;

type Set = [Slot; WAYS];

/// A word as a number, and its ids. The number 0 means an empty slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    key: u128,
    ids: [u32; FEW],
    count: u32,
}

/// The cache.
pub(super) struct Cache {
    sets: Box<[Set]>,
    /// The slot of a full set that is evicted next.
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
    /// Appends the ids of `text[start..end]` to `ids`, if they are cached.
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

    /// Its size in bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        size_of_val(&*self.sets) + self.bytes
    }

    /// Stores the ids of a word that was not found.
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
        // Clear the bytes after the word.
        Some(&sixteen) => u128::from_le_bytes(sixteen) & ((1 << (8 * length)) - 1),
        None => {
            let mut sixteen = [0; 16];
            sixteen[..length].copy_from_slice(&bytes[start..end]);
            u128::from_le_bytes(sixteen)
        }
    };
    word | (length as u128) << 120
}

/// The set of a word in the table: a hash that multiplies both halves, so that every bit counts.
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

    /// More words of both kinds than fit: the words that are found have the right ids, and the last ones are found.
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
