//! Finds documents that came before: those whose token hash an earlier document has.
//!
//! The hashes are kept in memory up to a bound; then they and all later ones are divided among partitions on disk by the
//! hash, and each partition is searched by itself. So the result is exact, and does not depend on the bound.

use std::{collections::HashMap, io, io::Read, io::Write};

use crate::on_disk::{Partitions, Place, Record, read_number, write_number};

/// Most hashes in memory; about 150 MB.
pub(crate) const HASHES: usize = 1 << 22;

/// A document, in the order of the corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) token_hash: i64,
    /// Documents of one group are not duplicates of each other. Groups ascend.
    pub(crate) group: u64,
    /// Its number in the corpus.
    pub(crate) document: u64,
    pub(crate) tokens: u64,
}

impl Record for Occurrence {
    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let numbers = [self.group, self.document, self.tokens];
        write_number(to, self.token_hash.cast_unsigned())?;
        numbers
            .iter()
            .try_for_each(|&number| write_number(to, number))
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut number = || read_number(from);
        Ok(Self {
            token_hash: number()?.cast_signed(),
            group: number()?,
            document: number()?,
            tokens: number()?,
        })
    }
}

/// A search for duplicates.
pub(crate) struct Search<'a> {
    /// Where what does not fit in memory is kept.
    pub(crate) place: &'a Place,
    /// Most hashes in memory.
    pub(crate) most: usize,
}

impl Search<'_> {
    /// Passes each document that came before in another group to `found`, until that returns false. `next` yields the
    /// documents in order, none at the end. False if `found` returned false.
    pub(crate) fn run(
        &self,
        next: &mut dyn FnMut() -> anyhow::Result<Option<Occurrence>>,
        found: &mut dyn FnMut(Occurrence) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        self.level(next, found, 0)
    }

    /// `depth` counts the partitions around these documents: it varies the hash.
    fn level(
        &self,
        next: &mut dyn FnMut() -> anyhow::Result<Option<Occurrence>>,
        found: &mut dyn FnMut(Occurrence) -> anyhow::Result<bool>,
        depth: u64,
    ) -> anyhow::Result<bool> {
        let mut first: HashMap<i64, u64> = HashMap::new();
        while let Some(one) = next()? {
            match first.get(&one.token_hash) {
                Some(&group) if group < one.group => {
                    if !found(one)? {
                        return Ok(false);
                    }
                }
                Some(_) => {}
                None => {
                    first.insert(one.token_hash, one.group);
                }
            }
            // One hash fits however often it comes.
            if first.len() > self.most.max(1) {
                return self.on_disk(first, next, found, depth);
            }
        }
        Ok(true)
    }

    fn on_disk(
        &self,
        first: HashMap<i64, u64>,
        next: &mut dyn FnMut() -> anyhow::Result<Option<Occurrence>>,
        found: &mut dyn FnMut(Occurrence) -> anyhow::Result<bool>,
        depth: u64,
    ) -> anyhow::Result<bool> {
        let mut partitions = Partitions::new(self.place, depth)?;
        let mut write = |one: Occurrence| partitions.write(&one.token_hash.to_le_bytes(), &one);
        // The hashes so far come first in their partitions, so that they are found first again.
        for (token_hash, group) in first {
            write(Occurrence {
                token_hash,
                group,
                document: 0,
                tokens: 0,
            })?;
        }
        while let Some(one) = next()? {
            write(one)?;
        }
        for mut partition in partitions.read()? {
            if !self.level(&mut || partition.next(), found, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn found(all: &[Occurrence], most: usize) -> Vec<u64> {
        let place = Place::temporary();
        let search = Search {
            place: &place,
            most,
        };
        let mut left = all.iter();
        let mut documents = Vec::new();
        let whole = search.run(&mut || Ok(left.next().copied()), &mut |one| {
            assert_eq!(one, all[one.document as usize]);
            documents.push(one.document);
            Ok(true)
        });
        assert!(whole.unwrap());
        documents.sort_unstable();
        documents
    }

    #[test]
    fn those_that_came_before_whatever_fits_in_memory() {
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u64::from((state >> 8) % below)
        };
        for (count, hashes, groups) in [
            (0, 1, 1),
            (500, 90, 500),
            (500, 90, 4),
            (300, 1, 300),
            (300, 3000, 300),
        ] {
            let mut all: Vec<Occurrence> = (0..count)
                .map(|document| Occurrence {
                    token_hash: random(hashes) as i64 - 20,
                    group: document * groups / 500,
                    document,
                    tokens: document * 3,
                })
                .collect();
            all.iter_mut()
                .for_each(|one| one.group = one.document * groups / count.max(1));
            let mut first = BTreeMap::new();
            let expected: Vec<u64> = all
                .iter()
                .filter(|one| *first.entry(one.token_hash).or_insert(one.group) < one.group)
                .map(|one| one.document)
                .collect();
            for most in [0, 1, 7, 50, 10_000] {
                assert_eq!(
                    found(&all, most),
                    expected,
                    "{count} {hashes} {groups} {most}"
                );
            }
        }
    }

    #[test]
    fn it_ends_when_asked_to() {
        let one = |document| Occurrence {
            token_hash: 5,
            group: document,
            document,
            tokens: 1,
        };
        let mut left = (0..9).map(one);
        let place = Place::temporary();
        let search = Search {
            place: &place,
            most: 4,
        };
        let mut count = 0;
        let whole = search.run(&mut || Ok(left.next()), &mut |_| {
            count += 1;
            Ok(false)
        });
        assert!(!whole.unwrap());
        assert_eq!((count, left.next().unwrap().document), (1, 2));
    }
}
