//! The human-readable results: a table for each way to equate the arms and each measure.

use crate::{
    numbers::grouped,
    results::{Axis, Difference, Mean, Measure, Results, Sweep},
    table::Table,
    terminal_text::safe,
};

/// The width of tables that do not go to a terminal.
const WIDTH: usize = 120;
/// Decimal places.
const DIGITS: usize = 4;

/// All tables.
pub(super) fn tables(results: &Results, width: Option<usize>) -> String {
    let width = width.unwrap_or(WIDTH);
    let of = of(results.seeds.len());
    let baseline = &results.baseline;
    let mut text = String::new();
    for comparison in &results.comparisons {
        let at = match comparison.axis {
            Axis::Seconds => format!("{:.1}", comparison.at),
            _ => grouped(comparison.at.round() as u64),
        };
        text += &format!(
            "{}: loss in nats at {at} {}, {of}\n",
            name(&comparison.measure),
            comparison.axis.words()
        );
        let mut table = head(baseline);
        if let Some(base) = comparison.base {
            let mut cells = vec!["(base)".to_owned(), number(base)];
            cells.resize(6, String::new());
            table.row(cells);
        }
        for arm in &comparison.arms {
            table.row(row(&arm.arm, Some(arm.mean), arm.difference.as_ref()));
        }
        text += &table.lines(width);
        text.push('\n');
    }
    for answers in &results.answers {
        text += &format!(
            "{}: {}, {} questions, {of}\n",
            safe(&answers.set),
            answers.measure.replace('_', ", "),
            answers.questions,
        );
        let mut table = head(baseline);
        for arm in &answers.arms {
            table.row(row(&arm.arm, arm.mean, arm.difference.as_ref()));
        }
        text += &table.lines(width);
        text.push('\n');
    }
    if let Some(sweep) = &results.sweep {
        text += &self::sweep(sweep, width);
    }
    text + &results.read_as
}

/// The name of a measure.
fn name(measure: &Measure) -> String {
    let after = if measure.after {
        ", after the marker"
    } else {
        ""
    };
    format!("{}{after}", safe(&measure.set))
}

/// Held-out losses by keep ratio.
fn sweep(sweep: &Sweep, width: usize) -> String {
    let Some(first) = sweep.sets.first() else {
        return String::new();
    };
    let mut head = vec!["keep".to_owned()];
    head.extend(sweep.sets.iter().map(|set| name(&set.measure)));
    let mut table = Table::new(head);
    for (i, ratio) in first.ratios.iter().enumerate() {
        let losses = sweep.sets.iter().map(|set| match set.ratios.get(i) {
            None => "–".to_owned(),
            Some(ratio) => {
                let half = ratio.mean.half_width;
                let half = half.map_or_else(String::new, |half| format!(" ± {half:.DIGITS$}"));
                format!("{}{half}", number(ratio.mean.mean))
            }
        });
        let keep = ratio
            .keep
            .map_or("–".to_owned(), |keep| format!("{keep:?}"));
        table.row(std::iter::once(keep).chain(losses));
    }
    let of = of(sweep.seeds.as_ref().map_or(0, Vec::len));
    let objective = &sweep.objective;
    let runs = format!("{objective} by keep ratio: loss in nats at the end of runs, {of}\n");
    runs + &table.lines(width) + "\n"
}

/// An empty table of arms compared with the baseline.
fn head(baseline: &str) -> Table {
    let difference = format!("minus {baseline}");
    Table::new(["arm", "mean", "95 %", &difference, "95 %", "verdict"]).with_text(5)
}

fn row(arm: &str, mean: Option<Mean>, difference: Option<&Difference>) -> [String; 6] {
    let half = |mean: Mean| match mean.half_width {
        Some(half) => format!("± {half:.DIGITS$}"),
        None => "–".to_owned(),
    };
    let (minus, its_half, verdict) = match difference {
        None => (String::new(), String::new(), String::new()),
        Some(Difference { mean, verdict }) => (
            match mean.mean.is_finite() {
                true => format!("{:+.DIGITS$}", mean.mean),
                false => String::new(),
            },
            half(*mean),
            verdict.words().to_owned(),
        ),
    };
    [
        arm.to_owned(),
        mean.map_or("–".to_owned(), |mean| number(mean.mean)),
        mean.map_or("–".to_owned(), half),
        minus,
        its_half,
        verdict,
    ]
}

fn number(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:.DIGITS$}"),
        false => "–".to_owned(),
    }
}

/// What a reader of the tables must know.
pub(super) fn honest(results: &Results) -> String {
    let arms = results.arms.len();
    let comparisons = results.comparisons.len() * arms.saturating_sub(1);
    let mut text = match results.seeds.len() {
        1 => "One seed: no intervals, and no difference can be distinguished from chance.\n"
            .to_owned(),
        seeds => format!(
            "{} compared with {}, in {comparisons} differences; each interval is by Student's t over {seeds} seeds and has 95 % \
             coverage on its own, so one in twenty true zero differences is expected to look real.\n",
            match arms.saturating_sub(1) {
                1 => "1 arm was".to_owned(),
                others => format!("{others} arms were"),
            },
            results.baseline
        ),
    };
    text += "Seeds differ only in the order of the data (and in the choices of random): base, reference and scores are the same for all \
             of them.\n";
    text += "Each learning rate decays to its own run's end: a value from the middle of a run, as clm's at equal tokens trained on, \
             is not what a run of that length would have reached.\n";
    let others = results.arms.iter().filter(|arm| !arm.same_batches);
    let others: Vec<&str> = others.map(|arm| arm.name.as_str()).collect();
    if !others.is_empty() {
        text += &format!(
            "Trained on other batches than the rest: {}.\n",
            safe(&others.join(", "))
        );
    }
    if !results.complete {
        text += "Not all runs are done yet.\n";
    }
    text
}

/// The number of runs behind a value, in words.
fn of(seeds: usize) -> String {
    match seeds {
        1 => "one seed".to_owned(),
        seeds => format!("mean of {seeds} seeds"),
    }
}
