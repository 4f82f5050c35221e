//! Tests of all charts: one chart of each kind, from given numbers.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::*;

const STYLE: &str = include_str!("../page/page.css");

/// One chart of each kind, with everything that the kind can draw, from these numbers over and over.
fn all(numbers: &[f64]) -> Vec<Chart> {
    let number = |i: usize| numbers[i % numbers.len()];
    let count = |i: usize| number(i) as u64;
    let names = ["a", "b", "run MMMMMMMMMMMMMMMMMMMMMMMMM"].map(str::to_owned);
    let threshold = |from, low, high| Threshold {
        mask: "mask_loss".to_owned(),
        from,
        low,
        high,
    };
    let thresholds = [
        threshold(false, number(0), number(1)),
        threshold(true, number(2), number(2)),
    ];
    let bins: Vec<Bin> = (0..3)
        .map(|i| Bin {
            from: number(i),
            to: number(i + 1),
            tokens: count(i),
            kept: (i > 0).then_some(count(i) / 2),
        })
        .collect();
    let histogram = Histogram {
        score: "loss",
        bins: &bins,
        outside: (count(1), count(2)),
        thresholds: &thresholds,
    };
    let cells: Vec<Cell> = (0..16)
        .map(|i| Cell {
            tokens: count(i),
            kept: count(i) * (i as u64 % 2),
        })
        .collect();
    let heat = Heat {
        x: ("loss", number(0), number(1)),
        y: ("entropy", number(1), number(2)),
        cells: &cells,
        columns: 4,
        outside: 1,
        mask: Some("mask_loss"),
        thresholds: (&thresholds, &thresholds),
    };
    let places: Vec<(f64, String)> = (0..3).map(|i| (number(i), i.to_string())).collect();
    let curves: Vec<Curve> = (0..5)
        .map(|i| Curve {
            name: format!("mask_{i}"),
            values: vec![Some(number(i)), None, Some(number(i + 1))],
        })
        .collect();
    let curves = |logarithmic, range| {
        let curves = Curves {
            x: ("position", logarithmic),
            places: &places,
            y: "share kept",
            range,
            curves: &curves,
            drawn: 5,
        };
        curves.chart()
    };
    let bars: Vec<Bar> = (0..3)
        .map(|i| Bar {
            name: names[i].clone(),
            share: (i != 1).then_some(number(i)),
            mark: Some(number(i + 1)),
            cells: Vec::new(),
        })
        .collect();
    let bars = |rest| {
        let bars = Bars {
            of: "source",
            length: "kept",
            bars: &bars,
            all: Some(number(1)),
            rest,
            columns: Vec::new(),
            drawn: 9,
        };
        bars.chart()
    };
    let lines: Vec<Line> = (0..4)
        .map(|i| Line {
            name: format!("run {i}"),
            role: [None, None, Some(Role::Kept), Some(Role::Dropped)][i],
            points: (0..3)
                .map(|j| Point {
                    steps: (count(j), count(j).saturating_add(1)),
                    x: count(j),
                    mean: number(i + j),
                    range: (number(i + j), number(i + j + 1)),
                })
                .collect(),
        })
        .collect();
    let lines = |unit| {
        let lines = Lines {
            x: "tokens seen",
            y: "loss, nats",
            unit,
            lines: &lines,
        };
        lines.chart()
    };
    let values: Vec<Vec<f64>> = (0..3)
        .map(|i| (0..3).map(|j| number(i + j)).collect())
        .collect();
    let matrix = Matrix {
        rows: ("selected by", &names),
        columns: ("under", &names),
        value: "perplexity",
        values: &values,
        shade: "times all",
        shades: &values,
        last: Some(("all tokens", &values[0])),
    };
    let rows: Vec<Interval> = (0..4)
        .map(|i| Interval {
            name: names[i % 3].clone(),
            value: number(i),
            half_width: (i < 3).then_some(number(i + 1)),
            says: "no difference found".to_owned(),
            cells: vec!["1".to_owned()],
        })
        .collect();
    let intervals = |better| {
        let intervals = Intervals {
            of: "arm",
            x: "difference, nats",
            better,
            rows: &rows,
            columns: vec!["mean".to_owned()],
        };
        intervals.chart()
    };
    let series: Vec<Series> = (0..4)
        .map(|i| Series {
            name: format!("arm {i}"),
            points: vec![("seed 0".to_owned(), number(i), number(i + 1))],
            curve: Some((
                vec![(number(i), number(0)), (number(1), number(2))],
                "a law".to_owned(),
            )),
        })
        .collect();
    let scatter = Scatter {
        x: "loss, nats",
        y: "loss after the marker, nats",
        series: &series,
    };
    let charts = [
        intervals(Better::Lower),
        intervals(Better::Higher),
        scatter.chart(),
        histogram.chart(),
        heat.chart(),
        curves(true, (0.0, 1.0)),
        curves(false, (number(0), number(1))),
        bars(true),
        bars(false),
        lines(Unit::Plain),
        lines(Unit::Share),
        lines(Unit::Small),
        lines(Unit::Large),
        matrix.chart(),
    ];
    charts.map(Result::unwrap).into()
}

/// Charts of ordinary numbers.
fn ordinary() -> Vec<Chart> {
    all(&[0.5, 4.0, -2.0, 0.25, 3.0, 1000.0])
}

fn drawings(charts: &[Chart]) -> impl Iterator<Item = &str> {
    charts
        .iter()
        .flat_map(|chart| [chart.wide.as_str(), &chart.narrow])
}

#[test]
fn every_colour_changes_with_the_page() {
    let mut seen = BTreeSet::new();
    for svg in drawings(&ordinary()) {
        for kind in ["fill", "stroke"] {
            let start = format!("{kind}=\"#");
            for rest in svg.split(&start).skip(1) {
                let (colour, _) = rest.split_once('"').unwrap();
                let rule = format!(".chart [{start}{colour}\"]");
                assert!(STYLE.contains(&rule), "{rule}");
                seen.insert(colour.to_owned());
            }
        }
    }
    assert!(seen.len() > 14, "{seen:?}");
}

/// Blue and vermilion say kept and dropped, or better and worse. What a line is of has other colours.
#[test]
fn no_series_is_blue_or_vermilion() {
    assert!(
        SERIES
            .iter()
            .all(|colour| ![KEPT, DROPPED, DROPPED_LINE].contains(colour))
    );
}

/// No drawing is shown smaller than it was drawn, so letters are at least this large.
#[test]
fn letters_are_large_enough() {
    for svg in drawings(&ordinary()) {
        for size in svg.split("font-size=\"").skip(1) {
            let (size, _) = size.split_once('"').unwrap();
            let shown = size.parse::<f64>().unwrap() / f64::from(SCALE);
            assert!(shown >= 12.0, "{shown}");
        }
    }
}

#[test]
fn every_table_is_as_wide_as_its_header() {
    for chart in ordinary() {
        let width = chart.table.header.len();
        assert!(!chart.table.rows.is_empty() && chart.message.len() > 20);
        assert!(chart.table.rows.iter().all(|row| row.len() == width));
    }
}

/// Numbers from files may be anything: every chart is drawn soon, with few elements, all of them near the drawing, and
/// no label or cell is long.
#[test]
fn no_number_stops_a_chart() {
    let odd = [
        0.0,
        f64::NAN,
        f64::INFINITY,
        1e308,
        f64::MIN,
        5e-324,
        1.0 + f64::EPSILON,
    ];
    let (done, waits) = mpsc::channel();
    let worker = thread::spawn(move || {
        for a in odd {
            for b in odd {
                for c in [1.0, f64::NEG_INFINITY, 18_446_744_073_709_551_615.0, a] {
                    for chart in all(&[a, b, c]) {
                        check(&chart, (a, b, c));
                    }
                }
            }
        }
        done.send(()).unwrap();
    });
    // It takes a few seconds; one axis that never ends takes for ever.
    let ended = waits.recv_timeout(Duration::from_secs(120));
    if ended == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("a chart is not drawn");
    }
    worker.join().unwrap();
}

fn check(chart: &Chart, numbers: (f64, f64, f64)) {
    for svg in [&chart.wide, &chart.narrow] {
        assert!(svg.len() < 200_000, "{numbers:?}: {} bytes", svg.len());
        let (_, box_of) = svg.split_once("viewBox=\"0 0 ").unwrap();
        let (width, rest) = box_of.split_once(' ').unwrap();
        let (height, _) = rest.split_once('"').unwrap();
        let most = 2.0 * (width.parse::<f64>().unwrap() + height.parse::<f64>().unwrap());
        for name in [
            "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "points",
        ] {
            for value in svg.split(&format!(" {name}=\"")).skip(1) {
                let (value, _) = value.split_once('"').unwrap();
                for place in value.split([' ', ',']).filter(|place| !place.is_empty()) {
                    let place: f64 = place.parse().unwrap();
                    assert!(place.abs() <= most, "{numbers:?}: {name} {place}");
                }
            }
        }
    }
    let cells = chart.table.rows.iter().flatten();
    let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
    assert!(longest < 60, "{numbers:?}: {:?}", chart.table);
    assert!(
        chart.message.chars().count() < 600,
        "{numbers:?}: {}",
        chart.message
    );
}
