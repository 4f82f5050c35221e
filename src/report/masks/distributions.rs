//! The distributions of the scores, and where tokens are kept in the plane of loss and entropy.

use maud::{Markup, html};

use super::super::charts::{Bin, Cell, Heat, Histogram, percent};
use super::super::page::{Page, figure};
use super::{Subject, key, metadata::words, nats};
use crate::{
    numbers::grouped,
    stats::{CELLS, Distribution, Joint, WIDTH},
};

/// Bins of a histogram that does not use the cells of the plane.
const BINS: usize = 48;

/// Adds histograms of all scores, then the plane.
pub(super) fn sections(subject: &Subject<'_>, page: &mut Page) -> anyhow::Result<()> {
    if subject.statistics.total.scored == 0 {
        return Ok(());
    }
    let columns = subject.columns();
    let mut figures = Vec::new();
    for (i, name) in columns.scores.iter().enumerate() {
        figures.push(histogram(subject, i, name)?);
    }
    if !figures.is_empty() {
        page.section(
            "scores",
            "Scores",
            html! { div.figures { @for figure in &figures { (figure) } } },
        );
    }
    if let Some(joint) = &subject.statistics.joint {
        page.section("plane", "Loss and entropy", plane(subject, joint)?);
    }
    Ok(())
}

fn histogram(subject: &Subject<'_>, score: usize, name: &str) -> anyhow::Result<Markup> {
    let distribution = &subject.statistics.total.scores[score];
    let joint = subject.statistics.joint.as_ref();
    let (bins, outside) = match (joint, name) {
        (Some(joint), "loss" | "entropy") => {
            of_plane(joint, name == "loss", distribution, subject.mask)
        }
        _ => alone(distribution),
    };
    let thresholds = subject.made.thresholds(name);
    let score = words(name);
    let split = bins.iter().any(|bin| bin.kept.is_some());
    let chart = Histogram {
        score: &score,
        bins: &bins,
        outside,
        thresholds: &thresholds,
    };
    let at = |share| nats(distribution.percentile(share));
    let caption = html! {
        @if split {
            @if let Some(mask) = subject.mask_name() { (key()) " by " code { (mask) } ". " }
        }
        "Mean " (nats(distribution.sum.mean())) ", median " (at(0.5)) ", 5 % to 95 % from " (at(0.05)) " to " (at(0.95)) " nats."
        @if outside.0 + outside.1 > 0 {
            " Outside the chart: " (grouped(outside.0)) " tokens below, " (grouped(outside.1)) " above."
        }
        @if thresholds.iter().any(|t| t.low < t.high) {
            " A grey band goes from the lowest threshold among the scopes to the highest."
        }
    };
    Ok(figure(&capital(&score), &chart.chart()?, &caption))
}

/// The number of cells to draw: enough for nearly all scores.
fn cells_shown(distribution: &Distribution) -> usize {
    let most = distribution
        .percentile(0.999)
        .unwrap_or(1.0)
        .min(f64::from(WIDTH) * (CELLS - 1) as f64);
    ((most / f64::from(WIDTH)).floor().max(0.0) as usize + 1).clamp(8, CELLS - 1)
}

/// Bins that are the cells of the plane, with the kept tokens of each.
fn of_plane(
    joint: &Joint,
    by_loss: bool,
    distribution: &Distribution,
    mask: Option<usize>,
) -> (Vec<Bin>, (u64, u64)) {
    let shown = cells_shown(distribution);
    let cell = |i: usize, j: usize| if by_loss { (i, j) } else { (j, i) };
    let bins = (0..shown).map(|i| {
        let cells = (0..CELLS).map(|j| cell(i, j));
        let kept = mask.map(|mask| cells.clone().map(|(l, e)| joint.kept(l, e, mask)).sum());
        Bin {
            from: i as f64 * f64::from(WIDTH),
            to: (i + 1) as f64 * f64::from(WIDTH),
            tokens: cells.map(|(l, e)| joint.tokens(l, e)).sum(),
            kept,
        }
    });
    let above = (shown..CELLS).flat_map(|i| (0..CELLS).map(move |j| cell(i, j)));
    (
        bins.collect(),
        (0, above.map(|(l, e)| joint.tokens(l, e)).sum()),
    )
}

/// Bins of round width between percentiles that hold nearly all scores.
fn alone(distribution: &Distribution) -> (Vec<Bin>, (u64, u64)) {
    // Infinite scores are never drawn.
    let (least, most) = distribution.range().unwrap_or((0.0, 1.0));
    let finite = |share: f64, otherwise: f32| {
        let score = distribution.percentile(share);
        score
            .filter(|score| score.is_finite())
            .unwrap_or(otherwise.into())
    };
    let (low, high) = (finite(0.001, least), finite(0.999, most));
    // Not narrower than a score of 32 bits can be told from its neighbours.
    let apart = 1e-5 * low.abs().max(high.abs());
    let least = (high - low).max(1e-3).max(apart) / BINS as f64;
    let unit = 10f64.powf(least.log10().floor());
    let round = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|width| width * unit);
    let width = round
        .into_iter()
        .find(|&width| width >= least)
        .unwrap_or(unit * 10.0);
    let from = (low / width).floor() * width;
    let count = (((high - from) / width).floor() as usize + 1).clamp(1, 2 * BINS);
    let histogram = distribution.histogram(from, width, count);
    let bins = histogram.counts.iter().enumerate().map(|(i, &tokens)| Bin {
        from: from + i as f64 * width,
        to: from + (i + 1) as f64 * width,
        tokens,
        kept: None,
    });
    (bins.collect(), (histogram.below, histogram.above))
}

fn plane(subject: &Subject<'_>, joint: &Joint) -> anyhow::Result<Markup> {
    let scores = &subject.statistics.total.scores;
    // If there is a plane, the first two scores are loss and entropy.
    let shown = [0, 1].map(|i| cells_shown(&scores[i]));
    let mut cells = Vec::with_capacity(shown[0] * shown[1]);
    let (mut inside, mut selected) = (0, 0);
    for entropy in 0..shown[1] {
        for loss in 0..shown[0] {
            let tokens = joint.tokens(loss, entropy);
            let kept = subject
                .mask
                .map_or(0, |mask| joint.kept(loss, entropy, mask));
            inside += tokens;
            selected += kept;
            cells.push(Cell { tokens, kept });
        }
    }
    let all: u64 = (0..CELLS)
        .flat_map(|l| (0..CELLS).map(move |e| (l, e)))
        .map(|(l, e)| joint.tokens(l, e))
        .sum();
    let thresholds = ["loss", "entropy"].map(|score| subject.made.thresholds(score));
    let end = |cells: usize| cells as f64 * f64::from(WIDTH);
    let chart = Heat {
        x: ("loss", 0.0, end(shown[0])),
        y: ("entropy", 0.0, end(shown[1])),
        cells: &cells,
        columns: shown[0],
        outside: all - inside,
        mask: subject.mask_name(),
        thresholds: (&thresholds[0], &thresholds[1]),
    };
    let caption = html! {
        "Each cell is " (WIDTH) " nats wide and high; its colour shows the number of tokens in it, on a logarithmic scale. "
        @if let Some(mask) = subject.mask_name() {
            "The line goes around the cells of which " code { (mask) } " keeps at least half: in all it keeps "
            (percent(selected as f64 / inside.max(1) as f64)) " of the tokens in the chart. "
        }
        @if thresholds.iter().any(|t| !t.is_empty()) { "Dashed lines are the thresholds; a pair shows the lowest and the highest among the scopes. " }
        @if all > inside { (grouped(all - inside)) " tokens are outside the chart." }
    };
    Ok(figure(
        "Where tokens are, and which are kept",
        &chart.chart()?,
        &caption,
    ))
}

pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}
