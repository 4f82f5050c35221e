//! Joins two sequences of documents by a key, in bounded memory.
//!
//! Both are read in turns. A document waits until its partner comes; if the folders have the same order, that is soon.
//! If the waiting documents exceed the limit, they and all later ones are divided among partitions on disk by the hash
//! of their key, and each partition is joined by itself. Equal keys are paired in their order on each side: a pair is
//! always the n-th with the n-th, whether or not something was written to disk.

use std::collections::{BTreeMap, VecDeque};

use super::documents::{Document, Documents};
use crate::{
    cli::JoinKey,
    on_disk::{Partitions, Place},
    stop::Stop,
};

/// The result for one document, or for two with the same key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Joined {
    Both(Document, Document),
    /// Only side 0 or side 1 has it.
    Only(usize, Document),
}

/// How documents are joined.
#[derive(Debug, Clone, Copy)]
pub(super) struct Join<'a> {
    pub(super) by: JoinKey,
    /// Most bytes of documents that wait in memory.
    pub(super) most: u64,
    pub(super) stop: &'a Stop,
}

type Key = Box<[u8]>;

impl Join<'_> {
    /// Passes every document to `each` once. False if the run was stopped.
    pub(super) fn run(
        self,
        sides: [&mut dyn Documents; 2],
        each: &mut dyn FnMut(Joined),
    ) -> anyhow::Result<bool> {
        self.level(sides, 0, each)
    }

    fn key(self, document: &Document) -> Key {
        match self.by {
            JoinKey::Row => {
                let mut key = document.shard.clone().into_bytes();
                key.extend(document.row.to_le_bytes());
                key.into()
            }
            JoinKey::Tokens => document.token_hash.to_le_bytes().into(),
        }
    }

    /// `depth` counts the partitions around these documents: it varies the hash.
    fn level(
        self,
        sides: [&mut dyn Documents; 2],
        depth: u64,
        each: &mut dyn FnMut(Joined),
    ) -> anyhow::Result<bool> {
        let mut waiting = [Waiting::default(), Waiting::default()];
        let mut ended = [false; 2];
        let mut turn = 1;
        while ended != [true, true] {
            if self.stop.requested() {
                return Ok(false);
            }
            turn = match ended {
                [true, _] => 1,
                [_, true] => 0,
                _ => 1 - turn,
            };
            let Some(document) = sides[turn].next()? else {
                ended[turn] = true;
                continue;
            };
            let key = self.key(&document);
            let [first, second] = &mut waiting;
            let (own, others) = match turn {
                0 => (first, second),
                _ => (second, first),
            };
            if let Some(partner) = others.take(&key) {
                each(match turn {
                    0 => Joined::Both(document, partner),
                    _ => Joined::Both(partner, document),
                });
            } else if ended[1 - turn] {
                each(Joined::Only(turn, document));
            } else {
                own.put(key, document);
            }
            let [a, b] = &waiting;
            // A single document waits even if it is larger than the limit: its partner may be the next.
            if a.bytes + b.bytes > self.most && a.documents + b.documents > 1 {
                return self.on_disk(sides, waiting, depth, each);
            }
        }
        for (side, waiting) in waiting.into_iter().enumerate() {
            waiting.all().for_each(|(_, d)| each(Joined::Only(side, d)));
        }
        Ok(true)
    }

    fn on_disk(
        self,
        sides: [&mut dyn Documents; 2],
        waiting: [Waiting; 2],
        depth: u64,
        each: &mut dyn FnMut(Joined),
    ) -> anyhow::Result<bool> {
        let place = Place::temporary();
        let mut partitions = Vec::new();
        for (documents, waiting) in sides.into_iter().zip(waiting) {
            let mut own = Partitions::new(&place, depth)?;
            for (key, document) in waiting.all() {
                own.write(&key, &document)?;
            }
            while let Some(document) = documents.next()? {
                if self.stop.requested() {
                    return Ok(false);
                }
                own.write(&self.key(&document), &document)?;
            }
            partitions.push(own.read()?.into_iter());
        }
        let [of_a, of_b] = &mut partitions[..] else {
            return Ok(true);
        };
        for (mut a, mut b) in of_a.zip(of_b) {
            if !self.level([&mut a, &mut b], depth + 1, each)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Documents of one side whose partner has not come yet. Sorted by key, so that their order is the same at each run.
#[derive(Default)]
struct Waiting {
    by_key: BTreeMap<Key, VecDeque<Document>>,
    documents: usize,
    bytes: u64,
}

impl Waiting {
    fn put(&mut self, key: Key, document: Document) {
        self.documents += 1;
        self.bytes += document.bytes();
        self.by_key.entry(key).or_default().push_back(document);
    }

    fn take(&mut self, key: &Key) -> Option<Document> {
        let documents = self.by_key.get_mut(key)?;
        let document = documents.pop_front()?;
        if documents.is_empty() {
            self.by_key.remove(key);
        }
        self.documents -= 1;
        self.bytes -= document.bytes();
        Some(document)
    }

    fn all(self) -> impl Iterator<Item = (Key, Document)> {
        let all = self.by_key.into_iter();
        all.flat_map(|(key, documents)| documents.into_iter().map(move |d| (key.clone(), d)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Listed(VecDeque<Document>);

    impl Documents for Listed {
        fn next(&mut self) -> anyhow::Result<Option<Document>> {
            Ok(self.0.pop_front())
        }
    }

    /// A document whose id is its own.
    fn document(key: i64, id: &str) -> Document {
        Document {
            id: id.to_owned(),
            shard: format!("s{}", key % 3),
            row: key,
            token_hash: key,
            tokens: 3,
            source: (key % 2 == 0).then(|| "web".to_owned()),
            numbers: vec![vec![f32::NAN, key as f32, f32::INFINITY]],
            masks: vec![vec![false, key % 2 == 0, true]],
        }
    }

    /// The ids of the pairs and of the others, by plain counting.
    fn expected(a: &[Document], b: &[Document]) -> Vec<String> {
        let mut counts = HashMap::<i64, [Vec<&str>; 2]>::new();
        for (side, documents) in [a, b].into_iter().enumerate() {
            for document in documents {
                counts.entry(document.row).or_default()[side].push(&document.id);
            }
        }
        let mut all = Vec::new();
        for [a, b] in counts.values() {
            for i in 0..a.len().max(b.len()) {
                let name = |side: &[&str]| side.get(i).map_or("-", |id| id).to_owned();
                all.push(format!("{} {}", name(a), name(b)));
            }
        }
        all.sort();
        all
    }

    fn joined(a: &[Document], b: &[Document], by: JoinKey, most: u64) -> Vec<String> {
        let mut all = Vec::new();
        let stop = Stop::default();
        let join = Join {
            by,
            most,
            stop: &stop,
        };
        let [mut a, mut b] = [a, b].map(|side| Listed(side.to_vec().into()));
        let whole = join.run([&mut a, &mut b], &mut |joined| {
            all.push(match joined {
                Joined::Both(a, b) => {
                    // Everything came back from disk.
                    let key = a.row;
                    for one in [&a, &b] {
                        let again = document(key, &one.id);
                        assert_eq!(format!("{one:?}"), format!("{again:?}"));
                    }
                    format!("{} {}", a.id, b.id)
                }
                Joined::Only(0, d) => format!("{} -", d.id),
                Joined::Only(_, d) => format!("- {}", d.id),
            });
        });
        assert!(whole.unwrap());
        all.sort();
        all
    }

    #[test]
    fn pairs_are_the_nth_with_the_nth_whatever_fits_in_memory() {
        let side = |name: &str, keys: &[i64]| -> Vec<Document> {
            let numbered = keys.iter().enumerate();
            numbered
                .map(|(i, &key)| document(key, &format!("{name}{i}")))
                .collect()
        };
        let random = |seed: u32, count: usize, keys: u32| -> Vec<i64> {
            let mut state = seed;
            let next = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                i64::from((state >> 8) % keys)
            };
            (0..count).map(next).collect()
        };
        let same: Vec<i64> = (0..200).collect();
        let turned: Vec<i64> = (0..200).rev().collect();
        for (a, b) in [
            (same.clone(), same.clone()),
            (same.clone(), turned),
            (same.clone(), vec![]),
            (vec![], same.clone()),
            (random(1, 300, 40), random(2, 250, 60)),
            (vec![7; 300], vec![7; 120]),
            (vec![7; 30], vec![8; 120]),
            (same, random(3, 30, 9)),
        ] {
            let (a, b) = (side("a", &a), side("b", &b));
            let expected = expected(&a, &b);
            for by in [JoinKey::Row, JoinKey::Tokens] {
                for most in [0, 1_000, 20_000, u64::MAX] {
                    assert_eq!(joined(&a, &b, by, most), expected, "{most}");
                }
            }
        }
    }
}
