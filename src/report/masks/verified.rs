//! The result of `verify` in words. Removes the fields that the words cover from the metadata.

use serde::Deserialize;
use serde_json::{Number, Value};

use crate::numbers::{fixed, grouped, nats};

/// The fact as name and value. Fields that its words do not cover stay in `verified`.
pub(super) fn fact(verified: &mut Value) -> (String, String) {
    let said = words(verified).unwrap_or_default();
    if !said.is_empty()
        && let Some(fields) = verified.as_object_mut()
    {
        for told in ["documents", "tokens", "loss", "entropy", "batches", "masks"] {
            fields.remove(told);
        }
    }
    ("verified".to_owned(), said)
}

/// The fields of verify.json that are put into words.
#[derive(Deserialize)]
struct Verified {
    documents: u64,
    tokens: u64,
    loss: Difference,
    entropy: Difference,
    batches: Batches,
    masks: Vec<Agreement>,
    oracle: Oracle,
    versions: Versions,
}

/// The largest and the mean difference, in nats.
#[derive(Deserialize)]
struct Difference {
    largest: f64,
    mean: f64,
}

/// The largest differences from the scores of other batches, in nats.
#[derive(Deserialize)]
struct Batches {
    loss: f64,
    entropy: f64,
}

/// The shares of mask bits that agree.
#[derive(Deserialize)]
struct Agreement {
    keep: Number,
    loss: f64,
    entropy: f64,
    intersection: f64,
}

#[derive(Deserialize)]
struct Oracle {
    dtype: String,
}

#[derive(Deserialize)]
struct Versions {
    transformers: String,
}

fn words(verified: &Value) -> Option<String> {
    let Verified {
        documents,
        tokens,
        loss,
        entropy,
        batches,
        masks,
        oracle,
        versions,
    } = serde_json::from_value(verified.clone()).ok()?;
    // Three decimal places, so that shares just below 100 % do not look whole.
    let share = |share: f64| format!("{} %", fixed(share * 100.0, 3));
    let masks = masks.iter().map(|masks| {
        format!(
            "of keep {} {} by loss, {} by entropy, {} by both",
            masks.keep,
            share(masks.loss),
            share(masks.entropy),
            share(masks.intersection)
        )
    });
    let masks: Vec<String> = masks.collect();
    Some(format!(
        "with Transformers {} in {} on {} documents, {} tokens: losses differ by at most {} nats (mean {}), entropies by \
         {} (mean {}); from other batches by {}; mask bits that agree: {}",
        versions.transformers,
        oracle.dtype,
        grouped(documents),
        grouped(tokens),
        nats(loss.largest),
        nats(loss.mean),
        nats(entropy.largest),
        nats(entropy.mean),
        nats(batches.loss.max(batches.entropy)),
        masks.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_found_is_said_once() {
        let mut verified = json!({
            "documents": 64, "tokens": 12281, "tolerance": 0.001, "model": "ref",
            "loss": {"largest": 2.5e-6, "mean": 1.5e-7}, "entropy": {"largest": 0.0, "mean": 0.0},
            "batches": {"loss": 1e-6, "entropy": 2e-6},
            "masks": [{"keep": 0.6, "loss": 1.0, "entropy": 0.9995, "intersection": 1.0}],
            "oracle": {"class": "LlamaForCausalLM", "dtype": "float64"},
            "versions": {"transformers": "5.16.1"},
        });
        let (name, said) = fact(&mut verified);
        assert_eq!(name, "verified");
        let expected = "with Transformers 5.16.1 in float64 on 64 documents, 12,281 tokens: losses differ by at most 2.5e-6 \
                        nats (mean 1.5e-7), entropies by 0 (mean 0); from other batches by 2.0e-6; mask bits that agree: \
                        of keep 0.6 100.000 % by loss, 99.950 % by entropy, 100.000 % by both";
        assert_eq!(said, expected);
        assert!(verified.get("loss").is_none());
        assert_eq!(verified["tolerance"], 0.001);
        let mut other = json!({"loss": 1});
        assert_eq!(fact(&mut other).1, "");
        assert_eq!(other["loss"], 1, "what is not understood stays");
    }
}
