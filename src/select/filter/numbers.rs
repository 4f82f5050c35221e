//! The numbers of a document that an expression can compare: lengths, statistics of scores, shares of masks.

use std::ops::Range;

use anyhow::Context as _;
use rho_formats::{MaskBatch, MaskColumns};

use crate::{
    hinted_error::HintedError,
    selections::{
        rule::{BASE_LOSS, LOSS, Source},
        scores,
    },
};

/// The functions of a column.
const FUNCTIONS: [&str; 6] = ["min", "max", "mean", "median", "share", "kept"];
/// The names without a column.
const NAMES: [&str; 3] = ["length", "tokens", "scored"];

/// The numbers that an expression needs, and the columns that there are.
#[derive(Debug, Clone)]
pub(in crate::select) struct Needed {
    /// Columns of scores and weights.
    scores: Vec<String>,
    masks: Vec<String>,
    numbers: Vec<Number>,
    /// The columns to read for them.
    sources: Vec<Source>,
    mask_columns: Vec<String>,
}

/// A number of a document. Columns are indices of those to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Tokens,
    /// The tokens with a score in this column.
    Scored(usize),
    Statistic(Statistic, usize),
    /// The kept tokens of a mask, as a share of the tokens with a score in a column.
    Share(usize, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::select) enum Statistic {
    Min,
    Max,
    Mean,
    Median,
}

/// The columns of a record batch.
pub(in crate::select) struct Loaded {
    scores: Vec<Vec<f32>>,
    masks: Vec<Vec<bool>>,
}

impl Needed {
    /// Nothing yet, of masks with these columns, and with one of other scores.
    pub(super) fn of(masks: &MaskColumns, other: Option<&str>) -> Self {
        let mut names = [masks.scores(), masks.weights()].concat();
        names.extend(other);
        let kept: Vec<&str> = masks.schema().masks.iter().map(String::as_str).collect();
        Self::with(&names, &kept)
    }

    /// The same for columns by name.
    pub(in crate::select) fn with(scores: &[&str], masks: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Self {
            scores: owned(scores),
            masks: owned(masks),
            numbers: Vec::new(),
            sources: Vec::new(),
            mask_columns: Vec::new(),
        }
    }

    /// Adds a name or a function of a column, which may have a position of its own, and returns its index. `place`
    /// begins a message.
    pub(super) fn add(
        &mut self,
        name: &str,
        column: Option<(&str, usize)>,
        place: impl Fn(Option<usize>) -> String,
    ) -> anyhow::Result<usize> {
        let refuse = |at: Option<usize>, expected: &str, got: &str, hint: String| {
            let message = format!("{}: expected {expected}, got {got:?}", place(at));
            Err(HintedError::error(message, hint))
        };
        let number = match (name, column) {
            ("length" | "tokens", None) => Number::Tokens,
            ("scored", None) => Number::Scored(self.scored(&place)?),
            ("min" | "max" | "mean" | "median", Some((column, at))) => {
                let statistic = match name {
                    "min" => Statistic::Min,
                    "max" => Statistic::Max,
                    "mean" => Statistic::Mean,
                    _ => Statistic::Median,
                };
                let Some(source) = self.score(column) else {
                    let names = self.scores.iter().map(String::as_str);
                    let expected = "a column of scores or weights";
                    return refuse(Some(at), expected, column, closest(column, names));
                };
                Number::Statistic(statistic, self.read(source))
            }
            ("share" | "kept", Some((column, at))) => {
                let mask = match name {
                    "kept" => format!("mask_{column}"),
                    _ => column.to_owned(),
                };
                if !self.masks.contains(&mask) {
                    let names = self.masks.iter().map(String::as_str);
                    return refuse(Some(at), "a mask", &mask, closest(&mask, names));
                }
                let scored = self.scored(&place)?;
                let known = self.mask_columns.iter().position(|name| *name == mask);
                let mask = known.unwrap_or_else(|| {
                    self.mask_columns.push(mask);
                    self.mask_columns.len() - 1
                });
                Number::Share(mask, scored)
            }
            (name, Some(_)) if NAMES.contains(&name) => {
                let hint = format!("write {name} without parentheses");
                return refuse(None, "a function", name, hint);
            }
            (name, Some(_)) => {
                let names = FUNCTIONS.into_iter();
                return refuse(None, "a function", name, closest(name, names));
            }
            (name, None) if FUNCTIONS.contains(&name) => {
                let hint = format!("write it as {name}(loss), with the name of a column");
                return refuse(None, "a column with it", name, hint);
            }
            (name, None) if self.score(name).is_some() => {
                let hint = format!("write it as mean({name}), min, max or median");
                return refuse(None, "a number of a document", name, hint);
            }
            (name, None) => {
                let names = NAMES.into_iter().chain(FUNCTIONS);
                return refuse(None, "a name", name, closest(name, names));
            }
        };
        let known = self.numbers.iter().position(|known| *known == number);
        Ok(known.unwrap_or_else(|| {
            self.numbers.push(number);
            self.numbers.len() - 1
        }))
    }

    /// The source of a column; `excess` may be computed.
    fn score(&self, column: &str) -> Option<Source> {
        let has = |name: &str| self.scores.iter().any(|score| score == name);
        match column {
            "excess" if !has("excess") && has(BASE_LOSS) && has(LOSS) => Some(Source::Excess),
            column => has(column).then(|| Source::Column(column.to_owned())),
        }
    }

    /// The column that says which tokens are scored: the loss, or without it the first.
    fn scored(&mut self, place: &impl Fn(Option<usize>) -> String) -> anyhow::Result<usize> {
        let first = self.scores.iter().find(|name| *name == LOSS);
        let Some(first) = first.or(self.scores.first()) else {
            return Err(HintedError::error(
                format!(
                    "{}: expected masks with a column of scores, got none",
                    place(None)
                ),
                "name masks that `score` wrote",
            ));
        };
        let source = Source::Column(first.clone());
        Ok(self.read(source))
    }

    /// The index of a column to read.
    fn read(&mut self, source: Source) -> usize {
        let known = self.sources.iter().position(|known| *known == source);
        known.unwrap_or_else(|| {
            self.sources.push(source);
            self.sources.len() - 1
        })
    }

    /// Adds a statistic of some scores, and returns its index.
    pub(in crate::select) fn add_statistic(
        &mut self,
        statistic: Statistic,
        source: Source,
    ) -> usize {
        let source = self.read(source);
        self.numbers.push(Number::Statistic(statistic, source));
        self.numbers.len() - 1
    }

    /// Adds the share of the scored tokens that a mask keeps, and returns its index.
    pub(in crate::select) fn add_share(&mut self, mask: String) -> anyhow::Result<usize> {
        let scored = self.scored(&|_| "--by kept".to_owned())?;
        self.mask_columns.push(mask);
        let share = Number::Share(self.mask_columns.len() - 1, scored);
        self.numbers.push(share);
        Ok(self.numbers.len() - 1)
    }

    /// The columns to read: at least one list, which says how long the documents are.
    pub(in crate::select) fn columns(&self) -> Vec<&str> {
        let scores = self.sources.iter().flat_map(Source::columns);
        let masks = self.mask_columns.iter().map(String::as_str);
        let mut lists: Vec<&str> = scores.chain(masks).collect();
        if lists.is_empty() {
            lists.push("input_ids");
        }
        lists
    }

    pub(in crate::select) fn load(&self, batch: &MaskBatch) -> anyhow::Result<Loaded> {
        let scores = self.sources.iter().map(|source| {
            let mut all = Vec::new();
            scores::scores(source, batch, &mut all)?;
            anyhow::Ok(all)
        });
        let masks = self.mask_columns.iter().map(|name| {
            let mut all = Vec::new();
            let found = batch.mask(name, &mut all).then_some(all);
            found.with_context(|| format!("expected a column {name:?} beside the others"))
        });
        Ok(Loaded {
            scores: scores.collect::<anyhow::Result<_>>()?,
            masks: masks.collect::<anyhow::Result<_>>()?,
        })
    }

    /// A number of a document, whose tokens are this range; none is null.
    pub(in crate::select) fn number(
        &self,
        i: usize,
        loaded: &Loaded,
        tokens: &Range<usize>,
    ) -> Option<f64> {
        let scores = |column: usize| {
            let scores = loaded.scores[column][tokens.clone()].iter();
            scores.filter(|score| !score.is_nan()).copied()
        };
        match self.numbers[i] {
            Number::Tokens => Some(tokens.len() as f64),
            Number::Scored(column) => Some(scores(column).count() as f64),
            Number::Share(mask, column) => {
                let kept = loaded.masks[mask][tokens.clone()].iter();
                let kept: usize = kept.map(|&kept| usize::from(kept)).sum();
                let scored = scores(column).count();
                (scored > 0).then(|| kept as f64 / scored as f64)
            }
            Number::Statistic(statistic, column) => statistic.of(scores(column)),
        }
    }
}

impl Statistic {
    /// Of some scores; none if there are none, or infinities cancel each other.
    fn of(self, scores: impl Iterator<Item = f32>) -> Option<f64> {
        let value = match self {
            Self::Min => f64::from(scores.reduce(f32::min)?),
            Self::Max => f64::from(scores.reduce(f32::max)?),
            Self::Mean => {
                let (mut sum, mut count) = (0.0, 0);
                for score in scores {
                    sum += f64::from(score);
                    count += 1;
                }
                (count > 0).then(|| sum / f64::from(count))?
            }
            Self::Median => {
                let mut all: Vec<f32> = scores.collect();
                all.sort_unstable_by(f32::total_cmp);
                let (upper, lower) = (all.get(all.len() / 2)?, all[(all.len() - 1) / 2]);
                (f64::from(*upper) + f64::from(lower)) / 2.0
            }
        };
        (!value.is_nan()).then_some(value)
    }
}

/// A hint with the most similar name.
fn closest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let likeness = |other: &&str| (strsim::jaro_winkler(name, other) * 1e6) as u64;
    match names.max_by_key(likeness) {
        Some(closest) => format!("the closest is {closest:?}; docs/masks.md lists all names"),
        None => "these masks have none; docs/masks.md lists all names".to_owned(),
    }
}

#[cfg(test)]
impl Needed {
    /// The name of a number.
    pub(super) fn name(&self, i: usize) -> String {
        match self.numbers[i] {
            Number::Tokens => "tokens".to_owned(),
            Number::Scored(_) => "scored".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_scores() {
        let of = |statistic: Statistic, scores: &[f32]| statistic.of(scores.iter().copied());
        let infinity = f32::INFINITY;
        for (scores, min, max, mean, median) in [
            (&[][..], None, None, None, None),
            (&[2.0], Some(2.0), Some(2.0), Some(2.0), Some(2.0)),
            (
                &[4.0, 1.0, -2.0],
                Some(-2.0),
                Some(4.0),
                Some(1.0),
                Some(1.0),
            ),
            (
                &[4.0, 1.0, 2.0, 9.0],
                Some(1.0),
                Some(9.0),
                Some(4.0),
                Some(3.0),
            ),
        ] {
            assert_eq!(of(Statistic::Min, scores), min);
            assert_eq!(of(Statistic::Max, scores), max);
            assert_eq!(of(Statistic::Mean, scores), mean);
            assert_eq!(of(Statistic::Median, scores), median);
        }
        // Infinities are scores; their mean may not exist.
        assert_eq!(of(Statistic::Mean, &[infinity, 1.0]), Some(f64::INFINITY));
        assert_eq!(of(Statistic::Mean, &[infinity, -infinity]), None);
        assert_eq!(of(Statistic::Median, &[infinity, -infinity]), None);
        assert_eq!(
            of(Statistic::Median, &[infinity, infinity]),
            Some(f64::INFINITY)
        );
    }
}
