//! The human-readable tables of a report: sources, scores, what masks keep, positions in documents, tokens.

use super::{
    SourceOf, Statistics,
    report::{Report, Told, ToldScore, ToldType},
};
use crate::{
    numbers::grouped,
    table::Table,
    terminal_text::{safe, shorten},
};

/// The width of a token's text in the tables.
const TOKEN: usize = 30;

/// All tables, at most `width` columns wide. Lists the sources with the most tokens, and the others as one. `mask` is
/// the one whose most and least kept tokens are listed.
pub(crate) fn tables(
    report: &Report,
    statistics: &Statistics,
    mask: Option<&str>,
    most_sources: usize,
    width: usize,
) -> String {
    let sources = Sources::of(report, statistics, most_sources);
    let mut text = head(report);
    let mut part = |title: &str, table: &Table| {
        text += &format!("\n{title}\n{}", table.lines(width));
    };
    part("scored and kept, by source", &kept(&sources));
    for score in 0..report.total.scores.len() {
        let column = &report.total.scores[score].column;
        let unit = match statistics.columns.joined.contains(column) {
            true => "",
            false => ", in nats",
        };
        part(
            &format!("{column}{unit}, by source"),
            &scores(&sources, score),
        );
    }
    if !report.total.masks.is_empty() {
        part(
            "means of kept and of dropped tokens, in nats",
            &means(report),
        );
    }
    if !report.total.weights.is_empty() {
        part("weights of scored tokens", &weights(report));
    }
    part("by position in the document", &positions(report));
    if let Some(types) = report
        .tokens
        .masks
        .iter()
        .find(|types| Some(types.column.as_str()) == mask)
    {
        let tokens = &report.tokens;
        let of = format!(
            "of {} different tokens that were scored at least {} times ({} at all)",
            grouped(tokens.frequent as u64),
            grouped(tokens.min_count),
            grouped(tokens.different as u64)
        );
        let first = report.total.scores.first().map_or("", |s| &s.column);
        part(
            &format!("most kept by {}, {of}", types.column),
            &kept_types(&types.most, first),
        );
        part(
            &format!("least kept by {}", types.column),
            &kept_types(&types.least, first),
        );
    }
    text
}

fn head(report: &Report) -> String {
    let masks = safe(&report.masks).into_owned();
    let files = match report.files {
        1 => "1 file".to_owned(),
        files => format!("{} files", grouped(files as u64)),
    };
    let source = match (report.source, &report.source_field) {
        (SourceOf::Column, Some(field)) => format!("their field {:?}", safe(field)),
        (SourceOf::Column, None) => "the column source".to_owned(),
        (SourceOf::Shard, _) => "their shard".to_owned(),
    };
    let unfinished = if report.finished { "" } else { " so far" };
    format!(
        "{masks}: {files}{unfinished}; the source of documents is {source}\n\
         percentiles are off by less than {:.1} % or {:.4} nats, whichever is more\n",
        report.percentile_error.relative * 100.0,
        report.percentile_error.absolute
    )
}

/// The sources in the tables.
struct Sources<'a> {
    rows: Vec<(String, &'a Told)>,
    others: Option<(String, Told)>,
    total: &'a Told,
}

impl<'a> Sources<'a> {
    /// Those with the most tokens, in the order of the corpus.
    fn of(report: &'a Report, statistics: &Statistics, most: usize) -> Self {
        let mut largest: Vec<usize> = (0..report.sources.len()).collect();
        largest.sort_by_key(|&i| std::cmp::Reverse(report.sources[i].told.tokens));
        largest.truncate(most);
        largest.sort_unstable();
        let rows = largest.iter().map(|&i| {
            let source = &report.sources[i];
            let name = source.source.as_deref().unwrap_or("(none)");
            (name.to_owned(), &source.told)
        });
        let others = Report::others(statistics, &largest);
        Self {
            rows: rows.collect(),
            others: others.map(|(count, told)| match count {
                Some(count) => (format!("({count} others)"), told),
                None => ("(others)".to_owned(), told),
            }),
            total: &report.total,
        }
    }

    /// Each row's name and numbers, with the total last.
    fn each(&self) -> impl Iterator<Item = (&str, &Told)> {
        let rows = self.rows.iter().map(|(name, told)| (name.as_str(), *told));
        let others = self.others.iter().map(|(name, told)| (name.as_str(), told));
        rows.chain(others).chain([("all", self.total)])
    }
}

fn kept(sources: &Sources<'_>) -> Table {
    let context = sources.total.context > 0;
    let mut head = vec!["source", "documents", "tokens"];
    head.extend(context.then_some("context"));
    head.push("scored");
    head.extend(sources.total.masks.iter().map(|m| m.column.as_str()));
    head.extend(sources.total.weights.iter().map(|w| w.column.as_str()));
    let mut table = Table::new(head);
    for (name, told) in sources.each() {
        let mut row = vec![
            name.to_owned(),
            grouped(told.documents),
            grouped(told.tokens),
        ];
        row.extend(context.then(|| grouped(told.context)));
        row.push(grouped(told.scored));
        row.extend(told.masks.iter().map(|mask| share(mask.share)));
        row.extend(told.weights.iter().map(|weight| nats(weight.mean)));
        table.row(row);
    }
    table
}

fn scores(sources: &Sources<'_>, score: usize) -> Table {
    let head = "source mean 1% 5% 25% 50% 75% 95% 99%".split(' ');
    let mut table = Table::new(head);
    for (name, told) in sources.each() {
        let ToldScore {
            mean, percentiles, ..
        } = &told.scores[score];
        let p = percentiles;
        let numbers = [*mean, p.p1, p.p5, p.p25, p.p50, p.p75, p.p95, p.p99];
        let mut row = vec![name.to_owned()];
        row.extend(numbers.map(nats));
        table.row(row);
    }
    table
}

fn means(report: &Report) -> Table {
    let scores = || report.total.scores.iter().map(|score| &score.column);
    let mut head = vec!["mask".to_owned(), "kept".to_owned(), "share".to_owned()];
    for score in scores() {
        head.push(format!("{score} kept"));
        head.push("dropped".to_owned());
    }
    let mut table = Table::new(head);
    for mask in &report.total.masks {
        let mut row = vec![mask.column.clone(), grouped(mask.kept), share(mask.share)];
        for score in scores() {
            row.push(nats(mask.mean_kept[score]));
            row.push(nats(mask.mean_dropped[score]));
        }
        table.row(row);
    }
    table
}

fn weights(report: &Report) -> Table {
    let mut table = Table::new(["weights", "mean", "above 0"]);
    for weight in &report.total.weights {
        table.row([
            weight.column.clone(),
            nats(weight.mean),
            grouped(weight.above_zero),
        ]);
    }
    table
}

fn positions(report: &Report) -> Table {
    let total = &report.total;
    let mut head = vec!["token", "scored"];
    head.extend(total.masks.iter().map(|mask| mask.column.as_str()));
    head.extend(total.scores.iter().map(|score| score.column.as_str()));
    let mut table = Table::new(head);
    for position in &total.positions {
        let places = match position.to - position.from {
            0 => position.from.to_string(),
            _ => format!(
                "{} to {}",
                grouped(position.from as u64),
                grouped(position.to as u64)
            ),
        };
        let mut row = vec![places, grouped(position.scored)];
        row.extend(total.masks.iter().map(|mask| {
            let kept = position.kept[&mask.column] as f64;
            share((position.scored > 0).then(|| kept / position.scored as f64))
        }));
        let means = total.scores.iter();
        row.extend(means.map(|score| nats(position.mean[&score.column])));
        table.row(row);
    }
    table
}

fn kept_types(types: &[ToldType], score: &str) -> Table {
    let mut table = Table::new(["token", "id", "scored", "kept", "share", score]);
    for kept in types {
        let token = kept.token.as_deref().unwrap_or("");
        table.row([
            shorten(&safe(token), TOKEN).into_owned(),
            kept.id.to_string(),
            grouped(kept.scored),
            grouped(kept.kept),
            share(Some(kept.share)),
            nats(kept.mean),
        ]);
    }
    table
}

fn nats(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.3}"))
}

fn share(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}
