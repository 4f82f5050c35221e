//! Makes all models score the same tokens: refuses settings that differ, and gives all models the shortest context and
//! the smallest vocabulary among them.

use super::plan::DynamicsPlan;
use crate::{cli::DynamicsArgs, hinted_error::HintedError, plan::Plan};

/// Refuses models that do not score the same tokens.
pub(super) fn must_agree(plan: &DynamicsPlan, args: &DynamicsArgs) -> anyhow::Result<()> {
    let mut models = plan.models();
    let Some(first) = models.next() else {
        return Ok(());
    };
    let expected = &first.prepared.plan;
    for other in models {
        let got = &other.prepared.plan;
        let told = |plan: &Plan| match &plan.tokenizer_fingerprint {
            Some(fingerprint) => format!("SHA-256 {fingerprint}"),
            None => "none".to_owned(),
        };
        if expected.tokenizer_fingerprint != got.tokenizer_fingerprint {
            return Err(HintedError::error(
                format!(
                    "{}: expected the tokenizer of {} ({}), got another ({})",
                    other.named.path.display(),
                    first.named.path.display(),
                    told(expected),
                    told(got)
                ),
                "losses are compared token by token, so all models need the same tokenizer; if the files differ but mean \
                 the same, name one with --tokenizer",
            ));
        }
        // Without a tokenizer only the size of the vocabulary can be compared.
        if args.input.text.tokens_field.is_some()
            && got.tokenizer_fingerprint.is_none()
            && expected.vocabulary != got.vocabulary
        {
            return Err(HintedError::error(
                format!(
                    "{}: expected the vocabulary of {}, {} tokens, got {}",
                    other.named.path.display(),
                    first.named.path.display(),
                    expected.vocabulary,
                    got.vocabulary
                ),
                "losses are compared token by token, so all models need the same tokenizer",
            ));
        }
        let special = |plan: &Plan| (plan.bos.tokens.clone(), plan.eos.tokens.clone());
        if special(expected) != special(got) {
            return Err(HintedError::error(
                format!(
                    "{}: expected the tokens {:?} around texts, as for {}, got {:?}",
                    other.named.path.display(),
                    special(expected),
                    first.named.path.display(),
                    special(got)
                ),
                "use --bos never and --eos never, or write the same token ids into each config.json",
            ));
        }
    }
    Ok(())
}

/// Gives all models the shortest context among them, and the first model's tokenizer.
pub(super) fn share_windows(plan: &mut DynamicsPlan, args: &DynamicsArgs) {
    let least = plan
        .models()
        .map(|scored| scored.prepared.plan.context)
        .min();
    let first = plan.common().tokenizer.clone();
    let vocabularies = plan.models().map(|scored| scored.prepared.plan.vocabulary);
    let (Some(context), Some(vocabulary)) = (least, vocabularies.min()) else {
        return;
    };
    let overlap = args
        .model_args
        .overlap
        .unwrap_or(context / 2)
        .min(context - 1);
    for scored in plan.checkpoints.iter_mut().chain(&mut plan.reference) {
        let of = &mut scored.prepared;
        (of.plan.context, of.plan.overlap) = (context, overlap);
        of.plan.tokenizer = first.clone();
        // So that all of them skip the same documents.
        of.plan.vocabulary = vocabulary;
    }
}
