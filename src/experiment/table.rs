//! The results for people: a table for each way to make arms equal and each measure.

use serde_json::Value;

use super::results::axis_words;
use crate::{look::table::Table, numbers::grouped};

/// Columns of tables that go to no terminal.
const WIDTH: usize = 120;
/// Digits after the point.
const DIGITS: usize = 4;

/// All tables, from results.json.
pub(super) fn tables(results: &Value, width: Option<usize>) -> String {
    let width = width.unwrap_or(WIDTH);
    let seeds = results["seeds"].as_array().map_or(0, Vec::len);
    let baseline = results["baseline"].as_str().unwrap_or_default();
    let mut text = String::new();
    for comparison in list(&results["comparisons"]) {
        let unit = axis_words(&comparison["axis"]);
        let at = comparison["at"].as_f64().unwrap_or_default();
        let at = match comparison["axis"] == "seconds" {
            true => format!("{at:.1}"),
            false => grouped(at.round() as u64),
        };
        let after = if comparison["after"] == true {
            ", after the marker"
        } else {
            ""
        };
        let set = comparison["set"].as_str().unwrap_or_default();
        let of = of(seeds);
        text += &format!("{set}{after}: loss in nats at {at} {unit}, {of}\n");
        text += &rows(&comparison["base"], &comparison["arms"], baseline).lines(width);
        text.push('\n');
    }
    for answers in list(&results["answers"]) {
        let (set, measure) = (&answers["set"], &answers["measure"]);
        text += &format!(
            "{}: {}, {} questions, {}\n",
            set.as_str().unwrap_or_default(),
            measure.as_str().unwrap_or_default().replace('_', ", "),
            answers["questions"],
            of(seeds)
        );
        text += &rows(&Value::Null, &answers["arms"], baseline).lines(width);
        text.push('\n');
    }
    text += &sweep(&results["sweep"], width);
    text + results["read_as"].as_str().unwrap_or_default()
}

/// Held-out losses by the ratio.
fn sweep(sweep: &Value, width: usize) -> String {
    let sets = list(&sweep["sets"]);
    let Some(first) = sets.first() else {
        return String::new();
    };
    let mut head = vec!["keep".to_owned()];
    head.extend(sets.iter().map(|set| {
        let after = if set["after"] == true {
            ", after the marker"
        } else {
            ""
        };
        format!("{}{after}", set["set"].as_str().unwrap_or_default())
    }));
    let mut table = Table::new(head);
    for (i, ratio) in list(&first["ratios"]).iter().enumerate() {
        let losses = sets.iter().map(|set| {
            let ratio = &set["ratios"][i];
            let half = ratio["half_width"]
                .as_f64()
                .map_or(String::new(), |half| format!(" ± {half:.4}"));
            ratio["mean"]
                .as_f64()
                .map_or("–".to_owned(), |mean| format!("{mean:.4}{half}"))
        });
        table.row(std::iter::once(ratio["keep"].to_string()).chain(losses));
    }
    let objective = sweep["objective"].as_str().unwrap_or_default();
    let seeds = list(&sweep["seeds"]).len();
    let of = of(seeds);
    let runs = format!("{objective} by keep ratio: loss in nats at the end of runs, {of}\n");
    runs + &table.lines(width) + "\n"
}

/// The arms, after the base that they start from where that was measured.
fn rows(base: &Value, arms: &Value, baseline: &str) -> Table {
    let difference = format!("minus {baseline}");
    let mut table = Table::new(["arm", "mean", "95 %", &difference, "95 %", "says"]).with_text(5);
    let number = |value: &Value| {
        value
            .as_f64()
            .map_or("–".to_owned(), |v| format!("{v:.DIGITS$}"))
    };
    let half = |mean: &Value| match mean["half_width"].as_f64() {
        Some(half) => format!("± {half:.DIGITS$}"),
        None => "–".to_owned(),
    };
    if base.is_number() {
        let empty = String::new;
        table.row([
            "(base)".to_owned(),
            number(base),
            empty(),
            empty(),
            empty(),
            empty(),
        ]);
    }
    for arm in list(arms) {
        // Of answers the mean stands in an object of its own.
        let mean = if arm["mean"].is_object() {
            &arm["mean"]
        } else {
            arm
        };
        let difference = &arm["difference"];
        let (minus, its_half, verdict) = match difference.is_object() {
            false => (String::new(), String::new(), String::new()),
            true => (
                difference["mean"]
                    .as_f64()
                    .map_or_else(String::new, |d| format!("{d:+.DIGITS$}")),
                half(difference),
                difference["verdict"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            ),
        };
        let name = arm["arm"].as_str().unwrap_or_default().to_owned();
        table.row([
            name,
            number(&mean["mean"]),
            half(mean),
            minus,
            its_half,
            verdict,
        ]);
    }
    table
}

/// What must be known to read the tables.
pub(super) fn honest(results: &Value) -> String {
    let arms = list(&results["arms"]).len();
    let seeds = results["seeds"].as_array().map_or(0, Vec::len);
    let comparisons = list(&results["comparisons"]).len() * arms.saturating_sub(1);
    let mut text = match seeds {
        1 => "One seed: no intervals, and no difference can be told from chance.\n".to_owned(),
        seeds => format!(
            "{} compared with {}, in {comparisons} differences; each interval is by Student's t over {seeds} seeds and holds \
             95 % by itself, so of twenty differences that are none one is expected to look like one.\n",
            match arms.saturating_sub(1) {
                1 => "1 arm was".to_owned(),
                others => format!("{others} arms were"),
            },
            results["baseline"].as_str().unwrap_or_default()
        ),
    };
    text += "Seeds differ in the order of the data alone (and in the choice of random): base, reference and scores are the same for all \
             of them.\n";
    text += "Learning rates end at each run's own end: a value from the middle of a run, as clm's at equal tokens trained on, \
             is not what a run of that length would have reached.\n";
    let others: Vec<&str> = list(&results["arms"])
        .iter()
        .filter(|arm| arm["same_batches"] == false)
        .filter_map(|arm| arm["name"].as_str())
        .collect();
    if !others.is_empty() {
        text += &format!(
            "Other batches than the rest were seen by {}.\n",
            others.join(", ")
        );
    }
    if results["complete"] == false {
        text += "Not all runs are done yet.\n";
    }
    text
}

/// Of how many runs a number is.
fn of(seeds: usize) -> String {
    match seeds {
        1 => "one seed".to_owned(),
        seeds => format!("mean of {seeds} seeds"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
