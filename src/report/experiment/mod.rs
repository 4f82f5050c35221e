//! Takes the folder of an experiment, done or not, yields its report: arms beside the baseline, curves, the sweep over the
//! ratio, and what the loss of kept tokens says about the task.
//!
//! ```text
//! results.json ──► tables   means and differences, at equal tokens and time
//!              ──► curves   figures 6 and 9 of the paper, held-out losses
//!              ──► law      figure 7 and eq. 7
//! ```
//!
//! All numbers are those of results.json: nothing is computed here that is not there.

mod curves;
mod law;
mod tables;

use std::path::Path;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::charts::Table;
use super::page::{self, Page};
use crate::hint::Advised;
use crate::numbers::grouped;
use crate::screen::safe;

const RESULTS: &str = "results.json";

/// Whether `experiment` wrote to this folder.
pub(crate) fn is_experiment(path: &Path) -> bool {
    path.join(RESULTS).is_file() && path.join("steps").is_dir()
}

/// Makes the report.
///
/// # Errors
/// Where the results cannot be read, or no arm is done yet.
pub(crate) fn report(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join(RESULTS);
    let results = super::masks::json_file(&path)?.unwrap_or_default();
    let arms = list(&results["arms"]);
    if arms.is_empty() {
        return Err(Advised::error(
            format!(
                "{}: expected an arm whose runs are done, got none",
                path.display()
            ),
            "wait for the experiment, or start the same `rho-mask experiment` again",
        ));
    }
    let results = &results;
    let title = format!("Experiment: {}", safe(told(&results["experiment"])));
    let seeds = list(&results["seeds"]).len();
    let subtitle = format!(
        "{} arms, {seeds} {}. A report by rho-mask {}.",
        arms.len(),
        if seeds == 1 { "seed" } else { "seeds" },
        env!("CARGO_PKG_VERSION")
    );
    let mut page = Page::new(title, subtitle);
    if results["complete"] == false {
        page.notice("The experiment is not done: the numbers are those of the arms that are.");
    }
    page.section("overview", "Overview", overview(results));
    tables::sections(results, &mut page)?;
    curves::sections(results, &mut page)?;
    law::section(results, &mut page)?;
    page.section("made", "How it was made", made(results));
    Ok(page.html())
}

/// The arms, what was paid for them, and what they come to.
fn overview(results: &Value) -> Markup {
    let comparisons = list(&results["comparisons"]);
    let seen: Vec<&Value> = comparisons
        .iter()
        .filter(|comparison| comparison["axis"] == "tokens_seen")
        .collect();
    let mut header = ["arm", "is", "tokens seen", "trained on", "seconds"]
        .map(str::to_owned)
        .to_vec();
    header.extend(
        seen.iter()
            .map(|comparison| format!("{}, nats", measure(comparison))),
    );
    let rows = list(&results["arms"]).iter().map(|arm| {
        let name = told(&arm["name"]);
        let mean = |field: &str| {
            let runs = list(&arm["runs"])
                .iter()
                .filter_map(|run| run[field].as_f64());
            let values: Vec<f64> = runs.collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let whole = |field: &str| grouped(mean(field).round() as u64);
        let cells = [
            name.to_owned(),
            told(&arm["described"]).to_owned(),
            whole("tokens_seen"),
            whole("tokens_trained"),
            format!("{:.1}", mean("seconds")),
        ];
        let losses = seen.iter().map(|comparison| {
            let mut arms = list(&comparison["arms"]).iter();
            arms.find(|arm| arm["arm"] == name)
                .map_or("–".to_owned(), tables::with_half)
        });
        cells.into_iter().chain(losses).collect()
    });
    let start = seen
        .iter()
        .map(|comparison| tables::with_half(&json!({"mean": comparison["base"]})));
    let empty = std::iter::repeat_n(String::new(), 3);
    let base = ["(base)", "what every arm starts from"].map(str::to_owned);
    let base: Vec<String> = base.into_iter().chain(empty).chain(start).collect();
    let table = Table {
        rows: std::iter::once(base).chain(rows).collect(),
        header,
    };
    html! {
        (page::table(&table))
        p { "Means over the seeds, ± half of a 95 % interval where there are several; of losses at the end of the shortest run." }
        @for line in told(&results["read_as"]).lines() { p.muted { (line) } }
    }
}

fn made(results: &Value) -> Markup {
    let mut table = Table::new(["step", "folder in steps/", "seconds"]);
    for step in list(&results["steps"]) {
        let seconds = step["seconds"].as_f64();
        table.row([
            told(&step["name"]).to_owned(),
            told(&step["folder"]).to_owned(),
            seconds.map_or("–".to_owned(), |seconds| format!("{seconds:.1}")),
        ]);
    }
    html! {
        p { "Steps that are done, in their order. A folder is called after a fingerprint of everything that its step was made of." }
        (page::table(&table))
    }
}

/// What was measured, in words.
fn measure(value: &Value) -> String {
    let after = if value["after"] == true {
        ", after the marker"
    } else {
        ""
    };
    format!("{}{after}", safe(told(&value["set"])))
}

/// `3 seeds, 1,200,000 tokens`: what every caption says.
fn of_what(results: &Value, tokens: Option<f64>) -> String {
    let seeds = list(&results["seeds"]).len();
    let seeds = match seeds {
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

/// The tokens that each run saw, by the first arm.
fn tokens_seen(results: &Value) -> Option<f64> {
    let comparisons = list(&results["comparisons"]).iter();
    let mut seen = comparisons.filter(|comparison| comparison["axis"] == "tokens_seen");
    seen.next()?["at"].as_f64()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn told(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
