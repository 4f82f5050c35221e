//! Expands a name with braces as shells and WebDataset do: `{a,b}` and `{000..099}`.

/// The most names a pattern may expand to.
pub(super) const MOST: usize = 1 << 20;
/// The longest pattern, in bytes: nested braces are searched repeatedly.
const LONGEST: usize = 64 << 10;
/// The most bytes that all names may have together.
const MOST_BYTES: usize = 64 << 20;
/// The most braces, nested or in a row. Each takes a stack frame.
const MOST_BRACES: usize = 100;

/// The names; `None` if they are too many. Braces with neither comma nor range are literal.
pub(super) fn expand(name: &str) -> Option<Vec<String>> {
    if name.len() > LONGEST && name.contains('{') {
        return None;
    }
    expand_below(name, MOST_BRACES)
}

fn expand_below(name: &str, braces: usize) -> Option<Vec<String>> {
    let mut searched = 0;
    while let Some(open) = name[searched..].find('{').map(|at| searched + at) {
        let Some(close) = closing(name, open) else {
            break;
        };
        let (before, inside, after) = (&name[..open], &name[open + 1..close], &name[close + 1..]);
        let choices = match range(inside) {
            Some(range) => range?,
            None => match alternatives(inside) {
                Some(parts) => {
                    let mut choices = Vec::new();
                    for part in parts {
                        choices.extend(expand_below(part, braces.checked_sub(1)?)?);
                    }
                    choices
                }
                None => {
                    searched = open + 1;
                    continue;
                }
            },
        };
        let rest = expand_below(after, braces.checked_sub(1)?)?;
        let names = choices.len().saturating_mul(rest.len());
        let bytes = |parts: &[String]| parts.iter().map(String::len).sum::<usize>();
        let all = names
            .saturating_mul(before.len())
            .saturating_add(bytes(&choices).saturating_mul(rest.len()))
            .saturating_add(bytes(&rest).saturating_mul(choices.len()));
        if names > MOST || all > MOST_BYTES {
            return None;
        }
        let joined = choices.iter().flat_map(|choice| {
            rest.iter()
                .map(move |rest| format!("{before}{choice}{rest}"))
        });
        return Some(joined.collect());
    }
    Some(vec![name.to_owned()])
}

/// The brace that closes the one at `open`.
fn closing(name: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in name.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The parts between commas outside inner braces; `None` without a comma.
fn alternatives(inside: &str) -> Option<Vec<&str>> {
    let (mut depth, mut start, mut parts) = (0_i64, 0, Vec::new());
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[start..]);
    (parts.len() > 1).then_some(parts)
}

/// The numbers of a range, padded to the width of its ends. `None` if it is not a range, `Some(None)` if it has too
/// many numbers.
fn range(inside: &str) -> Option<Option<Vec<String>>> {
    let (first, last) = inside.split_once("..")?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (from, to) = (number(first)?, number(last)?);
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = match padded(first) || padded(last) {
        true => first.len().max(last.len()),
        false => 0,
    };
    if from.abs_diff(to) >= MOST as u64 {
        return Some(None);
    }
    let show = |number: u64| format!("{number:0width$}");
    Some(Some(match from <= to {
        true => (from..=to).map(show).collect(),
        false => (to..=from).rev().map(show).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_shells_make_them() {
        for (name, expected) in [
            ("a", vec!["a"]),
            (
                "s-{08..11}.tar",
                vec!["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"],
            ),
            ("{9..11}", vec!["9", "10", "11"]),
            ("{2..0}", vec!["2", "1", "0"]),
            ("{a,b}{1..2}", vec!["a1", "a2", "b1", "b2"]),
            ("{a,b{c,d}}", vec!["a", "bc", "bd"]),
            ("{a,}x", vec!["ax", "x"]),
            ("{}{a}{", vec!["{}{a}{"]),
            ("{a..b}", vec!["{a..b}"]),
            ("{x}{1..2}", vec!["{x}1", "{x}2"]),
        ] {
            assert_eq!(expand(name).unwrap(), expected, "{name}");
        }
        for name in [
            "{0..99999999}",
            "{0..18446744073709551615}",
            "{0..9999}{0..9999}",
            &"{a,b}".repeat(10_000),
            &format!("{}{}", "{a,".repeat(10_000), "}".repeat(10_000)),
            &format!("{}{{0..9999}}", "x".repeat(50_000)),
            &"{}".repeat(50_000),
        ] {
            assert_eq!(expand(name), None, "{}", &name[..20.min(name.len())]);
        }
    }
}
