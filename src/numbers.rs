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
        nats => format!("{nats:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits() {
        assert_eq!(
            [0, 12, 123, 1234, 1234567].map(grouped),
            ["0", "12", "123", "1,234", "1,234,567"]
        );
    }
}
