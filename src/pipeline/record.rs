//! The record of a started group of shards (most are one shard): its progress, which bytes of its files are safe on
//! disk, and its counts. It is written after each read-ahead block, so an interrupted run resumes there.

use std::{fs, path::Path, time::UNIX_EPOCH};

use rho_formats::{Location, MaskFile, Shard, SpillMark};
use serde::{Deserialize, Serialize};

use super::{mask::of_targets, shard_files::MemberRow};
use crate::selections::counts::{Counts as Selected, is_zero};

/// The size, time and version that identify a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its size.
    pub(crate) bytes: u64,
    /// Time of its last modification, in nanoseconds since 1970; none if unknown.
    pub(crate) modified: Option<u64>,
    /// Its ETag on a server, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

impl Identity {
    /// The current identity of a shard; if its metadata cannot be read, the size found earlier.
    pub(crate) fn of(shard: &Shard) -> Self {
        if let Location::Remote(remote) = &shard.place {
            // Found when the corpus was listed; the bytes read later are of that version.
            return Self {
                bytes: remote.bytes,
                modified: remote.modified,
                etag: remote.etag.clone(),
            };
        }
        if let Location::Cached { etag } = &shard.place {
            // The same file read from the server has the same identity.
            return Self {
                bytes: shard.bytes,
                modified: None,
                etag: Some(etag.clone()),
            };
        }
        Self::of_file(&shard.path).unwrap_or_else(|| Self {
            bytes: shard.bytes,
            ..Self::default()
        })
    }

    /// The identity of a file; none if its metadata cannot be read.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let since = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).ok();
        Some(Self {
            bytes: metadata.len(),
            modified: metadata
                .modified()
                .ok()
                .and_then(since)
                .and_then(|t| u64::try_from(t.as_nanos()).ok()),
            etag: None,
        })
    }

    /// What changed from `self` to `now`, as text for a message.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        if self.bytes != now.bytes {
            Some(format!("{} bytes before, {} now", self.bytes, now.bytes))
        } else if self.etag != now.etag {
            let told = |tag: &Option<String>| tag.clone().unwrap_or_else(|| "none".to_owned());
            let (before, now) = (told(&self.etag), told(&now.etag));
            Some(format!(
                "the same size, but ETag {before} before, {now} now"
            ))
        } else if self.etag.is_some() {
            // The ETag identifies the version; copies of one version may have different times.
            None
        } else if self != now {
            Some("the same size, but modified since".to_owned())
        } else {
            None
        }
    }
}

/// The record of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// The input that its rows are from; of the first shard, if there are several.
    pub(crate) input: Identity,
    /// The inputs of the other shards, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) other_inputs: Vec<Identity>,
    /// Its progress.
    pub(crate) state: State,
    /// Finished mask files; none while it is open.
    pub(crate) files: Vec<MaskFile>,
    /// Finished mask files of an earlier try, which stay until this one is done.
    pub(crate) replaces: Vec<MaskFile>,
    /// The shards that ended early so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) broken: Vec<Broken>,
    /// The valid bytes of its list of rejections.
    pub(crate) rejections: u64,
    /// The counts so far.
    pub(crate) counts: Counts,
}

impl ShardRecord {
    /// The inputs of its shards, in order.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.input).chain(&self.other_inputs)
    }

    /// The number of its shards.
    pub(crate) fn shards(&self) -> usize {
        1 + self.other_inputs.len()
    }
}

/// A shard that ended early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Broken {
    pub(crate) shard: String,
    /// The row at which it broke.
    pub(crate) row: i64,
    /// Why.
    pub(crate) reason: String,
}

/// The progress of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Some read-ahead blocks are done.
    Open(Durable),
    /// All rows are done.
    Complete,
    /// All readable rows are done.
    Incomplete {
        /// The row at which the first broken shard broke.
        row: i64,
        /// Why.
        reason: String,
    },
}

/// What of an open group is safe on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// Where to resume.
    pub(crate) from: From,
    /// Bytes of each mask file.
    pub(crate) files: Vec<u64>,
    /// The documents of the open scope, if there are any.
    pub(crate) spill: Option<SpillMark>,
}

/// A position in a group from which reading and scoping resume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct From {
    /// The number of the first shard that is not done.
    #[serde(default)]
    pub(crate) member: usize,
    /// Its first row that is not done.
    pub(crate) row: i64,
    /// Tokens in the open scope.
    pub(crate) scope_tokens: usize,
    /// XXH3 of the rows before this position, for standard input, which has no other identity; else 0.
    #[serde(default)]
    pub(crate) digest: u64,
}

/// The counts of a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Rows of the finished read-ahead blocks. Rejected rows are counted with them, documents and tokens when their
    /// scope ends.
    pub(crate) rows: u64,
    pub(crate) documents: u64,
    pub(crate) rejected: u64,
    /// Documents without a target token, which are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) untargeted: u64,
    pub(crate) tokens: u64,
    /// Tokens that may be targets and have scores.
    pub(crate) scored: u64,
    /// Sums over the scored tokens, one for each score column.
    pub(crate) sums: Vec<f64>,
    /// The counts of the selections.
    pub(crate) selected: Selected,
    pub(crate) batches: u64,
    pub(crate) batch_tokens: u64,
    pub(crate) padding: u64,
}

impl Counts {
    /// Adds the documents of one scope and the counts of its selections.
    pub(super) fn scope(&mut self, documents: &[MemberRow], selected: &Selected) {
        self.documents += documents.len() as u64;
        for MemberRow { document, .. } in documents {
            self.tokens += document.input_ids.len() as u64;
            self.sums.resize(document.scores.len(), 0.0);
            for (column, sum) in self.sums.iter_mut().enumerate() {
                let scored = of_targets(document, column).filter(|s| !s.is_nan());
                *sum += scored.map(f64::from).sum::<f64>();
            }
            // A token has a score in all columns or in none.
            let scored = match document.scores.is_empty() {
                true => 0,
                false => of_targets(document, 0).filter(|s| !s.is_nan()).count(),
            };
            self.scored += scored as u64;
        }
        self.selected.add(selected);
    }

    /// Adds the counts of another group.
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.documents += other.documents;
        self.rejected += other.rejected;
        self.untargeted += other.untargeted;
        self.tokens += other.tokens;
        self.scored += other.scored;
        let columns = self.sums.len().max(other.sums.len());
        self.sums.resize(columns, 0.0);
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            *sum += other;
        }
        self.selected.add(&other.selected);
        self.batches += other.batches;
        self.batch_tokens += other.batch_tokens;
        self.padding += other.padding;
    }
}
