//! Takes the shards of a corpus, gathers small ones into groups. The shards of a group share a masks file, a record and
//! the syncs of both: a file of its own for each short text would cost several syncs of the disk each.
//!
//! ```text
//! a.jsonl (1 GB)  b/0.txt  b/1.txt ... b/1999.txt   ──►   a.jsonl │ b/0.txt.1024-files │ b/1024.txt.976-files
//! ```
//!
//! A run of at least [`FEWEST`] consecutive shards of at most [`SMALL`] bytes each is divided into groups of at most
//! [`MOST`] shards and [`MOST_BYTES`] bytes; every other shard is a group by itself. So the groups follow from the names
//! and sizes of the corpus alone. The plan of a run records them: a run that resumes, and all its ranks, have the same.
//!
//! Like a shard without others, a group is what ranks share, and where read-ahead blocks and scopes start anew. A
//! document keeps its own shard and row.

use std::{collections::HashSet, ops::Range};

use rho_formats::{Location, Shard};
use serde::{Deserialize, Serialize};

/// The most bytes of a shard that is gathered.
const SMALL: u64 = 64 << 10;
/// The fewest consecutive small shards that are gathered: fewer are written soon enough.
const FEWEST: usize = 32;
/// The most shards of a group.
const MOST: usize = 1024;
/// The most bytes of a group: about the tokens of one scope `batch`.
const MOST_BYTES: u64 = 4 << 20;

/// Consecutive shards that share a masks file; often one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The name of the masks file without its ending, and of the record.
    pub(crate) name: String,
    /// The indices of the shards.
    pub(crate) members: Range<usize>,
}

/// A group of more than one shard, as a plan records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    /// The index of its first shard.
    pub(crate) first: usize,
    /// The number of its shards.
    pub(crate) shards: usize,
}

impl Group {
    /// A shard without others.
    pub(crate) fn alone(index: usize, shard: &str) -> Self {
        Self {
            name: shard.to_owned(),
            members: index..index + 1,
        }
    }

    /// Whether it has more than one shard.
    pub(crate) fn is_gathered(&self) -> bool {
        self.members.len() > 1
    }
}

/// Gathers the small shards of a corpus.
pub(crate) fn gather(shards: &[Shard]) -> Vec<Gathered> {
    let is_small = |shard: &Shard| shard.bytes <= SMALL && shard.place != Location::StandardInput;
    let mut gathered = Vec::new();
    let mut first = 0;
    while first < shards.len() {
        let rest = &shards[first..];
        let small = rest.iter().take_while(|shard| is_small(shard)).count();
        if small >= FEWEST {
            divide(first, &rest[..small], &mut gathered);
        }
        first += small.max(1);
    }
    // A file with the name of a group cannot be in a folder that is walked, but it can be named.
    let names: HashSet<&str> = shards.iter().map(|shard| shard.name.as_str()).collect();
    gathered.retain(|group| {
        group.shards > 1 && !names.contains(name(&shards[group.first].name, group.shards).as_str())
    });
    gathered
}

/// Divides a run of small shards, of which `first` is the index of the first.
fn divide(first: usize, run: &[Shard], gathered: &mut Vec<Gathered>) {
    let mut bytes = 0;
    let mut group = Gathered { first, shards: 0 };
    for shard in run {
        if group.shards == MOST || bytes + shard.bytes > MOST_BYTES {
            gathered.push(group);
            group = Gathered {
                first: group.first + group.shards,
                shards: 0,
            };
            bytes = 0;
        }
        group.shards += 1;
        bytes += shard.bytes;
    }
    gathered.push(group);
}

/// The groups of shards with these names, in order; none if what was gathered does not fit them.
pub(crate) fn of<'a>(
    names: impl ExactSizeIterator<Item = &'a str> + Clone,
    gathered: &[Gathered],
) -> Option<Vec<Group>> {
    let count = names.len();
    let mut names = names.enumerate();
    let mut groups = Vec::new();
    let mut gathered = gathered.iter().peekable();
    while let Some((index, shard)) = names.next() {
        match gathered.next_if(|group| group.first == index) {
            Some(&Gathered { shards, .. }) => {
                let end = index.checked_add(shards);
                let end = end.filter(|&end| shards > 1 && end <= count)?;
                groups.push(Group {
                    name: name(shard, shards),
                    members: index..end,
                });
                for _ in 1..shards {
                    names.next();
                }
            }
            None => groups.push(Group::alone(index, shard)),
        }
    }
    gathered.next().is_none().then_some(groups)
}

/// The groups of a corpus.
pub(crate) fn of_corpus(shards: &[Shard]) -> Vec<Group> {
    let names = shards.iter().map(|shard| shard.name.as_str());
    of(names, &gather(shards)).unwrap_or_default()
}

fn name(first: &str, shards: usize) -> String {
    match shards {
        1 => first.to_owned(),
        _ => format!("{first}.{shards}-files"),
    }
}

/// The size of a group.
pub(crate) fn bytes(shards: &[Shard], group: &Group) -> u64 {
    let members = &shards[group.members.clone()];
    members.iter().map(|shard| shard.bytes).sum()
}

#[cfg(test)]
mod tests {
    use rho_formats::{Compression, Kind};

    use super::*;

    fn shards(sizes: impl IntoIterator<Item = u64>) -> Vec<Shard> {
        let shard = |(index, bytes)| Shard {
            path: format!("{index:05}.txt").into(),
            place: Location::File,
            name: format!("{index:05}.txt"),
            bytes,
            kind: Kind::Text,
            compression: Compression::None,
            documents: None,
        };
        (0..).zip(sizes).map(shard).collect()
    }

    /// Names and members of the groups with more than one shard.
    fn gathered(shards: &[Shard]) -> Vec<(String, Range<usize>)> {
        let groups = of_corpus(shards);
        // Every shard is in one group, in order.
        let all: Vec<usize> = groups.iter().flat_map(|g| g.members.clone()).collect();
        assert_eq!(all, (0..shards.len()).collect::<Vec<_>>());
        let several = groups.into_iter().filter(Group::is_gathered);
        several.map(|group| (group.name, group.members)).collect()
    }

    #[test]
    fn long_runs_of_small_shards_are_gathered() {
        let many = shards([9; 2100]);
        assert_eq!(
            gathered(&many),
            [
                ("00000.txt.1024-files".to_owned(), 0..1024),
                ("01024.txt.1024-files".to_owned(), 1024..2048),
                ("02048.txt.52-files".to_owned(), 2048..2100),
            ]
        );
        assert_eq!(gathered(&shards([9; 31])), []);
        assert_eq!(gathered(&shards([9; 32])).len(), 1);
        assert_eq!(gathered(&shards([SMALL; 32])).len(), 1);
        assert_eq!(gathered(&shards([SMALL + 1; 32])), []);
        // One large file ends a run.
        let mut sizes = vec![9; 80];
        sizes[40] = 1 << 30;
        let both = gathered(&shards(sizes));
        assert_eq!(both[0].1, 0..40);
        assert_eq!(both[1].1, 41..80);
        // At most 4 MiB in a group: 64 of the largest shards.
        let full = gathered(&shards([SMALL; 130]));
        assert_eq!(full.len(), 3);
        assert_eq!(full[0].1, 0..64);
        assert_eq!(full[2].1, 128..130);
        // The last shard of a run may be left alone.
        assert_eq!(gathered(&shards([9; 1025])).len(), 1);
    }

    #[test]
    fn standard_input_and_taken_names_stay_alone() {
        let mut with_input = shards([9; 64]);
        with_input[20].place = Location::StandardInput;
        assert_eq!(gathered(&with_input)[0].1, 21..64);
        let mut taken = shards([9; 40]);
        taken.extend(shards([1 << 30]));
        taken[40].name = "00000.txt.40-files".to_owned();
        assert_eq!(gathered(&taken), []);
    }

    #[test]
    fn a_record_that_does_not_fit_is_refused() {
        let names = ["a", "b", "c"];
        let of = |gathered: &[(usize, usize)]| {
            let gathered = gathered
                .iter()
                .map(|&(first, shards)| Gathered { first, shards });
            of(names.into_iter(), &gathered.collect::<Vec<_>>())
        };
        assert_eq!(of(&[]).unwrap().len(), 3);
        assert_eq!(of(&[(1, 2)]).unwrap()[1].name, "b.2-files");
        for wrong in [
            &[(1, 3)][..],
            &[(3, 1)],
            &[(0, 2), (1, 2)],
            &[(0, usize::MAX), (1, 1)],
            &[(2, usize::MAX)],
            &[(1, 0), (1, 2)],
        ] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
