//! What came of a selection: counts, kept shares, thresholds. The same numbers for people and, as summary.json, for
//! programs.

use std::{collections::BTreeMap, fmt};

use rho_selection::{Direction, Share};
use serde::Serialize;

use super::{
    plan::{Scope, SelectPlan},
    record::{Counts, Selected},
    rule::Pick,
    run::Times,
};
use crate::pipeline::summary::grouped;

/// Counts and times.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    shards: u64,
    documents: u64,
    tokens: u64,
    /// Tokens that have the score that is selected by; the first of them, where there are two.
    scored: u64,
    scope: Option<&'static str>,
    /// What was kept, by the names of the masks without their prefix.
    kept: BTreeMap<String, Kept>,
    /// What was weighed, by the names of the columns without their prefix.
    weights: BTreeMap<String, Weighed>,
    /// How fast it went; everything above is the same however often a run was interrupted.
    speed: Speed,
    /// For people: the names in the order of the columns.
    #[serde(skip)]
    order: Vec<String>,
}

/// What one mask keeps.
#[derive(Debug, Clone, Serialize)]
struct Kept {
    tokens: u64,
    scored: u64,
    share: f64,
    /// Which scores are kept: those from or up to the threshold.
    side: Option<&'static str>,
    /// The last score kept, in the scope where that was lowest and where it was highest.
    threshold: Option<(f32, f32)>,
    /// Of a band: the lowest score kept, in the same way.
    lowest: Option<(f32, f32)>,
}

#[derive(Debug, Clone, Serialize)]
struct Weighed {
    scored: u64,
    sum: f64,
    /// Over the scored tokens.
    mean: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Speed {
    tokens_per_second: f64,
    seconds: f64,
}

impl Summary {
    pub(super) fn of(plan: &SelectPlan, counts: &Counts, times: Times) -> Self {
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        let scored = counts.selections.first().map_or(0, |s| s.scored);
        let mut summary = Self {
            shards: plan.input.shards.len() as u64,
            documents: counts.documents,
            tokens: counts.tokens,
            scored,
            scope: match plan.scope {
                Scope::Document => Some("document"),
                Scope::Batch(_) => Some("batch"),
                Scope::Corpus => Some("corpus"),
                Scope::None => None,
            },
            kept: BTreeMap::new(),
            weights: BTreeMap::new(),
            speed: Speed {
                tokens_per_second: times.tokens as f64 / times.seconds.max(1e-9),
                seconds: times.seconds,
            },
            order: Vec::new(),
        };
        for (i, counted) in counts.selections.iter().enumerate() {
            let selection = &plan.rule.selections[i];
            summary.order.push(selection.name.clone());
            if selection.is_weights() {
                let weighed = Weighed {
                    scored: counted.scored,
                    sum: counted.weights,
                    mean: (counted.scored > 0).then(|| counted.weights / counted.scored as f64),
                };
                summary.weights.insert(selection.name.clone(), weighed);
                continue;
            }
            let mut kept = Kept {
                tokens: counted.kept,
                scored: counted.scored,
                share: share(counted.kept, counted.scored),
                side: None,
                threshold: None,
                lowest: None,
            };
            if plan.rule.by_scores(i) {
                kept.bounds(counted, selection.pick);
            }
            summary.kept.insert(selection.name.clone(), kept);
        }
        if let Some(combined) = plan.rule.combined {
            let kept = Kept {
                tokens: counts.combined,
                scored,
                share: share(counts.combined, scored),
                side: None,
                threshold: None,
                lowest: None,
            };
            summary.order.push(combined.name().to_owned());
            summary.kept.insert(combined.name().to_owned(), kept);
        }
        summary
    }
}

impl Kept {
    fn bounds(&mut self, counted: &Selected, pick: Pick) {
        match pick {
            Pick::Ranked(direction, share) => {
                let scores = |(low, high): (u32, u32)| {
                    let (a, b) = (direction.score(low), direction.score(high));
                    (a.min(b), a.max(b))
                };
                self.side = Some(match direction {
                    Direction::Low => "up to",
                    Direction::High => "from",
                });
                self.threshold = counted.last.map(scores);
                if matches!(share, Share::Between { .. }) {
                    self.lowest = counted.first.map(scores);
                }
            }
            Pick::Bounded(bounds) => {
                let both = |bound: f32| bound.is_finite().then_some((bound, bound));
                (self.side, self.threshold, self.lowest) = match both(bounds.most) {
                    Some(most) => (Some("up to"), Some(most), both(bounds.least)),
                    None => (Some("from"), both(bounds.least), None),
                };
            }
            Pick::Weighed(_) => {}
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<12}{text}")
        };
        line(f, "shards", grouped(self.shards))?;
        line(f, "documents", grouped(self.documents))?;
        let (tokens, scored) = (grouped(self.tokens), grouped(self.scored));
        line(f, "tokens", format!("{tokens}, {scored} scored"))?;
        let mut title = "kept";
        for name in &self.order {
            if let Some(kept) = self.kept.get(name) {
                line(f, title, format!("by {name:<13}{kept}"))?;
            }
            if let Some(weighed) = self.weights.get(name) {
                let mean = weighed
                    .mean
                    .map_or("-".to_owned(), |mean| format!("{mean:.3}"));
                line(f, "weights", format!("by {name:<13}mean {mean}"))?;
            }
            title = "";
        }
        write!(
            f,
            "  {:<12}{} tokens/s, {:.1} s",
            "speed",
            grouped(self.speed.tokens_per_second as u64),
            self.speed.seconds
        )
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.1} %)", grouped(self.tokens), self.share * 100.0)?;
        let range = |(low, high): (f32, f32)| match low == high {
            true => format!("{high:.3} nats"),
            false => format!("{low:.3} to {high:.3} nats, by scope"),
        };
        if let Some(lowest) = self.lowest {
            write!(f, ", from {}", range(lowest))?;
        }
        if let (Some(side), Some(threshold)) = (self.side, self.threshold) {
            write!(f, ", {side} {}", range(threshold))?;
        }
        Ok(())
    }
}
