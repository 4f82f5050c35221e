//! Excess loss: what a model has to learn that the reference has learned.

/// Excess loss (eq. 3 of the paper) of one model over another: `base[i] - reference[i]`, in nats. NaN where either is
/// not scored, and where both are the same infinity.
pub fn excess(base: &[f32], reference: &[f32]) -> Vec<f32> {
    base.iter().zip(reference).map(|(b, r)| b - r).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_of_what_is_scored() {
        let got = excess(
            &[2.0, f32::NAN, 1.0, f32::INFINITY, f32::INFINITY],
            &[0.5, 1.0, f32::NAN, f32::INFINITY, 1.0],
        );
        assert_eq!((got[0], got[4]), (1.5, f32::INFINITY));
        assert!(got[1..4].iter().all(|e| e.is_nan()));
    }
}
