//! The output of the masks: a folder, which can be resumed, or one stream.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rho_formats::{MaskRow, MaskStream, OutputError, Rejection, Shard};

use super::{
    record::{Broken, Counts, From, Identity, State},
    shard_files::{MemberRow, ShardFiles},
    store::Store,
};
use crate::{groups::Group, left_out::ENDS_EARLY, terminal};

/// Rejected rows that are printed if no rejected.jsonl lists them.
const SHOWN: u64 = 10;

/// Takes the masks of a run.
pub(crate) enum Output<'a> {
    /// A masks folder.
    Folder(&'a Store<'a>),
    /// A stream.
    Stream(Box<StreamOutput>),
}

/// A stream, and the counts of what was written to it.
pub(crate) struct StreamOutput {
    /// The groups to write, in order.
    pub(crate) groups: Vec<Group>,
    pub(crate) stream: Mutex<MaskStream>,
    pub(crate) totals: Mutex<Totals>,
}

/// The counts of a run so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) counts: Counts,
    pub(crate) shards: u64,
    pub(crate) broken_shards: u64,
}

/// The output of the group that is being masked.
pub(super) struct Open<'a> {
    output: &'a Output<'a>,
    /// The number of the group.
    group: usize,
    counts: Counts,
    /// The shards that ended early; of a folder, its record has them.
    broken: Vec<Broken>,
    files: Option<ShardFiles>,
}

impl Output<'_> {
    /// The groups of the corpus; those to mask and perhaps others.
    pub(super) fn groups(&self) -> &[Group] {
        match self {
            Self::Folder(store) => store.groups(),
            Self::Stream(stream) => &stream.groups,
        }
    }

    /// The groups to mask, in order, with the start position in each.
    pub(super) fn todo(&self) -> Vec<(usize, From)> {
        match self {
            Self::Folder(store) => store.todo(),
            Self::Stream(stream) => (0..stream.groups.len())
                .map(|i| (i, From::default()))
                .collect(),
        }
    }

    /// The counts of this run and of the earlier runs that it resumes.
    pub(super) fn totals(&self) -> Totals {
        match self {
            Self::Folder(store) => store.totals(),
            Self::Stream(stream) => lock(&stream.totals).clone(),
        }
    }

    /// The counts of earlier runs for rows that this run does not count again.
    pub(super) fn counted_before(&self) -> Counts {
        match self {
            Self::Folder(store) => store.counted_before(),
            Self::Stream(_) => Counts::default(),
        }
    }

    /// Starts or resumes a group. Also returns the documents of its open scope.
    pub(super) fn begin(&self, group: usize) -> anyhow::Result<(Open<'_>, Vec<MemberRow>)> {
        let mut open = Open {
            output: self,
            group,
            counts: Counts::default(),
            broken: Vec::new(),
            files: None,
        };
        match self {
            Self::Folder(store) => {
                let (files, rows) = store.begin(group)?;
                open.files = Some(files);
                Ok((open, rows))
            }
            Self::Stream(stream) => {
                lock(&stream.stream).begin(&stream.groups[group].name)?;
                Ok((open, Vec::new()))
            }
        }
    }
}

impl Open<'_> {
    /// The counts of the group.
    pub(super) fn counts(&mut self) -> &mut Counts {
        match &mut self.files {
            Some(files) => &mut files.record.counts,
            None => &mut self.counts,
        }
    }

    /// Writes a document of a shard with its masks.
    pub(super) fn write(&mut self, shard: &str, row: &MaskRow) -> Result<(), OutputError> {
        match (&mut self.files, self.output) {
            (Some(files), _) => files.write(shard, row),
            (None, Output::Stream(stream)) => {
                let mut stream = lock(&stream.stream);
                stream.of_shard(shard);
                stream.write(row)
            }
            (None, Output::Folder(_)) => Ok(()),
        }
    }

    /// Stores a document of the open scope.
    pub(super) fn keep(&mut self, row: &MemberRow) -> Result<(), OutputError> {
        self.files.as_mut().map_or(Ok(()), |files| files.keep(row))
    }

    /// Ends the scope.
    pub(super) fn end_scope(&mut self) {
        if let Some(files) = &mut self.files {
            files.end_scope();
        }
    }

    /// Records a row without a document.
    pub(super) fn reject(&mut self, rejection: &Rejection) -> Result<(), OutputError> {
        match (&mut self.files, self.output) {
            (Some(files), _) => files.reject(rejection),
            (None, Output::Stream(stream)) => {
                let before = lock(&stream.totals).counts.rejected;
                let Rejection { shard, row, reason } = rejection;
                match before + self.counts.rejected + 1 {
                    n if n <= SHOWN => terminal::line(&format!("{shard} row {row}: {reason}")),
                    n if n == SHOWN + 1 => terminal::line("more rows are rejected ..."),
                    _ => {}
                }
                Ok(())
            }
            (None, Output::Folder(_)) => Ok(()),
        }
    }

    /// Commits a finished read-ahead block.
    pub(super) fn commit(&mut self, next: From) -> anyhow::Result<()> {
        match (&mut self.files, self.output) {
            (Some(files), _) => files.commit(next),
            (None, Output::Stream(stream)) => Ok(lock(&stream.stream).flush()?),
            (None, Output::Folder(_)) => Ok(()),
        }
    }

    /// Records a shard that ended early.
    pub(super) fn broken(&mut self, broken: &Broken) -> Result<(), OutputError> {
        match &mut self.files {
            Some(files) => files.broken(broken),
            None => {
                let Broken { shard, row, reason } = broken;
                terminal::line(&format!("{shard} row {row}: {ENDS_EARLY}{reason}"));
                self.broken.push(broken.clone());
                Ok(())
            }
        }
    }

    /// Finishes the group, as far as it could be read. Returns its shards that ended early; an input that changed while
    /// it was read counts as broken.
    pub(super) fn complete(mut self) -> anyhow::Result<Vec<Broken>> {
        match (self.files.take(), self.output) {
            (Some(mut files), Output::Folder(store)) => {
                for broken in changed(&files, store.shards_of(self.group)) {
                    let told = &mut files.record.broken;
                    match told.iter_mut().find(|told| told.shard == broken.shard) {
                        Some(told) => told.reason = broken.reason,
                        None => files.broken(&broken)?,
                    }
                }
                let broken = files.record.broken.clone();
                let state = match broken.first() {
                    None => State::Complete,
                    Some(Broken { row, reason, .. }) => State::Incomplete {
                        row: *row,
                        reason: reason.clone(),
                    },
                };
                store.completed(self.group, files.complete(state)?)?;
                Ok(broken)
            }
            (_, Output::Stream(stream)) => {
                lock(&stream.stream).flush()?;
                let mut totals = lock(&stream.totals);
                totals.counts.add(&self.counts);
                totals.shards += stream.groups[self.group].members.len() as u64;
                totals.broken_shards += self.broken.len() as u64;
                Ok(self.broken)
            }
            (None, Output::Folder(_)) => Ok(self.broken),
        }
    }
}

/// The shards of a group that changed while they were read.
fn changed(files: &ShardFiles, shards: &[Shard]) -> Vec<Broken> {
    let inputs = files.record.inputs().zip(shards);
    let changed = inputs.filter_map(|(before, shard)| {
        let difference = before.difference(&Identity::of(shard))?;
        Some(Broken {
            shard: shard.name.clone(),
            row: 0,
            reason: format!("the file changed while it was read: {difference}"),
        })
    });
    changed.collect()
}

/// Locks a mutex even if it is poisoned: the panic that poisoned it is resumed anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
