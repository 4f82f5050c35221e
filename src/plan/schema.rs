//! The columns that a request will have, from its arguments alone: no model, tokenizer or library is opened.

use rho_formats::{MaskSchema, TopColumns};

use super::{ScoringRequest, columns::ScoreColumns, resolve::selection};
use crate::content::ContentPlan;

/// The columns of the masks, without metadata. A run with these arguments has the same.
///
/// # Errors
/// If the options contradict each other.
pub(crate) fn columns_of(request: &ScoringRequest) -> anyhow::Result<MaskSchema> {
    request.input.text.must_be_one_kind()?;
    let columns = ScoreColumns::of(request, request.references.len().max(1));
    let scores = columns.names();
    let (rule, _) = selection(request, &scores)?;
    let content = ContentPlan::of(&request.input.text, None);
    Ok(MaskSchema {
        score_type: request.files.score_type,
        top: request.files.top.map(|count| TopColumns {
            count,
            score_type: request.files.score_type,
        }),
        masks: rule.masks(),
        weights: rule.weights(),
        text: request.files.keep_text,
        source: request.input.source_field.is_some(),
        target: content.has_context(),
        scores,
        metadata: serde_json::json!({}),
    })
}
