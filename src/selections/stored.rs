//! Counts the masks and weights that documents already have.

use rho_formats::MaskBatch;

use super::{
    counts::{Counts, Selected},
    rule::Rule,
    scores::{self, Documents},
};

impl Counts {
    /// Adds the documents of a record batch, and the tokens that their columns of a rule keep, if the rule is known.
    pub(crate) fn add_stored(
        &mut self,
        rule: Option<&Rule>,
        batch: &MaskBatch,
    ) -> anyhow::Result<()> {
        self.documents += batch.rows() as u64;
        self.tokens += batch.tokens() as u64;
        self.context += batch.context() as u64;
        let Some(rule) = rule else { return Ok(()) };
        self.selections
            .resize(rule.selections.len(), Selected::default());
        let mut space = Vec::new();
        let mut bits = Vec::new();
        for (selection, counts) in rule.selections.iter().zip(&mut self.selections) {
            space.clear();
            scores::scores(&selection.source, batch, &mut space)?;
            counts.scored += space.iter().map(|s| u64::from(!s.is_nan())).sum::<u64>();
            if selection.is_weights() {
                space.clear();
                batch.all_scores(&selection.column(), &mut space);
                counts.weights += space.iter().map(|&w| f64::from(w)).sum::<f64>();
            } else {
                counts.kept += kept_by(batch, &selection.column(), &mut bits);
                if rule.keep_by.is_some() {
                    for (row, tokens) in batch.documents().enumerate() {
                        let scored = space[tokens.clone()].iter().filter(|s| !s.is_nan());
                        let kept = bits[tokens].iter().filter(|&&kept| kept);
                        counts.add_source(
                            Documents::source(batch, row),
                            scored.count() as u64,
                            kept.count() as u64,
                        );
                    }
                }
            }
        }
        if let Some(combined) = rule.combined {
            self.combined += kept_by(batch, &format!("mask_{}", combined.name()), &mut bits);
        }
        Ok(())
    }
}

/// How many tokens a mask column keeps; `bits` has the column afterwards.
fn kept_by(batch: &MaskBatch, column: &str, bits: &mut Vec<bool>) -> u64 {
    bits.clear();
    batch.mask(column, bits);
    bits.iter().map(|&kept| u64::from(kept)).sum()
}
