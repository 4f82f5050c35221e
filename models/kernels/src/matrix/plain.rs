//! The naive matmul in f64, which every faster one must agree with.

use super::Matrix;

/// `a x b`, `[a.rows, b.columns]`.
///
/// # Panics
/// If the sizes do not match.
pub fn multiply(a: Matrix<'_>, b: Matrix<'_>) -> Vec<f64> {
    assert_eq!(a.columns, b.rows, "sizes of a matmul");
    let mut c = Vec::with_capacity(a.rows * b.columns);
    for i in 0..a.rows {
        for j in 0..b.columns {
            let term =
                |k: usize| f64::from(a.numbers[a.at(i, k)]) * f64::from(b.numbers[b.at(k, j)]);
            c.push((0..a.columns).map(term).sum());
        }
    }
    c
}
