//! Jinja's filters, on Python's values.

use std::cmp::Ordering;

use minijinja::{Error, Value};

use super::{
    arguments::Arguments,
    json, methods, predicates,
    values::{
        self, Kind, Once, compare, equal, error, from_int, int, item, items, length, text, to_text,
        tuple, wrong,
    },
    work::spend,
};

/// The names of the filters, those of Jinja that are supported.
pub(super) const NAMES: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];

/// The filters that do the same with a safe text (`Markup`) as with another; the rest would give safe texts.
const WITH_SAFE: &[&str] = &[
    "count", "d", "default", "first", "join", "last", "length", "list", "replace", "safe", "tojson",
];

/// Applies a filter.
pub(super) fn filter(name: &str, value: &Value, mut arguments: Arguments) -> Result<Value, Error> {
    if value.is_safe() && !WITH_SAFE.contains(&name) {
        if name == "string" {
            arguments.end()?;
            return Ok(value.clone());
        }
        return Err(error(format!(
            "expected the filter \"safe\" behind the filter {name:?}, got it before it"
        )));
    }
    let result = match name {
        "safe" => Value::from_safe_string(to_text(value)?),
        "tojson" => return json::tojson(value, arguments),
        "map" => return map(value, arguments),
        "select" | "reject" | "selectattr" | "rejectattr" => return select(name, value, arguments),
        "abs" => match Kind::of(value) {
            Kind::Float(float) => Value::from(float.abs()),
            _ => {
                let int = int(value).ok_or_else(|| wrong("a number", value))?;
                from_int(
                    int.checked_abs()
                        .ok_or_else(|| error("abs: expected a smaller number"))?,
                )
            }
        },
        "capitalize" => text(methods::capitalize(&to_text(value)?)?)?,
        "title" => text(methods::title_filter(&to_text(value)?)?)?,
        "lower" => text(to_text(value)?.to_lowercase())?,
        "upper" => text(to_text(value)?.to_uppercase())?,
        "string" => text(to_text(value)?)?,
        "length" | "count" => from_int(length(value)? as i128),
        "list" => Value::from(items(value)?),
        "default" | "d" => {
            let default = arguments
                .optional("default_value")?
                .unwrap_or_else(|| Value::from(""));
            let falsy = arguments
                .optional("boolean")?
                .is_some_and(|boolean| boolean.is_true());
            match value.is_undefined() || falsy && !value.is_true() {
                true => default,
                false => value.clone(),
            }
        }
        "trim" => {
            let chars = match arguments.optional("chars")? {
                Some(chars) if !chars.is_none() => {
                    let text = chars.as_str().map(str::to_owned);
                    Some(text.ok_or_else(|| wrong("a str of characters", &chars))?)
                }
                _ => None,
            };
            text(methods::strip(&to_text(value)?, chars.as_deref(), true, true).to_owned())?
        }
        "replace" => {
            let of = to_text(value)?;
            let old = to_text(&arguments.required("old")?)?;
            let new = to_text(&arguments.required("new")?)?;
            let count = match arguments.optional("count")? {
                Some(count) if !count.is_none() => {
                    int(&count).ok_or_else(|| wrong("an int", &count))?
                }
                _ => -1,
            };
            let times = of.len() / old.len().max(1) + 1;
            spend(times.saturating_mul(new.len()))?;
            text(match usize::try_from(count) {
                Ok(count) => of.replacen(&old, &new, count),
                Err(_) => of.replace(&old, &new),
            })?
        }
        "indent" => match value.as_str() {
            Some(of) => indent(of, &mut arguments)?,
            None => return Err(wrong("indent: a str", value)),
        },
        "items" => match Kind::of(value) {
            Kind::Undefined => Once::value(vec![]),
            Kind::Dict(dict) => Once::value(methods::pairs(dict)),
            _ => return Err(wrong("items: a dict", value)),
        },
        "join" => {
            let between = match arguments.optional("d")? {
                Some(between) => to_text(&between)?,
                None => String::new(),
            };
            let path = arguments.optional("attribute")?;
            let mut out = String::new();
            for (i, part) in items(value)?.iter().enumerate() {
                if i > 0 {
                    out.push_str(&between);
                }
                let part = match &path {
                    Some(path) if !path.is_none() => attribute(part, path, None)?,
                    _ => part.clone(),
                };
                out.push_str(&to_text(&part)?);
                spend(between.len())?;
            }
            text(out)?
        }
        "first" => match Kind::of(value) {
            Kind::Once(once) => once.next().unwrap_or_default(),
            Kind::Text(of) => of.chars().next().map(Value::from).unwrap_or_default(),
            _ => items(value)?.into_iter().next().unwrap_or_default(),
        },
        "last" => match Kind::of(value) {
            Kind::Once(_) => return Err(wrong("last: a sequence", value)),
            Kind::Text(of) => of.chars().next_back().map(Value::from).unwrap_or_default(),
            _ => items(value)?.pop().unwrap_or_default(),
        },
        "reverse" => match Kind::of(value) {
            Kind::Text(of) => text(of.chars().rev().collect())?,
            _ => {
                let mut items = items(value)?;
                items.reverse();
                Once::value(items)
            }
        },
        "int" => to_int(value, &mut arguments)?,
        "float" => {
            let default = arguments.optional("default")?;
            match to_float(value) {
                Some(float) => Value::from(float),
                None if value.is_undefined() => return Err(wrong("float: a number", value)),
                None => default.unwrap_or_else(|| Value::from(0.0)),
            }
        }
        "round" => {
            let precision = arguments.optional("precision")?;
            if precision.is_some_and(|precision| int(&precision) != Some(0)) {
                return Err(error("round: expected the precision 0, got another one"));
            }
            match Kind::of(value) {
                Kind::Float(float) => Value::from(float.round_ties_even()),
                _ => from_int(int(value).ok_or_else(|| wrong("a number", value))?),
            }
        }
        "sum" => {
            let path = arguments.optional("attribute")?;
            let mut sum = arguments
                .optional("start")?
                .unwrap_or_else(|| Value::from(0));
            for part in items(value)? {
                let part = match &path {
                    Some(path) if !path.is_none() => attribute(&part, path, None)?,
                    _ => part,
                };
                if part.as_str().is_some() {
                    return Err(wrong("sum: a number", &part));
                }
                sum = super::operators::add(&sum, &part)?;
            }
            sum
        }
        "sort" => {
            let reverse = arguments
                .optional("reverse")?
                .is_some_and(|reverse| reverse.is_true());
            let case = arguments
                .optional("case_sensitive")?
                .is_some_and(|case| case.is_true());
            let path = arguments
                .optional("attribute")?
                .filter(|path| !path.is_none());
            if path
                .as_ref()
                .and_then(Value::as_str)
                .is_some_and(|path| path.contains(','))
            {
                return Err(error("sort: expected one attribute, got several"));
            }
            let key = |item: &Value| sort_key(item, path.as_ref(), case);
            Value::from(sorted(items(value)?, reverse, key)?)
        }
        "min" | "max" => {
            let case = arguments
                .optional("case_sensitive")?
                .is_some_and(|case| case.is_true());
            let path = arguments
                .optional("attribute")?
                .filter(|path| !path.is_none());
            let mut best: Option<(Value, Value)> = None;
            for item in items(value)? {
                let key = sort_key(&item, path.as_ref(), case)?;
                let better = match &best {
                    None => true,
                    Some((other, _)) => {
                        let order = compare(&key, other)?;
                        order
                            == Some(if name == "min" {
                                Ordering::Less
                            } else {
                                Ordering::Greater
                            })
                    }
                };
                if better {
                    best = Some((key, item));
                }
            }
            best.map(|(_, item)| item).unwrap_or_default()
        }
        "unique" => {
            let case = arguments
                .optional("case_sensitive")?
                .is_some_and(|case| case.is_true());
            let path = arguments
                .optional("attribute")?
                .filter(|path| !path.is_none());
            let (mut keys, mut kept): (Vec<Value>, _) = (Vec::new(), Vec::new());
            for item in items(value)? {
                let key = sort_key(&item, path.as_ref(), case)?;
                if !values::is_hashable(&key) {
                    return Err(wrong("unique: values that can be keys of a dict", &key));
                }
                let mut known = false;
                for other in &keys {
                    known = known || equal(other, &key)?;
                }
                if !known {
                    keys.push(key);
                    kept.push(item);
                }
            }
            Once::value(kept)
        }
        "dictsort" => {
            let Kind::Dict(dict) = Kind::of(value) else {
                return Err(wrong("dictsort: a dict", value));
            };
            let case = arguments
                .optional("case_sensitive")?
                .is_some_and(|case| case.is_true());
            let by = arguments.optional("by")?;
            let by = by.as_ref().map_or(Some("key"), Value::as_str);
            let at = match by {
                Some("key") => 0,
                Some("value") => 1,
                _ => {
                    return Err(error(
                        "dictsort: expected \"key\" or \"value\", got another name",
                    ));
                }
            };
            let reverse = arguments
                .optional("reverse")?
                .is_some_and(|reverse| reverse.is_true());
            let key = |pair: &Value| match Kind::of(pair) {
                Kind::Row(row) => sort_key(&row.items[at], None, case),
                _ => Ok(pair.clone()),
            };
            Value::from(sorted(methods::pairs(dict), reverse, key)?)
        }
        _ => {
            return Err(error(format!(
                "expected a filter that is supported, got {name:?}"
            )));
        }
    };
    arguments.end()?;
    Ok(result)
}

/// What a value is sorted by: an attribute of it, texts in lower case.
fn sort_key(value: &Value, path: Option<&Value>, case: bool) -> Result<Value, Error> {
    let key = match path {
        Some(path) => attribute(value, path, None)?,
        None => value.clone(),
    };
    match key.as_str() {
        Some(of) if !case => text(of.to_lowercase()),
        _ => Ok(key),
    }
}

fn sorted(
    items: Vec<Value>,
    reverse: bool,
    key: impl Fn(&Value) -> Result<Value, Error>,
) -> Result<Vec<Value>, Error> {
    let keyed: Result<Vec<_>, Error> = items
        .into_iter()
        .map(|item| Ok((key(&item)?, item)))
        .collect();
    let mut keyed = keyed?;
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let order = compare(a, b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        });
        let order = order.unwrap_or(Ordering::Equal);
        // Python's reverse sort keeps the order of equal items.
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(failed) => Err(failed),
        None => Ok(keyed.into_iter().map(|(_, item)| item).collect()),
    }
}

/// The attribute of a path such as `function.name`, with the default for each of its names.
fn attribute(value: &Value, path: &Value, default: Option<&Value>) -> Result<Value, Error> {
    let or_default = |found: Value| match default {
        Some(default) if found.is_undefined() && !default.is_none() => default.clone(),
        _ => found,
    };
    let Some(names) = path.as_str() else {
        return item(value, path, None).map(or_default);
    };
    let mut value = value.clone();
    for name in names.split('.') {
        let digits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
        let key = match name.parse::<i64>() {
            Ok(number) if digits => Value::from(number),
            _ => Value::from(name),
        };
        value = or_default(item(&value, &key, None)?);
    }
    Ok(value)
}

/// The filter `map`: an attribute of each item, or a filter on it.
fn map(value: &Value, mut arguments: Arguments) -> Result<Value, Error> {
    // As in Jinja, which then looks at nothing else.
    if !value.is_true() {
        return Ok(Once::value(vec![]));
    }
    let path = arguments.by_name("attribute")?;
    let mut mapped = Vec::new();
    if let Some(path) = path {
        let default = arguments.by_name("default")?;
        for item in items(value)? {
            mapped.push(attribute(&item, &path, default.as_ref())?);
        }
        arguments.end()?;
    } else {
        let name = arguments.required("filter")?;
        let name = name.as_str().map(str::to_owned);
        let name = name.filter(|name| NAMES.contains(&name.as_str()));
        let name =
            name.ok_or_else(|| error("map: expected an attribute, or a filter that is supported"))?;
        let rest = arguments.rest();
        arguments.end()?;
        for item in items(value)? {
            mapped.push(filter(&name, &item, Arguments::of(&rest)?)?);
        }
    }
    Ok(Once::value(mapped))
}

/// The filters that pick items by a test.
fn select(filter: &str, value: &Value, mut arguments: Arguments) -> Result<Value, Error> {
    if !value.is_true() {
        return Ok(Once::value(vec![]));
    }
    let path = match filter.ends_with("attr") {
        true => Some(arguments.required("attribute")?),
        false => None,
    };
    let name = arguments.optional("test")?;
    let rest = arguments.rest();
    arguments.end()?;
    let name = match &name {
        None => None,
        Some(name) => {
            let name = name
                .as_str()
                .filter(|name| predicates::NAMES.contains(name));
            Some(name.ok_or_else(|| error(format!("{filter}: expected a test that is supported")))?)
        }
    };
    let wanted = filter.starts_with("select");
    let mut picked = Vec::new();
    for item in items(value)? {
        let tested = match &path {
            Some(path) => attribute(&item, path, None)?,
            None => item.clone(),
        };
        let passed = match name {
            None => tested.is_true(),
            Some(name) => predicates::test(name, &tested, Arguments::of(&rest)?)?,
        };
        if passed == wanted {
            picked.push(item);
        }
    }
    Ok(Once::value(picked))
}

/// The filter `indent`.
fn indent(of: &str, arguments: &mut Arguments) -> Result<Value, Error> {
    let by = match arguments.optional("width")? {
        None => "    ".to_owned(),
        Some(width) => match (width.as_str(), int(&width)) {
            (Some(by), _) => by.to_owned(),
            (_, Some(width)) => {
                let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
                spend(width)?;
                " ".repeat(width)
            }
            _ => return Err(wrong("an int or a str as the width", &width)),
        },
    };
    let first = arguments
        .optional("first")?
        .is_some_and(|first| first.is_true());
    let blank = arguments
        .optional("blank")?
        .is_some_and(|blank| blank.is_true());
    let of = format!("{of}\n");
    let lines = methods::lines(&of, false);
    spend(lines.len().saturating_mul(by.len()))?;
    let mut out = String::new();
    if first {
        out.push_str(&by);
    }
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
            if blank || !line.is_empty() {
                out.push_str(&by);
            }
        }
        out.push_str(line);
    }
    text(out)
}

/// The filter `int`.
fn to_int(value: &Value, arguments: &mut Arguments) -> Result<Value, Error> {
    let default = arguments
        .optional("default")?
        .unwrap_or_else(|| Value::from(0));
    let base = arguments.optional("base")?;
    if base.is_some_and(|base| int(&base) != Some(10)) {
        return Err(error("int: expected the base 10, got another one"));
    }
    Ok(match Kind::of(value) {
        Kind::Text(of) => {
            let plain = plain_number(of)?;
            match plain.parse::<i128>() {
                Ok(int) => from_int(int),
                Err(_) => match plain.parse::<f64>() {
                    Ok(float) if is_number(&plain) => whole(float)?,
                    _ => default,
                },
            }
        }
        Kind::Float(float) if !float.is_finite() => default,
        Kind::Float(float) => whole(float)?,
        Kind::Undefined | Kind::Today => return Err(wrong("int: a number", value)),
        _ => int(value).map_or(default, from_int),
    })
}

fn whole(float: f64) -> Result<Value, Error> {
    let whole = float.trunc();
    if whole.abs() > 1e30 {
        return Err(error("int: expected a number below 1e30, got a larger one"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let whole = whole as i128;
    Ok(from_int(whole))
}

fn to_float(value: &Value) -> Option<f64> {
    match Kind::of(value) {
        Kind::Float(float) => Some(float),
        Kind::Text(of) => {
            let plain = plain_number(of).ok()?;
            plain.parse().ok().filter(|_| is_number(&plain))
        }
        #[expect(clippy::cast_precision_loss, reason = "as Python rounds it")]
        _ => int(value).map(|int| int as f64),
    }
}

/// The text of a number without blanks around it.
fn plain_number(of: &str) -> Result<String, Error> {
    let plain = methods::strip(of, None, true, true);
    match plain.contains('_') || !plain.is_ascii() {
        true => Err(error(format!(
            "expected a number of ASCII digits, got {plain:?}"
        ))),
        false => Ok(plain.to_owned()),
    }
}

/// Whether Rust and Python both read it as a number, which is no infinity and no NaN.
fn is_number(plain: &str) -> bool {
    plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

/// `range(...)`.
pub(super) fn range(mut arguments: Arguments) -> Result<Value, Error> {
    const MOST: usize = 100_000;
    let bound = |value: &Value| {
        let int = int(value).and_then(|int| i64::try_from(int).ok());
        int.ok_or_else(|| wrong("range: an int", value))
    };
    let first = bound(&arguments.required("start")?)?;
    let second = arguments
        .optional("stop")?
        .map(|stop| bound(&stop))
        .transpose()?;
    let step = arguments
        .optional("step")?
        .map_or(Ok(1), |step| bound(&step))?;
    arguments.end()?;
    let (start, stop) = second.map_or((0, first), |stop| (first, stop));
    if step == 0 {
        return Err(error("range: expected a step other than zero, got zero"));
    }
    let mut numbers = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        if numbers.len() == MOST {
            return Err(error(format!(
                "range: expected at most {MOST} numbers, got more"
            )));
        }
        numbers.push(Value::from(at));
        at = at.saturating_add(step);
    }
    spend(numbers.len())?;
    let row = super::values::Row {
        items: numbers,
        range: Some([start, stop, step]),
    };
    Ok(Value::from_object(row))
}

/// `dict(...)`, with arguments by name.
pub(super) fn dict(all: &[Value]) -> Result<Value, Error> {
    let mut dict = super::values::Dict::default();
    for argument in all {
        let entries = match Kind::of(argument) {
            Kind::Dict(of) => of.entries().to_vec(),
            _ if argument.is_kwargs() => {
                let object = argument
                    .as_object()
                    .and_then(|object| object.try_iter_pairs());
                object.into_iter().flatten().collect()
            }
            _ => return Err(wrong("dict: a dict, or arguments by name", argument)),
        };
        for (key, value) in entries {
            dict.put(key, value)?;
        }
    }
    Ok(Value::from_object(dict))
}

/// A dictionary of keys and values in turn.
pub(super) fn dict_of(all: &[Value]) -> Result<Value, Error> {
    let mut dict = super::values::Dict::default();
    for pair in all.chunks_exact(2) {
        dict.put(pair[0].clone(), pair[1].clone())?;
    }
    super::values::checked(Value::from_object(dict))
}

/// A tuple of these values.
pub(super) fn tuple_of(value: &Value) -> Result<Value, Error> {
    super::values::checked(tuple(items(value)?))
}
