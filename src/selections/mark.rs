//! Turns the scores of a shard's tokens into bits and weights, scope by scope. A shard is divided into batches as in
//! `score`, with one exception that masks do not record: in `score`, a document that was skipped because its scores
//! were not finite still took up space in its batch.

use std::mem;

use rho_selection::{Batches, Cut, Marker, Seen, UNSCORED, intersect, unite};

use super::{
    counts::{Counts, Selected},
    cuts::Cuts,
    rule::{Combined, Pick, Rule, Scope, Selection},
    scores::{self, Documents},
};

/// The selection of one shard, or of several that share files.
pub(crate) struct Marks<'a> {
    scope: Scope,
    combined: Option<Combined>,
    tracks: Vec<Track<'a>>,
    batches: Batches,
    /// Tokens of the open scope.
    open: usize,
    /// Tokens that are decided but not taken out yet.
    decided: usize,
    space: Vec<f32>,
    pub(crate) counts: Counts,
}

/// Selects among documents that form one scope.
pub(crate) fn in_scope(
    rule: &Rule,
    documents: &impl Documents,
) -> anyhow::Result<(MarkedTokens, Counts)> {
    let mut marks = Marks::new(rule, Scope::None, 0, None);
    marks.add(documents)?;
    let taken = marks.take(marks.decided());
    Ok((taken, marks.counted()))
}

/// One selection.
struct Track<'a> {
    selection: &'a Selection,
    /// Applies the cut of a corpus.
    marker: Option<Marker>,
    /// Keys of the open scope; those before `from` are decided.
    keys: Vec<u32>,
    scores: Vec<f32>,
    from: usize,
    kept: Vec<bool>,
    weights: Vec<f32>,
    counts: Selected,
}

/// The new columns of some tokens.
pub(crate) struct MarkedTokens {
    pub(crate) masks: Vec<Vec<bool>>,
    pub(crate) weights: Vec<Vec<f32>>,
}

impl<'a> Marks<'a> {
    /// Starts a shard.
    pub(crate) fn new(rule: &'a Rule, scope: Scope, shard: usize, cuts: Option<&Cuts>) -> Self {
        let track = |(i, selection): (usize, &'a Selection)| {
            let mut counts = Selected::default();
            let marker = cuts.map(|cuts| {
                counts.bounds(cuts.cuts[i].bounds());
                cuts.cuts[i].marker(cuts.before[shard][i])
            });
            Track {
                selection,
                marker,
                keys: Vec::new(),
                scores: Vec::new(),
                from: 0,
                kept: Vec::new(),
                weights: Vec::new(),
                counts,
            }
        };
        let limit = match scope {
            Scope::Batch(tokens) => tokens,
            _ => Batches::PAPER,
        };
        Self {
            scope,
            combined: rule.combined,
            tracks: rule.selections.iter().enumerate().map(track).collect(),
            batches: Batches::new(limit),
            open: 0,
            decided: 0,
            space: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Adds the next documents and decides the scopes that end before or with them.
    pub(crate) fn add(&mut self, batch: &impl Documents) -> anyhow::Result<()> {
        for track in &mut self.tracks {
            track.take_in(batch, &mut self.space)?;
        }
        let (mut documents, mut tokens) = (0, 0);
        for document in batch.documents() {
            (documents, tokens) = (documents + 1, document.end);
        }
        self.counts.documents += documents;
        self.counts.tokens += tokens as u64;
        match self.scope {
            Scope::Document => {
                for tokens in batch.documents() {
                    self.open = tokens.len();
                    self.close();
                }
            }
            Scope::Batch(_) => {
                // Small shards that share files share scopes too, as in `score`.
                for tokens in batch.documents() {
                    if self.batches.starts_another(tokens.len()) {
                        self.close();
                    }
                    self.open += tokens.len();
                }
            }
            Scope::Corpus | Scope::None => {
                self.open = tokens;
                self.close();
            }
        }
        Ok(())
    }

    /// Decides the last scope at the end of the shard.
    pub(crate) fn end(&mut self) {
        self.close();
    }

    /// The number of decided tokens, which can be taken out.
    pub(crate) fn decided(&self) -> usize {
        self.decided
    }

    /// Takes out the next tokens, which must be decided.
    pub(crate) fn take(&mut self, tokens: usize) -> MarkedTokens {
        let mut taken = MarkedTokens {
            masks: Vec::new(),
            weights: Vec::new(),
        };
        for track in &mut self.tracks {
            if track.selection.is_weights() {
                taken.weights.push(track.weights.drain(..tokens).collect());
            } else {
                taken.masks.push(track.kept.drain(..tokens).collect());
            }
        }
        if let (Some(combined), [a, b]) = (self.combined, &taken.masks[..]) {
            let both = match combined {
                Combined::Intersection => intersect(a, b),
                Combined::Union => unite(a, b),
            };
            self.counts.combined += both.iter().map(|&kept| u64::from(kept)).sum::<u64>();
            taken.masks.push(both);
        }
        self.decided -= tokens;
        taken
    }

    /// The counts of the shard.
    pub(crate) fn counted(mut self) -> Counts {
        let selections = mem::take(&mut self.tracks).into_iter();
        self.counts.selections = selections.map(|track| track.counts).collect();
        self.counts
    }

    /// Ends the open scope.
    fn close(&mut self) {
        let tokens = mem::take(&mut self.open);
        if tokens > 0 {
            self.tracks.iter_mut().for_each(|track| track.close(tokens));
            self.decided += tokens;
        }
    }
}

impl Track<'_> {
    fn take_in(&mut self, batch: &impl Documents, space: &mut Vec<f32>) -> anyhow::Result<()> {
        let from = mem::take(&mut self.from);
        let source = &self.selection.source;
        match self.selection.pick {
            Pick::Ranked(direction, _) => {
                self.keys.drain(..from);
                scores::keys(source, direction, batch, space, &mut self.keys)
            }
            Pick::Bounded(_) | Pick::Weighed(_) => {
                self.scores.drain(..from);
                scores::scores(source, batch, &mut self.scores)
            }
        }
    }

    /// Decides the next tokens, which form a scope.
    fn close(&mut self, tokens: usize) {
        let scope = self.from..self.from + tokens;
        self.from = scope.end;
        let counts = &mut self.counts;
        match self.selection.pick {
            Pick::Ranked(_, share) => {
                let keys = &self.keys[scope];
                let scored = keys.iter().filter(|&&key| key != UNSCORED).count();
                counts.scored += scored as u64;
                counts.kept += match &mut self.marker {
                    Some(marker) => marker.mark(keys, &mut self.kept),
                    None => {
                        let cut = Cut::of(keys, share);
                        counts.bounds(cut.bounds());
                        cut.marker(Seen::default()).mark(keys, &mut self.kept)
                    }
                };
            }
            Pick::Bounded(bounds) => {
                let scores = &self.scores[scope];
                let at = self.kept.len();
                self.kept.extend(scores.iter().map(|&s| bounds.hold(s)));
                counts.scored += scored(scores);
                counts.kept += self.kept[at..].iter().map(|&k| u64::from(k)).sum::<u64>();
            }
            Pick::Weighed(weights) => {
                let scores = &self.scores[scope];
                let at = self.weights.len();
                weights.weigh(scores, &mut self.weights);
                counts.scored += scored(scores);
                counts.weights += self.weights[at..]
                    .iter()
                    .map(|&w| f64::from(w))
                    .sum::<f64>();
            }
        }
    }
}

fn scored(scores: &[f32]) -> u64 {
    scores.iter().map(|s| u64::from(!s.is_nan())).sum()
}
