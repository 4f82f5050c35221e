//! Samples the documents to compare: the first ones of each shard, as token ids. The same corpus gives the same sample.

use tokio::runtime::Runtime;

use crate::{
    hinted_error::HintedError,
    pipeline::{TokenDocument, Work, tokenize::tokenize, windows::windows},
    shards,
};

/// Windows of a document that are compared: later ones are cut like the second, and a book would take too long.
const WINDOWS: usize = 4;
/// So many consecutive rows without a document mean a wrong setting.
const PATIENCE: usize = 1000;

/// Documents to compare.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// By shard, in the order of the corpus.
    pub(crate) documents: Vec<Sampled>,
    /// Skipped rows: without a document, or with one that has nothing to score.
    pub(crate) passed_over: usize,
    /// Documents of which only the first windows are compared.
    pub(crate) cut: usize,
}

/// A document and its shard.
#[derive(Debug)]
pub(crate) struct Sampled {
    /// The index of its shard.
    pub(crate) shard: usize,
    pub(crate) document: TokenDocument,
}

impl Sample {
    /// Takes `count` documents, or all if there are fewer; None if stopped.
    pub(crate) fn draw(work: &Work<'_>, count: usize) -> anyhow::Result<Option<Self>> {
        let runtime = shards::runtime()?;
        let mut reading: Vec<Reading> = chosen(work.shards.len(), count).map(Reading::of).collect();
        let mut missing = count;
        // The second pass takes from the other shards what short shards lack.
        for again in [false, true] {
            let shards = reading.len();
            for (i, shard) in reading.iter_mut().enumerate() {
                let sharing = if again { 1 } else { shards - i };
                let taken = shard.read(work, &runtime, missing.div_ceil(sharing))?;
                missing -= taken;
                if work.stop.requested() {
                    return Ok(None);
                }
            }
        }
        let mut sample = Self::default();
        let mut reason = None;
        for shard in reading {
            sample.passed_over += shard.passed_over;
            sample.cut += shard.cut;
            reason = reason.or(shard.reason);
            let documents = shard.documents.into_iter();
            sample.documents.extend(documents.map(|document| Sampled {
                shard: shard.number,
                document,
            }));
        }
        if sample.documents.is_empty() {
            return Err(nothing(reason.as_deref()));
        }
        Ok(Some(sample))
    }
}

/// All shards, or `count` of them at equal distances.
fn chosen(shards: usize, count: usize) -> impl Iterator<Item = usize> {
    let taken = shards.min(count);
    (0..taken).map(move |i| i * shards / taken)
}

/// The documents read from a shard.
#[derive(Debug, Default)]
struct Reading {
    number: usize,
    documents: Vec<TokenDocument>,
    rows: usize,
    ended: bool,
    passed_over: usize,
    cut: usize,
    /// Why the first skipped row was skipped.
    reason: Option<String>,
}

impl Reading {
    fn of(number: usize) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Reads `count` more documents, or up to the end of the shard; the number read.
    fn read(&mut self, work: &Work<'_>, runtime: &Runtime, count: usize) -> anyhow::Result<usize> {
        if count == 0 || self.ended {
            return Ok(0);
        }
        let shard = &work.shards[self.number];
        let mut reader = runtime.block_on(shards::open(shard, &work.plan.read_options()))?;
        for _ in 0..self.rows {
            runtime.block_on(reader.next())?;
        }
        let (before, mut in_a_row) = (self.documents.len(), 0);
        while self.documents.len() - before < count && !work.stop.requested() {
            let Some(record) = runtime.block_on(reader.next())? else {
                self.ended = true;
                break;
            };
            self.rows += 1;
            in_a_row += 1;
            let reason = match tokenize(work, &shard.name, record) {
                Ok(document) if document.tokens.len() > 1 => {
                    self.add(work, document);
                    in_a_row = 0;
                    continue;
                }
                Ok(_) => "nothing in it can be scored".to_owned(),
                Err(rejection) => rejection.reason,
            };
            self.passed_over += 1;
            let row = self.rows - 1;
            self.reason
                .get_or_insert_with(|| format!("{} row {row}: {reason}", shard.name));
            if in_a_row == PATIENCE {
                return Err(nothing(self.reason.as_deref()));
            }
        }
        Ok(self.documents.len() - before)
    }

    fn add(&mut self, work: &Work<'_>, mut document: TokenDocument) {
        let windows = windows(document.tokens.len(), work.plan.context, work.plan.overlap);
        if windows.len() > WINDOWS {
            document.tokens.truncate(windows[WINDOWS - 1].range.end);
            self.cut += 1;
        }
        self.documents.push(document);
    }
}

fn nothing(reason: Option<&str>) -> anyhow::Error {
    let such = reason.map_or(String::new(), |reason| format!(": {reason}"));
    HintedError::error(
        format!("--corpus: expected documents to compare, got none that can be scored{such}"),
        "name the field of the text with --text-field, or of token ids with --tokens-field; a document needs two tokens",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_spread() {
        let all = |shards, count| chosen(shards, count).collect::<Vec<_>>();
        assert_eq!(all(3, 64), [0, 1, 2]);
        assert_eq!(all(10, 4), [0, 2, 5, 7]);
        assert_eq!(all(4, 4), [0, 1, 2, 3]);
        assert_eq!(all(0, 4), [] as [usize; 0]);
    }
}
