//! Python's objects as values of minijinja, and what Python says of them: text, equality, order, length, items.
//!
//! Strings, numbers, booleans, none and lists are minijinja's own. Dictionaries, tuples, ranges, views and iterators are
//! objects here, because minijinja has one type for several of them.

use std::{
    cmp::Ordering,
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Enumerator, Object, ObjectRepr, ValueKind},
};

use super::{methods, work::spend};

/// What an item of a list counts as work, in bytes: about its size.
pub(super) const ITEM: usize = 32;
/// How deep values may be nested: they are compared, printed and dropped recursively.
const DEEPEST: usize = 200;

/// An error of a template.
pub(super) fn error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// A dictionary, in the order of its keys.
#[derive(Debug, Default)]
pub(in super::super) struct Dict {
    entries: Vec<(Value, Value)>,
    /// The entries whose keys are texts.
    texts: HashMap<String, usize>,
}

impl Dict {
    /// A dictionary of different texts.
    pub(super) fn of_texts<const N: usize>(entries: [(&str, Value); N]) -> Self {
        let texts = entries.iter().enumerate();
        let texts = texts.map(|(i, (key, _))| ((*key).to_owned(), i)).collect();
        let entries = entries
            .into_iter()
            .map(|(key, value)| (Value::from(key), value));
        Self {
            entries: entries.collect(),
            texts,
        }
    }

    /// Adds an entry; a key that is there keeps its place, and gets the new value.
    pub(super) fn put(&mut self, key: Value, value: Value) -> Result<(), Error> {
        let place = self.place(&key)?;
        match place {
            Some(place) => self.entries[place].1 = value,
            None => {
                if let Some(text) = key.as_str() {
                    self.texts.insert(text.to_owned(), self.entries.len());
                }
                self.entries.push((key, value));
            }
        }
        Ok(())
    }

    fn place(&self, key: &Value) -> Result<Option<usize>, Error> {
        match Kind::of(key) {
            Kind::Text(text) => Ok(self.texts.get(text).copied()),
            _ if !is_hashable(key) => Err(error("a list or a dict cannot be a key of a dict")),
            _ if self.texts.len() == self.entries.len() => Ok(None),
            _ => {
                for (place, (other, _)) in self.entries.iter().enumerate() {
                    if equal(other, key)? {
                        return Ok(Some(place));
                    }
                }
                Ok(None)
            }
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &Value) -> Result<Option<&Value>, Error> {
        Ok(self.place(key)?.map(|place| &self.entries[place].1))
    }

    /// The value of a key that is a text.
    pub(in super::super) fn get_text(&self, key: &str) -> Option<&Value> {
        self.texts.get(key).map(|&place| &self.entries[place].1)
    }

    pub(super) fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    pub(in super::super) fn keys(&self) -> Vec<Value> {
        self.entries.iter().map(|(key, _)| key.clone()).collect()
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key).ok().flatten().cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.keys())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.entries.is_empty()
    }
}

/// A tuple, or a range.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) items: Vec<Value>,
    /// Start, stop and step of a range.
    pub(super) range: Option<[i64; 3]>,
}

impl Object for Row {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }
}

/// What `keys()`, `values()` and `items()` of a dictionary give.
#[derive(Debug)]
pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) items: Vec<Value>,
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.items.clone())
    }
}

/// An iterator, which gives each item once.
#[derive(Debug)]
pub(super) struct Once(Mutex<std::vec::IntoIter<Value>>);

impl Once {
    pub(super) fn value(items: Vec<Value>) -> Value {
        Value::from_object(Self(Mutex::new(items.into_iter())))
    }

    pub(super) fn next(&self) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    fn rest(&self) -> Vec<Value> {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        items.by_ref().collect()
    }
}

impl Object for Once {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.rest().into_iter()))
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// A method of a value, not called yet.
#[derive(Debug)]
pub(super) struct Method {
    of: Value,
    name: String,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call(self: &Arc<Self>, state: &State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        methods::call(state, &self.of, &self.name, args)
    }
}

/// Today's date, as `strftime_now` gives it: it may be stored, but not used.
#[derive(Debug)]
pub(super) struct Today;

impl Object for Today {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }
}

/// The Python type of a value.
pub(super) enum Kind<'a> {
    Undefined,
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    List(&'a [Value]),
    Row(&'a Row),
    Dict(&'a Dict),
    View(&'a View),
    Once(&'a Once),
    Method,
    Today,
    /// A namespace, a macro, a function or the variable `loop`.
    Other,
}

impl<'a> Kind<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value.kind() {
            ValueKind::Undefined => Self::Undefined,
            ValueKind::None => Self::None,
            ValueKind::Bool => Self::Bool(value.is_true()),
            ValueKind::String => value.as_str().map_or(Self::Other, Self::Text),
            ValueKind::Number if value.is_integer() => {
                i128::try_from(value.clone()).map_or(Self::Other, Self::Int)
            }
            ValueKind::Number => f64::try_from(value.clone()).map_or(Self::Other, Self::Float),
            _ => {
                if let Some(list) = value.downcast_object_ref::<Vec<Value>>() {
                    Self::List(list)
                } else if let Some(dict) = value.downcast_object_ref() {
                    Self::Dict(dict)
                } else if let Some(row) = value.downcast_object_ref() {
                    Self::Row(row)
                } else if let Some(view) = value.downcast_object_ref() {
                    Self::View(view)
                } else if let Some(iterator) = value.downcast_object_ref() {
                    Self::Once(iterator)
                } else if value.downcast_object_ref::<Method>().is_some() {
                    Self::Method
                } else if value.downcast_object_ref::<Today>().is_some() {
                    Self::Today
                } else {
                    Self::Other
                }
            }
        }
    }

    /// The name of the type in Python.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Undefined => "an undefined variable",
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Float(_) => "a float",
            Self::Text(_) => "a str",
            Self::List(_) => "a list",
            Self::Row(Row { range: None, .. }) => "a tuple",
            Self::Row(_) => "a range",
            Self::Dict(_) => "a dict",
            Self::View(view) => view.name,
            Self::Once(_) => "an iterator",
            Self::Method => "a method",
            Self::Today => "today's date",
            Self::Other => "a namespace or a function",
        }
    }
}

/// The error for a value of the wrong type.
pub(super) fn wrong(expected: &str, got: &Value) -> Error {
    match Kind::of(got) {
        Kind::Today => error(TODAY),
        kind => error(format!("expected {expected}, got {}", kind.name())),
    }
}

/// Why today's date is refused.
pub(super) const TODAY: &str = "strftime_now: expected a text that is the same on every day, got today's date; write a \
                                fixed date into a copy of the template";

/// The number of an int or a bool.
pub(super) fn int(value: &Value) -> Option<i128> {
    match Kind::of(value) {
        Kind::Bool(bool) => Some(bool.into()),
        Kind::Int(int) => Some(int),
        _ => None,
    }
}

/// An int as a value.
pub(super) fn from_int(int: i128) -> Value {
    match i64::try_from(int) {
        Ok(int) => Value::from(int),
        Err(_) => Value::from(int),
    }
}

pub(super) fn tuple(items: Vec<Value>) -> Value {
    Value::from_object(Row { items, range: None })
}

/// A text, whose length counts as work.
pub(super) fn text(text: String) -> Result<Value, Error> {
    spend(text.len())?;
    Ok(Value::from(text))
}

/// `str(value)`.
pub(super) fn to_text(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match Kind::of(value) {
        Kind::Undefined => {}
        Kind::Text(text) => out.push_str(text),
        _ => represent(value, &mut out, 0)?,
    }
    spend(out.len())?;
    Ok(out)
}

/// `repr(value)`.
fn represent(value: &Value, out: &mut String, depth: usize) -> Result<(), Error> {
    spend(1)?;
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let list = |items: &[Value], out: &mut String| {
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            represent(item, out, depth + 1)?;
        }
        Ok::<_, Error>(())
    };
    match Kind::of(value) {
        Kind::Undefined => out.push_str("Undefined"),
        Kind::None => out.push_str("None"),
        Kind::Bool(true) => out.push_str("True"),
        Kind::Bool(false) => out.push_str("False"),
        Kind::Int(int) => {
            let _ = write!(out, "{int}");
        }
        Kind::Float(float) => out.push_str(&float_text(float)),
        Kind::Text(text) => represent_text(text, out),
        Kind::List(items) => {
            out.push('[');
            list(items, out)?;
            out.push(']');
        }
        Kind::Row(Row {
            range: Some([start, stop, step]),
            ..
        }) => {
            let _ = match step {
                1 => write!(out, "range({start}, {stop})"),
                _ => write!(out, "range({start}, {stop}, {step})"),
            };
        }
        Kind::Row(row) => {
            out.push('(');
            list(&row.items, out)?;
            out.push_str(if row.items.len() == 1 { ",)" } else { ")" });
        }
        Kind::Dict(dict) => {
            out.push('{');
            for (i, (key, value)) in dict.entries.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                represent(key, out, depth + 1)?;
                out.push_str(": ");
                represent(value, out, depth + 1)?;
            }
            out.push('}');
        }
        Kind::View(view) => {
            let _ = write!(out, "{}([", view.name);
            list(&view.items, out)?;
            out.push_str("])");
        }
        Kind::Today => return Err(error(TODAY)),
        Kind::Once(_) | Kind::Method | Kind::Other => {
            return Err(wrong(
                "a value with a text that is the same in every run",
                value,
            ));
        }
    }
    spend(out.len() / 64)
}

/// `repr` of a text.
fn represent_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            // Behind a letter, the standard library escapes only what is not printable, not combining marks.
            _ if format!("a{c}").escape_debug().count() == 2 && c != '\u{7f}' => out.push(c),
            _ => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
}

/// `repr` of a float.
pub(super) fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let plain = format!("{float}");
        return if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        };
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// `a == b`.
pub(super) fn equal(a: &Value, b: &Value) -> Result<bool, Error> {
    equal_at(a, b, 0)
}

fn equal_at(a: &Value, b: &Value, depth: usize) -> Result<bool, Error> {
    spend(1)?;
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let lists = |a: &[Value], b: &[Value]| {
        if a.len() != b.len() {
            return Ok::<_, Error>(false);
        }
        for (a, b) in a.iter().zip(b) {
            if !equal_at(a, b, depth + 1)? {
                return Ok(false);
            }
        }
        Ok(true)
    };
    Ok(match (Kind::of(a), Kind::of(b)) {
        (Kind::Today, _) | (_, Kind::Today) => return Err(error(TODAY)),
        (Kind::Undefined, Kind::Undefined) | (Kind::None, Kind::None) => true,
        (Kind::Text(a), Kind::Text(b)) => {
            spend(a.len().min(b.len()) / 16)?;
            a == b
        }
        (Kind::List(a), Kind::List(b)) => lists(a, b)?,
        (Kind::Row(a), Kind::Row(b)) if a.range.is_some() == b.range.is_some() => {
            lists(&a.items, &b.items)?
        }
        (Kind::Dict(a), Kind::Dict(b)) => {
            if a.entries.len() != b.entries.len() {
                return Ok(false);
            }
            for (key, value) in &a.entries {
                match b.get(key)? {
                    Some(other) if equal_at(value, other, depth + 1)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Kind::View(_), Kind::View(_))
        | (Kind::Method, Kind::Method)
        | (Kind::Other, Kind::Other)
        | (Kind::Once(_), Kind::Once(_)) => return Err(wrong("values that can be compared", a)),
        _ => numbers(a, b) == Some(Some(Ordering::Equal)),
    })
}

/// Whether a value can be a key of a dictionary.
pub(super) fn is_hashable(value: &Value) -> bool {
    match Kind::of(value) {
        Kind::List(_) | Kind::Dict(_) => false,
        Kind::Row(row) => row.items.iter().all(is_hashable),
        _ => true,
    }
}

/// The order of two numbers: none if one is no number, inner none for NaN.
fn numbers(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    let float = |value: &Value| match Kind::of(value) {
        Kind::Float(float) => Some(float),
        _ => None,
    };
    Some(match (int(a), int(b), float(a), float(b)) {
        (Some(a), Some(b), ..) => Some(a.cmp(&b)),
        (.., Some(a), Some(b)) => a.partial_cmp(&b),
        (Some(a), _, _, Some(b)) => int_to_float(a, b),
        (_, Some(b), Some(a), _) => int_to_float(b, a).map(Ordering::reverse),
        _ => return None,
    })
}

/// The order of an int and a float, exactly.
fn int_to_float(int: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Beyond the range of an i128, the cast gives its end.
    let whole = float.floor();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it saturates, which keeps the order"
    )]
    let order = int.cmp(&(whole as i128));
    Some(match order {
        Ordering::Equal if float > whole => Ordering::Less,
        order => order,
    })
}

/// The order of two values that have one.
pub(super) fn compare(a: &Value, b: &Value) -> Result<Option<Ordering>, Error> {
    compare_at(a, b, 0)
}

fn compare_at(a: &Value, b: &Value, depth: usize) -> Result<Option<Ordering>, Error> {
    spend(1)?;
    if depth > DEEPEST {
        return Err(too_deep());
    }
    if let Some(order) = numbers(a, b) {
        return Ok(order);
    }
    let (one, other) = match (Kind::of(a), Kind::of(b)) {
        (Kind::Text(a), Kind::Text(b)) => {
            spend(a.len().min(b.len()) / 16)?;
            return Ok(Some(a.cmp(b)));
        }
        (Kind::List(a), Kind::List(b)) => (a, b),
        (Kind::Row(a), Kind::Row(b)) if a.range.is_none() && b.range.is_none() => {
            (&*a.items, &*b.items)
        }
        (Kind::Today, _) | (_, Kind::Today) => return Err(error(TODAY)),
        (a, b) => {
            let (a, b) = (a.name(), b.name());
            return Err(error(format!(
                "expected values that have an order, got {a} and {b}"
            )));
        }
    };
    for (a, b) in one.iter().zip(other) {
        if !equal_at(a, b, depth + 1)? {
            return compare_at(a, b, depth + 1);
        }
    }
    Ok(Some(one.len().cmp(&other.len())))
}

/// `item in container`.
pub(super) fn contains(container: &Value, item: &Value) -> Result<bool, Error> {
    match Kind::of(container) {
        Kind::Text(text) => match Kind::of(item) {
            Kind::Text(part) => {
                spend(text.len() / 16)?;
                Ok(text.contains(part))
            }
            _ => Err(wrong("a str on the left of `in` and a str", item)),
        },
        Kind::Dict(dict) => Ok(dict.get(item)?.is_some()),
        _ => {
            for other in items(container)? {
                if equal(&other, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

/// `list(value)`: the items of a value that can be iterated.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    let items = match Kind::of(value) {
        Kind::Undefined => vec![],
        Kind::Text(text) => text.chars().map(Value::from).collect(),
        Kind::List(items) => items.to_vec(),
        Kind::Row(row) => row.items.clone(),
        Kind::Dict(dict) => dict.keys(),
        Kind::View(view) => view.items.clone(),
        Kind::Once(iterator) => iterator.rest(),
        _ => return Err(wrong("a value that can be iterated", value)),
    };
    spend(items.len().saturating_mul(ITEM))?;
    Ok(items)
}

/// `len(value)`.
pub(super) fn length(value: &Value) -> Result<usize, Error> {
    Ok(match Kind::of(value) {
        Kind::Undefined => 0,
        Kind::Text(text) => {
            spend(text.len() / 16)?;
            text.chars().count()
        }
        Kind::List(items) => items.len(),
        Kind::Row(row) => row.items.len(),
        Kind::Dict(dict) => dict.entries.len(),
        Kind::View(view) => view.items.len(),
        _ => return Err(wrong("a value with a length", value)),
    })
}

/// `value.name`, as Jinja looks it up: a method or an attribute, else the item of this name. `shown` is the variable.
pub(super) fn attribute(value: &Value, name: &str, shown: Option<&str>) -> Result<Value, Error> {
    match Kind::of(value) {
        Kind::Undefined => Err(absent(name, shown)),
        Kind::Today => Err(error(TODAY)),
        _ if methods::is_method(value, name) => Ok(method(value, name)),
        Kind::Dict(dict) => Ok(dict.get_text(name).cloned().unwrap_or_default()),
        // Namespaces, macros and the variable `loop`.
        Kind::Other => Ok(value.get_attr(name).unwrap_or_default()),
        _ => Ok(Value::UNDEFINED),
    }
}

/// `value[key]`, as Jinja looks it up: the item, else the method or attribute of this name.
pub(super) fn item(value: &Value, key: &Value, shown: Option<&str>) -> Result<Value, Error> {
    let at = |length: usize| {
        let place = int(key)?;
        let place = if place < 0 {
            place + length as i128
        } else {
            place
        };
        usize::try_from(place).ok().filter(|&place| place < length)
    };
    let found = match Kind::of(value) {
        Kind::Undefined => {
            return Err(absent(&to_text(key).unwrap_or_default(), shown));
        }
        Kind::Today => return Err(error(TODAY)),
        Kind::Dict(dict) => dict.get(key).ok().flatten().cloned(),
        Kind::List(items) => at(items.len()).map(|at| items[at].clone()),
        Kind::Row(row) => at(row.items.len()).map(|at| row.items[at].clone()),
        Kind::Text(text) => {
            spend(text.len() / 16)?;
            let length = if int(key).is_some() {
                text.chars().count()
            } else {
                0
            };
            at(length)
                .and_then(|at| text.chars().nth(at))
                .map(Value::from)
        }
        Kind::Other => key.as_str().and_then(|name| value.get_attr(name).ok()),
        _ => None,
    };
    Ok(match (found, key.as_str()) {
        (Some(found), _) => found,
        (None, Some(name)) if methods::is_method(value, name) => method(value, name),
        _ => Value::UNDEFINED,
    })
}

fn method(value: &Value, name: &str) -> Value {
    Value::from_object(Method {
        of: value.clone(),
        name: name.to_owned(),
    })
}

fn absent(name: &str, shown: Option<&str>) -> Error {
    let of = shown.map_or_else(|| "a value".to_owned(), |shown| format!("`{shown}`"));
    error(format!(
        "expected {of} to be defined, for its attribute {name:?}, got an undefined one"
    ))
}

/// Refuses a value that is nested too deeply.
pub(super) fn checked(value: Value) -> Result<Value, Error> {
    check_depth(&value, 0)?;
    Ok(value)
}

fn check_depth(value: &Value, depth: usize) -> Result<(), Error> {
    spend(1)?;
    if depth > DEEPEST {
        return Err(too_deep());
    }
    let all = |items: &[Value]| {
        items
            .iter()
            .try_for_each(|item| check_depth(item, depth + 1))
    };
    match Kind::of(value) {
        Kind::List(items) => all(items),
        Kind::Row(row) if row.range.is_none() => all(&row.items),
        Kind::View(view) => all(&view.items),
        Kind::Dict(dict) => dict
            .entries
            .iter()
            .try_for_each(|(_, value)| check_depth(value, depth + 1)),
        // Whatever a namespace holds.
        Kind::Other => {
            let Some(object) = value.as_object() else {
                return Ok(());
            };
            for (_, value) in object.try_iter_pairs().into_iter().flatten() {
                check_depth(&value, depth + 1)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn too_deep() -> Error {
    error(format!(
        "expected values nested at most {DEEPEST} deep, got a deeper one"
    ))
}
