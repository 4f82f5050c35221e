//! Turns the scores of a shard's tokens into bits and weights, scope by scope. A shard is divided into batches as in
//! `score`, with one exception that masks do not record: in `score`, a document that was skipped because its scores
//! were not finite still took up space in its batch.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    ops::Range,
};

use anyhow::Context as _;
use rho_selection::{Batches, Cut, Marker, Seen, Share, UNSCORED, intersect, unite};

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
    rule: &'a Rule,
    /// If sources are ranked by themselves: the numbers of tokens of the documents that are not decided, and their
    /// sources.
    documents: VecDeque<(usize, Option<String>)>,
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
    /// Apply the cuts of a corpus, by source; the key of all tokens is none.
    markers: Option<BTreeMap<Option<String>, Marker>>,
    /// Keys of the open scope; those before `from` are decided.
    keys: Vec<u32>,
    scores: Vec<f32>,
    from: usize,
    kept: Vec<bool>,
    weights: Vec<f32>,
    counts: Selected,
}

/// The new columns of some tokens.
#[derive(Default)]
pub(crate) struct MarkedTokens {
    pub(crate) masks: Vec<Vec<bool>>,
    pub(crate) weights: Vec<Vec<f32>>,
}

impl<'a> Marks<'a> {
    /// Starts a shard.
    pub(crate) fn new(rule: &'a Rule, scope: Scope, shard: usize, cuts: Option<&Cuts>) -> Self {
        let track = |(i, selection): (usize, &'a Selection)| {
            let mut counts = Selected::default();
            let markers = cuts.map(|cuts| {
                let groups = cuts.groups.iter().enumerate();
                let markers = groups.map(|(number, group)| {
                    let cut = &group.cuts[i];
                    counts.bounds(cut.bounds());
                    let before = cuts.before[shard].get(&number);
                    let before = before.map_or(Seen::default(), |before| before[i]);
                    let source = rule.keep_by.as_ref().and_then(|_| group.source.clone());
                    (source, cut.marker(before))
                });
                markers.collect()
            });
            Track {
                selection,
                markers,
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
            rule,
            documents: VecDeque::new(),
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
        self.counts.context += batch.context() as u64;
        if self.rule.keep_by.is_some() {
            let lengths = batch.documents().map(|tokens| tokens.len()).enumerate();
            let some = lengths.filter(|&(_, tokens)| tokens > 0);
            let named = some.map(|(row, tokens)| (tokens, batch.source(row).map(str::to_owned)));
            self.documents.extend(named);
        }
        match self.scope {
            Scope::Document => {
                for tokens in batch.documents() {
                    self.open = tokens.len();
                    self.close()?;
                }
            }
            Scope::Batch(_) => {
                // Small shards that share files share scopes too, as in `score`.
                for tokens in batch.documents() {
                    if self.batches.starts_another(tokens.len()) {
                        self.close()?;
                    }
                    self.open += tokens.len();
                }
            }
            Scope::Corpus | Scope::None => {
                self.open = tokens;
                self.close()?;
            }
        }
        Ok(())
    }

    /// Decides the last scope at the end of the shard.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        self.close()
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
    fn close(&mut self) -> anyhow::Result<()> {
        let tokens = mem::take(&mut self.open);
        if tokens == 0 {
            return Ok(());
        }
        let groups = self.groups(tokens);
        for track in &mut self.tracks {
            track.close(tokens, self.rule, &groups)?;
        }
        self.decided += tokens;
        Ok(())
    }

    /// The tokens of each source in the next `tokens` tokens, as ranges; nothing if sources are not ranked by themselves.
    fn groups(&mut self, tokens: usize) -> Groups {
        if self.rule.keep_by.is_none() {
            return Groups::new();
        }
        let mut groups = Groups::new();
        let mut at = 0;
        while at < tokens
            && let Some((length, source)) = self.documents.pop_front()
        {
            groups.entry(source).or_default().push(at..at + length);
            at += length;
        }
        groups
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
    fn close(&mut self, tokens: usize, rule: &Rule, groups: &Groups) -> anyhow::Result<()> {
        let scope = self.from..self.from + tokens;
        self.from = scope.end;
        let counts = &mut self.counts;
        match self.selection.pick {
            Pick::Ranked(_, share) if rule.keep_by.is_some() => {
                self.close_sources(scope, share, rule, groups)?;
            }
            Pick::Ranked(_, share) => {
                let keys = &self.keys[scope];
                counts.scored += ranked(keys);
                let marker = self.markers.as_mut().and_then(|all| all.get_mut(&None));
                counts.kept += match marker {
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
        Ok(())
    }

    /// Ranks the tokens of each source by themselves.
    fn close_sources(
        &mut self,
        scope: Range<usize>,
        share: Share,
        rule: &Rule,
        groups: &Groups,
    ) -> anyhow::Result<()> {
        let all = &self.keys[scope];
        let start = self.kept.len();
        self.kept.resize(start + all.len(), false);
        let (mut keys, mut kept) = (Vec::new(), Vec::new());
        for (source, ranges) in groups {
            keys.clear();
            kept.clear();
            let own = ranges.iter().flat_map(|range| &all[range.clone()]);
            keys.extend(own);
            let count = match &mut self.markers {
                Some(markers) => {
                    let marker = markers.get_mut(source);
                    // The sources were listed before the corpus was counted.
                    let marker = marker.context("expected the sources that were counted")?;
                    marker.mark(&keys, &mut kept)
                }
                None => {
                    let cut = Cut::of(&keys, rule.share(share, source.as_deref()));
                    self.counts.bounds(cut.bounds());
                    cut.marker(Seen::default()).mark(&keys, &mut kept)
                }
            };
            let scored = ranked(&keys);
            self.counts.scored += scored;
            self.counts.kept += count;
            self.counts.add_source(source.as_deref(), scored, count);
            let mut bits = kept.iter();
            for range in ranges {
                let places = start + range.start..start + range.end;
                let places = self.kept[places].iter_mut();
                places.zip(&mut bits).for_each(|(place, &bit)| *place = bit);
            }
        }
        Ok(())
    }
}

/// The tokens of a scope that are ranked together: ranges of them, by source.
type Groups = BTreeMap<Option<String>, Vec<Range<usize>>>;

fn ranked(keys: &[u32]) -> u64 {
    keys.iter().map(|&key| u64::from(key != UNSCORED)).sum()
}

fn scored(scores: &[f32]) -> u64 {
    scores.iter().map(|s| u64::from(!s.is_nan())).sum()
}
