//! The report on an experiment, finished or not: arms compared with the baseline, curves, the sweep over the keep
//! ratio, and how the loss of kept tokens predicts the task.
//!
//! ```text
//! results.json ──► tables   means and differences, at equal tokens and time
//!              ──► curves   figures 6 and 9 of the paper, held-out losses
//!              ──► law      figure 7 and eq. 7
//! ```
//!
//! All numbers are those of results.json; nothing else is computed here.

mod curves;
mod law;
mod tables;

use std::path::Path;

use maud::{Markup, html};

use super::{
    charts::Table,
    page::{self, Page},
};
use crate::{
    hinted_error::HintedError,
    numbers::{fixed, grouped},
    results::{Axis, Mean, Measure, RESULTS, Results},
    terminal_text::safe,
};

/// Whether `experiment` wrote to this folder.
pub(crate) fn is_experiment(path: &Path) -> bool {
    path.join(RESULTS).is_file() && path.join("steps").is_dir()
}

/// Creates the report.
///
/// # Errors
/// If the results cannot be read, or no arm is finished.
pub(crate) fn report(folder: &Path) -> anyhow::Result<String> {
    let results = &Results::read(folder)?;
    let arms = &results.arms;
    if arms.is_empty() {
        return Err(HintedError::error(
            format!(
                "{}: expected an arm whose runs are finished, got none",
                folder.join(RESULTS).display()
            ),
            "wait for the experiment, or run the same `rho-mask experiment` again",
        ));
    }
    let title = format!("Experiment: {}", safe(&results.experiment));
    let seeds = results.seeds.len();
    let subtitle = format!(
        "{} arms, {seeds} {}. A report by rho-mask {}.",
        arms.len(),
        if seeds == 1 { "seed" } else { "seeds" },
        env!("CARGO_PKG_VERSION")
    );
    let mut page = Page::new(title, subtitle);
    if !results.complete {
        page.notice("The experiment is not finished: the numbers are those of the finished arms.");
    }
    page.section("overview", "Overview", overview(results));
    tables::sections(results, &mut page)?;
    curves::sections(results, &mut page)?;
    law::section(results, &mut page)?;
    page.section("made", "How it was made", made(results));
    Ok(page.html())
}

/// The arms, their cost and their losses.
fn overview(results: &Results) -> Markup {
    let seen = results.comparisons.iter();
    let seen: Vec<_> = seen.filter(|c| c.axis == Axis::TokensSeen).collect();
    let mut header = ["arm", "is", "tokens seen", "trained on", "seconds"]
        .map(str::to_owned)
        .to_vec();
    header.extend(
        seen.iter()
            .map(|comparison| format!("{}, nats", named(&comparison.measure))),
    );
    let rows = results.arms.iter().map(|arm| {
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let whole = |values: Vec<f64>| grouped(mean(values).round() as u64);
        let runs = &arm.runs;
        let cells = [
            arm.name.clone(),
            arm.described.clone(),
            whole(runs.iter().map(|run| run.tokens_seen as f64).collect()),
            whole(runs.iter().map(|run| run.tokens_trained as f64).collect()),
            fixed(mean(runs.iter().map(|run| run.seconds).collect()), 1),
        ];
        let losses = seen.iter().map(|comparison| {
            let mut arms = comparison.arms.iter();
            arms.find(|other| other.arm == arm.name)
                .map_or("–".to_owned(), |other| tables::with_half(other.mean))
        });
        cells.into_iter().chain(losses).collect()
    });
    let start = seen.iter().map(|comparison| {
        tables::with_half(Mean {
            mean: comparison.base.unwrap_or(f64::NAN),
            half_width: None,
        })
    });
    let empty = std::iter::repeat_n(String::new(), 3);
    let base = ["(base)", "what every arm starts from"].map(str::to_owned);
    let base: Vec<String> = base.into_iter().chain(empty).chain(start).collect();
    let table = Table {
        rows: std::iter::once(base).chain(rows).collect(),
        header,
    };
    html! {
        (page::table(&table))
        p { "Means over the seeds, ± half of a 95 % interval if there are several seeds; losses are those at the end of the shortest run." }
        @for line in results.read_as.lines() { p.muted { (line) } }
    }
}

fn made(results: &Results) -> Markup {
    let mut table = Table::new(["step", "folder in steps/", "seconds"]);
    for step in &results.steps {
        let seconds = step.seconds;
        table.row([
            step.name.clone(),
            step.folder.clone(),
            seconds.map_or("–".to_owned(), |seconds| fixed(seconds, 1)),
        ]);
    }
    html! {
        p { "Finished steps, in order. The name of a folder ends with a fingerprint of everything its step was made from." }
        (page::table(&table))
    }
}

/// The name of a measure.
fn named(measure: &Measure) -> String {
    let after = if measure.after {
        ", after the marker"
    } else {
        ""
    };
    format!("{}{after}", safe(&measure.set))
}

/// Seeds and tokens for captions, such as `3 seeds, 1,200,000 tokens seen by each run`.
fn of_what(results: &Results, tokens: Option<f64>) -> String {
    let seeds = match results.seeds.len() {
        1 => "one seed".to_owned(),
        seeds => format!("{seeds} seeds"),
    };
    match tokens {
        Some(tokens) => format!(
            "{seeds}, {} tokens seen by each run",
            grouped(tokens.round() as u64)
        ),
        None => seeds,
    }
}

/// The tokens that each run saw.
fn tokens_seen(results: &Results) -> Option<f64> {
    let mut comparisons = results.comparisons.iter();
    comparisons
        .find(|comparison| comparison.axis == Axis::TokensSeen)
        .map(|comparison| comparison.at)
}
