//! Takes a list of ranges of a text's characters, yields them checked and sorted.
//!
//! A range is `[start, end]` or `{"start": .., "end": ..}` (datatrove's `no_loss_ranges`), or `[start, end, score]` as
//! dolma's attributes are. They count characters (code points of Unicode, as Python does), from 0, and the end is
//! exclusive. A score says how sure a tagger was; only 1 (the range is context) and 0 (it is not) are understood,
//! because anything between needs a threshold.

use std::ops::Range;

use serde_json::{Map, Value, value::RawValue};

use super::fields::{got, shorten};

/// The ranges of the `text` that the `list` in `field` holds: sorted, without empty ones.
pub(crate) fn of(list: &str, field: &str, text: &str) -> Result<Vec<Range<usize>>, String> {
    let items: Vec<&RawValue> = serde_json::from_str(list)
        .map_err(|_| format!("field {field:?} is not a list, expected one of spans"))?;
    let characters = text.chars().count();
    let mut spans: Vec<(usize, Range<usize>)> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let wrong = |what: String| format!("field {field:?}: span {index} {what}");
        let (range, score) = parts(item).map_err(wrong)?;
        if range.start > range.end {
            let (start, end) = (range.start, range.end);
            return Err(wrong(format!(
                "starts at {start} and ends at {end}, expected a start that is not after the end"
            )));
        }
        if range.end > characters {
            let end = range.end;
            return Err(wrong(format!(
                "ends at character {end}, expected at most {characters}, the length of the text"
            )));
        }
        if score && !range.is_empty() {
            spans.push((index, range));
        }
    }
    spans.sort_by_key(|(_, range)| range.start);
    for pair in spans.windows(2) {
        let [(before, left), (index, right)] = pair else {
            continue;
        };
        if right.start < left.end {
            return Err(format!(
                "field {field:?}: span {index} starts at {}, expected spans that do not overlap, got span {before} \
                 from {} to {}",
                right.start, left.start, left.end
            ));
        }
    }
    Ok(spans.into_iter().map(|(_, range)| range).collect())
}

/// The range of an item, and whether its score says that it is one.
fn parts(item: &RawValue) -> Result<(Range<usize>, bool), String> {
    const EXPECTED: &str = "expected [start, end] or an object of start and end";
    if item.get().starts_with('{') {
        let object: Map<String, Value> = serde_json::from_str(item.get())
            .map_err(|error| format!("cannot be read: {error}, {EXPECTED}"))?;
        let end_of = |name: &str| {
            let value = object.get(name);
            let value = value.ok_or_else(|| format!("has no {name:?}, {EXPECTED}"))?;
            place(name, value)
        };
        let range = end_of("start")?..end_of("end")?;
        return match object.get("score") {
            None | Some(Value::Null) => Ok((range, true)),
            Some(score) => Ok((range, is_context(score)?)),
        };
    }
    if !item.get().starts_with('[') {
        return Err(format!("is {}, {EXPECTED}", got(Some(item))));
    }
    let parts: Vec<Value> = serde_json::from_str(item.get())
        .map_err(|error| format!("cannot be read: {error}, {EXPECTED}"))?;
    match &parts[..] {
        [start, end] => Ok((place("start", start)?..place("end", end)?, true)),
        [start, end, score] => {
            let range = place("start", start)?..place("end", end)?;
            Ok((range, is_context(score)?))
        }
        parts => Err(format!("has {} items, {EXPECTED}", parts.len())),
    }
}

/// A number of characters. In columns, the score beside it makes it a float.
fn place(name: &str, value: &Value) -> Result<usize, String> {
    /// Up to here every integer is a float.
    const MOST: f64 = (1_u64 << 53) as f64;
    let whole = |float: &f64| float.fract() == 0.0 && (0.0..=MOST).contains(float);
    let float = value.as_f64().filter(whole).map(|float| float as u64);
    let integer = value.as_u64().or(float);
    let integer = integer.and_then(|place| usize::try_from(place).ok());
    integer.ok_or_else(|| {
        let got = shorten(&value.to_string());
        format!("has the {name} {got}, expected an integer from 0 on")
    })
}

fn is_context(score: &Value) -> Result<bool, String> {
    match score.as_f64() {
        Some(1.0) => Ok(true),
        Some(0.0) => Ok(false),
        _ => {
            let got = shorten(&score.to_string());
            Err(format!(
                "has the score {got}, expected 1 (context), 0 (not), or none (keep the spans above your threshold)"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &str, text: &str) -> Result<Vec<(usize, usize)>, String> {
        let spans = of(list, "spans", text)?;
        Ok(spans
            .into_iter()
            .map(|span| (span.start, span.end))
            .collect())
    }

    #[test]
    fn every_form_of_a_span() {
        for (list, expected) in [
            ("[]", vec![]),
            ("[[4, 6], [0,1]]", vec![(0, 1), (4, 6)]),
            (r#"[{"end":3,"start":1,"label":"x"}]"#, vec![(1, 3)]),
            ("[[0,2,1.0],[2.0,4.0,0.0],[4.0,6,1]]", vec![(0, 2), (4, 6)]),
            (r#"[{"start":0,"end":2,"score":0}]"#, vec![]),
            (r#"[{"start":0,"end":2,"score":null}]"#, vec![(0, 2)]),
            // Adjacent, empty, whole; ranges of characters, not bytes.
            ("[[0,3],[3,6]]", vec![(0, 3), (3, 6)]),
            ("[[2,2],[0,6],[6,6]]", vec![(0, 6)]),
        ] {
            assert_eq!(spans(list, "aé日🙂 b"), Ok(expected), "{list}");
        }
    }

    #[test]
    fn spans_that_are_wrong() {
        for (list, reason) in [
            ("{}", "is not a list, expected one of spans"),
            (
                "[[0,7]]",
                "span 0 ends at character 7, expected at most 6, the length of the text",
            ),
            ("[[3,2]]", "span 0 starts at 3 and ends at 2"),
            (
                "[[3,5],[0,4]]",
                "span 0 starts at 3, expected spans that do not overlap, got span 1 from 0 to 4",
            ),
            (
                "[[0,2],[0,2]]",
                "span 1 starts at 0, expected spans that do not overlap",
            ),
            (
                "[[-1,2]]",
                "span 0 has the start -1, expected an integer from 0 on",
            ),
            ("[[0,2.5]]", "span 0 has the end 2.5, expected an integer"),
            (
                "[[0,1e300]]",
                "span 0 has the end 1e+300, expected an integer",
            ),
            (
                "[[-1.0,2]]",
                "span 0 has the start -1.0, expected an integer",
            ),
            ("[[0,null]]", "span 0 has the end null, expected an integer"),
            ("[[0]]", "span 0 has 1 items, expected [start, end]"),
            ("[[0,1],null]", "span 1 is null, expected [start, end]"),
            ("[0,1]", "span 0 is 0, expected [start, end]"),
            (r#"[{"start":0}]"#, "span 0 has no \"end\""),
            (
                "[[0,2,0.5]]",
                "span 0 has the score 0.5, expected 1 (context), 0",
            ),
            ("[[0,2,\"x\"]]", "span 0 has the score \"x\", expected 1"),
        ] {
            let got = spans(list, "aé日🙂 b").unwrap_err();
            assert!(got.contains(reason), "{list}: {got}");
        }
    }
}
