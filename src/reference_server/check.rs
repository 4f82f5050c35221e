//! What the log-probabilities of a prompt must be to be used. Takes those of one prompt with its token ids, gives the
//! usable ones, or the fault.
//!
//! ```text
//! ids             5     17     2     9
//! token_logprobs  null  -2.1  -0.3  -4.0  (-1.2, generated)
//! usable                -2.1  -0.3  -4.0
//! ```

use super::{Fault, completion::Logprobs, tokens::TokenTable};

/// Log-probabilities that stand for "not among the most likely": those of known servers.
const FLOORS: [f64; 2] = [-100.0, -9999.0];
/// No model gives a token less.
const LEAST: f64 = -9000.0;
/// The rounding of f32 may give a probability a little above 1: at a logit of 100, by 7.6e-6.
const MOST: f64 = 1e-5;
/// Fewer values say nothing about rounding.
pub(super) const SAMPLE: usize = 64;
/// Values near 0 look rounded.
const NEAR_ZERO: f64 = 1e-3;
/// The unit that is suspected, and how near its multiples all values must be, in units. At random, one in fifty is.
const UNIT: f64 = 1e-4;
const NEAR_MULTIPLE: f64 = 1e-2;
/// The bits of an f32 that an f16 or a bf16 does not have.
const BELOW_16_BITS: u32 = (1 << 13) - 1;

/// A prompt whose log-probabilities cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) expected: String,
    pub(super) got: String,
}

fn refusal(fault: Fault, expected: impl Into<String>, got: impl Into<String>) -> Refusal {
    Refusal {
        fault,
        expected: expected.into(),
        got: got.into(),
    }
}

/// The log-probabilities of all tokens but the first, in nats. `generated`: how many tokens the server may have added.
pub(super) fn values(
    ids: &[u32],
    logprobs: &Logprobs,
    generated: usize,
    table: &TokenTable,
) -> Result<Vec<f64>, Refusal> {
    let given = logprobs.token_logprobs.as_deref().unwrap_or_default();
    let tokens = logprobs.tokens.as_deref();
    must_count(ids, given, tokens, generated, table)?;
    if let Some(tokens) = tokens {
        must_be_ours(ids, tokens, table)?;
    }
    let (first, others) = given[..ids.len()]
        .split_first()
        .expect("a window has at least two tokens");
    match first {
        None => {}
        Some(0.0) => {
            return Err(refusal(
                Fault::ZeroForMissing,
                "null for the first token, which nothing precedes",
                "0.0",
            ));
        }
        Some(value) => {
            return Err(refusal(
                Fault::FirstScored,
                "null for the first token, which nothing precedes",
                format!("{value}"),
            ));
        }
    }
    let values = others.iter().zip(1..);
    let values = values.map(|(value, i)| must_be_usable(*value, i, ids[i], table));
    let values: Vec<f64> = values.collect::<Result<_, _>>()?;
    must_be_exact(&values)?;
    Ok(values)
}

/// One for each token that was sent, and for each that was generated.
fn must_count(
    ids: &[u32],
    given: &[Option<f64>],
    tokens: Option<&[Option<String>]>,
    generated: usize,
    table: &TokenTable,
) -> Result<(), Refusal> {
    let (sent, got) = (ids.len(), given.len());
    let expected = match generated {
        0 => format!("{sent} log-probs for {sent} tokens"),
        _ => format!("{sent} to {} log-probs for {sent} tokens", sent + generated),
    };
    let of_same_number = tokens.filter(|tokens| tokens.len() == got);
    // Without null at the start, the first may be that of the second token.
    let starts_with_a_number = given
        .first()
        .is_some_and(|first| first.is_some_and(|v| v != 0.0));
    let is_shifted = (sent - 1..sent + generated).contains(&got)
        && starts_with_a_number
        && of_same_number.is_none_or(|tokens| {
            let pairs = ids[1..].iter().zip(tokens);
            pairs.clone().all(|(&id, token)| agrees(table, id, token))
        });
    if is_shifted {
        return Err(refusal(Fault::FirstLeftOut, expected, got.to_string()));
    }
    if got < sent {
        return Err(refusal(Fault::Truncated, expected, got.to_string()));
    }
    let of_others = tokens.filter(|tokens| tokens.len() != got);
    match of_others {
        Some(tokens) => Err(refusal(
            Fault::Count,
            expected,
            format!("{got} for {} tokens", tokens.len()),
        )),
        None if got > sent + generated => Err(refusal(Fault::Count, expected, got.to_string())),
        None => Ok(()),
    }
}

/// The tokens are those that were sent.
fn must_be_ours(ids: &[u32], tokens: &[Option<String>], table: &TokenTable) -> Result<(), Refusal> {
    let mut pairs = ids.iter().zip(tokens).enumerate();
    let other = pairs.find(|(_, (id, token))| !agrees(table, **id, token));
    let Some((i, (&id, token))) = other else {
        return Ok(());
    };
    let token = token.as_deref().unwrap_or_default();
    let token: String = token.chars().take(60).collect();
    Err(refusal(
        Fault::OtherTokens,
        format!("{} (id {id}) as token {i}", table.quoted(id)),
        format!("{token:?}"),
    ))
}

fn agrees(table: &TokenTable, id: u32, token: &Option<String>) -> bool {
    token.as_deref().is_none_or(|token| table.agrees(id, token))
}

/// A log-probability of a token that others precede.
fn must_be_usable(
    value: Option<f64>,
    i: usize,
    id: u32,
    table: &TokenTable,
) -> Result<f64, Refusal> {
    let expected = || format!("a log-prob of token {i}, {} (id {id})", table.quoted(id));
    match value {
        None => Err(refusal(Fault::TopOnly, expected(), "null")),
        Some(value) if !value.is_finite() => {
            Err(refusal(Fault::NotANumber, expected(), format!("{value}")))
        }
        Some(value) if FLOORS.contains(&value) || value < LEAST => Err(refusal(
            Fault::TopOnly,
            expected(),
            format!("{value}, which stands for a missing one"),
        )),
        Some(value) if value > MOST => {
            Err(refusal(Fault::Positive, expected(), format!("{value}")))
        }
        Some(value) => Ok(value),
    }
}

/// The log-probabilities are not rounded to few decimals, or to 16 bits.
pub(super) fn must_be_exact(values: &[f64]) -> Result<(), Refusal> {
    let values: Vec<f64> = values
        .iter()
        .copied()
        .filter(|v| v.abs() > NEAR_ZERO)
        .collect();
    if values.len() < SAMPLE {
        return Ok(());
    }
    let sample = values.len();
    let near_multiple = |value: &f64| {
        let units = value / UNIT;
        (units - units.round()).abs() < NEAR_MULTIPLE
    };
    if values.iter().all(near_multiple) {
        return Err(refusal(
            Fault::Rounded,
            "log-probs with all digits of f32",
            format!(
                "{sample} that are all multiples of {UNIT}, such as {}",
                values[0]
            ),
        ));
    }
    let in_16_bits = |value: &f64| {
        let single = *value as f32;
        f64::from(single) == *value && single.to_bits() & BELOW_16_BITS == 0
    };
    if values.iter().all(in_16_bits) {
        return Err(refusal(
            Fault::Rounded,
            "log-probs with all digits of f32",
            format!(
                "{sample} that are all numbers of 16 bits, such as {}",
                values[0]
            ),
        ));
    }
    Ok(())
}

/// The log-probabilities of tokens that were drawn at random: none is certain, and they do not share a floor.
pub(super) fn must_be_of_unlikely_tokens(values: &[f64]) -> Result<(), Refusal> {
    const FEW: usize = 8;
    let expected = "log-probs of tokens that were drawn at random";
    if values.contains(&0.0) {
        return Err(refusal(Fault::ZeroForMissing, expected, "0.0"));
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let count = values.iter().filter(|&&value| value == least).count();
    match values.len() >= FEW && count * 4 > values.len() {
        true => Err(refusal(
            Fault::TopOnly,
            expected,
            format!("{least} for {count} of {}", values.len()),
        )),
        false => Ok(()),
    }
}

/// The log-probabilities of a text's tokens are other ones when the text is reversed, because other tokens precede them.
/// Takes those of all tokens but the first, of both.
pub(super) fn must_see_what_precedes(values: &[f64], reversed: &[f64]) -> Result<(), Refusal> {
    const FEW: usize = 4;
    let last = values.len().min(reversed.len());
    // The token at `i` has the value at `i - 1`, and is at `last - i` of the reversed text.
    let same = (1..last).all(|i| values[i - 1] == reversed[last - i - 1]);
    match last >= FEW && same {
        true => Err(refusal(
            Fault::NoContext,
            "other log-probs for the tokens of a text in reversed order",
            "the same",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    /// Eight tokens of a vocabulary that is not known: any text agrees, but not any id.
    const IDS: [u32; 8] = [5, 6, 7, 8, 9, 10, 11, 12];

    fn right() -> Vec<Option<f64>> {
        let values = (1..8).map(|i| Some(-f64::from(i) * 0.123_456_7));
        std::iter::once(None).chain(values).collect()
    }

    fn tokens(ids: &[u32]) -> Option<Vec<Option<String>>> {
        Some(
            ids.iter()
                .map(|id| Some(format!("token_id:{id}")))
                .collect(),
        )
    }

    fn fault(given: Vec<Option<f64>>, generated: usize) -> Option<Fault> {
        of(given, None, generated)
    }

    fn of(
        given: Vec<Option<f64>>,
        tokens: Option<Vec<Option<String>>>,
        generated: usize,
    ) -> Option<Fault> {
        let logprobs = Logprobs {
            tokens,
            token_logprobs: Some(given),
        };
        let checked = values(&IDS, &logprobs, generated, &TokenTable::empty());
        checked.err().map(|refusal| refusal.fault)
    }

    #[test]
    fn a_right_answer_is_used_unchanged() {
        let logprobs = Logprobs {
            tokens: tokens(&IDS),
            token_logprobs: Some(right()),
        };
        let got = values(&IDS, &logprobs, 0, &TokenTable::empty()).unwrap();
        let expected: Vec<f64> = right().into_iter().flatten().collect();
        assert_eq!(got, expected);
        let mut longer = right();
        longer.push(Some(-9.5));
        assert_eq!(fault(longer.clone(), 1), None);
        assert_eq!(fault(longer, 0), Some(Fault::Count));
    }

    #[test]
    fn the_first_token_has_none_and_is_there() {
        let mut given = right();
        given[0] = Some(0.0);
        assert_eq!(fault(given.clone(), 0), Some(Fault::ZeroForMissing));
        given[0] = Some(-2.5);
        assert_eq!(fault(given, 0), Some(Fault::FirstScored));
        let shifted = right()[1..].to_vec();
        assert_eq!(fault(shifted.clone(), 0), Some(Fault::FirstLeftOut));
        let of_others = of(shifted.clone(), tokens(&IDS[1..]), 0);
        assert_eq!(of_others, Some(Fault::FirstLeftOut));
        // With a generated token, the number is right again.
        let mut with_more = shifted.clone();
        with_more.push(Some(-0.5));
        assert_eq!(fault(with_more, 1), Some(Fault::FirstLeftOut));
        // The last tokens are gone, not the first.
        assert_eq!(
            of(right()[..7].to_vec(), tokens(&IDS[..7]), 0),
            Some(Fault::Truncated)
        );
        let mut first = IDS[..7].to_vec();
        first[0] = 99;
        let cut = right()[..7].to_vec();
        assert_eq!(of(cut, tokens(&first), 0), Some(Fault::Truncated));
        assert_eq!(fault(vec![], 0), Some(Fault::Truncated));
    }

    #[test]
    fn other_tokens_are_found() {
        let mut ids = IDS;
        ids[3] = 88;
        assert_eq!(of(right(), tokens(&ids), 0), Some(Fault::OtherTokens));
        assert_eq!(of(right(), tokens(&IDS[..7]), 0), Some(Fault::Count));
    }

    #[test]
    fn values_that_stand_for_something_else_are_found() {
        for (value, expected) in [
            (None, Fault::TopOnly),
            (Some(-100.0), Fault::TopOnly),
            (Some(-9999.0), Fault::TopOnly),
            (Some(-1e30), Fault::TopOnly),
            (Some(f64::NEG_INFINITY), Fault::NotANumber),
            (Some(f64::NAN), Fault::NotANumber),
            (Some(0.01), Fault::Positive),
        ] {
            let mut given = right();
            given[4] = value;
            assert_eq!(fault(given, 0), Some(expected), "{value:?}");
        }
        let mut given = right();
        given[4] = Some(0.0);
        assert_eq!(fault(given, 0), None);
    }

    #[test]
    fn rounded_values_are_found_and_others_are_not() {
        let exact = |values: &[f64]| must_be_exact(values).map_err(|refusal| refusal.fault);
        // As f32 writes them, of every size.
        let real: Vec<f64> = (1..200)
            .map(|i| f64::from((f64::from(i) * -0.070_717_1) as f32))
            .collect();
        assert_eq!(exact(&real), Ok(()));
        for unit in [1e-4, 1e-3, 0.01, 0.5] {
            let rounded: Vec<f64> = real.iter().map(|v| (v / unit).round() * unit).collect();
            assert_eq!(exact(&rounded), Err(Fault::Rounded), "{unit}");
            let as_f32: Vec<f64> = rounded.iter().map(|&v| f64::from(v as f32)).collect();
            assert_eq!(exact(&as_f32), Err(Fault::Rounded), "{unit}");
        }
        let finer: Vec<f64> = real.iter().map(|v| (v * 1e6).round() / 1e6).collect();
        assert_eq!(exact(&finer), Ok(()));
        let in_bf16: Vec<f64> = real
            .iter()
            .map(|&v| f64::from(f32::from_bits((v as f32).to_bits() & 0xffff_0000)))
            .collect();
        assert_eq!(exact(&in_bf16), Err(Fault::Rounded));
        // Certain tokens are all 0, and a few numbers may be round.
        assert_eq!(exact(&[0.0; 500]), Ok(()));
        assert_eq!(exact(&[-0.5; 20]), Ok(()));
    }

    #[test]
    fn log_probs_without_context_are_found() {
        let fault = |values: &[f64], reversed: &[f64]| {
            must_see_what_precedes(values, reversed).map_err(|r| r.fault)
        };
        // Of the tokens a b c d e: each has a number of its own.
        assert_eq!(
            fault(&[-2.0, -3.0, -4.0, -5.0], &[-4.0, -3.0, -2.0, -1.0]),
            Err(Fault::NoContext)
        );
        assert_eq!(
            fault(&[-2.0, -3.0, -4.0, -5.0], &[-4.0, -3.0, -2.5, -1.0]),
            Ok(())
        );
        assert_eq!(fault(&[-2.0], &[-1.0]), Ok(()));
    }

    #[test]
    fn a_floor_under_random_tokens_is_found() {
        let fault = |values: &[f64]| must_be_of_unlikely_tokens(values).map_err(|r| r.fault);
        let real: Vec<f64> = (1..40).map(|i| f64::from(i) * -0.31).collect();
        assert_eq!(fault(&real), Ok(()));
        let floored: Vec<f64> = real.iter().map(|v| v.max(-9.0)).collect();
        assert_eq!(fault(&floored), Err(Fault::TopOnly));
        let mut missing = real;
        missing[7] = 0.0;
        assert_eq!(fault(&missing), Err(Fault::ZeroForMissing));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_server_sends_is_refused_or_used_unchanged(
            first in option::of(any::<f64>()),
            others in vec(option::weighted(0.9, -50.0..0.001), 0..10),
            tokens in option::weighted(0.3, vec(option::of("token_id:[5-9]|[a-c]"), 0..10)),
            generated in 0usize..2,
        ) {
            let given: Vec<_> = std::iter::once(first).chain(others).collect();
            let logprobs = Logprobs { tokens, token_logprobs: Some(given.clone()) };
            if let Ok(used) = values(&IDS, &logprobs, generated, &TokenTable::empty()) {
                prop_assert!(given.len() >= IDS.len() && given.len() <= IDS.len() + generated);
                prop_assert_eq!(first, None);
                let unchanged: Vec<f64> = given[1..IDS.len()].iter().copied().flatten().collect();
                prop_assert_eq!(used, unchanged);
            }
        }
    }
}
