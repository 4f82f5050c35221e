//! Reduces the values of many steps to as many points as fit in a chart.

use super::super::charts::Point;

/// The most points of a line: more would overlap.
pub(super) const POINTS: usize = 120;

/// A value as (step, x, value).
pub(super) type Valued = (u64, u64, f64);

/// Points with the mean and the range of neighbouring values, at most [`POINTS`] of them.
pub(super) fn binned(values: &[Valued]) -> Vec<Point> {
    let size = per_point(values.len());
    let points = values.chunks(size).filter_map(|values| {
        let (&(from, _, _), &(to, x, _)) = (values.first()?, values.last()?);
        let values = values.iter().map(|(_, _, value)| *value);
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.clone().fold(f64::NEG_INFINITY, f64::max);
        let count = values.len() as f64;
        Some(Point {
            steps: (from, to),
            x,
            // Rounding must not move the mean out of the range.
            mean: (values.sum::<f64>() / count).clamp(low, high),
            range: (low, high),
        })
    });
    points.collect()
}

/// The last of each group of neighbouring values, for cumulative values, whose mean would not belong to that x.
pub(super) fn thinned(values: &[Valued]) -> Vec<Point> {
    let lasts = values.chunks(per_point(values.len()));
    let points = lasts.filter_map(|values| {
        let &(step, x, value) = values.last()?;
        Some(Point {
            steps: (step, step),
            x,
            mean: value,
            range: (value, value),
        })
    });
    points.collect()
}

/// The number of values per point.
pub(super) fn per_point(values: usize) -> usize {
    values.div_ceil(POINTS).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_stay_as_they_are() {
        let values: Vec<Valued> = (1..=POINTS as u64).map(|i| (i, i * 7, 0.1)).collect();
        let points = binned(&values);
        assert_eq!(points.len(), POINTS);
        for (point, &(step, x, value)) in points.iter().zip(&values) {
            assert_eq!((point.steps, point.x), ((step, step), x));
            assert_eq!((point.mean, point.range), (value, (value, value)));
        }
        assert!(binned(&[]).is_empty());
    }

    #[test]
    fn many_values_are_all_in_some_point() {
        let count = 10 * POINTS as u64 + 7;
        let values: Vec<Valued> = (1..=count).map(|i| (i, i * 7, (i % 5) as f64)).collect();
        let points = binned(&values);
        assert!(points.len() <= POINTS, "{}", points.len());
        let size = per_point(values.len()) as u64;
        let mut next = 1;
        for point in &points {
            assert_eq!(point.steps.0, next);
            assert!(point.steps.1 < next + size);
            next = point.steps.1 + 1;
            assert_eq!(point.x, 7 * point.steps.1);
        }
        assert_eq!(next, count + 1);
        assert_eq!(points[0].range, (0.0, 4.0));
        let first: f64 = (1..=size).map(|i| (i % 5) as f64).sum();
        assert!((points[0].mean - first / size as f64).abs() < 1e-12);
    }
}
