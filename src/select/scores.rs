//! A record batch to the numbers that a rule compares.

use anyhow::Context as _;
use rho_formats::MaskBatch;
use rho_selection::{Direction, RandomDocument, UNSCORED, excess};

use super::rule::{BASE_LOSS, LOSS, Source};

/// Adds the scores of all tokens of a batch; NaN where there is none. Chance has no scores.
pub(super) fn scores(
    source: &Source,
    batch: &MaskBatch,
    scores: &mut Vec<f32>,
) -> anyhow::Result<()> {
    let read = |column: &str, scores: &mut Vec<f32>| {
        // The columns were looked at in the plan, and all files have the same.
        let found = batch.scores(column, scores).then_some(());
        found.with_context(|| format!("expected a column {column:?} in every record batch"))
    };
    match source {
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

/// Adds the keys of all tokens of a batch. `space` is for scores on the way.
pub(super) fn keys(
    source: &Source,
    direction: Direction,
    batch: &MaskBatch,
    space: &mut Vec<f32>,
    keys: &mut Vec<u32>,
) -> anyhow::Result<()> {
    space.clear();
    scores(source, batch, space)?;
    let Source::Random { seed, .. } = source else {
        direction.keys(space, keys);
        return Ok(());
    };
    for (row, tokens) in batch.documents().enumerate() {
        let (hash, number) = batch.token_hash_and_row(row);
        let document = RandomDocument::new(*seed, batch.shard(row), number, hash);
        let scored = space[tokens].iter().enumerate();
        keys.extend(scored.map(|(i, score)| match score.is_nan() {
            true => UNSCORED,
            false => document.key(i),
        }));
    }
    Ok(())
}
