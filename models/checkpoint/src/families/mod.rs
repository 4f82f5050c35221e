//! Model families: from the settings of a checkpoint to a [`Decoder`]. Each family has a file of its own or a function
//! in the file of a similar one. `common` has what most of them share.
//!
//! To add a family, write a function in a file here and add a line to [`FAMILIES`].

mod apertus;
mod bloom;
mod cohere;
mod common;
mod exaone4;
mod falcon;
mod gemma;
mod glm;
mod gpt2;
mod gpt_bigcode;
mod gpt_neox;
mod gpt_oss;
mod gptj;
mod granite;
mod hunyuan;
mod llama;
mod ministral3;
mod mistral;
mod mixtral;
mod nanochat;
mod nemotron;
mod olmo;
mod opt;
mod phi;
mod phi3;
mod qwen;
mod qwen3_5;
mod smollm3;
mod stablelm;
mod starcoder2;

use crate::{CheckpointError, Decoder, Settings, Weights};

type Describe = fn(&Settings, Option<&Weights>) -> Result<Decoder, CheckpointError>;

/// `model_type` and the function that describes it.
const FAMILIES: &[(&str, Describe)] = &[
    ("llama", |s, _| llama::describe(s)),
    ("mistral", |s, _| mistral::describe(s)),
    ("qwen2", |s, _| qwen::qwen2(s)),
    ("qwen3", |s, _| qwen::qwen3(s)),
    ("gpt2", |s, _| gpt2::describe(s)),
    ("gpt_neox", |s, _| gpt_neox::describe(s)),
    ("olmo2", |s, _| olmo::olmo2(s)),
    ("phi3", |s, _| phi3::describe(s)),
    ("gemma2", |s, _| gemma::gemma2(s)),
    ("opt", |s, _| opt::describe(s)),
    ("smollm3", |s, _| smollm3::describe(s)),
    ("gemma3_text", |s, _| gemma::gemma3(s)),
    ("olmo3", |s, _| olmo::olmo3(s)),
    ("granite", |s, _| granite::describe(s)),
    ("ministral", |s, _| mistral::ministral(s)),
    ("ministral3", |s, _| ministral3::describe(s)),
    ("starcoder2", |s, _| starcoder2::describe(s)),
    ("cohere", |s, _| cohere::cohere(s)),
    ("cohere2", |s, _| cohere::cohere2(s)),
    ("glm", |s, _| glm::glm(s)),
    ("glm4", |s, _| glm::glm4(s)),
    ("phi", |s, _| phi::describe(s)),
    ("exaone4", |s, _| exaone4::describe(s)),
    ("apertus", |s, _| apertus::describe(s)),
    ("arcee", |s, _| llama::arcee(s)),
    ("seed_oss", |s, _| llama::seed_oss(s)),
    ("nanochat", |s, _| nanochat::describe(s)),
    ("nemotron", |s, _| nemotron::describe(s)),
    ("ernie4_5", |s, _| llama::ernie4_5(s)),
    ("hunyuan_v1_dense", |s, _| hunyuan::describe(s)),
    ("stablelm", |s, _| stablelm::describe(s)),
    ("falcon", |s, _| falcon::describe(s)),
    ("gptj", |s, _| gptj::describe(s)),
    ("gpt_bigcode", |s, _| gpt_bigcode::describe(s)),
    ("bloom", |s, _| bloom::describe(s)),
    ("mixtral", mixtral::describe),
    ("olmoe", olmo::olmoe),
    ("qwen3_moe", qwen::qwen3_moe),
    ("gpt_oss", gpt_oss::describe),
    ("qwen3_5_text", |s, _| qwen3_5::describe(s)),
];

/// The `model_type` of every family.
pub fn names() -> Vec<&'static str> {
    FAMILIES.iter().map(|(name, _)| *name).collect()
}

/// Describes the model that the settings name. `weights`, if given, show how experts are stored.
///
/// # Errors
/// When the family is unknown, or a setting is unknown or not supported.
pub fn describe(
    settings: &Settings,
    weights: Option<&Weights>,
) -> Result<Decoder, CheckpointError> {
    let got = settings.text_if("model_type")?.unwrap_or("nothing");
    let family = FAMILIES.iter().find(|(name, _)| *name == got);
    let (name, describe) = family.ok_or_else(|| CheckpointError::Family {
        path: settings.path().to_owned(),
        got: got.to_owned(),
        known: names(),
    })?;
    settings.must_not("is_encoder_decoder")?;
    settings.must_not("add_cross_attention")?;
    let mut decoder = describe(settings, weights)?;
    decoder.family = name;
    settings.must_be_accounted_for(name)?;
    Ok(decoder)
}
