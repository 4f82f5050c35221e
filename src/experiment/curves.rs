//! The records of a run as curves: evaluations over tokens seen, tokens trained on, and time.

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::results::{Axis, Measure};

/// How far a run had come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StepCounts {
    pub(super) step: u64,
    pub(super) seen: u64,
    pub(super) trained: u64,
    pub(super) seconds: f64,
}

impl StepCounts {
    pub(super) fn on(self, axis: Axis) -> f64 {
        match axis {
            Axis::TokensSeen => self.seen as f64,
            Axis::TokensTrained => self.trained as f64,
            Axis::Seconds => self.seconds,
        }
    }
}

/// The records of one run.
#[derive(Debug)]
pub(super) struct Run {
    /// The state after each step; the first is before the first step.
    pub(super) places: Vec<StepCounts>,
    /// The metrics lines of the steps.
    pub(super) steps: Vec<Value>,
    /// Evaluations: how far the run had come, and the metrics line.
    pub(super) evaluations: Vec<(StepCounts, Value)>,
}

impl Run {
    /// Reads the folder of a finished run.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let lines = lines(&folder.join("metrics.jsonl"))?;
        let timings = self::lines(&folder.join("timings.jsonl"))?;
        let (evaluations, steps): (Vec<Value>, Vec<Value>) = lines
            .into_iter()
            .partition(|line| line.get("evaluation").is_some());
        let mut places = vec![StepCounts::default()];
        for (step, timing) in steps.iter().zip(&timings) {
            let number = |name: &str| step[name].as_u64().unwrap_or_default();
            places.push(StepCounts {
                step: number("step"),
                seen: number("tokens_seen"),
                trained: number("tokens_trained"),
                seconds: timing["total"].as_f64().unwrap_or_default(),
            });
        }
        let evaluations = evaluations.into_iter().filter_map(|line| {
            let step = line["step"].as_u64()?;
            let place = places.iter().find(|place| place.step == step)?;
            Some((*place, line))
        });
        Ok(Self {
            evaluations: evaluations.collect(),
            places,
            steps,
        })
    }

    /// The state after its last step.
    pub(super) fn end(&self) -> StepCounts {
        self.places.last().copied().unwrap_or_default()
    }

    /// The curve of a measure: how far the run had come, and the loss.
    pub(super) fn curve(&self, measure: &Measure) -> Vec<(StepCounts, f64)> {
        let of = |line: &Value| match measure.after {
            true => line["after"]["loss"].as_f64(),
            false => line["loss"].as_f64(),
        };
        let lines = self.evaluations.iter();
        lines
            .filter(|(_, line)| line["evaluation"] == *measure.set)
            .filter_map(|(place, line)| Some((*place, of(line)?)))
            .collect()
    }

    /// The measures that were taken.
    pub(super) fn measures(&self) -> Vec<Measure> {
        let mut measures: Vec<Measure> = Vec::new();
        for (_, line) in &self.evaluations {
            let Some(set) = line["evaluation"].as_str() else {
                continue;
            };
            for after in [false, true] {
                let measure = Measure {
                    set: set.to_owned(),
                    after,
                };
                if (!after || line["after"].is_object()) && !measures.contains(&measure) {
                    measures.push(measure);
                }
            }
        }
        // Sets in their order; of each, the whole set before the part after the marker.
        let place = |set: &str| measures.iter().position(|other| other.set == set);
        let mut sorted = measures.clone();
        sorted.sort_by_key(|measure| (place(&measure.set), measure.after));
        sorted
    }
}

/// The value of a curve at `place`, interpolated linearly between two of its points; None outside the curve.
pub(super) fn at(curve: &[(StepCounts, f64)], axis: Axis, place: f64) -> Option<f64> {
    let after = curve
        .iter()
        .position(|(point, _)| point.on(axis) >= place)?;
    let (b, high) = (curve[after].0.on(axis), curve[after].1);
    if after == 0 {
        return (b == place).then_some(high);
    }
    let (a, low) = (curve[after - 1].0.on(axis), curve[after - 1].1);
    Some(low + (high - low) * (place - a) / (b - a))
}

fn lines(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = rho_files::read_named_text(path)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let lines = text.lines().zip(1..).map(|(line, number)| {
        serde_json::from_str(line)
            .with_context(|| format!("{} line {number}: expected JSON", path.display()))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_points() {
        let place = |seen, seconds| StepCounts {
            seen,
            seconds,
            ..StepCounts::default()
        };
        let curve = [
            (place(0, 0.0), 4.0),
            (place(100, 2.0), 3.0),
            (place(200, 8.0), 1.0),
        ];
        let seen = |x| at(&curve, Axis::TokensSeen, x);
        assert_eq!(seen(0.0), Some(4.0));
        assert_eq!(seen(50.0), Some(3.5));
        assert_eq!(seen(100.0), Some(3.0));
        assert_eq!(seen(175.0), Some(1.5));
        assert_eq!(seen(200.0), Some(1.0));
        assert_eq!(seen(201.0), None);
        assert_eq!(at(&curve, Axis::Seconds, 5.0), Some(2.0));
        assert_eq!(at(&curve[1..], Axis::Seconds, 1.0), None);
    }
}
