//! Python's methods of str, dict, list and tuple.
//!
//! Where minijinja's pycompat methods do what Python does, they are used. The others differ in what they call a blank, in
//! counting bytes, or in the values that they accept.

use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{
    arguments::Arguments,
    values::{Dict, Kind, View, equal, error, from_int, int, items, text, tuple, wrong},
    work::spend,
};

/// All methods of `str`, `dict`, `list` and `tuple` in Python: an attribute of this name is the method.
const TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];
const DICT: &[&str] = &[
    "clear",
    "copy",
    "fromkeys",
    "get",
    "items",
    "keys",
    "pop",
    "popitem",
    "setdefault",
    "update",
    "values",
];
const LIST: &[&str] = &[
    "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse",
    "sort",
];
const TUPLE: &[&str] = &["count", "index"];

/// Whether Python has a method of this name.
pub(super) fn is_method(value: &Value, name: &str) -> bool {
    let names = match Kind::of(value) {
        Kind::Text(_) => TEXT,
        Kind::Dict(_) => DICT,
        Kind::List(_) => LIST,
        Kind::Row(row) if row.range.is_none() => TUPLE,
        _ => return false,
    };
    names.contains(&name)
}

/// Calls a method.
pub(super) fn call(
    state: &State<'_, '_>,
    of: &Value,
    name: &str,
    all: &[Value],
) -> Result<Value, Error> {
    if of.is_safe() {
        return Err(error(
            "expected methods of a text before the filter \"safe\", got one of its result",
        ));
    }
    let mut arguments = Arguments::of(all)?;
    let result = match Kind::of(of) {
        Kind::Text(of_text) => {
            spend(of_text.len())?;
            match name {
                "lower" | "upper" | "replace" | "isascii" => {
                    replacement_fits(of_text, name, all)?;
                    let done = unknown_method_callback(state, of, name, all)?;
                    spend(done.as_str().map_or(0, str::len))?;
                    return Ok(done);
                }
                _ => of_str(of_text, name, &mut arguments)?,
            }
        }
        Kind::Dict(dict) => of_dict(dict, name, &mut arguments)?,
        Kind::List(list) => of_list(list, name, &mut arguments)?,
        Kind::Row(row) if name != "copy" => of_list(&row.items, name, &mut arguments)?,
        _ => None,
    };
    let Some(result) = result else {
        let kind = Kind::of(of).name();
        return Err(error(format!(
            "expected a method that changes nothing and is supported, got {name:?} of {kind}"
        )));
    };
    arguments.end()?;
    Ok(result)
}

/// Counts the length of a text before its parts are replaced.
fn replacement_fits(text: &str, name: &str, all: &[Value]) -> Result<(), Error> {
    if name != "replace" {
        return Ok(());
    }
    let [old, new] = [0, 1].map(|at| all.get(at).and_then(Value::as_str));
    let (Some(old), Some(new)) = (old, new) else {
        return Err(error("replace: expected two str, got other arguments"));
    };
    let times = if old.is_empty() {
        text.len() + 1
    } else {
        text.len() / old.len()
    };
    spend(times.saturating_mul(new.len().saturating_sub(old.len())))
}

/// Whether Python calls a character a blank.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn string(value: &Value, what: &str) -> Result<String, Error> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| wrong(what, value))
}

/// `strip`, at the sides that are asked for.
pub(super) fn strip<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let inside = |c: char| chars.map_or_else(|| is_blank(c), |chars| chars.contains(c));
    let text = if left {
        text.trim_start_matches(inside)
    } else {
        text
    };
    if right {
        text.trim_end_matches(inside)
    } else {
        text
    }
}

fn of_str(text_: &str, name: &str, arguments: &mut Arguments) -> Result<Option<Value>, Error> {
    let of = text_;
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let chars = match arguments.optional("chars")? {
                None => None,
                Some(none) if none.is_none() => None,
                Some(chars) => Some(string(&chars, "a str of characters")?),
            };
            text(strip(of, chars.as_deref(), name != "rstrip", name != "lstrip").to_owned())?
        }
        "split" | "rsplit" => {
            let separator = match arguments.optional("sep")? {
                None => None,
                Some(none) if none.is_none() => None,
                Some(separator) => Some(string(&separator, "a str as the separator")?),
            };
            if separator.as_deref() == Some("") {
                return Err(error("split: expected a separator, got an empty one"));
            }
            let most = match arguments.optional("maxsplit")? {
                None => -1,
                Some(most) => {
                    int(&most).ok_or_else(|| wrong("an int as the number of splits", &most))?
                }
            };
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let parts = split(of, separator.as_deref(), most, name == "rsplit");
            spend(parts.len() * 16)?;
            Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "splitlines" => {
            let keep = arguments
                .optional("keepends")?
                .is_some_and(|keep| keep.is_true());
            let lines = lines(of, keep);
            Value::from(lines.into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "startswith" | "endswith" => {
            let wanted = arguments.required("prefix")?;
            let fits = |part: &Value| {
                let part = string(part, "a str or a tuple of str")?;
                Ok::<_, Error>(if name == "startswith" {
                    of.starts_with(&part)
                } else {
                    of.ends_with(&part)
                })
            };
            let mut found = false;
            match Kind::of(&wanted) {
                Kind::Row(row) => {
                    for part in &row.items {
                        found = found || fits(part)?;
                    }
                }
                _ => found = fits(&wanted)?,
            }
            Value::from(found)
        }
        "removeprefix" => {
            let part = string(&arguments.required("prefix")?, "a str")?;
            text(of.strip_prefix(&part).unwrap_or(of).to_owned())?
        }
        "removesuffix" => {
            let part = string(&arguments.required("suffix")?, "a str")?;
            text(of.strip_suffix(&part).unwrap_or(of).to_owned())?
        }
        "find" | "rfind" | "index" | "rindex" => {
            let part = string(&arguments.required("sub")?, "a str")?;
            let found = if name.starts_with('r') {
                of.rfind(&part)
            } else {
                of.find(&part)
            };
            match found {
                Some(at) => from_int(of[..at].chars().count() as i128),
                None if name.ends_with("find") => Value::from(-1),
                None => {
                    return Err(error(format!(
                        "{name}: expected the text to be there, got none"
                    )));
                }
            }
        }
        "count" => {
            let part = string(&arguments.required("sub")?, "a str")?;
            let times = if part.is_empty() {
                of.chars().count() + 1
            } else {
                of.matches(&part).count()
            };
            from_int(times as i128)
        }
        "partition" | "rpartition" => {
            let part = string(&arguments.required("sep")?, "a str")?;
            if part.is_empty() {
                return Err(error(format!(
                    "{name}: expected a separator, got an empty one"
                )));
            }
            let last = name == "rpartition";
            let split = if last {
                of.rsplit_once(&part)
            } else {
                of.split_once(&part)
            };
            let three = match split {
                Some((before, after)) => [before, &part, after],
                None if last => ["", "", of],
                None => [of, "", ""],
            };
            tuple(three.map(Value::from).to_vec())
        }
        "join" => {
            let parts = items(&arguments.required("iterable")?)?;
            let parts: Result<Vec<_>, _> = parts
                .iter()
                .map(|part| string(part, "str to join"))
                .collect();
            text(parts?.join(of))?
        }
        "capitalize" => text(capitalize(of)?)?,
        "title" => text(title(of)?)?,
        "isspace" => Value::from(!of.is_empty() && of.chars().all(is_blank)),
        "islower" | "isupper" => Value::from(is_case(of, name == "islower")),
        "isdigit" | "isdecimal" | "isnumeric" | "isalpha" | "isalnum" => {
            let mut all = !of.is_empty();
            for c in of.chars() {
                all &= match name {
                    "isalpha" => is_letter(c)?,
                    "isalnum" => is_digit(c)? || is_letter(c)?,
                    _ => is_digit(c)?,
                };
            }
            Value::from(all)
        }
        "zfill" => {
            let width = width(&arguments.required("width")?)?;
            let (sign, digits) = match of.strip_prefix(['-', '+']) {
                Some(digits) => of.split_at(of.len() - digits.len()),
                None => ("", of),
            };
            let missing = width.saturating_sub(of.chars().count());
            spend(missing)?;
            text(format!("{sign}{}{digits}", "0".repeat(missing)))?
        }
        "ljust" | "rjust" => {
            let width = width(&arguments.required("width")?)?;
            let fill = match arguments.optional("fillchar")? {
                None => " ".to_owned(),
                Some(fill) => string(&fill, "a character")?,
            };
            if fill.chars().count() != 1 {
                return Err(error(format!(
                    "{name}: expected one character to fill with, got {fill:?}"
                )));
            }
            let missing = width.saturating_sub(of.chars().count());
            spend(missing.saturating_mul(4))?;
            let fill = fill.repeat(missing);
            text(if name == "ljust" {
                format!("{of}{fill}")
            } else {
                format!("{fill}{of}")
            })?
        }
        _ => return Ok(None),
    }))
}

fn width(value: &Value) -> Result<usize, Error> {
    let width = int(value).ok_or_else(|| wrong("an int as the width", value))?;
    Ok(usize::try_from(width.max(0)).unwrap_or(usize::MAX))
}

/// `split` and `rsplit`.
fn split<'a>(
    text: &'a str,
    separator: Option<&str>,
    most: usize,
    from_right: bool,
) -> Vec<&'a str> {
    if let Some(separator) = separator {
        let most = most.saturating_add(1);
        return match from_right {
            false => text.splitn(most, separator).collect(),
            true => {
                let mut parts: Vec<_> = text.rsplitn(most, separator).collect();
                parts.reverse();
                parts
            }
        };
    }
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        rest = strip(rest, None, true, true);
        if rest.is_empty() {
            break;
        }
        if parts.len() >= most {
            // What is left keeps the blanks at its other end.
            let start =
                text.len() - (text.len() - (rest.as_ptr() as usize - text.as_ptr() as usize));
            let whole = if from_right {
                strip(&text[..start + rest.len()], None, false, true)
            } else {
                strip(&text[start..], None, true, false)
            };
            parts.push(whole);
            break;
        }
        let at = if from_right {
            rest.rfind(is_blank)
        } else {
            rest.find(is_blank)
        };
        match at {
            None => {
                parts.push(rest);
                break;
            }
            Some(at) if from_right => {
                let blank = rest[at..].chars().next().map_or(0, char::len_utf8);
                parts.push(&rest[at + blank..]);
                rest = &rest[..at];
            }
            Some(at) => {
                parts.push(&rest[..at]);
                rest = &rest[at..];
            }
        }
    }
    if from_right {
        parts.reverse();
    }
    parts
}

/// `splitlines`.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    const ENDS: &[char] = &[
        '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
        '\u{2029}',
    ];
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(ENDS) else {
            lines.push(rest);
            break;
        };
        let end = rest[at..].chars().next().map_or(0, char::len_utf8);
        let end = at
            + if rest[at..].starts_with("\r\n") {
                2
            } else {
                end
            };
        lines.push(&rest[..if keep { end } else { at }]);
        rest = &rest[end..];
    }
    lines
}

/// The one character that is another in upper case; Python has a third case for some.
fn upper(c: char) -> Result<char, Error> {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(upper), None)
            if !('\u{1c4}'..='\u{1f3}').contains(&c) && !('\u{10d0}'..='\u{10ff}').contains(&c) =>
        {
            Ok(upper)
        }
        _ => Err(error(format!(
            "expected letters with one form in upper case, got {c:?}"
        ))),
    }
}

/// `islower` or `isupper`: letters with a case, and none in the other.
pub(super) fn is_case(text: &str, lower: bool) -> bool {
    let (mut wanted, mut other) = (false, false);
    for c in text.chars() {
        wanted |= if lower {
            c.is_lowercase()
        } else {
            c.is_uppercase()
        };
        other |= if lower {
            c.is_uppercase()
        } else {
            c.is_lowercase()
        };
    }
    wanted && !other
}

/// `capitalize`.
pub(super) fn capitalize(text: &str) -> Result<String, Error> {
    let mut chars = text.chars();
    let mut out = String::with_capacity(text.len());
    if let Some(first) = chars.next() {
        out.push(upper(first)?);
        out.push_str(&chars.as_str().to_lowercase());
    }
    Ok(out)
}

/// `title`.
fn title(text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for c in text.chars() {
        let cased = c.is_lowercase() || c.is_uppercase();
        match (cased, within) {
            (true, false) => out.push(upper(c)?),
            (true, true) => out.extend(c.to_lowercase()),
            _ => out.push(c),
        }
        within = cased;
    }
    Ok(out)
}

/// `title` as Jinja's filter: it starts words elsewhere than Python.
pub(super) fn title_filter(text: &str) -> Result<String, Error> {
    let starts = |c: char| is_blank(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().map(Some).chain([None]) {
        match c {
            Some(c) if !starts(c) => word.push(c),
            end => {
                out.push_str(&capitalize(&word)?);
                word.clear();
                out.extend(end);
            }
        }
    }
    Ok(out)
}

fn is_digit(c: char) -> Result<bool, Error> {
    match c.is_ascii() || !c.is_numeric() {
        true => Ok(c.is_ascii_digit()),
        false => Err(error(format!("expected the digits 0 to 9, got {c:?}"))),
    }
}

fn is_letter(c: char) -> Result<bool, Error> {
    if c.is_ascii() || !c.is_alphabetic() {
        return Ok(c.is_ascii_alphabetic());
    }
    let known = c.is_lowercase()
        || c.is_uppercase()
        || ('\u{3041}'..='\u{30fa}').contains(&c)
        || ('\u{4e00}'..='\u{9fff}').contains(&c)
        || ('\u{ac00}'..='\u{d7a3}').contains(&c);
    match known {
        true => Ok(true),
        false => Err(error(format!(
            "expected letters of a known script, got {c:?}"
        ))),
    }
}

fn of_dict(dict: &Dict, name: &str, arguments: &mut Arguments) -> Result<Option<Value>, Error> {
    spend(dict.entries().len())?;
    let view = |name, items: Vec<Value>| Value::from_object(View { name, items });
    Ok(Some(match name {
        "get" => {
            let key = arguments.required("key")?;
            let default = arguments.optional("default")?;
            let found = dict.get(&key)?.cloned();
            found.or(default).unwrap_or(Value::from(()))
        }
        "keys" => view("dict_keys", dict.keys()),
        "values" => view(
            "dict_values",
            dict.entries()
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
        ),
        "items" => view("dict_items", pairs(dict)),
        _ => return Ok(None),
    }))
}

/// The entries of a dictionary, as tuples.
pub(super) fn pairs(dict: &Dict) -> Vec<Value> {
    let entries = dict.entries().iter();
    entries
        .map(|(key, value)| tuple(vec![key.clone(), value.clone()]))
        .collect()
}

fn of_list(list: &[Value], name: &str, arguments: &mut Arguments) -> Result<Option<Value>, Error> {
    spend(list.len())?;
    Ok(Some(match name {
        "copy" => Value::from(list.to_vec()),
        "count" | "index" => {
            let wanted = arguments.required("value")?;
            let mut places = Vec::new();
            for (at, item) in list.iter().enumerate() {
                if equal(item, &wanted)? {
                    places.push(at);
                }
            }
            match (name, places.first()) {
                ("count", _) => from_int(places.len() as i128),
                (_, Some(&at)) => from_int(at as i128),
                _ => {
                    return Err(error(
                        "index: expected the value to be in the list, got none",
                    ));
                }
            }
        }
        _ => return Ok(None),
    }))
}
