//! The result of `verify` in words. Removes the fields that it covers from the metadata.

use serde_json::Value;

use crate::numbers::{grouped, nats};

/// The fact; fields that its words do not cover stay in `verified`.
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

fn words(verified: &Value) -> Option<String> {
    let largest = |kind: &str| Some(nats(verified[kind]["largest"].as_f64()?));
    let mean = |kind: &str| Some(nats(verified[kind]["mean"].as_f64()?));
    let batches = ["loss", "entropy"].map(|kind| verified["batches"][kind].as_f64());
    let [Some(loss), Some(entropy)] = batches else {
        return None;
    };
    let masks = verified["masks"].as_array()?.iter().map(|masks| {
        // Three decimal places, so that shares just below 100 % do not look whole.
        let share = |kind: &str| Some(format!("{:.3} %", masks[kind].as_f64()? * 100.0));
        Some(format!(
            "of keep {} {} by loss, {} by entropy, {} by both",
            masks["keep"],
            share("loss")?,
            share("entropy")?,
            share("intersection")?
        ))
    });
    let masks: Option<Vec<String>> = masks.collect();
    Some(format!(
        "with Transformers {} in {} on {} documents, {} tokens: losses differ by at most {} nats (mean {}), entropies by \
         {} (mean {}); from other batches by {}; mask bits that agree: {}",
        verified["versions"]["transformers"].as_str()?,
        verified["oracle"]["dtype"].as_str()?,
        grouped(verified["documents"].as_u64()?),
        grouped(verified["tokens"].as_u64()?),
        largest("loss")?,
        mean("loss")?,
        largest("entropy")?,
        mean("entropy")?,
        nats(loss.max(entropy)),
        masks?.join("; ")
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
