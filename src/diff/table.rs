//! A comparison as human-readable tables.

use super::report::{Name, Report, Told};
use crate::{
    cli::JoinKey,
    numbers::{grouped, nats},
    table::Table,
    terminal_text::safe,
};

/// All tables, at most `width` columns wide, with the `most` sources that have the most tokens, and the others as one.
pub(crate) fn tables(report: &Report, most: usize, width: usize) -> String {
    let mut text = head(report);
    let rows = Rows::of(report, most);
    let mut part = |title: &str, table: &Table| {
        text += &format!("\n{title}\n{}", table.lines(width));
    };
    let documents = "source,both,only a,only b,other tokens,other id,other source";
    let mut table = Table::new(documents.split(','));
    for (name, told) in rows.each() {
        let counts = [
            told.documents,
            told.only_a,
            told.only_b,
            told.other_tokens,
            told.other_id,
            told.other_source,
        ];
        let counts = counts.into_iter().map(grouped);
        table.row(std::iter::once(name.to_owned()).chain(counts));
    }
    part("documents, by source", &table);
    for (i, mask) in report.total.masks.iter().enumerate() {
        let head = "source,tokens,equal,kept by both,only a,only b,neither,Jaccard";
        let mut table = Table::new(head.split(','));
        for (name, told) in rows.each() {
            let mask = &told.masks[i];
            table.row([
                name.to_owned(),
                grouped(told.tokens),
                share(mask.equal, told.tokens),
                grouped(mask.both),
                grouped(mask.only_a),
                grouped(mask.only_b),
                grouped(mask.neither),
                mask.jaccard.map_or("-".to_owned(), |j| format!("{j:.4}")),
            ]);
        }
        part(&format!("{}, by source", mask.column), &table);
    }
    for (i, score) in report.total.scores.iter().enumerate() {
        let head =
            "source,scored by both,only a,only b,equal,infinite,max difference,mean,correlation";
        let mut table = Table::new(head.split(','));
        for (name, told) in rows.each() {
            let score = &told.scores[i];
            let number = |n: Option<f64>| n.map_or("-".to_owned(), nats);
            table.row([
                name.to_owned(),
                grouped(score.both),
                grouped(score.only_a),
                grouped(score.only_b),
                share(score.equal, score.both),
                grouped(score.infinite),
                number(score.max_difference),
                number(score.mean_difference),
                score
                    .correlation
                    .map_or("-".to_owned(), |c| format!("{c:.6}")),
            ]);
        }
        part(&format!("{}, by source", score.column), &table);
    }
    for (side, names) in [("a", &report.only_a), ("b", &report.only_b)] {
        if !names.is_empty() {
            text += &format!(
                "\nonly in {side}, the first by shard and row: {}\n",
                list(names)
            );
        }
    }
    text
}

fn head(report: &Report) -> String {
    let what = match report.equal {
        true => "equal",
        false => "different",
    };
    let by = match report.join {
        JoinKey::Row => "shard and row",
        JoinKey::Tokens => "token ids",
    };
    let (a, b) = (safe(&report.a), safe(&report.b));
    let mut text = format!("{what}: a is {a}, b is {b}; documents joined by {by}\n");
    for (side, columns) in [("a", &report.columns_only_a), ("b", &report.columns_only_b)] {
        if !columns.is_empty() {
            text += &format!("columns only in {side}: {}\n", safe(&columns.join(", ")));
        }
    }
    if !report.settings.is_empty() {
        let settings = report.settings.join(", ");
        text += &format!("settings that differ: {}\n", safe(&settings));
    }
    text
}

fn list(names: &[Name]) -> String {
    let names = names.iter();
    let names: Vec<String> = names
        .map(|name| format!("{} row {}", safe(&name.shard), name.row))
        .collect();
    names.join(", ")
}

fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        // Rounded down: only all is 100 %.
        _ => {
            let hundredths = u128::from(part) * 10_000 / u128::from(whole);
            format!("{}.{:02} %", hundredths / 100, hundredths % 100)
        }
    }
}

/// The sources in the tables.
struct Rows<'a> {
    rows: Vec<(&'a str, &'a Told)>,
    others: Option<(String, Told)>,
    total: &'a Told,
}

impl<'a> Rows<'a> {
    fn of(report: &'a Report, most: usize) -> Self {
        let mut largest: Vec<usize> = (0..report.sources.len()).collect();
        largest.sort_by_key(|&i| {
            let told = &report.sources[i].told;
            std::cmp::Reverse(told.tokens + told.tokens_only_a + told.tokens_only_b)
        });
        let others = largest.split_off(most.min(largest.len()));
        largest.sort_unstable();
        let count = others.len();
        let others = others.into_iter().map(|i| &report.by_source[i].1);
        let rows = largest.into_iter().map(|i| {
            let source = &report.sources[i];
            (source.source.as_deref().unwrap_or("(none)"), &source.told)
        });
        Self {
            rows: rows.collect(),
            others: report
                .sum(others)
                .map(|told| (format!("({count} others)"), told)),
            total: &report.total,
        }
    }

    /// Each row's name and numbers, with the total last.
    fn each(&self) -> impl Iterator<Item = (&str, &Told)> {
        let others = self.others.iter().map(|(name, told)| (name.as_str(), told));
        self.rows
            .iter()
            .copied()
            .chain(others)
            .chain([("all", self.total)])
    }
}
