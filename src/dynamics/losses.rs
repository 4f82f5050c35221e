//! Reads the folders of scores of all models in parallel: record batch by record batch, the losses of the same tokens
//! under each model. Refuses folders that do not hold the same documents.

use std::path::{Path, PathBuf};

use rho_formats::{MaskBatch, MaskColumns, mask_file_name};
use rho_selection::{Direction, excess};

use crate::hinted_error::HintedError;

/// The folders of scores.
#[derive(Debug, Clone)]
pub(super) struct Folders {
    /// One per checkpoint.
    pub(super) checkpoints: Vec<PathBuf>,
    pub(super) reference: Option<PathBuf>,
}

/// Readers of one shard's files.
pub(super) struct Files {
    /// Those of the checkpoints, then that of the reference.
    files: Vec<(PathBuf, MaskColumns)>,
    checkpoints: usize,
    /// Whether to read token ids and document ids too.
    whole: bool,
}

/// A record batch of each file.
pub(super) struct Batch {
    /// The record batch of the first checkpoint.
    pub(super) first: MaskBatch,
    /// By checkpoint and token; NaN for tokens not scored.
    pub(super) losses: Vec<Vec<f32>>,
    pub(super) reference: Option<Vec<f32>>,
    /// For each token, whether all checkpoints scored it.
    pub(super) complete: Vec<bool>,
}

/// The columns read from a file whose other columns are not copied.
const READ: [&str; 4] = ["shard", "row", "token_hash", "loss"];

impl Folders {
    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.checkpoints.iter().chain(&self.reference)
    }

    /// Opens the files of a shard.
    pub(super) fn open(&self, shard: &str, whole: bool) -> anyhow::Result<Files> {
        let open = |folder: &PathBuf| {
            let path = folder.join(mask_file_name(shard));
            let columns = MaskColumns::open(&path)?;
            anyhow::Ok((path, columns))
        };
        Ok(Files {
            files: self.all().map(open).collect::<Result<_, _>>()?,
            checkpoints: self.checkpoints.len(),
            whole,
        })
    }
}

impl Files {
    /// The file of the first checkpoint.
    pub(super) fn first(&self) -> &MaskColumns {
        &self.files[0].1
    }

    /// The next record batch of each file; None at the end of all files.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        let mut first: Option<MaskBatch> = None;
        let mut columns = Vec::with_capacity(self.files.len());
        for (i, (path, file)) in self.files.iter_mut().enumerate() {
            let batch = match (i, self.whole) {
                (0, true) => file.next_batch()?,
                _ => file.next_of(&READ)?,
            };
            match (batch, &first) {
                (None, None) if i == 0 => {}
                (None, None) => continue,
                (Some(batch), _) => {
                    match &first {
                        Some(first) if !same_documents(first, &batch) => return Err(others(path)),
                        None if i > 0 => return Err(others(path)),
                        _ => {}
                    }
                    let mut losses = Vec::with_capacity(batch.tokens());
                    if !batch.scores("loss", &mut losses) {
                        return Err(others(path));
                    }
                    columns.push(losses);
                    first.get_or_insert(batch);
                }
                (None, Some(_)) => return Err(others(path)),
            }
        }
        let Some(first) = first else { return Ok(None) };
        let reference = match columns.len() > self.checkpoints {
            true => columns.pop(),
            false => None,
        };
        let complete = |i: usize| columns.iter().all(|losses| losses[i].is_finite());
        Ok(Some(Batch {
            complete: (0..first.tokens()).map(complete).collect(),
            first,
            losses: columns,
            reference,
        }))
    }
}

impl Batch {
    /// The number of tokens.
    pub(super) fn tokens(&self) -> usize {
        self.first.tokens()
    }

    /// The scores by which a checkpoint ranks tokens: its excess loss over the reference, in f32, or without a
    /// reference its own loss. NaN for tokens that not all checkpoints scored.
    pub(super) fn ranked_by(&self, checkpoint: usize) -> Vec<f32> {
        let own = &self.losses[checkpoint];
        let mut scores = match &self.reference {
            Some(reference) => excess(own, reference),
            None => own.clone(),
        };
        for (score, complete) in scores.iter_mut().zip(&self.complete) {
            if !complete {
                *score = f32::NAN;
            }
        }
        scores
    }

    /// The sort keys of [`ranked_by`](Self::ranked_by), highest score first.
    pub(super) fn keys(&self, checkpoint: usize) -> Vec<u32> {
        let mut keys = Vec::with_capacity(self.tokens());
        Direction::High.keys(&self.ranked_by(checkpoint), &mut keys);
        keys
    }
}

fn same_documents(a: &MaskBatch, b: &MaskBatch) -> bool {
    let same = |row| a.token_hash_and_row(row) == b.token_hash_and_row(row);
    a.rows() == b.rows() && a.tokens() == b.tokens() && (0..a.rows()).all(same)
}

fn others(path: &Path) -> anyhow::Error {
    HintedError::error(
        format!(
            "{}: expected the documents that the first checkpoint scored, got others",
            path.display()
        ),
        "the corpus changed while it was scored: start over with --restart",
    )
}
