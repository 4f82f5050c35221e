//! Jinja's tests: what stands behind `is`.

use std::cmp::Ordering;

use minijinja::{Error, Value};

use super::{
    arguments::Arguments,
    methods,
    values::{Kind, compare, contains, equal, error, int, to_text, wrong},
};

/// The names of the tests, those of Jinja that are supported.
pub(super) const NAMES: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Whether a value passes a test.
pub(super) fn test(name: &str, value: &Value, mut arguments: Arguments) -> Result<bool, Error> {
    let kind = Kind::of(value);
    let ordered = |arguments: &mut Arguments, fits: fn(Ordering) -> bool| {
        let other = arguments.required("other")?;
        Ok::<_, Error>(compare(value, &other)?.is_some_and(fits))
    };
    let passed = match name {
        "defined" => !matches!(kind, Kind::Undefined),
        "undefined" => matches!(kind, Kind::Undefined),
        "none" => matches!(kind, Kind::None),
        "boolean" => matches!(kind, Kind::Bool(_)),
        "true" => matches!(kind, Kind::Bool(true)),
        "false" => matches!(kind, Kind::Bool(false)),
        "integer" => matches!(kind, Kind::Int(_)),
        "float" => matches!(kind, Kind::Float(_)),
        "number" => matches!(kind, Kind::Bool(_) | Kind::Int(_) | Kind::Float(_)),
        "string" => matches!(kind, Kind::Text(_) | Kind::Today),
        "mapping" => matches!(kind, Kind::Dict(_)),
        "callable" => match kind {
            Kind::Other => return Err(wrong("callable: a value or a method", value)),
            kind => matches!(kind, Kind::Method | Kind::Undefined),
        },
        "sequence" => matches!(
            kind,
            Kind::Text(_)
                | Kind::List(_)
                | Kind::Row(_)
                | Kind::Dict(_)
                | Kind::Undefined
                | Kind::Today
        ),
        "iterable" => !matches!(
            kind,
            Kind::None | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Method | Kind::Other
        ),
        "eq" | "equalto" | "==" => equal(value, &arguments.required("other")?)?,
        "ne" | "!=" => !equal(value, &arguments.required("other")?)?,
        "lt" | "lessthan" | "<" => ordered(&mut arguments, Ordering::is_lt)?,
        "le" | "<=" => ordered(&mut arguments, Ordering::is_le)?,
        "gt" | "greaterthan" | ">" => ordered(&mut arguments, Ordering::is_gt)?,
        "ge" | ">=" => ordered(&mut arguments, Ordering::is_ge)?,
        "in" => contains(&arguments.required("container")?, value)?,
        "odd" | "even" => {
            let int = int(value).ok_or_else(|| wrong("an int", value))?;
            (int.rem_euclid(2) == 1) == (name == "odd")
        }
        "divisibleby" => {
            let by = arguments.required("num")?;
            match (int(value), int(&by)) {
                (Some(int), Some(by)) if by != 0 => int.checked_rem(by) == Some(0),
                _ => return Err(error("divisibleby: expected two ints other than zero")),
            }
        }
        "lower" | "upper" => methods::is_case(&to_text(value)?, name == "lower"),
        "sameas" => {
            let other = arguments.required("other")?;
            match (kind, Kind::of(&other)) {
                (Kind::None, Kind::None) => true,
                (Kind::Bool(a), Kind::Bool(b)) => a == b,
                (Kind::None | Kind::Bool(_), _) | (_, Kind::None | Kind::Bool(_)) => false,
                _ => return Err(error("sameas: expected none, true or false")),
            }
        }
        _ => {
            return Err(error(format!(
                "expected a test that is supported, got {name:?}"
            )));
        }
    };
    arguments.end()?;
    Ok(passed)
}
