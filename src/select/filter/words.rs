//! Divides an expression into words, each with its position.

use crate::hinted_error::HintedError;

/// A word of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Word {
    Name(String),
    Number(f64),
    /// `(`, `)`, or an operator.
    Sign(&'static str),
}

/// A word, and the number of its first character, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct At {
    pub(super) word: Word,
    pub(super) position: usize,
}

/// All signs; longer ones first.
const SIGNS: [&str; 9] = ["<=", ">=", "==", "!=", "<", ">", "(", ")", "-"];

/// Signs of other languages, and what is written here.
const OTHERS: [(&str, &str); 6] = [
    ("=", "=="),
    ("<>", "!="),
    ("&&", "and"),
    ("||", "or"),
    ("!", "not"),
    ("&", "and"),
];

/// The words of an expression.
pub(super) fn words(text: &str) -> anyhow::Result<Vec<At>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let position = text[..text.len() - rest.len()].chars().count() + 1;
        let (word, length) = if first.is_ascii_digit() || first == '.' {
            number(rest).ok_or_else(|| wrong(text, position, "a number", rest))?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &rest[..end.unwrap_or(rest.len())];
            (Word::Name(name.to_owned()), name.len())
        } else if let Some((_, written)) = other(rest) {
            let got = format!(
                "{}: expected {written}, got {rest:?}",
                place(text, position)
            );
            return Err(HintedError::error(got, format!("write {written}")));
        } else {
            let mut signs = SIGNS.into_iter();
            let sign = signs.find(|sign| rest.starts_with(sign));
            let sign = sign
                .ok_or_else(|| wrong(text, position, "a name, a number or a comparison", rest))?;
            (Word::Sign(sign), sign.len())
        };
        words.push(At { word, position });
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

/// A sign of another language at the start of a text; not if it starts a sign of this one.
fn other(rest: &str) -> Option<(&'static str, &'static str)> {
    let own = |sign: &str| {
        SIGNS
            .iter()
            .any(|own| own.len() >= sign.len() && rest.starts_with(own))
    };
    let mut others = OTHERS.into_iter();
    others.find(|(sign, _)| rest.starts_with(sign) && (sign.len() > 1 || !own(sign)))
}

/// A number at the start of a text, and its length: digits, a point, an exponent.
fn number(text: &str) -> Option<(Word, usize)> {
    let digits = |from: usize| {
        let end = text[from..].find(|c: char| !c.is_ascii_digit());
        end.map_or(text.len(), |end| from + end)
    };
    let mut end = digits(0);
    if text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = end + 1 + usize::from(text[end + 1..].starts_with(['+', '-']));
        let exponent = digits(sign);
        if exponent > sign {
            end = exponent;
        }
    }
    // `4x` is not a number and a name.
    if text[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') {
        return None;
    }
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((Word::Number(number), end))
}

/// The start of a message about a position in an expression.
pub(super) fn place(text: &str, position: usize) -> String {
    format!("--where {text:?}, character {position}")
}

pub(super) fn wrong(text: &str, position: usize, expected: &str, got: &str) -> anyhow::Error {
    let got = match got {
        "" => "the end".to_owned(),
        got => format!("{got:?}"),
    };
    HintedError::error(
        format!("{}: expected {expected}, got {got}", place(text, position)),
        "write, for example, --where \"mean(loss) < 4 and tokens >= 20\"; docs/masks.md lists all names",
    )
}
