//! Takes a list that says which tokens of a document may be targets, yields a bit for each.
//!
//! The list holds bits (booleans, or 0 and 1) or labels, which repeat the token where it may be a target and are -100
//! where it may not. A list of only 0 and 1 is bits, any other list of integers is labels. One list could be both: the
//! labels of tokens that are all 0 or 1, without any -100. It is refused unless both readings give the same bits.

use serde_json::value::RawValue;

use super::fields::{got, is_a};

/// The label of a token that may not be a target, in PyTorch and Transformers.
const IGNORED: i64 = -100;

/// Whether each token may be a target, by the `list` in `field`; the tokens are those of the field `tokens_field`.
pub(crate) fn of(
    list: &str,
    field: &str,
    tokens: &[u32],
    tokens_field: &str,
) -> Result<Vec<bool>, String> {
    let has_length = |length: usize| match length == tokens.len() {
        true => Ok(()),
        false => Err(format!(
            "field {field:?} has {length} items, expected {}, as many as field {tokens_field:?}",
            tokens.len()
        )),
    };
    if let Ok(bits) = serde_json::from_str::<Vec<bool>>(list) {
        has_length(bits.len())?;
        return Ok(bits);
    }
    let Ok(items) = serde_json::from_str::<Vec<i64>>(list) else {
        return Err(neither(list, field));
    };
    has_length(items.len())?;
    let mut pairs = items.iter().zip(tokens);
    if items.iter().all(|item| matches!(item, 0 | 1)) {
        let could_be_labels = pairs.all(|(item, token)| *item == i64::from(*token));
        return match could_be_labels && items.contains(&0) {
            false => Ok(items.iter().map(|item| *item == 1).collect()),
            true => Err(format!(
                "field {field:?} could be bits or labels: it holds only 0 and 1 and equals field {tokens_field:?} \
                 (write booleans)"
            )),
        };
    }
    let is_label = |(item, token): (&i64, &u32)| *item == IGNORED || *item == i64::from(*token);
    match pairs.position(|pair| !is_label(pair)) {
        None => Ok(items.iter().map(|item| *item != IGNORED).collect()),
        Some(index) => {
            let (got, token) = (items[index], tokens[index]);
            Err(format!(
                "field {field:?}: item {index} is {got}, expected {IGNORED} or the token {token} (a list that holds \
                 more than 0 and 1 is labels)"
            ))
        }
    }
}

/// A message that names the first item of a list that is neither bits nor labels.
fn neither(list: &str, field: &str) -> String {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(list) else {
        return format!("field {field:?} is not a list, expected one of bits or labels");
    };
    let first = items.first().copied();
    let of_bits = first.is_some_and(is_a::<bool>);
    let of_integers = first.is_some_and(is_a::<i64>);
    let belongs = |item: &&RawValue| match of_bits {
        true => is_a::<bool>(item),
        false => is_a::<i64>(item),
    };
    let index = items.iter().position(|item| !belongs(item));
    let index = index.unwrap_or_default();
    let expected = match (of_bits, of_integers) {
        (true, _) => "a boolean like the items before it",
        (_, true) => "an integer like the items before it",
        _ => "a boolean, 0, 1, -100 or the token",
    };
    let got = got(items.get(index).copied());
    format!("field {field:?}: item {index} is {got}, expected {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(list: &str, tokens: &[u32]) -> Result<String, String> {
        let bits = of(list, "labels", tokens, "ids")?;
        Ok(bits
            .iter()
            .map(|bit| if *bit { '1' } else { '0' })
            .collect())
    }

    #[test]
    fn bits_and_labels() {
        for (list, tokens, bits) in [
            ("[]", &[][..], ""),
            ("[true,false,true]", &[5, 6, 7], "101"),
            ("[1, 0, 1]", &[5, 6, 7], "101"),
            ("[0,0]", &[5, 6], "00"),
            ("[-100,6,-100]", &[5, 6, 7], "010"),
            ("[-100,-100]", &[5, 6], "00"),
            ("[5,6]", &[5, 6], "11"),
            // Labels of small ids, told by a -100 or by an id above 1.
            ("[-100,0,1]", &[9, 0, 1], "011"),
            ("[0,1,2]", &[0, 1, 2], "111"),
            // Both readings agree.
            ("[1,1]", &[1, 1], "11"),
            // Bits that equal the ids are certain if they are booleans.
            ("[false,true]", &[0, 1], "01"),
            ("[0,0]", &[0, 1], "00"),
        ] {
            assert_eq!(targets(list, tokens), Ok(bits.to_owned()), "{list}");
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for (list, tokens, reason) in [
            (
                "[1,1,1]",
                &[5, 6][..],
                "field \"labels\" has 3 items, expected 2, as many as field \"ids\"",
            ),
            ("[1]", &[5, 6], "has 1 items, expected 2"),
            ("[1,0]", &[1, 0], "could be bits or labels"),
            (
                "[-100,7]",
                &[5, 6],
                "item 1 is 7, expected -100 or the token 6",
            ),
            (
                "[-100,1,0]",
                &[5, 6, 7],
                "item 1 is 1, expected -100 or the token 6",
            ),
            (
                "[-1,6]",
                &[5, 6],
                "item 0 is -1, expected -100 or the token 5",
            ),
            (
                "[null,1]",
                &[5, 6],
                "item 0 is null, expected a boolean, 0, 1, -100 or the token",
            ),
            (
                "[1,null]",
                &[5, 6],
                "item 1 is null, expected an integer like the items before it",
            ),
            (
                "[1,true]",
                &[5, 6],
                "item 1 is a boolean, expected an integer like",
            ),
            ("[true,1]", &[5, 6], "item 1 is 1, expected a boolean like"),
            ("[1.0,0]", &[5, 6], "item 0 is 1.0, expected a boolean, 0"),
            ("[0.5,0]", &[5, 6], "item 0 is 0.5, expected"),
            ("[\"1\",0]", &[5, 6], "item 0 is a string, expected"),
            ("[[1,0]]", &[5], "item 0 is a list, expected"),
            (
                "[99999999999999999999]",
                &[5],
                "item 0 is 99999999999999999999, expected",
            ),
            ("{\"a\":1}", &[5], "field \"labels\" is not a list"),
        ] {
            let got = targets(list, tokens).unwrap_err();
            assert!(got.contains(reason), "{list}: {got}");
        }
    }
}
