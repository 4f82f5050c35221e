//! Turns a corpus into token shards in the run's folder: Arrow files in the format of masks, without scores, or with
//! the scores of those masks that have the same tokens. Done once, before the first step; an interrupted attempt starts
//! over.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rayon::prelude::*;
use rho_formats::{
    Document, MaskFile, MaskRow, MaskSchema, MaskWriter, MasksFolder, ReadOptions, Record,
    Rejection, ScoreType, Shard, WriteOptions,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::columns::Columns;
use crate::{
    content::Encoder,
    groups,
    hinted_error::{self, HintedError},
    left_out::{ENDS_EARLY, REJECTED},
    masks_by_tokens::Join,
    pipeline::rejected::UNTARGETED,
    shards,
    stop::Stop,
    tokenization::below,
};

/// Documents tokenised together.
const HANDFUL: usize = 256;
/// The limits on shares apply from this many rows on.
const FIRST: u64 = 1_000;

/// What too many documents lack, and what to do.
const NO_TARGET: &str = "documents without a token that may be a target";
const RAISE_UNTARGETED: &str = "the roles, the template or the field of the targets may be others; if so many have none, \
     raise --max-untargeted";

/// What to tokenise, and how.
pub(super) struct Tokenising<'a> {
    pub(super) shards: &'a [Shard],
    pub(super) read: &'a ReadOptions,
    pub(super) encoder: Encoder<'a>,
    pub(super) vocabulary: usize,
    pub(super) columns: &'a Columns,
    pub(super) threads: usize,
    pub(super) max_rejected: f64,
    pub(super) max_untargeted: f64,
    pub(super) max_unmatched: f64,
    /// The folder for [`REJECTED`].
    pub(super) out: &'a Path,
    pub(super) stop: &'a Stop,
}

/// Counts of the result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Rows read.
    pub(super) rows: u64,
    /// Documents written.
    pub(super) documents: u64,
    /// Rows without a document, or with one that cannot be tokenised.
    pub(super) rejected: u64,
    /// Documents without a token that may be a target.
    #[serde(default)]
    pub(super) untargeted: u64,
    /// Documents that the masks do not have.
    pub(super) unmatched: u64,
    /// Shards that ended early.
    pub(super) broken_shards: u64,
}

impl Counts {
    /// Whether anything was skipped.
    pub(super) fn incomplete(&self) -> bool {
        self.rejected + self.untargeted + self.unmatched + self.broken_shards > 0
    }
}

/// Writes all token shards. None if the run was asked to stop.
pub(super) fn tokenise(
    work: &Tokenising<'_>,
    folder: &MasksFolder,
    mut join: Option<Join>,
) -> anyhow::Result<Option<Counts>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(work.threads);
    let pool = pool
        .build()
        .context("cannot start the tokenizer's threads")?;
    let runtime = shards::runtime()?;
    let schema = schema(work.columns);
    let mut taken = TokenShardWriter {
        work,
        join: join.as_mut(),
        counts: Counts::default(),
        rejected: None,
    };
    let mut files: Vec<MaskFile> = Vec::new();
    for group in groups::of_corpus(work.shards) {
        let mut writer = folder.writer(&group.name, &schema, WriteOptions::default())?;
        for shard in &work.shards[group.members.clone()] {
            writer.of_shard(&shard.name);
            let mut reader = match runtime.block_on(shards::open(shard, work.read)) {
                Ok(reader) => reader,
                Err(error) => {
                    taken.broken(shard, error.row(), hinted_error::chain(&error.into()))?;
                    continue;
                }
            };
            let mut ended = false;
            while !ended {
                if work.stop.requested() {
                    return Ok(None);
                }
                let mut records = Vec::with_capacity(HANDFUL);
                while records.len() < HANDFUL && !ended {
                    match runtime.block_on(reader.next()) {
                        Ok(Some(record)) => records.push(record),
                        Ok(None) => ended = true,
                        Err(error) => {
                            taken.broken(shard, error.row(), hinted_error::chain(&error.into()))?;
                            ended = true;
                        }
                    }
                }
                let documents: Vec<Result<MaskRow, Rejection>> = pool.install(|| {
                    let records = records.into_par_iter();
                    records.map(|record| tokens(work, shard, record)).collect()
                });
                for document in documents {
                    taken.take(shard, document, &mut writer)?;
                }
            }
        }
        let done = writer.finish()?;
        folder.publish(&group.name, &done, &[])?;
        files.extend(done);
    }
    let counts = taken.end()?;
    folder.list(&schema.metadata, &files)?;
    Ok(Some(counts))
}

/// The columns of the token shards.
pub(super) fn schema(columns: &Columns) -> MaskSchema {
    MaskSchema {
        scores: columns.read().scores,
        score_type: ScoreType::Float32,
        top: None,
        masks: columns.mask.iter().cloned().collect(),
        weights: Vec::new(),
        text: false,
        source: false,
        target: columns.trained_on().target,
        metadata: json!({"tokens_for": "rho-mask train"}),
    }
}

/// Takes the documents of the shards one by one and counts them.
struct TokenShardWriter<'a, 'b> {
    work: &'a Tokenising<'a>,
    join: Option<&'b mut Join>,
    counts: Counts,
    rejected: Option<std::io::BufWriter<std::fs::File>>,
}

impl TokenShardWriter<'_, '_> {
    fn take(
        &mut self,
        shard: &Shard,
        document: Result<MaskRow, Rejection>,
        writer: &mut MaskWriter,
    ) -> anyhow::Result<()> {
        self.counts.rows += 1;
        let mut row = match document {
            Ok(row) => row,
            Err(rejection) => {
                self.counts.rejected += 1;
                let first = format!(
                    "{} row {}: {}",
                    rejection.shard, rejection.row, rejection.reason
                );
                self.list(&rejection)?;
                return self.within(
                    self.counts.rejected,
                    self.work.max_rejected,
                    "rejected rows",
                    &first,
                    "this looks like a wrong setting rather than bad rows; if it is not, raise --max-rejected",
                );
            }
        };
        if let Some(target) = &row.target
            && !target.iter().skip(1).any(|target| *target)
        {
            self.counts.untargeted += 1;
            let rejection = Rejection {
                shard: shard.name.clone(),
                row: row.row,
                reason: UNTARGETED.to_owned(),
            };
            self.list(&rejection)?;
            let first = format!("such as {} ({} row {})", row.id, shard.name, row.row);
            return self.within(
                self.counts.untargeted,
                self.work.max_untargeted,
                NO_TARGET,
                &first,
                RAISE_UNTARGETED,
            );
        }
        if let Some(join) = &mut self.join {
            let Some(found) = join.find(&row.input_ids)? else {
                self.counts.unmatched += 1;
                let rejection = Rejection {
                    shard: shard.name.clone(),
                    row: row.row,
                    reason: "the masks have no document with these tokens".to_owned(),
                };
                self.list(&rejection)?;
                let first = format!("such as {} ({} row {})", row.id, shard.name, row.row);
                return self.within(
                    self.counts.unmatched,
                    self.work.max_unmatched,
                    "documents without masks",
                    &first,
                    "score this corpus first, with the same --bos and --eos, or raise --max-unmatched to skip these documents",
                );
            };
            row.scores.clone_from(&found.scores);
            row.masks.clone_from(&found.masks);
            if self.work.columns.target {
                let of_masks = row.masks.pop();
                if row.target.is_some() && row.target != of_masks {
                    self.counts.rejected += 1;
                    let rejection = Rejection {
                        shard: shard.name.clone(),
                        row: row.row,
                        reason: "the masks of these tokens have other targets".to_owned(),
                    };
                    self.list(&rejection)?;
                    let first = format!("such as {} ({} row {})", row.id, shard.name, row.row);
                    return self.within(
                        self.counts.rejected,
                        self.work.max_rejected,
                        "rejected rows",
                        &first,
                        "give the options for targets that the masks were scored with",
                    );
                }
                row.target = of_masks;
            }
        }
        writer.write(&row)?;
        self.counts.documents += 1;
        Ok(())
    }

    /// Fails once more than the share `most` of the rows is affected.
    fn within(
        &self,
        count: u64,
        most: f64,
        what: &str,
        example: &str,
        advice: &str,
    ) -> anyhow::Result<()> {
        if self.counts.rows < FIRST || count as f64 <= most * self.counts.rows as f64 {
            return Ok(());
        }
        Err(self.too_many(count, most, what, example, advice))
    }

    fn too_many(
        &self,
        count: u64,
        most: f64,
        what: &str,
        example: &str,
        advice: &str,
    ) -> anyhow::Error {
        let message = format!(
            "expected at most {:.3} % {what}, got {count} of {}; {example}",
            most * 100.0,
            self.counts.rows
        );
        HintedError::error(message, advice)
    }

    fn broken(&mut self, shard: &Shard, row: i64, reason: String) -> anyhow::Result<()> {
        self.counts.broken_shards += 1;
        self.list(&Rejection {
            shard: shard.name.clone(),
            row,
            reason: format!("{ENDS_EARLY}{reason}"),
        })
    }

    fn list(&mut self, rejection: &Rejection) -> anyhow::Result<()> {
        let path = self.work.out.join(REJECTED);
        let cannot_write = || format!("{}: cannot be written", path.display());
        let file = match &mut self.rejected {
            Some(file) => file,
            none => {
                let file = rho_files::create(&path).with_context(cannot_write)?;
                none.insert(std::io::BufWriter::new(file))
            }
        };
        let line = serde_json::to_string(rejection)?;
        writeln!(file, "{line}").with_context(cannot_write)
    }

    /// Called after all shards: now the limits also apply to small corpora.
    fn end(mut self) -> anyhow::Result<Counts> {
        if let Some(file) = &mut self.rejected {
            file.flush()
                .context("cannot write the list of rejected rows")?;
        }
        let counts = &self.counts;
        let too_many = |count: u64, most: f64| count as f64 > most * counts.rows as f64;
        let listed = format!("all are in {}", self.work.out.join(REJECTED).display());
        if too_many(counts.unmatched, self.work.max_unmatched) {
            return Err(self.too_many(
                counts.unmatched,
                self.work.max_unmatched,
                "documents without masks",
                &listed,
                "score this corpus first, with the same --bos and --eos, or raise --max-unmatched to skip these documents",
            ));
        }
        if too_many(counts.untargeted, self.work.max_untargeted) {
            return Err(self.too_many(
                counts.untargeted,
                self.work.max_untargeted,
                NO_TARGET,
                &listed,
                RAISE_UNTARGETED,
            ));
        }
        if too_many(counts.rejected, self.work.max_rejected) {
            return Err(self.too_many(
                counts.rejected,
                self.work.max_rejected,
                "rejected rows",
                &listed,
                "this looks like a wrong setting rather than bad rows; if it is not, raise --max-rejected",
            ));
        }
        Ok(self.counts)
    }
}

/// Tokenises a record to a row without columns, and checks its ids against the vocabulary.
fn tokens(work: &Tokenising<'_>, shard: &Shard, record: Record) -> Result<MaskRow, Rejection> {
    let Document {
        id, row, content, ..
    } = match record {
        Record::Document(document) => document,
        Record::Rejected(rejection, _) => return Err(rejection),
    };
    let reject = |reason: String| Rejection {
        shard: shard.name.clone(),
        row,
        reason,
    };
    let done = work.encoder.tokens(content).map_err(reject)?;
    below(work.encoder.tokenization, &done.tokens, work.vocabulary).map_err(reject)?;
    Ok(MaskRow {
        id,
        row,
        input_ids: done.tokens,
        scores: Vec::new(),
        top: None,
        masks: Vec::new(),
        weights: Vec::new(),
        text: None,
        source: None,
        target: done.target,
    })
}

/// Copies compressed masks uncompressed, because single documents cannot be read from them. None if the run was asked
/// to stop.
pub(super) fn unpack(
    masks: &Path,
    files: &[PathBuf],
    columns: &Columns,
    folder: &MasksFolder,
    stop: &Stop,
) -> anyhow::Result<Option<()>> {
    let schema = schema(columns);
    let mut done = Vec::new();
    for file in files {
        let name = file.strip_prefix(masks).unwrap_or(file);
        let name = name.with_extension("").to_string_lossy().into_owned();
        let mut writer = folder.writer(&name, &schema, WriteOptions::default())?;
        let mut batches = rho_formats::MaskColumns::open(file)?;
        while let Some(batch) = batches.next_batch()? {
            if stop.requested() {
                return Ok(None);
            }
            let mut scores = vec![Vec::new(); schema.scores.len()];
            for (column, scores) in schema.scores.iter().zip(&mut scores) {
                batch.all_scores(column, scores);
            }
            let mut target = Vec::new();
            let has_target = batch.target(&mut target);
            let mut kept = vec![Vec::new(); schema.masks.len()];
            for (column, kept) in schema.masks.iter().zip(&mut kept) {
                batch.mask(column, kept);
            }
            for (row, tokens) in batch.documents().enumerate() {
                let ids = &batch.input_ids()[tokens.clone()];
                writer.write(&MaskRow {
                    id: batch.id(row).to_owned(),
                    row: batch.token_hash_and_row(row).1,
                    input_ids: ids.iter().map(|id| id.cast_unsigned()).collect(),
                    scores: scores.iter().map(|s| s[tokens.clone()].to_vec()).collect(),
                    top: None,
                    masks: kept.iter().map(|k| k[tokens.clone()].to_vec()).collect(),
                    weights: Vec::new(),
                    text: None,
                    source: None,
                    target: has_target.then(|| target[tokens.clone()].to_vec()),
                })?;
            }
        }
        let files = writer.finish()?;
        folder.publish(&name, &files, &[])?;
        done.extend(files);
    }
    folder.list(&schema.metadata, &done)?;
    Ok(Some(()))
}
