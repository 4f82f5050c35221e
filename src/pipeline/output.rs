//! The output of the masks: a folder, which can be resumed, or one stream.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rho_formats::{MaskRow, MaskStream, OutputError, Rejection};

use super::{
    Break,
    record::{Counts, From, Identity, State},
    shard_files::ShardFiles,
    store::Store,
};
use crate::{left_out::ENDS_EARLY, terminal};

/// Rejected rows that are printed if no rejected.jsonl lists them.
const SHOWN: u64 = 10;

/// Takes the masks of a run.
pub(crate) enum Output<'a> {
    /// A masks folder.
    Folder(&'a Store<'a>),
    /// A stream.
    Stream(Box<StreamOutput<'a>>),
}

/// A stream, and the counts of what was written to it.
pub(crate) struct StreamOutput<'a> {
    pub(crate) names: Vec<&'a str>,
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

/// The output of the shard that is being masked.
pub(super) struct Open<'a> {
    output: &'a Output<'a>,
    shard: usize,
    counts: Counts,
    files: Option<ShardFiles>,
}

impl Output<'_> {
    /// The shards to mask, in order, with the start position in each.
    pub(super) fn todo(&self) -> Vec<(usize, From)> {
        match self {
            Self::Folder(store) => store.todo(),
            Self::Stream(stream) => (0..stream.names.len())
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

    /// Starts or resumes a shard. Also returns the documents of its open scope.
    pub(super) fn begin(&self, shard: usize) -> anyhow::Result<(Open<'_>, Vec<MaskRow>)> {
        let mut open = Open {
            output: self,
            shard,
            counts: Counts::default(),
            files: None,
        };
        match self {
            Self::Folder(store) => {
                let (files, rows) = store.begin(shard)?;
                open.files = Some(files);
                Ok((open, rows))
            }
            Self::Stream(stream) => {
                lock(&stream.stream).begin(stream.names[shard])?;
                Ok((open, Vec::new()))
            }
        }
    }
}

impl Open<'_> {
    /// The counts of the shard.
    pub(super) fn counts(&mut self) -> &mut Counts {
        match &mut self.files {
            Some(files) => &mut files.record.counts,
            None => &mut self.counts,
        }
    }

    /// Writes a document with its masks.
    pub(super) fn write(&mut self, row: &MaskRow) -> Result<(), OutputError> {
        match (&mut self.files, self.output) {
            (Some(files), _) => files.write(row),
            (None, Output::Stream(stream)) => lock(&stream.stream).write(row),
            (None, Output::Folder(_)) => Ok(()),
        }
    }

    /// Stores a document of the open scope.
    pub(super) fn keep(&mut self, row: &MaskRow) -> Result<(), OutputError> {
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
                self.counts.rejected += 1;
                let before = lock(&stream.totals).counts.rejected;
                let Rejection { shard, row, reason } = rejection;
                match before + self.counts.rejected {
                    n if n <= SHOWN => terminal::line(&format!("{shard} row {row}: {reason}")),
                    n if n == SHOWN + 1 => terminal::line("more rows are rejected ..."),
                    _ => {}
                }
                self.counts.rejected -= 1;
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

    /// Finishes the shard, as far as it could be read. Returns its name, and the break if it ended early; an input that
    /// changed while it was read counts as broken.
    pub(super) fn complete(
        mut self,
        mut broken: Option<Break>,
    ) -> anyhow::Result<(String, Option<Break>)> {
        match (self.files.take(), self.output) {
            (Some(mut files), Output::Folder(store)) => {
                let shard = store.shard(self.shard);
                let changed = files.record.input.difference(&Identity::of(shard));
                if let Some(difference) = changed {
                    let row = broken.take().map_or(0, |b| b.row);
                    let reason = format!("the file changed while it was read: {difference}");
                    broken = Some(Break { row, reason });
                }
                if let Some(Break { row, reason }) = &broken {
                    files.reject(&Rejection {
                        shard: shard.name.clone(),
                        row: *row,
                        reason: format!("{ENDS_EARLY}{reason}"),
                    })?;
                }
                let state = match &broken {
                    None => State::Complete,
                    Some(Break { row, reason }) => State::Incomplete {
                        row: *row,
                        reason: reason.clone(),
                    },
                };
                store.completed(self.shard, files.complete(state)?)?;
                Ok((shard.name.clone(), broken))
            }
            (_, Output::Stream(stream)) => {
                lock(&stream.stream).flush()?;
                let name = stream.names[self.shard];
                if let Some(Break { row, reason }) = &broken {
                    terminal::line(&format!("{name} row {row}: the shard ends early: {reason}"));
                }
                let mut totals = lock(&stream.totals);
                totals.counts.add(&self.counts);
                totals.shards += 1;
                totals.broken_shards += u64::from(broken.is_some());
                Ok((name.to_owned(), broken))
            }
            (None, Output::Folder(store)) => Ok((store.shard(self.shard).name.clone(), broken)),
        }
    }
}

/// Locks a mutex even if it is poisoned: the panic that poisoned it is resumed anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
