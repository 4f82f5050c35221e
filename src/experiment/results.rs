//! results.json: what came of an experiment, complete enough to draw every picture from. Written again after each run; what
//! is not done yet is not in it.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    compare::{self, Difference},
    curves::{Axis, Measure, Run},
    downstream::{self, Point},
    plan::{Plan, PlannedArm, PlannedRun},
    run::{ANSWERS, Notes, RESULTS},
    student::Mean,
    table,
};
use crate::{files::write_whole, hint::Advised};

const FORMAT: u64 = 1;
/// Points of a curve of steps: more lie on one another.
const POINTS: u64 = 60;

/// An arm whose runs are all done.
struct Done<'a> {
    arm: &'a PlannedArm,
    runs: Vec<Run>,
}

/// Gathers and writes it.
pub(super) fn write(plan: &Plan, notes: &Notes, out: &Path) -> anyhow::Result<Value> {
    let arms = done(plan, &plan.arms, notes)?;
    let sweep = done(plan, &plan.sweep, notes)?;
    same_batches(plan, &arms)?;
    let named: Vec<(&str, &[Run])> = arms
        .iter()
        .map(|done| (done.arm.name.as_str(), &done.runs[..]))
        .collect();
    let baseline_name = &plan.arms[plan.baseline].name;
    let baseline = arms.iter().position(|done| done.arm.name == *baseline_name);
    let comparisons = baseline.map(|baseline| compare::compare(&named, baseline));
    let measure = downstream_measure(plan, &arms);
    let mut results = json!({
        "format_version": FORMAT,
        "experiment": plan.title,
        "version": env!("CARGO_PKG_VERSION"),
        "seeds": plan.seeds,
        "baseline": baseline_name,
        "after": plan.after,
        "complete": arms.len() == plan.arms.len() && sweep.len() == plan.sweep.len(),
        "arms_planned": plan.arms.len(),
        "steps": plan.steps.iter().filter(|step| notes.is_done(step)).map(|step| json!({
            "name": step.name,
            "folder": step.folder_name(),
            "seconds": notes.seconds(step),
        })).collect::<Vec<_>>(),
        "arms": arms.iter().map(|done| arm(plan, done)).collect::<anyhow::Result<Vec<_>>>()?,
        "comparisons": comparisons.unwrap_or_default(),
        "answers": answers(plan, &arms)?,
        "sweep": sweep_results(plan, &sweep),
        "downstream": measure.map(|measure| downstream_results(&measure, &arms)),
    });
    results["read_as"] = json!(table::honest(&results));
    write_whole(&out.join(RESULTS), &format!("{results:#}\n"))?;
    Ok(results)
}

fn done<'a>(plan: &Plan, arms: &'a [PlannedArm], notes: &Notes) -> anyhow::Result<Vec<Done<'a>>> {
    let is_done = |run: &PlannedRun| {
        let mut steps = std::iter::once(run.train).chain(run.ask);
        steps.all(|step| notes.is_done(&plan.steps[step]))
    };
    let arms = arms.iter().filter(|arm| arm.runs.iter().all(is_done));
    let read = arms.map(|arm| {
        let runs = arm.runs.iter();
        let runs = runs.map(|run| Run::read(&plan.steps[run.train].folder));
        Ok(Done {
            arm,
            runs: runs.collect::<anyhow::Result<_>>()?,
        })
    });
    read.collect()
}

/// Refuses arms that are to see the same batches and do not: their comparison would be of the data.
fn same_batches(plan: &Plan, arms: &[Done<'_>]) -> anyhow::Result<()> {
    let seen = |run: &Run| -> Vec<(u64, u64)> {
        let places = run.places.iter();
        places.map(|place| (place.step, place.seen)).collect()
    };
    let mut same = arms.iter().filter(|done| done.arm.same_batches);
    let Some(first) = same.next() else {
        return Ok(());
    };
    for other in same {
        for ((seed, a), b) in plan.seeds.iter().zip(&first.runs).zip(&other.runs) {
            if seen(a) != seen(b) {
                return Err(Advised::error(
                    format!(
                        "arm {}, seed {seed}: expected the batches of {}, got steps with other numbers of tokens",
                        other.arm.name, first.arm.name
                    ),
                    "this should not happen: the folders of the runs say more; please report it",
                ));
            }
        }
    }
    Ok(())
}

fn arm(plan: &Plan, done: &Done<'_>) -> anyhow::Result<Value> {
    let runs = done.arm.runs.iter().zip(&done.runs).map(|(planned, run)| {
        let end = run.end();
        json!({
            "seed": planned.seed,
            "folder": plan.steps[planned.train].folder_name(),
            "steps": end.step,
            "tokens_seen": end.seen,
            "tokens_trained": end.trained,
            "seconds": end.seconds,
        })
    });
    Ok(json!({
        "name": done.arm.name,
        "objective": done.arm.objective,
        "keep": done.arm.keep,
        "described": done.arm.described,
        "same_batches": done.arm.same_batches,
        "runs": runs.collect::<Vec<_>>(),
        "evaluations": evaluation_curves(&done.runs),
        "losses": step_curves(&done.runs),
    }))
}

/// Mean curves of what was evaluated, with the lowest and the highest of the seeds.
fn evaluation_curves(runs: &[Run]) -> Vec<Value> {
    let measures = runs.first().map(Run::measures).unwrap_or_default();
    let curves = measures.iter().map(|measure| {
        let curves: Vec<_> = runs.iter().map(|run| run.curve(measure)).collect();
        let points = (0..curves.iter().map(Vec::len).min().unwrap_or(0)).map(|i| {
            let values: Vec<f64> = curves.iter().map(|curve| curve[i].1).collect();
            let place = curves[0][i].0;
            point(place.step, place.seen, &values)
        });
        json!({"set": measure.set, "after": measure.after, "points": points.collect::<Vec<_>>()})
    });
    curves.collect()
}

/// Mean curves of the losses of steps, in as many points as find room.
fn step_curves(runs: &[Run]) -> Vec<Value> {
    let names = [
        "loss",
        "loss_kept",
        "loss_dropped",
        "loss_selected",
        "loss_unselected",
    ];
    let steps = runs.iter().map(|run| run.end().step).min().unwrap_or(0);
    let every = steps.div_ceil(POINTS).max(1);
    let curves = names.iter().filter_map(|name| {
        let mut points = Vec::new();
        for last in (every..=steps).step_by(usize::try_from(every).unwrap_or(1)) {
            let mean = |run: &Run| {
                let within = run.steps.iter().filter(|line| {
                    let step = line["step"].as_u64().unwrap_or(0);
                    last - every < step && step <= last
                });
                let values: Vec<f64> = within.filter_map(|line| line[*name].as_f64()).collect();
                Mean::of(&values).map(|mean| mean.mean)
            };
            let values: Option<Vec<f64>> = runs.iter().map(mean).collect();
            let seen = runs
                .first()
                .and_then(|run| run.places.iter().find(|p| p.step == last));
            if let (Some(values), Some(place)) = (values, seen) {
                points.push(point(last, place.seen, &values));
            }
        }
        (!points.is_empty())
            .then(|| json!({"loss": name, "steps_per_point": every, "points": points}))
    });
    curves.collect()
}

fn point(step: u64, seen: u64, values: &[f64]) -> Value {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = Mean::of(values).map(|mean| mean.mean.clamp(low, high));
    json!({"step": step, "tokens_seen": seen, "mean": mean, "low": low, "high": high})
}

/// Accuracies on questions, beside the baseline's.
fn answers(plan: &Plan, arms: &[Done<'_>]) -> anyhow::Result<Vec<Value>> {
    let read = |run: &PlannedRun| -> anyhow::Result<Option<Value>> {
        let Some(ask) = run.ask else {
            return Ok(None);
        };
        let path = plan.steps[ask].folder.join(ANSWERS);
        let text =
            std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Ok(Some(serde_json::from_slice(&text)?))
    };
    let mut all: Vec<(&str, Vec<Value>)> = Vec::new();
    for done in arms {
        let answers = done.arm.runs.iter().map(&read);
        let answers: Option<Vec<Value>> = answers.collect::<anyhow::Result<_>>()?;
        all.extend(answers.map(|answers| (done.arm.name.as_str(), answers)));
    }
    let Some((_, first)) = all.first() else {
        return Ok(Vec::new());
    };
    let sets = first
        .first()
        .and_then(|report| report["sets"].as_array().cloned());
    let mut compared = Vec::new();
    for (i, set) in sets.unwrap_or_default().iter().enumerate() {
        for measure in ["accuracy", "accuracy_normalised"] {
            let values = |reports: &[Value]| -> Vec<f64> {
                let values = reports
                    .iter()
                    .map(|report| &report["sets"][i][measure]["value"]);
                values.filter_map(Value::as_f64).collect()
            };
            let baseline = all
                .iter()
                .find(|(name, _)| *name == plan.arms[plan.baseline].name)
                .map(|(_, reports)| values(reports));
            let arms = all.iter().map(|(name, reports)| {
                let values = values(reports);
                let is_baseline = *name == plan.arms[plan.baseline].name;
                let others = baseline.as_ref().filter(|_| !is_baseline);
                let difference = others.and_then(|baseline| Difference::of(&values, baseline));
                json!({"arm": name, "mean": Mean::of(&values), "values": values, "difference": difference})
            });
            compared.push(json!({
                "set": set["name"],
                "questions": set["questions"],
                "measure": measure,
                "arms": arms.collect::<Vec<_>>(),
            }));
        }
    }
    Ok(compared)
}

/// Figure 9: the end of each run, by the ratio.
fn sweep_results(plan: &Plan, sweep: &[Done<'_>]) -> Value {
    let Some(objective) = plan.sweep_objective else {
        return Value::Null;
    };
    let measures = sweep
        .first()
        .and_then(|done| done.runs.first())
        .map(Run::measures)
        .unwrap_or_default();
    let sets = measures.iter().map(|measure| {
        let ratios = sweep.iter().filter_map(|done| {
            let ends = done.runs.iter().map(|run| run.curve(measure).last().map(|(_, loss)| *loss));
            let values: Vec<f64> = ends.collect::<Option<_>>()?;
            let mean = Mean::of(&values)?;
            Some(json!({
                "keep": done.arm.keep, "values": values, "mean": mean.mean, "half_width": mean.half_width,
            }))
        });
        json!({"set": measure.set, "after": measure.after, "ratios": ratios.collect::<Vec<_>>()})
    });
    let first = sweep.first().and_then(|done| done.runs.first());
    json!({
        "objective": objective,
        "tokens_seen": first.map(|run| run.end().seen),
        "seeds": sweep.first().map(|done| done.arm.runs.iter().map(|run| run.seed).collect::<Vec<_>>()),
        "sets": sets.collect::<Vec<_>>(),
    })
}

/// What stands for the task.
fn downstream_measure(plan: &Plan, arms: &[Done<'_>]) -> Option<Measure> {
    let measures = arms.first()?.runs.first()?.measures();
    let set = plan.downstream.as_ref()?;
    let mut of_set = measures.into_iter().filter(|measure| measure.set == *set);
    let all = of_set.next()?;
    Some(of_set.next().unwrap_or(all))
}

fn downstream_results(measure: &Measure, arms: &[Done<'_>]) -> Value {
    let runs = arms.iter().flat_map(|done| {
        let runs = done.arm.runs.iter().zip(&done.runs);
        runs.map(|(planned, run)| (done.arm.name.as_str(), planned.seed, run))
    });
    let points: Vec<Point> = runs
        .flat_map(|(arm, seed, run)| downstream::points(arm, seed, run, measure))
        .collect();
    json!({
        "set": measure.set,
        "after": measure.after,
        "law": "log(score) = a log(loss) + c",
        "selected": downstream::fit(points.iter().map(|p| (p.selected, p.score))),
        "unselected": downstream::fit(points.iter().map(|p| (p.unselected, p.score))),
        "points": points,
    })
}

/// The axes in words, for whoever draws it.
pub(super) fn axis_words(axis: &Value) -> &'static str {
    let found = Axis::ALL
        .into_iter()
        .find(|known| serde_json::to_value(known).is_ok_and(|known| known == *axis));
    found.map_or("unknown", Axis::words)
}
