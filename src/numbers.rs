//! Formats numbers in human-readable form.

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nats with four decimals, or two significant digits if they are small.
pub(crate) fn nats(nats: f64) -> String {
    match nats {
        0.0 => "0".to_owned(),
        small if small < 1e-3 => format!("{small:.1e}"),
        nats => fixed(nats, 4),
    }
}

/// A number with so many decimals. Scientific if it is too large for a column, a sign if it is not finite: numbers come
/// from files too, and 10^308 has 309 digits.
pub(crate) fn fixed(number: f64, decimals: usize) -> String {
    match number {
        f64::INFINITY => "∞".to_owned(),
        f64::NEG_INFINITY => "-∞".to_owned(),
        number if number.is_nan() => "–".to_owned(),
        number if number.abs() >= 1e9 => format!("{number:.2e}"),
        number => format!("{number:.decimals$}"),
    }
}

/// A number with all of its digits, but no row of zeros.
pub(crate) fn exact(number: f64) -> String {
    match number.abs() {
        size if !size.is_finite() => fixed(number, 0),
        size if size == 0.0 || (1e-4..1e9).contains(&size) => number.to_string(),
        _ => format!("{number:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_long() {
        let numbers = [
            1.25,
            999_999_999.0,
            1e9,
            -1e308,
            f64::NAN,
            f64::NEG_INFINITY,
        ];
        assert_eq!(
            numbers.map(|number| fixed(number, 1)),
            ["1.2", "999999999.0", "1.00e9", "-1.00e308", "–", "-∞"]
        );
        assert_eq!(
            [0.0, 0.2, -8.0, 5e-324, 1e308, f64::INFINITY].map(exact),
            ["0", "0.2", "-8", "5e-324", "1e308", "∞"]
        );
    }

    #[test]
    fn groups_digits() {
        assert_eq!(
            [0, 12, 123, 1234, 1234567].map(grouped),
            ["0", "12", "123", "1,234", "1,234,567"]
        );
    }
}
