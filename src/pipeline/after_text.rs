//! Scores documents also after a text that stands before them (`--with-context-field`). Takes the documents of a read-ahead
//! block, gives the loss and the entropy of their own tokens there.

use super::{
    Panel, ScoredDocument, Scorers, TokenDocument, Work,
    score::{Cost, in_batches, own_tokens, score_batches},
    windows::Window,
};

/// The documents of a block that are scored after a text.
pub(super) struct AfterText {
    /// Each with the number of its document.
    windows: Vec<(usize, Window)>,
    batches: Vec<Vec<usize>>,
}

/// The columns of a document, those of each reference in turn; none if it is not scored after a text.
type Columns = Vec<Vec<f32>>;

impl AfterText {
    /// Those of a block, in batches.
    pub(super) fn of(documents: &[ScoredDocument], budget: usize, cost: &mut Cost) -> Self {
        let windows = (0..).zip(documents);
        let windows = windows.filter_map(|(d, scored)| Some((d, window(&scored.document)?)));
        let windows: Vec<(usize, Window)> = windows.collect();
        Self {
            batches: in_batches(&windows, budget, cost),
            windows,
        }
    }

    /// How many tokens are scored.
    pub(super) fn tokens(&self) -> usize {
        own_tokens(&self.windows)
    }

    /// The columns of each document, NaN for tokens without a score; none if the run is stopped.
    pub(super) fn score(
        &self,
        work: &Work<'_>,
        documents: &[ScoredDocument],
        references: usize,
        scorers: &mut Scorers<'_>,
        scored: &(dyn Fn(usize) + Sync),
    ) -> anyhow::Result<Option<Vec<Columns>>> {
        let after_text = |d: usize| documents[d].document.after_text.as_deref();
        let tokens = |d: usize| after_text(d).unwrap_or_default();
        let mut models = of_references(scorers, references);
        let (windows, batches) = (&self.windows, &self.batches);
        let scores = score_batches(work, &tokens, windows, batches, &mut models, scored)?;
        let Some(scores) = scores else {
            return Ok(None);
        };
        let each = work.plan.columns().of_reference();
        let unscored = |(d, scored): (usize, &ScoredDocument)| match after_text(d) {
            Some(_) => vec![vec![f32::NAN; scored.document.tokens.len()]; each * references],
            None => Columns::new(),
        };
        let mut all: Vec<Columns> = documents.iter().enumerate().map(unscored).collect();
        for (batch, models) in scores {
            for (model, scores) in models.into_iter().enumerate() {
                for (&i, scores) in batches[batch].iter().zip(scores) {
                    // The first token of a document has no score without the text, so it has none after it.
                    let columns = &mut all[windows[i].0];
                    let own = columns[each * model..].iter_mut().take(each);
                    for (column, scores) in own.zip([scores.loss, scores.entropy]) {
                        column[1..].copy_from_slice(&scores);
                    }
                }
            }
        }
        Ok(Some(all))
    }
}

/// The window in which a document is scored after a text; none if it is not, or has nothing to score.
fn window(document: &TokenDocument) -> Option<Window> {
    let length = document.after_text.as_ref()?.len();
    let scored = document.tokens.len().checked_sub(1).filter(|&n| n > 0)?;
    Some(Window {
        range: 0..length,
        scored_from: length - scored,
    })
}

/// The references on all devices, without a base.
fn of_references<'a>(scorers: &'a mut Scorers<'_>, references: usize) -> Vec<Panel<'a>> {
    let references = |panel: &'a mut Panel<'_>| -> Panel<'a> {
        let models = panel.iter_mut().take(references);
        models.map(|model| &mut **model as _).collect()
    };
    scorers.iter_mut().map(references).collect()
}
