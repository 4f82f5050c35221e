//! Converts a rule to the metadata of mask files and back. `finish`, which sums the counts of a rule, has only the
//! metadata.

use rho_selection::{Bounds, Direction, Formula, KeepRatio, Share, Weights};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::rule::{BASE_LOSS, Combined, LOSS, Pick, Rule, Selection, Source};

impl Selection {
    /// Its entry in the metadata.
    fn metadata(&self) -> Value {
        let mut said = json!({"column": self.column()});
        match &self.source {
            Source::Column(name) => said["by"] = json!(name),
            Source::Excess => {
                said["by"] = json!("excess");
                said["difference"] = json!([BASE_LOSS, LOSS]);
            }
            Source::Random { seed, scored } => {
                said["by"] = json!("random");
                said["seed"] = json!(seed);
                said["scored"] = json!(scored);
            }
        }
        match self.pick {
            Pick::Ranked(direction, Share::Best(ratio)) => {
                let keep = match (&self.source, direction) {
                    (Source::Random { .. }, _) => "keep",
                    (_, Direction::Low) => "keep_lowest",
                    (_, Direction::High) => "keep_highest",
                };
                said[keep] = json!(ratio.get());
            }
            Pick::Ranked(_, Share::Between { easiest, hardest }) => {
                said["drop_lowest"] = json!(easiest.get());
                said["drop_highest"] = json!(hardest.get());
            }
            Pick::Bounded(Bounds { least, most }) => {
                let bound = |bound: f32| bound.is_finite().then_some(bound);
                said["at_least"] = json!(bound(least));
                said["at_most"] = json!(bound(most));
            }
            Pick::Weighed(Weights {
                formula,
                least,
                most,
            }) => {
                let (name, temperature) = match formula {
                    Formula::Rank(_) => ("rank", None),
                    Formula::Sigmoid { temperature } => ("sigmoid", Some(temperature)),
                    Formula::Clipped { temperature } => ("clipped", Some(temperature)),
                };
                said["weights"] = json!(name);
                said["temperature"] = json!(temperature);
                said["least"] = json!(least);
                said["most"] = json!(most);
            }
        }
        said
    }

    /// The selection of a metadata entry; none if the entry is something else.
    fn of_metadata(said: &Value) -> Option<Self> {
        let text = |key: &str| said.get(key).and_then(Value::as_str);
        let number = |key: &str| said.get(key).and_then(Value::as_f64);
        let ratio = |key: &str| number(key).and_then(|ratio| KeepRatio::new(ratio).ok());
        let column = text("column")?;
        let name = column
            .strip_prefix("mask_")
            .or_else(|| column.strip_prefix("weight_"))?;
        let by = text("by")?;
        let source = match (by, said.get("difference")) {
            ("random", _) => Source::Random {
                seed: said.get("seed")?.as_u64()?,
                scored: text("scored")?.to_owned(),
            },
            (_, Some(_)) => Source::Excess,
            (by, None) => Source::Column(by.to_owned()),
        };
        let best = |key: &str, direction| {
            let ratio = ratio(key)?;
            Some(Pick::Ranked(direction, Share::Best(ratio)))
        };
        let between = || {
            let (easiest, hardest) = (ratio("drop_lowest")?, ratio("drop_highest")?);
            let share = Share::Between { easiest, hardest };
            Some(Pick::Ranked(Direction::Low, share))
        };
        let bounded = || {
            said.get("at_least").or(said.get("at_most"))?;
            Some(Pick::Bounded(Bounds {
                least: number("at_least").map_or(f32::NEG_INFINITY, |bound| bound as f32),
                most: number("at_most").map_or(f32::INFINITY, |bound| bound as f32),
            }))
        };
        let weighed = || {
            let temperature = number("temperature");
            let formula = match (text("weights")?, temperature) {
                ("rank", _) if by == "excess" => Formula::Rank(Direction::High),
                ("rank", _) => Formula::Rank(Direction::Low),
                ("sigmoid", Some(temperature)) => Formula::Sigmoid { temperature },
                ("clipped", Some(temperature)) => Formula::Clipped { temperature },
                _ => return None,
            };
            Some(Pick::Weighed(Weights {
                formula,
                least: number("least")? as f32,
                most: number("most")? as f32,
            }))
        };
        let pick = weighed()
            .or_else(|| best("keep", Direction::Low))
            .or_else(|| best("keep_lowest", Direction::Low))
            .or_else(|| best("keep_highest", Direction::High))
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
    pub(crate) fn metadata(&self) -> Vec<Value> {
        let mut said: Vec<Value> = self.selections.iter().map(Selection::metadata).collect();
        if let Some(combined) = self.combined {
            let of: Vec<String> = self.selections.iter().map(Selection::column).collect();
            let how = match combined {
                Combined::Intersection => "and",
                Combined::Union => "or",
            };
            said.push(json!({"column": format!("mask_{}", combined.name()), how: of}));
        }
        said
    }

    /// The rule of these metadata entries; none if they are something else.
    pub(crate) fn of_metadata(said: &Value) -> Option<Self> {
        let mut selections = Vec::new();
        let mut combined = None;
        for said in said.as_array()? {
            match (said.get("and"), said.get("or")) {
                (Some(_), _) => combined = Some(Combined::Intersection),
                (_, Some(_)) => combined = Some(Combined::Union),
                (None, None) => selections.push(Selection::of_metadata(said)?),
            }
        }
        Some(Self {
            selections,
            combined,
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
            (RuleName::Union, none()),
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
                    min_weight: Some(0.1),
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
                let said: Value = serde_json::from_str(&json!(rule).to_string()).unwrap();
                let back = Rule::of_metadata(&said).unwrap();
                assert_eq!(format!("{back:?}"), format!("{rule:?}"));
            }
        }
        for said in [
            json!(null),
            json!([{}]),
            json!([{"column": "mask_loss", "by": "loss"}]),
        ] {
            assert!(Rule::of_metadata(&said).is_none(), "{said}");
        }
    }
}
