//! The language model inside a multimodal model (`...ForConditionalGeneration`). Its settings are in `text_config`, its
//! tensor names have a prefix. The other tensors are skipped and reported in a note.
//!
//! ```text
//! Transformers 5:  model.language_model.layers.0 ...   lm_head.weight
//! Transformers 4:  language_model.model.layers.0 ...   language_model.lm_head.weight
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{CheckpointError, Settings, Weights};

/// Prefixes of the language model's tensors, and what replaces them.
const PREFIXES: [(&str, &str); 4] = [
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
    ("lm_head.", "lm_head."),
];

/// Settings of the wrapper that do not change how text is scored, or that are checked here.
const OTHERS: [&str; 29] = [
    "model_type",
    "vision_config",
    "audio_config",
    "image_token_id",
    "image_token_index",
    "video_token_id",
    "audio_token_id",
    "boi_token_index",
    "eoi_token_index",
    "boi_token_id",
    "eoi_token_id",
    "mm_tokens_per_image",
    "vision_start_token_id",
    "vision_end_token_id",
    "vision_token_id",
    "vision_feature_layer",
    "vision_feature_select_strategy",
    "multimodal_projector_bias",
    "projector_hidden_act",
    "projector_hidden_size",
    "spatial_merge_size",
    "image_seq_length",
    "image_size",
    "tie_word_embeddings",
    "quantization_config",
    "vocab_size",
    "hidden_size",
    "language_model_only",
    "text_model_type",
];

/// The language model alone, and a note about skipped tensors. A plain language model is returned unchanged.
pub(crate) fn unwrap(
    settings: Settings,
    mut weights: Weights,
) -> Result<(Settings, Weights, Option<String>), CheckpointError> {
    let Some(text) = settings.inner_if("text_config")? else {
        if let Some(architectures) = settings.texts_if("architectures")? {
            let speaks =
                |name: &&str| name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel");
            // A base model without a head (`LlamaModel`) is enough where the head is tied to the embedding.
            let bare = |name: &&str| name.ends_with("Model");
            if !architectures.iter().any(|name| speaks(name) || bare(name)) {
                return Err(settings.refuse("architectures", "a causal language model"));
            }
        }
        return Ok((settings, weights, None));
    };
    settings.must_not("is_encoder_decoder")?;
    // Gemma 3's wrapper does not cap the logits.
    if settings.text_if("model_type")? == Some("gemma3")
        && text.number_if("final_logit_softcapping")?.is_some()
    {
        return Err(text.refuse("final_logit_softcapping", "no such setting in this model"));
    }
    // Sizes of the wrapper must agree with those of the language model.
    for name in ["vocab_size", "hidden_size"] {
        if let (Some(outer), Some(inner)) = (settings.size_if(name)?, text.size_if(name)?)
            && outer != inner
        {
            return Err(settings.refuse(name, format!("{inner}, as in text_config")));
        }
    }
    let tied = match settings.says("tie_word_embeddings") {
        true => Some(settings.flag_or("tie_word_embeddings", true)?),
        false => None,
    };
    for name in OTHERS {
        settings.says(name);
    }
    settings.must_be_accounted_for_here()?;
    let mut others = BTreeSet::new();
    let mut count = 0;
    let mut tensors = BTreeMap::new();
    for (name, stored) in std::mem::take(&mut weights.tensors) {
        match renamed(&name) {
            Some(short) => {
                let mut stored = stored;
                stored.name.clone_from(&short);
                if tensors.insert(short.clone(), stored).is_some() {
                    return Err(CheckpointError::Index {
                        path: settings.path().to_owned(),
                        problem: format!(
                            "expected one tensor {short} of the language model, got two"
                        ),
                    });
                }
            }
            None => {
                let mut words = name.split('.').filter(|word| *word != "model");
                others.insert(words.next().unwrap_or_default().to_owned());
                count += 1;
            }
        }
    }
    weights.tensors = tensors;
    // If the wrapper does not say, a head is untied if its tensor exists, as in Transformers.
    let own_head = weights.find_tensor("lm_head.weight").is_some();
    let text = text.with(
        "tie_word_embeddings",
        Value::from(tied.unwrap_or(!own_head)),
    );
    let model_type = settings
        .text_if("model_type")?
        .unwrap_or("nothing")
        .to_owned();
    let others: Vec<String> = others.into_iter().collect();
    let note = (count > 0).then(|| {
        format!(
            "only the language model inside {model_type} is used; {count} other tensors are skipped ({})",
            others.join(", ")
        )
    });
    Ok((text, weights, note))
}

fn renamed(name: &str) -> Option<String> {
    PREFIXES.iter().find_map(|(prefix, short)| {
        let rest = name.strip_prefix(prefix)?;
        Some(format!("{short}{rest}"))
    })
}
