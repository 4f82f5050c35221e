//! The summary of a selection: its counts as shares and thresholds, human-readable and as JSON.

use std::{collections::BTreeMap, fmt};

use rho_selection::{Direction, Share};
use serde::Serialize;

use super::{
    counts::{Counts, Selected},
    rule::{Pick, Rule, Source},
};
use crate::{numbers::grouped, terminal_text::safe};

/// Most sources that the human-readable summary lists.
const SOURCES: usize = 10;

/// The context tokens, behind the others in a line; nothing without them.
pub(crate) fn of_context(tokens: u64) -> String {
    match tokens {
        0 => String::new(),
        tokens => format!(", {} context", grouped(tokens)),
    }
}

/// The kept tokens or the weights of each selection of a rule.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct SelectionSummary {
    /// Kept tokens, by the names of the masks without their prefix.
    kept: BTreeMap<String, Kept>,
    /// Weights, by the names of the columns without their prefix.
    weights: BTreeMap<String, Weighed>,
    /// Sources with a ratio of their own that no document has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown_sources: Vec<String>,
    /// The names in the order of the columns, for the human-readable summary.
    #[serde(skip)]
    order: Vec<String>,
}

/// The tokens that one mask keeps.
#[derive(Debug, Clone, Serialize)]
struct Kept {
    tokens: u64,
    scored: u64,
    share: f64,
    /// Whether the scores from or up to the threshold are kept.
    side: Option<&'static str>,
    /// The unit of the thresholds: that of our scores, none for columns that may be of other programs.
    #[serde(skip)]
    unit: &'static str,
    /// The lowest and the highest, over all scopes, of the last score kept.
    threshold: Option<(f32, f32)>,
    /// The same of the lowest score kept, for a band.
    lowest: Option<(f32, f32)>,
    /// By source, if each source was ranked by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<KeptOf>,
}

/// The tokens of one source that a mask keeps.
#[derive(Debug, Clone, Serialize)]
struct KeptOf {
    source: Option<String>,
    tokens: u64,
    scored: u64,
    share: f64,
}

#[derive(Debug, Clone, Serialize)]
struct Weighed {
    scored: u64,
    sum: f64,
    /// Over the scored tokens.
    mean: Option<f64>,
}

impl SelectionSummary {
    /// The summary of a rule's counts.
    pub(crate) fn of(rule: &Rule, counts: &Counts) -> Self {
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            whole => part as f64 / whole as f64,
        };
        let known = |name: &str| {
            let mut sources = counts.selections.iter().flat_map(|s| &s.sources);
            sources.any(|of| of.source.as_deref() == Some(name))
        };
        let named = rule.keep_by.iter().flat_map(|keep_by| keep_by.names());
        let mut chosen = Self {
            unknown_sources: named
                .filter(|name| !known(name))
                .map(str::to_owned)
                .collect(),
            ..Self::default()
        };
        let nothing = Selected::default();
        for (i, selection) in rule.selections.iter().enumerate() {
            let counted = counts.selections.get(i).unwrap_or(&nothing);
            chosen.order.push(selection.name.clone());
            if selection.is_weights() {
                let weighed = Weighed {
                    scored: counted.scored,
                    sum: counted.weights,
                    mean: (counted.scored > 0).then(|| counted.weights / counted.scored as f64),
                };
                chosen.weights.insert(selection.name.clone(), weighed);
                continue;
            }
            let mut kept = Kept {
                tokens: counted.kept,
                scored: counted.scored,
                share: share(counted.kept, counted.scored),
                side: None,
                unit: match selection.source {
                    Source::Columns { .. } => "",
                    _ => " nats",
                },
                threshold: None,
                lowest: None,
                sources: counted
                    .sources
                    .iter()
                    .map(|of| KeptOf {
                        source: of.source.clone(),
                        tokens: of.kept,
                        scored: of.scored,
                        share: share(of.kept, of.scored),
                    })
                    .collect(),
            };
            if rule.by_scores(i) {
                kept.bounds(counted, selection.pick);
            }
            chosen.kept.insert(selection.name.clone(), kept);
        }
        if let Some(combined) = rule.combined {
            let scored = counts.scored();
            let kept = Kept {
                tokens: counts.combined,
                scored,
                share: share(counts.combined, scored),
                side: None,
                unit: "",
                threshold: None,
                lowest: None,
                sources: Vec::new(),
            };
            chosen.order.push(combined.name().to_owned());
            chosen.kept.insert(combined.name().to_owned(), kept);
        }
        chosen
    }
}

impl Kept {
    /// A line for each of the first sources.
    fn write_sources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for of in self.sources.iter().take(SOURCES) {
            let name = safe(of.source.as_deref().unwrap_or("(none)"));
            let (tokens, share) = (grouped(of.tokens), of.share * 100.0);
            writeln!(f, "  {:<12}   {name}: {tokens} ({share:.1} %)", "")?;
        }
        match self.sources.len().saturating_sub(SOURCES) {
            0 => Ok(()),
            more => writeln!(f, "  {:<12}   and {more} more sources", ""),
        }
    }

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

/// One line per selection.
impl fmt::Display for SelectionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut title = "kept";
        for name in &self.order {
            let shown = safe(name);
            if let Some(kept) = self.kept.get(name) {
                writeln!(f, "  {title:<12}by {shown:<13}{kept}")?;
                kept.write_sources(f)?;
            }
            if let Some(weighed) = self.weights.get(name) {
                let mean = weighed.mean;
                let mean = mean.map_or("-".to_owned(), |mean| format!("{mean:.3}"));
                writeln!(f, "  {:<12}by {shown:<13}mean {mean}", "weights")?;
            }
            title = "";
        }
        if !self.unknown_sources.is_empty() {
            let names = self.unknown_sources.join(", ");
            let names = safe(&names);
            writeln!(f, "  {:<12}no document has the source {names}", "note")?;
        }
        Ok(())
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.1} %)", grouped(self.tokens), self.share * 100.0)?;
        let range = |(low, high): (f32, f32)| match low == high {
            true => format!("{high:.3}{}", self.unit),
            false => format!("{low:.3} to {high:.3}{}, by scope", self.unit),
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
