//! The report on training runs, finished or not: the settings, results and curves of each. Several runs are shown side
//! by side.
//!
//! ```text
//! recorded   the records in a run's folder: plan, summary, metrics, timings
//! binned     reduces the values of many steps to few points
//! curves     the quantities to draw, for one run and for several
//! ```
//!
//! This does not need the crate that trains, and is compiled without the feature `train` too.

mod bins;
mod curves;
mod records;

use std::path::PathBuf;

use maud::{Markup, html};
use serde_json::{Value, json};

use self::records::Recorded;
use super::{
    charts::{Table, percent},
    masks::{metadata::flatten, nats},
    page::{self, Page},
};
use crate::{
    hinted_error::HintedError,
    numbers::{fixed, grouped},
    terminal_text::safe,
};

pub(crate) use records::is_run;

/// The most runs whose lines can be told apart without colours.
const MOST_RUNS: usize = 4;

/// Creates the report.
///
/// # Errors
/// If a run cannot be read or has no step yet, and if there are more than [`MOST_RUNS`] runs.
pub(crate) fn report(folders: &[PathBuf]) -> anyhow::Result<String> {
    if folders.len() > MOST_RUNS {
        return Err(HintedError::error(
            format!(
                "expected at most {MOST_RUNS} training runs in one report, got {}",
                folders.len()
            ),
            "omit some: more lines cannot be told apart",
        ));
    }
    let runs = folders.iter().map(|folder| Recorded::read(folder));
    let mut runs = runs.collect::<anyhow::Result<Vec<_>>>()?;
    // Runs are named by the last parts of their paths if these differ, else by the whole paths.
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (i, folder) in folders.iter().enumerate() {
        if names.iter().filter(|name| **name == names[i]).count() > 1 {
            runs[i].name = safe(&folder.to_string_lossy()).into_owned();
        }
    }
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let title = format!("Training: {}", names.join(", "));
    let steps: Vec<String> = runs.iter().map(|run| grouped(run.done())).collect();
    let subtitle = format!(
        "{} steps. A report by rho-mask {}.",
        steps.join(", "),
        env!("CARGO_PKG_VERSION")
    );
    let mut page = Page::new(title, subtitle);
    for run in runs.iter().filter(|run| run.summary.is_none()) {
        page.notice(unfinished(run));
    }
    page.section("overview", "Overview", overview(&runs));
    curves::sections(&runs, &mut page)?;
    page.section("made", "How it was made", made(&runs));
    Ok(page.html())
}

fn unfinished(run: &Recorded) -> String {
    let planned = run
        .planned()
        .map_or_else(String::new, |planned| format!(" of {}", grouped(planned)));
    format!(
        "{} is not finished: {}{planned} steps are done. The numbers cover only what has been written.",
        run.name,
        grouped(run.done())
    )
}

/// The key figures, each with name, value and a remark.
fn numbers(run: &Recorded) -> Vec<(String, String, String)> {
    let last = run.last();
    let count = |name: &str| last[name].as_u64();
    let (seen, trained) = (count("tokens_seen"), count("tokens_trained"));
    let told = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), grouped);
    let share = match (seen, trained) {
        (Some(seen), Some(trained)) if seen > 0 => {
            format!("{} of them", percent(trained as f64 / seen as f64))
        }
        _ => String::new(),
    };
    let planned = match run.planned() {
        Some(planned) => format!("of {}", grouped(planned)),
        None => String::new(),
    };
    let loss = |name: &str| nats(last[name].as_f64());
    let mut numbers = vec![
        ("objective".to_owned(), run.objective(), String::new()),
        ("steps".to_owned(), grouped(run.done()), planned),
        ("tokens seen".to_owned(), told(seen), String::new()),
        ("tokens trained on".to_owned(), told(trained), share),
        (
            "last loss, nats".to_owned(),
            loss("loss"),
            format!(
                "kept {}, dropped {}",
                loss("loss_kept"),
                loss("loss_dropped")
            ),
        ),
    ];
    for set in run.evaluated() {
        let mut lines = run.evaluations.iter().rev();
        let Some(line) = lines.find(|line| line["evaluation"] == *set) else {
            continue;
        };
        let after = line["after"]["loss"].as_f64();
        let after = after.map_or_else(String::new, |loss| {
            format!("{} after the marker", fixed(loss, 3))
        });
        let name = format!("{set}, nats");
        numbers.push((name, nats(line["loss"].as_f64()), after));
    }
    if let Some(seconds) = run.total_seconds.filter(|seconds| *seconds > 0.0) {
        let speed = seen.unwrap_or_default() as f64 / seconds;
        let speed = format!("{} tokens/s", grouped(speed as u64));
        numbers.push(("seconds of steps".to_owned(), fixed(seconds, 1), speed));
    }
    numbers
}

fn overview(runs: &[Recorded]) -> Markup {
    if let [run] = runs {
        return html! {
            dl.tiles {
                @for (name, value, beside) in numbers(run) {
                    div {
                        dt { (safe(&name)) }
                        dd { (safe(&value)) @if !beside.is_empty() { small { (safe(&beside)) } } }
                    }
                }
            }
        };
    }
    let runs: Vec<_> = runs.iter().map(|run| (&run.name, numbers(run))).collect();
    let mut names: Vec<&str> = Vec::new();
    for (name, ..) in runs.iter().flat_map(|(_, numbers)| numbers) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let first = std::iter::once("run".to_owned());
    let table = Table {
        header: first
            .chain(names.iter().map(|name| safe(name).into_owned()))
            .collect(),
        rows: runs
            .iter()
            .map(|(run, numbers)| {
                let cells = names.iter().map(|name| {
                    let found = numbers.iter().find(|(known, ..)| known == name);
                    found.map_or_else(String::new, |(_, value, beside)| match beside.as_str() {
                        "" => value.clone(),
                        beside => format!("{value} ({beside})"),
                    })
                });
                std::iter::once((*run).clone()).chain(cells).collect()
            })
            .collect(),
    };
    page::table(&table)
}

/// The fields of a plan, most important first.
const ORDER: [&str; 12] = [
    "objective",
    "model",
    "mask files",
    "corpus",
    "keep",
    "steps",
    "epochs",
    "seed",
    "schedule",
    "learning rate",
    "warm up",
    "device",
];

fn made(runs: &[Recorded]) -> Markup {
    html! {
        div.figures {
            @for run in runs {
                div {
                    h3 { (run.name) }
                    div.table-frame tabindex="0" role="group" aria-label={ "Facts: " (run.name) } {
                        table.facts {
                            tbody {
                                @for (name, value) in facts(run) {
                                    tr { th scope="row" { (safe(&name)) } td { code { (safe(&value)) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn facts(run: &Recorded) -> Vec<(String, String)> {
    let mut plan = run.plan.clone();
    for name in ["mask_files", "corpus", "evaluations"] {
        if let Some(files) = plan.get_mut(name) {
            *files = files_in_words(files);
        }
    }
    if let (Some(plan), Some(summary)) = (plan.as_object_mut(), &run.summary) {
        for name in ["parameters", "documents", "padding"] {
            plan.insert(name.to_owned(), summary[name].clone());
        }
    }
    let mut facts = Vec::new();
    flatten("", &plan, &mut facts);
    if facts.is_empty() {
        facts.push(("plan".to_owned(), "no longer in the folder".to_owned()));
    }
    facts.sort_by_key(|(name, _)| {
        let place = ORDER.iter().position(|known| name.starts_with(known));
        place.unwrap_or(ORDER.len())
    });
    facts
}

/// The number and total size of files, and the names of a few.
fn files_in_words(files: &Value) -> Value {
    let Some(files) = files.as_array().filter(|files| !files.is_empty()) else {
        return Value::Null;
    };
    let bytes: u64 = files.iter().filter_map(|file| file["bytes"].as_u64()).sum();
    let names = files.iter().filter_map(|file| file["name"].as_str());
    let names: Vec<&str> = names.take(3).collect();
    let more = if files.len() > 3 { ", ..." } else { "" };
    json!(format!(
        "{} of {} bytes: {}{more}",
        if files.len() == 1 {
            "1 file".to_owned()
        } else {
            format!("{} files", files.len())
        },
        grouped(bytes),
        names.join(", ")
    ))
}
