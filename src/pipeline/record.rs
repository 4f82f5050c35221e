//! What is known of a shard that was begun: how far it is, what of its files is safe on the disk, and what was counted.
//! It is written after each look-ahead, so that a run that was interrupted goes on there.

use std::{fs, path::Path, time::UNIX_EPOCH};

use rho_formats::{MaskFile, MaskRow, Place, Shard, SpillMark};
use serde::{Deserialize, Serialize};

use crate::selections::counts::Counts as Selected;

/// By what a file is known again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its size.
    pub(crate) bytes: u64,
    /// When it was changed last, in nanoseconds since 1970; none where nobody knows.
    pub(crate) modified: Option<u64>,
    /// What the server it lies on calls this version of it, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<String>,
}

impl Identity {
    /// Of a shard as it lies there now; of one that cannot be looked at, as it was found.
    pub(crate) fn of(shard: &Shard) -> Self {
        if let Place::Remote(remote) = &shard.place {
            // It was looked at when the corpus was gone through; what is read later is of that version.
            return Self {
                bytes: remote.bytes,
                modified: remote.modified,
                etag: remote.etag.clone(),
            };
        }
        Self::of_file(&shard.path).unwrap_or_else(|| Self {
            bytes: shard.bytes,
            ..Self::default()
        })
    }

    /// Of a file; none where it cannot be looked at.
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

    /// What changed from `self` to `now`, in words.
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
            // The server names versions; copies of one may differ in their times.
            None
        } else if self != now {
            Some("the same size, but written to since".to_owned())
        } else {
            None
        }
    }
}

/// The record of one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardRecord {
    /// The input that its rows are from.
    pub(crate) input: Identity,
    /// How far it is.
    pub(crate) state: State,
    /// Complete mask files; none as long as it is open.
    pub(crate) files: Vec<MaskFile>,
    /// Complete mask files of an earlier try, which stay until this one is done.
    pub(crate) replaces: Vec<MaskFile>,
    /// How many bytes of its list of rejections count.
    pub(crate) rejections: u64,
    /// What was counted so far.
    pub(crate) counts: Counts,
}

/// How far a shard is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Some look-aheads are done.
    Open(Durable),
    /// All of it is done.
    Complete,
    /// All that could be read is done.
    Incomplete {
        /// The row at which it broke.
        row: i64,
        /// Why.
        reason: String,
    },
}

/// What of an open shard is safe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// Where to go on.
    pub(crate) from: From,
    /// Bytes of each mask file.
    pub(crate) files: Vec<u64>,
    /// The documents of the open scope, if it has any.
    pub(crate) spill: Option<SpillMark>,
}

/// Where the reading and the cutting of a shard go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct From {
    /// The first row that is not done.
    pub(crate) row: i64,
    /// Tokens in the open scope.
    pub(crate) scope_tokens: usize,
    /// XXH3 of the rows before, where nothing else says that the shard is the same again: of standard input. Else 0.
    #[serde(default)]
    pub(crate) digest: u64,
}

/// What was counted in a shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Rows of the look-aheads that are done; everything else but what was rejected counts when its scope ends.
    pub(crate) rows: u64,
    pub(crate) documents: u64,
    pub(crate) rejected: u64,
    pub(crate) tokens: u64,
    pub(crate) scored: u64,
    /// Of the scored tokens, by column of scores.
    pub(crate) sums: Vec<f64>,
    /// What was selected.
    pub(crate) selected: Selected,
    pub(crate) batches: u64,
    pub(crate) batch_tokens: u64,
    pub(crate) padding: u64,
}

impl Counts {
    /// Adds the documents of one scope, and what was selected in it.
    pub(super) fn scope(&mut self, documents: &[MaskRow], selected: &Selected) {
        self.documents += documents.len() as u64;
        for document in documents {
            self.tokens += document.input_ids.len() as u64;
            self.sums.resize(document.scores.len(), 0.0);
            for (sum, scores) in self.sums.iter_mut().zip(&document.scores) {
                let scored = scores.iter().filter(|s| !s.is_nan());
                *sum += scored.map(|&s| f64::from(s)).sum::<f64>();
            }
            // All columns have a score where one has.
            let loss = document.scores.first();
            let scored = loss.map_or(0, |l| l.iter().filter(|s| !s.is_nan()).count());
            self.scored += scored as u64;
        }
        self.selected.add(selected);
    }

    /// Adds another shard's.
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.documents += other.documents;
        self.rejected += other.rejected;
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
