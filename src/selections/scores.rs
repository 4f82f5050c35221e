//! The scores and keys of documents that a rule compares.

use std::ops::Range;

use anyhow::Context as _;
use rho_formats::MaskBatch;
use rho_selection::{Direction, RandomDocument, UNSCORED, excess};

use super::rule::{BASE_LOSS, LOSS, Source};

/// Documents with scores for their tokens: a record batch of a mask file, or documents that were just scored.
pub(crate) trait Documents {
    /// The range of each document's tokens among the tokens of all documents.
    fn documents(&self) -> impl Iterator<Item = Range<usize>>;
    /// Appends the scores of a column to `scores`; NaN if a token has none, or is context: such a token is never ranked,
    /// counted or kept. False if the column does not exist.
    fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool;
    /// The number of context tokens.
    fn context(&self) -> usize;
    /// The shard of a document.
    fn shard(&self, document: usize) -> &str;
    /// The source of a document: the value of its column `source`; without such a column, its shard.
    fn source(&self, document: usize) -> Option<&str>;
    /// The token hash of a document, and its row in the shard.
    fn token_hash_and_row(&self, document: usize) -> (i64, i64);
}

impl Documents for MaskBatch {
    fn documents(&self) -> impl Iterator<Item = Range<usize>> {
        self.documents()
    }

    fn scores(&self, column: &str, scores: &mut Vec<f32>) -> bool {
        self.scores(column, scores)
    }

    fn context(&self) -> usize {
        self.context()
    }

    fn shard(&self, document: usize) -> &str {
        self.shard(document)
    }

    fn source(&self, document: usize) -> Option<&str> {
        match self.has_source() {
            true => self.source(document),
            false => Some(self.shard(document)),
        }
    }

    fn token_hash_and_row(&self, document: usize) -> (i64, i64) {
        self.token_hash_and_row(document)
    }
}

/// Appends the scores of all tokens; NaN if a token has none. For `Random`, these only tell which tokens are scored.
pub(crate) fn scores(
    source: &Source,
    documents: &impl Documents,
    scores: &mut Vec<f32>,
) -> anyhow::Result<()> {
    let read = |column: &str, scores: &mut Vec<f32>| {
        // The plan checked the columns, and all files have the same schema.
        let found = documents.scores(column, scores).then_some(());
        found.with_context(|| format!("expected a column {column:?} beside the others"))
    };
    match source {
        Source::Columns {
            parts,
            combine,
            scored,
        } => {
            let mut lists = vec![Vec::new(); parts.len()];
            for (part, list) in parts.iter().zip(&mut lists) {
                self::scores(part, documents, list)?;
            }
            let lists: Vec<&[f32]> = lists.iter().map(Vec::as_slice).collect();
            let mut combined = combine.of(&lists);
            let mut own = Vec::new();
            read(scored, &mut own)?;
            for (score, own) in combined.iter_mut().zip(own) {
                if own.is_nan() {
                    *score = f32::NAN;
                }
            }
            scores.append(&mut combined);
            Ok(())
        }
        Source::Column(column) | Source::Random { scored: column, .. } => read(column, scores),
        Source::Excess => {
            let (mut base, mut loss) = (Vec::new(), Vec::new());
            read(BASE_LOSS, &mut base)?;
            read(LOSS, &mut loss)?;
            scores.append(&mut excess(&base, &loss));
            Ok(())
        }
    }
}

/// Appends the keys of all tokens. `space` is scratch space for scores.
pub(crate) fn keys(
    source: &Source,
    direction: Direction,
    documents: &impl Documents,
    space: &mut Vec<f32>,
    keys: &mut Vec<u32>,
) -> anyhow::Result<()> {
    space.clear();
    scores(source, documents, space)?;
    let Source::Random { seed, .. } = source else {
        direction.keys(space, keys);
        return Ok(());
    };
    for (row, tokens) in documents.documents().enumerate() {
        let (hash, number) = documents.token_hash_and_row(row);
        let document = RandomDocument::new(*seed, documents.shard(row), number, hash);
        let scored = space[tokens].iter().enumerate();
        keys.extend(scored.map(|(i, score)| match score.is_nan() {
            true => UNSCORED,
            false => document.key(i),
        }));
    }
    Ok(())
}
