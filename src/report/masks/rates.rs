//! Keep rates: by position in the document, by source, by token.

use maud::{Markup, html};

use super::super::charts::{Bar, Bars, Curve, Curves, Table, percent};
use super::super::page::{self, Page, figure};
use super::{Subject, key, metadata::words, nats, share};
use crate::{
    numbers::grouped,
    stats::{Group, MOST_SOURCES, SourceOf, TokenType, position_range},
    terminal_text::safe,
};

/// The most lines in one chart; the table has all.
const LINES: usize = 4;
/// The most bars in one chart; the table has all.
const BARS: usize = 40;
/// The most sources in the table.
const SOURCES: usize = 1_000;
/// The most tokens in each list.
const TYPES: usize = 25;

/// Adds keep rates by position and source, and the most and least kept tokens.
pub(super) fn sections(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    if subject.statistics.total.scored == 0 {
        return Ok(());
    }
    let positions = positions(subject)?;
    page.section(
        "position",
        "By position",
        html! { div.figures { @for figure in &positions { (figure) } } },
    );
    page.section("source", "By source", sources(subject)?);
    if let Some(mask) = subject.mask {
        page.section(
            "tokens-kept",
            "Most and least kept tokens",
            types(subject, mask),
        );
    }
    Ok(())
}

fn positions(subject: &Subject<'_>) -> anyhow::Result<Vec<Markup>> {
    let columns = subject.columns();
    let positions = &subject.statistics.total.positions;
    // Token 0 usually has no context and so no score. If it has one, the axis begins before 1.
    let first = positions
        .iter()
        .position(|position| position.scored > 0)
        .unwrap_or(0);
    let known = &positions[first..];
    let places = known.iter().enumerate().map(|(i, position)| {
        let range = position_range(first + i);
        let (from, to) = (range.start, range.end - 1);
        let name = match from == to {
            true => from.to_string(),
            false => format!("{} to {}", grouped(from as u64), grouped(to as u64)),
        };
        let place =
            (from.max(1) as f64 * to.max(1) as f64).sqrt() * if from == 0 { 0.5 } else { 1.0 };
        (
            place,
            format!("{name} ({} scored)", grouped(position.scored)),
        )
    });
    let places: Vec<(f64, String)> = places.collect();
    let axis = ("position in the document, tokens", true);
    let mut figures = Vec::new();
    // The mask for charts first.
    let mut masks: Vec<usize> = (0..columns.masks.len()).collect();
    masks.sort_by_key(|&mask| Some(mask) != subject.mask);
    let rates = masks.into_iter().map(|mask| Curve {
        name: columns.masks[mask].clone(),
        values: known
            .iter()
            .map(|p| share(p.kept[mask], p.scored))
            .collect(),
    });
    let rates: Vec<Curve> = rates.collect();
    if !rates.is_empty() {
        let chart = Curves {
            x: axis,
            places: &places,
            y: "share kept",
            range: (0.0, 1.0),
            curves: &rates,
            drawn: LINES,
        };
        let caption = html! { "The share of scored tokens that is kept, in ranges of positions that double in length." };
        figures.push(figure("Keep rate by position", &chart.chart()?, &caption));
    }
    let means = columns.scores.iter().enumerate().map(|(i, name)| Curve {
        name: words(name),
        values: known
            .iter()
            .map(|position| position.scores[i].mean())
            .collect(),
    });
    let means: Vec<Curve> = means.collect();
    let values = means
        .iter()
        .flat_map(|curve| curve.values.iter().flatten().copied())
        .filter(|value| value.is_finite());
    let (low, high) = values.fold((0f64, 1e-3f64), |(low, high), v| (low.min(v), high.max(v)));
    let chart = Curves {
        x: axis,
        places: &places,
        y: "mean, nats",
        range: (low * 1.1, high * 1.1),
        curves: &means,
        drawn: LINES,
    };
    let caption = html! { "The mean score of the tokens at these positions: with more context a reference is surprised less." };
    figures.push(figure("Mean scores by position", &chart.chart()?, &caption));
    Ok(figures)
}

fn sources(subject: &Subject<'_>) -> anyhow::Result<Markup> {
    let columns = subject.columns();
    let statistics = subject.statistics;
    let rate = |group: &Group| match (subject.mask, group.weights.first()) {
        (Some(mask), _) => share(group.masks[mask].tokens, group.scored),
        (None, Some(weights)) => weights.sum.mean(),
        (None, None) => None,
    };
    let length = match (subject.mask, columns.weights.first()) {
        (Some(mask), _) => format!("kept by {}", columns.masks[mask]),
        (None, Some(weights)) => format!("mean {weights}"),
        (None, None) => "kept".to_owned(),
    };
    let mut sources: Vec<_> = statistics.sources.iter().collect();
    // The largest sources are shown, sorted by keep rate.
    sources.sort_by_key(|(_, group)| std::cmp::Reverse(group.scored));
    let (shown, all) = (sources.len().min(BARS), sources.len());
    sources.truncate(SOURCES);
    let order = |a: &Group, b: &Group| rate(b).unwrap_or(-1.0).total_cmp(&rate(a).unwrap_or(-1.0));
    sources[..shown].sort_by(|a, b| order(&a.1, &b.1));
    let bars = sources.iter().map(|(name, group)| {
        let counts = [grouped(group.documents), grouped(group.scored)].into_iter();
        let masks = group
            .masks
            .iter()
            .map(|kept| share(kept.tokens, group.scored).map_or_else(String::new, percent));
        let means = group.scores.iter().map(|score| nats(score.sum.mean()));
        Bar {
            name: name
                .as_deref()
                .map_or_else(|| "(no source)".to_owned(), |name| safe(name).into_owned()),
            share: rate(group),
            mark: None,
            cells: counts.chain(masks).chain(means).collect(),
        }
    });
    let bars: Vec<Bar> = bars.collect();
    let names = ["documents", "scored tokens"]
        .map(str::to_owned)
        .into_iter();
    let means = columns
        .scores
        .iter()
        .map(|score| format!("mean {}", words(score)));
    let chart = Bars {
        of: match columns.source {
            SourceOf::Column => "source",
            SourceOf::Shard => "shard",
        },
        length: &length,
        bars: &bars,
        all: rate(&statistics.total),
        rest: true,
        columns: names
            .chain(columns.masks.iter().cloned())
            .chain(means)
            .collect(),
        drawn: BARS,
    };
    let caption = html! {
        @if subject.mask.is_some() { (key()) ". " }
        @match columns.source {
            SourceOf::Column => { "Sources come from the column " code { "source" } ". " },
            SourceOf::Shard => { "Each shard is a source: the masks have no column " code { "source" } ". " },
        }
        @if all > shown { "The chart shows the " (shown) " largest of " (grouped(all as u64)) ", the table " (grouped(bars.len() as u64)) "." }
        @if statistics.other_sources.is_some() { " Only the first " (grouped(MOST_SOURCES as u64)) " sources by name were counted by themselves." }
    };
    let title = match (subject.mask, columns.weights.first()) {
        (None, Some(_)) => "Mean weight by source",
        _ => "Keep rate by source",
    };
    Ok(figure(title, &chart.chart()?, &caption))
}

fn types(subject: &Subject<'_>, mask: usize) -> Markup {
    let scored = subject.statistics.total.scored;
    // The rates of rarer tokens depend more on chance than on the rule.
    let least = (scored / 20_000).clamp(5, 1_000);
    let (most, fewest) = subject.statistics.types.most_and_least(mask, least, TYPES);
    let first_score = subject
        .columns()
        .scores
        .first()
        .map_or("score", String::as_str);
    let list = |types: &[TokenType]| {
        let mut table = Table::new(["token", "id", "share kept", "kept", "scored", ""]);
        table.header[5] = format!("mean {}", words(first_score));
        for token in types {
            let piece = subject.pieces.map(|pieces| pieces.quoted(token.id));
            table.row([
                piece.unwrap_or_else(|| format!("<{}>", token.id)),
                token.id.to_string(),
                percent(token.share()),
                grouped(token.kept),
                grouped(token.scored),
                nats(token.mean),
            ]);
        }
        page::table(&table)
    };
    html! {
        p {
            "Tokens of the vocabulary by the share of their occurrences that " code { (subject.mask_name().unwrap_or_default()) }
            " keeps, among those that are scored at least " (grouped(least)) " times; ties in order of frequency."
        }
        div.figures {
            div { h3 { "Most kept" } (list(&most)) }
            div { h3 { "Most dropped" } (list(&fewest)) }
        }
    }
}
