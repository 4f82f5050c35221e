//! Python's operators and slices.

use minijinja::{Error, Value};

use super::{
    values::{ITEM, Kind, Row, TODAY, error, from_int, int, text, to_text, tuple, wrong},
    work::spend,
};

/// The largest power that is computed.
const POWER: i128 = 1 << 20;

fn float(value: &Value) -> Option<f64> {
    match Kind::of(value) {
        Kind::Float(float) => Some(float),
        #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
        _ => int(value).map(|int| int as f64),
    }
}

fn unfit(operator: &str, a: &Value, b: &Value) -> Error {
    match (Kind::of(a), Kind::of(b)) {
        (Kind::Today, _) | (_, Kind::Today) => error(TODAY),
        (a, b) => error(format!(
            "`{operator}`: expected values that it works on, got {} and {}",
            a.name(),
            b.name()
        )),
    }
}

fn too_large(operator: &str) -> Error {
    error(format!(
        "`{operator}`: expected a number of at most 127 bits, got a larger one"
    ))
}

pub(super) fn add(a: &Value, b: &Value) -> Result<Value, Error> {
    match (Kind::of(a), Kind::of(b)) {
        (Kind::Text(left), Kind::Text(right)) if a.is_safe() || b.is_safe() => {
            let part = |of: &Value, text: &str| match of.is_safe() {
                true => text.to_owned(),
                false => escaped(text),
            };
            let joined = part(a, left) + &part(b, right);
            spend(joined.len())?;
            Ok(Value::from_safe_string(joined))
        }
        (Kind::Text(a), Kind::Text(b)) => text([a, b].concat()),
        (Kind::List(a), Kind::List(b)) => {
            spend((a.len() + b.len()).saturating_mul(ITEM))?;
            Ok(Value::from([a, b].concat()))
        }
        (Kind::Row(a @ Row { range: None, .. }), Kind::Row(b @ Row { range: None, .. })) => {
            spend((a.items.len() + b.items.len()).saturating_mul(ITEM))?;
            Ok(tuple([&*a.items, &*b.items].concat()))
        }
        _ => arithmetic("+", a, b, i128::checked_add, |a, b| a + b),
    }
}

/// A text as `Markup` takes it in.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            c => out.push(c),
        }
    }
    out
}

/// Refuses to do with a safe text what would give a safe text.
fn no_safe(value: &Value) -> Result<(), Error> {
    match value.is_safe() {
        true => Err(error(
            "expected the filter \"safe\" where a text is written, got its result in an operation",
        )),
        false => Ok(()),
    }
}

pub(super) fn subtract(a: &Value, b: &Value) -> Result<Value, Error> {
    arithmetic("-", a, b, i128::checked_sub, |a, b| a - b)
}

pub(super) fn multiply(a: &Value, b: &Value) -> Result<Value, Error> {
    no_safe(a)?;
    no_safe(b)?;
    let (many, times) = match (int(a), int(b)) {
        (None, Some(times)) => (a, times),
        (Some(times), None) => (b, times),
        _ => return arithmetic("*", a, b, i128::checked_mul, |a, b| a * b),
    };
    let times = usize::try_from(times.max(0)).unwrap_or(usize::MAX);
    match Kind::of(many) {
        Kind::Text(many) => {
            spend(many.len().saturating_mul(times))?;
            Ok(Value::from(many.repeat(times)))
        }
        Kind::List(many) => {
            spend(many.len().saturating_mul(times).saturating_mul(ITEM))?;
            Ok(Value::from(repeated(many, times)))
        }
        Kind::Row(many) if many.range.is_none() => {
            spend(many.items.len().saturating_mul(times).saturating_mul(ITEM))?;
            Ok(tuple(repeated(&many.items, times)))
        }
        _ => arithmetic("*", a, b, i128::checked_mul, |a, b| a * b),
    }
}

fn repeated(items: &[Value], times: usize) -> Vec<Value> {
    let all = std::iter::repeat_n(items, if items.is_empty() { 0 } else { times });
    all.flatten().cloned().collect()
}

fn arithmetic(
    operator: &str,
    a: &Value,
    b: &Value,
    ints: fn(i128, i128) -> Option<i128>,
    floats: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (int(a), int(b)) {
        return ints(a, b).map(from_int).ok_or_else(|| too_large(operator));
    }
    match (float(a), float(b)) {
        (Some(a), Some(b)) => Ok(Value::from(floats(a, b))),
        _ => Err(unfit(operator, a, b)),
    }
}

pub(super) fn divide(a: &Value, b: &Value) -> Result<Value, Error> {
    match (float(a), float(b)) {
        (Some(a), Some(b)) if b != 0.0 => Ok(Value::from(a / b)),
        (Some(_), Some(_)) => Err(error("`/`: expected a number other than zero, got zero")),
        _ => Err(unfit("/", a, b)),
    }
}

pub(super) fn floor_divide(a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (int(a), int(b)) {
        return floor(a, b).map(|(quotient, _)| from_int(quotient));
    }
    match (float(a), float(b)) {
        (Some(a), Some(b)) if b != 0.0 => Ok(Value::from((a / b).floor())),
        (Some(_), Some(_)) => Err(error("`//`: expected a number other than zero, got zero")),
        _ => Err(unfit("//", a, b)),
    }
}

pub(super) fn remainder(a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (int(a), int(b)) {
        return floor(a, b).map(|(_, remainder)| from_int(remainder));
    }
    match (float(a), float(b)) {
        (Some(a), Some(b)) if b != 0.0 => {
            let rest = a % b;
            // The sign is that of the divisor, also of a zero.
            Ok(Value::from(match rest == 0.0 {
                true => 0.0_f64.copysign(b),
                false if (rest < 0.0) != (b < 0.0) => rest + b,
                false => rest,
            }))
        }
        (Some(_), Some(_)) => Err(error("`%`: expected a number other than zero, got zero")),
        _ => Err(unfit("%", a, b)),
    }
}

/// Quotient and remainder, rounded towards minus infinity.
fn floor(a: i128, b: i128) -> Result<(i128, i128), Error> {
    if b == 0 {
        return Err(error(
            "expected a number other than zero to divide by, got zero",
        ));
    }
    let (quotient, rest) = (a.checked_div(b), a.checked_rem(b));
    let (quotient, rest) = quotient.zip(rest).ok_or_else(|| too_large("//"))?;
    Ok(match rest != 0 && (rest < 0) != (b < 0) {
        true => (quotient - 1, rest + b),
        false => (quotient, rest),
    })
}

pub(super) fn power(a: &Value, b: &Value) -> Result<Value, Error> {
    match (int(a), int(b)) {
        (Some(base), Some(exponent)) if (0..POWER).contains(&exponent) => {
            let exponent = u32::try_from(exponent).ok();
            let power = exponent.and_then(|exponent| base.checked_pow(exponent));
            power.map(from_int).ok_or_else(|| too_large("**"))
        }
        _ => Err(unfit("**", a, b)),
    }
}

pub(super) fn negate(value: &Value) -> Result<Value, Error> {
    match Kind::of(value) {
        Kind::Float(float) => Ok(Value::from(-float)),
        _ => match int(value) {
            Some(int) => int
                .checked_neg()
                .map(from_int)
                .ok_or_else(|| too_large("-")),
            None => Err(wrong("a number to negate", value)),
        },
    }
}

/// `a ~ b`.
pub(super) fn concatenate(a: &Value, b: &Value) -> Result<Value, Error> {
    let mut joined = to_text(a)?;
    joined.push_str(&to_text(b)?);
    text(joined)
}

/// `value[start:stop:step]`; none is a bound that is left out.
pub(super) fn slice(
    value: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    no_safe(value)?;
    let bound = |value: &Value| match Kind::of(value) {
        Kind::None => Ok(None),
        _ => match int(value) {
            Some(int) => Ok(Some(int)),
            None => Err(wrong("an int or None as the bound of a slice", value)),
        },
    };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(error(
            "expected the step of a slice to be other than zero, got zero",
        ));
    }
    match Kind::of(value) {
        Kind::Text(of) => {
            spend(of.len())?;
            let of: Vec<char> = of.chars().collect();
            let places = places(of.len(), start, stop, step);
            text(places.map(|at| of[at]).collect())
        }
        Kind::List(of) => {
            spend(of.len().saturating_mul(ITEM))?;
            let places = places(of.len(), start, stop, step);
            Ok(Value::from(
                places.map(|at| of[at].clone()).collect::<Vec<_>>(),
            ))
        }
        Kind::Row(of) if of.range.is_none() => {
            spend(of.items.len().saturating_mul(ITEM))?;
            let places = places(of.items.len(), start, stop, step);
            Ok(tuple(places.map(|at| of.items[at].clone()).collect()))
        }
        _ => Err(wrong("a str, a list or a tuple to slice", value)),
    }
}

/// The places of a slice, as `slice.indices` of Python gives them.
fn places(
    length: usize,
    start: Option<i128>,
    stop: Option<i128>,
    step: i128,
) -> impl Iterator<Item = usize> {
    let length = length as i128;
    let (least, most) = if step < 0 {
        (-1, length - 1)
    } else {
        (0, length)
    };
    let clamp = |bound: i128| {
        let bound = if bound < 0 {
            bound.saturating_add(length)
        } else {
            bound
        };
        bound.clamp(least, most)
    };
    let start = start.map_or(if step < 0 { most } else { least }, clamp);
    let stop = stop.map_or(if step < 0 { least } else { most }, clamp);
    let mut at = start;
    std::iter::from_fn(move || {
        let inside = if step < 0 { at > stop } else { at < stop };
        let place = usize::try_from(at).ok().filter(|_| inside)?;
        at = at.saturating_add(step);
        Some(place)
    })
}
