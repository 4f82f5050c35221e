//! Converts a rule to the metadata of mask files and back. `finish`, which sums the counts of a rule, has only the
//! metadata.

use rho_selection::{Bounds, Combine, Direction, Formula, KeepRatio, Share, Weights};
use serde::{Serialize, Serializer};

use super::keep_by::KeepBy;
use super::rule::{BASE_LOSS, Combined, ENTROPY, EXCESS, LOSS, Pick, Rule, Selection, Source};
use crate::metadata::{self, Scored};

impl Selection {
    /// Its entry in the metadata.
    fn metadata(&self) -> metadata::Selection {
        let mut said = metadata::Selection {
            column: Some(self.column()),
            ..metadata::Selection::default()
        };
        match &self.source {
            Source::Column(name) => said.by = Some(name.clone()),
            Source::Excess => {
                said.by = Some(EXCESS.to_owned());
                said.difference = Some([BASE_LOSS, LOSS].map(str::to_owned));
            }
            Source::Random { seed, scored } => {
                said.by = Some("random".to_owned());
                said.seed = Some(*seed);
                said.scored = Some(Scored::Column(scored.clone()));
            }
            Source::Columns {
                parts,
                combine,
                scored,
            } => {
                let name = |part: &Source| match part {
                    Source::Column(name) => name.clone(),
                    _ => EXCESS.to_owned(),
                };
                let names: Vec<String> = parts.iter().map(name).collect();
                said.by = Some(self.name.clone());
                if parts.contains(&Source::Excess) {
                    said.difference = Some([BASE_LOSS, LOSS].map(str::to_owned));
                }
                said.combine = (names.len() > 1).then(|| combine.name().to_owned());
                said.columns = Some(names);
                said.among = Some(scored.clone());
            }
        }
        match self.pick {
            Pick::Ranked(direction, Share::Best(ratio)) => {
                let keep = match (&self.source, direction) {
                    (Source::Random { .. }, _) => &mut said.keep,
                    (_, Direction::Low) => &mut said.keep_lowest,
                    (_, Direction::High) => &mut said.keep_highest,
                };
                *keep = Some(ratio.get());
            }
            Pick::Ranked(_, Share::Between { easiest, hardest }) => {
                said.drop_lowest = Some(easiest.get());
                said.drop_highest = Some(hardest.get());
            }
            Pick::Bounded(Bounds { least, most }) => {
                let bound = |bound: f32| Some(bound.is_finite().then_some(bound));
                said.at_least = bound(least);
                said.at_most = bound(most);
            }
            Pick::Weighed(Weights {
                formula,
                least,
                most,
            }) => {
                let (name, temperature) = match formula {
                    Formula::Rank(direction) => {
                        if matches!(self.source, Source::Columns { .. }) {
                            said.highest = Some(direction == Direction::High);
                        }
                        ("rank", None)
                    }
                    Formula::Sigmoid { temperature } => ("sigmoid", Some(temperature)),
                    Formula::Clipped { temperature } if self.name == ENTROPY => {
                        (ENTROPY, Some(temperature))
                    }
                    Formula::Clipped { temperature } => ("clipped", Some(temperature)),
                    Formula::Power { exponent: 1.0 } => ("exp", None),
                    Formula::Power { exponent } => {
                        said.exponent = Some(exponent);
                        ("power", None)
                    }
                };
                said.weights = Some(name.to_owned());
                said.temperature = Some(temperature);
                said.least = Some(least);
                said.most = Some(most);
            }
        }
        said
    }

    /// The selection of a metadata entry; none if the entry is something else.
    fn of_metadata(said: &metadata::Selection) -> Option<Self> {
        let column = said.column.as_deref()?;
        let name = column
            .strip_prefix("mask_")
            .or_else(|| column.strip_prefix("weight_"))?;
        let by = said.by.as_deref()?;
        let source = match (by, &said.difference, &said.scored) {
            ("random", _, Some(Scored::Column(scored))) => Source::Random {
                seed: said.seed?,
                scored: scored.clone(),
            },
            ("random", ..) => return None,
            _ if said.columns.is_some() => {
                let part = |name: &String| match &said.difference {
                    Some(_) if name == EXCESS => Source::Excess,
                    _ => Source::Column(name.clone()),
                };
                Source::Columns {
                    parts: said.columns.iter().flatten().map(part).collect(),
                    combine: match said.combine.as_deref() {
                        None => Combine::Mean,
                        Some(name) => Combine::ALL.into_iter().find(|c| c.name() == name)?,
                    },
                    scored: said.among.clone()?,
                }
            }
            (_, Some(_), _) => Source::Excess,
            (by, None, _) => Source::Column(by.to_owned()),
        };
        let share = |share: Option<f64>| KeepRatio::new(share?).ok();
        let best = |ratio, direction| Some(Pick::Ranked(direction, Share::Best(share(ratio)?)));
        let between = || {
            let easiest = share(said.drop_lowest)?;
            let hardest = share(said.drop_highest)?;
            let share = Share::Between { easiest, hardest };
            Some(Pick::Ranked(Direction::Low, share))
        };
        let bounded = || {
            said.at_least.or(said.at_most)?;
            Some(Pick::Bounded(Bounds {
                least: said.at_least.flatten().unwrap_or(f32::NEG_INFINITY),
                most: said.at_most.flatten().unwrap_or(f32::INFINITY),
            }))
        };
        let weighed = || {
            let formula = match (said.weights.as_deref()?, said.temperature.flatten()) {
                ("rank", _) if said.highest.unwrap_or(by == EXCESS) => {
                    Formula::Rank(Direction::High)
                }
                ("rank", _) => Formula::Rank(Direction::Low),
                ("sigmoid", Some(temperature)) => Formula::Sigmoid { temperature },
                ("clipped" | ENTROPY, Some(temperature)) => Formula::Clipped { temperature },
                ("exp", _) => Formula::Power { exponent: 1.0 },
                ("power", _) => Formula::Power {
                    exponent: said.exponent?,
                },
                _ => return None,
            };
            Some(Pick::Weighed(Weights {
                formula,
                least: said.least?,
                most: said.most?,
            }))
        };
        let pick = weighed()
            .or_else(|| best(said.keep, Direction::Low))
            .or_else(|| best(said.keep_lowest, Direction::Low))
            .or_else(|| best(said.keep_highest, Direction::High))
            .or_else(between)
            .or_else(bounded)?;
        Some(Self {
            name: name.to_owned(),
            source,
            pick,
        })
    }
}

impl Rule {
    /// The entries of the selections in the metadata.
    pub(crate) fn metadata(&self) -> Vec<metadata::Selection> {
        let mut said: Vec<_> = self.selections.iter().map(Selection::metadata).collect();
        for selection in &mut said {
            selection.keep_by = self.keep_by.as_ref().map(KeepBy::metadata);
        }
        if let Some(combined) = self.combined {
            let of = Some(self.selections.iter().map(Selection::column).collect());
            let (and, or) = match combined {
                Combined::Intersection => (of, None),
                Combined::Union => (None, of),
            };
            said.push(metadata::Selection {
                column: Some(format!("mask_{}", combined.name())),
                and,
                or,
                ..metadata::Selection::default()
            });
        }
        said
    }

    /// The rule of these metadata entries; none if they are something else.
    pub(crate) fn of_metadata(said: &[metadata::Selection]) -> Option<Self> {
        let mut selections = Vec::new();
        let (mut combined, mut keep_by) = (None, None);
        for said in said {
            if let Some(recorded) = &said.keep_by {
                keep_by = Some(KeepBy::of_metadata(recorded)?);
            }
            match (&said.and, &said.or) {
                (Some(_), _) => combined = Some(Combined::Intersection),
                (_, Some(_)) => combined = Some(Combined::Union),
                (None, None) => selections.push(Selection::of_metadata(said)?),
            }
        }
        Some(Self {
            selections,
            combined,
            keep_by,
        })
    }
}

/// Serialises as its metadata.
impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metadata().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{FormulaName, RuleName, SelectionArgs},
        selections::options,
    };

    #[test]
    fn comes_back_from_what_it_says() {
        let ratio = |ratio| Some(KeepRatio::new(ratio).unwrap());
        let none = SelectionArgs::default;
        let args = [
            (RuleName::Loss, none()),
            (
                RuleName::Entropy,
                SelectionArgs {
                    keep: ratio(0.1),
                    ..none()
                },
            ),
            (
                RuleName::Excess,
                SelectionArgs {
                    keep: ratio(0.6),
                    ..none()
                },
            ),
            (
                RuleName::Intersection,
                SelectionArgs {
                    keep_loss: ratio(0.3),
                    ..none()
                },
            ),
            (
                RuleName::Union,
                SelectionArgs {
                    keep_by: vec!["a=0.5,b=0".to_owned()],
                    ..none()
                },
            ),
            (
                RuleName::Random,
                SelectionArgs {
                    seed: Some(u64::MAX),
                    ..none()
                },
            ),
            (
                RuleName::Threshold,
                SelectionArgs {
                    below: Some(0.1),
                    ..none()
                },
            ),
            (
                RuleName::Threshold,
                SelectionArgs {
                    above: Some(-2.5),
                    below: Some(3.25),
                    ..none()
                },
            ),
            (
                RuleName::Band,
                SelectionArgs {
                    drop_easiest: ratio(0.1),
                    ..none()
                },
            ),
            (
                RuleName::Entropy,
                SelectionArgs {
                    weights: Some(FormulaName::Rank),
                    ..none()
                },
            ),
            (
                RuleName::Excess,
                SelectionArgs {
                    weights: Some(FormulaName::Rank),
                    ..none()
                },
            ),
            (
                RuleName::Excess,
                SelectionArgs {
                    weights: Some(FormulaName::Sigmoid),
                    temperature: Some(0.3),
                    ..none()
                },
            ),
            (
                RuleName::Excess,
                SelectionArgs {
                    weights: Some(FormulaName::Clipped),
                    min_weight: Some(-0.1),
                    ..none()
                },
            ),
            (
                RuleName::Loss,
                SelectionArgs {
                    weights: Some(FormulaName::Exp),
                    ..none()
                },
            ),
            (
                RuleName::Loss,
                SelectionArgs {
                    weights: Some(FormulaName::Power(0.25)),
                    max_weight: Some(0.5),
                    ..none()
                },
            ),
            (
                RuleName::Entropy,
                SelectionArgs {
                    weights: Some(FormulaName::Entropy),
                    temperature: Some(3.0),
                    ..none()
                },
            ),
        ];
        for (by, args) in args {
            for there in [
                &["loss", "entropy"][..],
                &["loss", "entropy", "base_loss", "excess"],
            ] {
                let (rule, _) = options::resolve(by, &args, there).unwrap();
                let said = serde_json::to_string(&rule).unwrap();
                let said: Vec<metadata::Selection> = serde_json::from_str(&said).unwrap();
                let back = Rule::of_metadata(&said).unwrap();
                assert_eq!(format!("{back:?}"), format!("{rule:?}"));
            }
        }
        let without_rule = metadata::Selection {
            column: Some("mask_loss".to_owned()),
            by: Some("loss".to_owned()),
            ..metadata::Selection::default()
        };
        for said in [metadata::Selection::default(), without_rule] {
            assert!(Rule::of_metadata(&[said]).is_none());
        }
    }
}
