//! Collects the results of an experiment in results.json, again after each run. Unfinished arms are not in it.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::{
    compare::{self, finite},
    curves::Run,
    downstream,
    perform::ANSWERS,
    plan::{Plan, PlannedArm, PlannedRun},
    step_records::StepRecords,
    table,
};
use crate::{
    files::write_atomic,
    hinted_error::HintedError,
    results::{
        AnsweringArm, Answers, ArmLaw, ArmResults, CurvePoint, Difference, Downstream,
        DownstreamPoint, EvaluationCurve, FORMAT_VERSION, FinishedStep, LossCurve, Mean, Measure,
        RESULTS, Results, RunEnd, Sweep, SweptRatio, SweptSet,
    },
};

/// Points of a step curve: more would overlap.
const POINTS: u64 = 60;

/// An arm whose runs are all done.
struct Done<'a> {
    arm: &'a PlannedArm,
    runs: Vec<Run>,
}

/// Collects and writes the results.
pub(super) fn write(plan: &Plan, notes: &StepRecords, out: &Path) -> anyhow::Result<Results> {
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
    let finished = plan.steps.iter().filter(|step| notes.is_done(step));
    let mut results = Results {
        format_version: FORMAT_VERSION,
        experiment: plan.title.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seeds: plan.seeds.clone(),
        baseline: baseline_name.clone(),
        after: plan.after.clone(),
        complete: arms.len() == plan.arms.len() && sweep.len() == plan.sweep.len(),
        arms_planned: plan.arms.len() as u64,
        steps: finished
            .map(|step| FinishedStep {
                name: step.name.clone(),
                folder: step.folder_name(),
                seconds: notes.seconds(step),
            })
            .collect(),
        arms: arms.iter().map(|done| arm(plan, done)).collect(),
        comparisons: comparisons.unwrap_or_default(),
        answers: answers(plan, &arms)?,
        sweep: sweep_results(plan, &sweep),
        downstream: measure.map(|measure| downstream_results(&measure, &arms)),
        read_as: String::new(),
    };
    results.read_as = table::honest(&results);
    write_atomic(&out.join(RESULTS), &results.text()?)?;
    Ok(results)
}

fn done<'a>(
    plan: &Plan,
    arms: &'a [PlannedArm],
    notes: &StepRecords,
) -> anyhow::Result<Vec<Done<'a>>> {
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

/// Fails if arms that should see the same batches did not: their comparison would be one of the data.
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
                return Err(HintedError::error(
                    format!(
                        "arm {}, seed {seed}: expected the batches of {}, got steps with other numbers of tokens",
                        other.arm.name, first.arm.name
                    ),
                    "this should not happen: please report it, with the folders of the runs",
                ));
            }
        }
    }
    Ok(())
}

fn arm(plan: &Plan, done: &Done<'_>) -> ArmResults {
    let runs = done.arm.runs.iter().zip(&done.runs).map(|(planned, run)| {
        let end = run.end();
        RunEnd {
            seed: planned.seed,
            folder: plan.steps[planned.train].folder_name(),
            steps: end.step,
            tokens_seen: end.seen,
            tokens_trained: end.trained,
            seconds: end.seconds,
        }
    });
    ArmResults {
        name: done.arm.name.clone(),
        objective: done.arm.objective.name().to_owned(),
        keep: done.arm.keep,
        described: done.arm.described.clone(),
        same_batches: done.arm.same_batches,
        runs: runs.collect(),
        evaluations: evaluation_curves(&done.runs),
        losses: step_curves(&done.runs),
    }
}

/// Mean evaluation curves, with the lowest and the highest value over the seeds.
fn evaluation_curves(runs: &[Run]) -> Vec<EvaluationCurve> {
    let measures = runs.first().map(Run::measures).unwrap_or_default();
    let curves = measures.into_iter().map(|measure| {
        let curves: Vec<_> = runs.iter().map(|run| run.curve(&measure)).collect();
        let points = (0..curves.iter().map(Vec::len).min().unwrap_or(0)).map(|i| {
            let values: Vec<f64> = curves.iter().map(|curve| curve[i].1).collect();
            let place = curves[0][i].0;
            point(place.step, place.seen, &values)
        });
        EvaluationCurve {
            points: points.collect(),
            measure,
        }
    });
    curves.collect()
}

/// Mean curves of the step losses, in at most [`POINTS`] points.
fn step_curves(runs: &[Run]) -> Vec<LossCurve> {
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
        (!points.is_empty()).then(|| LossCurve {
            loss: (*name).to_owned(),
            steps_per_point: every,
            points,
        })
    });
    curves.collect()
}

fn point(step: u64, seen: u64, values: &[f64]) -> CurvePoint {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = Mean::of(values).map(|mean| mean.mean.clamp(low, high));
    CurvePoint {
        step,
        tokens_seen: seen,
        mean,
        low,
        high,
    }
}

/// The part of `eval`'s report on questions that is read here.
#[derive(Deserialize)]
struct Answered {
    sets: Vec<AnsweredSet>,
}

#[derive(Deserialize)]
struct AnsweredSet {
    name: String,
    questions: u64,
    accuracy: Share,
    accuracy_normalised: Share,
}

#[derive(Clone, Copy, Deserialize)]
struct Share {
    value: f64,
}

/// Selects one of the accuracies of a set.
type ShareOf = fn(&AnsweredSet) -> Share;

/// Accuracies on questions, compared with the baseline's.
fn answers(plan: &Plan, arms: &[Done<'_>]) -> anyhow::Result<Vec<Answers>> {
    let read = |run: &PlannedRun| -> anyhow::Result<Option<Answered>> {
        let Some(ask) = run.ask else {
            return Ok(None);
        };
        let path = plan.steps[ask].folder.join(ANSWERS);
        let context = || format!("{}: cannot be read", path.display());
        let text = rho_files::read_named(&path).with_context(context)?;
        Ok(Some(serde_json::from_slice(&text).with_context(context)?))
    };
    let mut all: Vec<(&str, Vec<Answered>)> = Vec::new();
    for done in arms {
        let answers = done.arm.runs.iter().map(&read);
        let answers: Option<Vec<Answered>> = answers.collect::<anyhow::Result<_>>()?;
        all.extend(answers.map(|answers| (done.arm.name.as_str(), answers)));
    }
    let Some(first) = all.first().and_then(|(_, reports)| reports.first()) else {
        return Ok(Vec::new());
    };
    let measures: [(&str, ShareOf); 2] = [
        ("accuracy", |set| set.accuracy),
        ("accuracy_normalised", |set| set.accuracy_normalised),
    ];
    let mut compared = Vec::new();
    for (i, set) in first.sets.iter().enumerate() {
        for (name, measure) in measures {
            let values = |reports: &[Answered]| -> Vec<f64> {
                let sets = reports.iter().filter_map(|report| report.sets.get(i));
                sets.map(|set| measure(set).value).collect()
            };
            let baseline = all
                .iter()
                .find(|(name, _)| *name == plan.arms[plan.baseline].name)
                .map(|(_, reports)| values(reports));
            let arms = all.iter().map(|(name, reports)| {
                let values = values(reports);
                let is_baseline = *name == plan.arms[plan.baseline].name;
                let others = baseline.as_ref().filter(|_| !is_baseline);
                AnsweringArm {
                    arm: (*name).to_owned(),
                    mean: Mean::of(&values),
                    difference: others.and_then(|baseline| Difference::of(&values, baseline)),
                    values,
                }
            });
            compared.push(Answers {
                set: set.name.clone(),
                questions: set.questions,
                measure: name.to_owned(),
                arms: arms.collect(),
            });
        }
    }
    Ok(compared)
}

/// Figure 9: the losses at the end of each run, by keep ratio.
fn sweep_results(plan: &Plan, sweep: &[Done<'_>]) -> Option<Sweep> {
    let objective = plan.sweep_objective?;
    let measures = sweep
        .first()
        .and_then(|done| done.runs.first())
        .map(Run::measures)
        .unwrap_or_default();
    let sets = measures.into_iter().map(|measure| {
        let ratios = sweep.iter().filter_map(|done| {
            let ends = done.runs.iter();
            let ends = ends.map(|run| run.curve(&measure).last().map(|(_, loss)| *loss));
            let values: Vec<f64> = ends.collect::<Option<_>>()?;
            Some(SweptRatio {
                keep: done.arm.keep,
                mean: Mean::of(&values)?,
                values: values.into_iter().map(finite).collect(),
            })
        });
        SweptSet {
            ratios: ratios.collect(),
            measure,
        }
    });
    let first = sweep.first();
    let run = first.and_then(|done| done.runs.first());
    Some(Sweep {
        objective: objective.to_owned(),
        tokens_seen: run.map(|run| run.end().seen),
        seeds: first.map(|done| done.arm.runs.iter().map(|run| run.seed).collect()),
        sets: sets.collect(),
    })
}

/// The measure that stands for the task: after the marker if the set has one.
fn downstream_measure(plan: &Plan, arms: &[Done<'_>]) -> Option<Measure> {
    let measures = arms.first()?.runs.first()?.measures();
    let set = plan.downstream.as_ref()?;
    let mut of_set = measures.into_iter().filter(|measure| measure.set == *set);
    let all = of_set.next()?;
    Some(of_set.next().unwrap_or(all))
}

fn downstream_results(measure: &Measure, arms: &[Done<'_>]) -> Downstream {
    let runs = arms.iter().flat_map(|done| {
        let runs = done.arm.runs.iter().zip(&done.runs);
        runs.map(|(planned, run)| (done.arm.name.as_str(), planned.seed, run))
    });
    let points: Vec<DownstreamPoint> = runs
        .flat_map(|(arm, seed, run)| downstream::points(arm, seed, run, measure))
        .collect();
    let laws = arms.iter().map(|done| {
        let arm = &done.arm.name;
        let own = || points.iter().filter(|point| point.arm == *arm);
        ArmLaw {
            arm: arm.clone(),
            selected: downstream::fit(own().map(|p| (p.selected, p.score))),
            unselected: downstream::fit(own().map(|p| (p.unselected, p.score))),
        }
    });
    Downstream {
        measure: measure.clone(),
        law: "log(score) = a log(loss) + c".to_owned(),
        arms: laws.collect(),
        points,
    }
}
