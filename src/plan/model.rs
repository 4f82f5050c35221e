//! What a reference asks for: its tokenizer, the lengths it can take, the numbers it computes in.

use std::path::PathBuf;

use rho_graph::DataType;
use rho_reference::{OpenedReference, Precision, Source};

use crate::{
    cli::{PrecisionChoice, ScoreArgs, SpecialToken},
    hint::Advised,
    terminal,
    tokenization::Tokenization,
};

/// Attention of most exports takes memory quadratic in the context; longer ones are for those who ask.
const MAX_DEFAULT_CONTEXT: usize = 1024;

/// The tokenizer's file and the tokenizer, checked against the model; none where token ids are scored.
pub(super) fn tokenizer(
    args: &ScoreArgs,
    source: &Source,
    reference: &OpenedReference,
) -> anyhow::Result<(Option<PathBuf>, Option<Tokenization>)> {
    if let Some(field) = &args.tokens_field {
        if args.bos == SpecialToken::Always || args.eos == SpecialToken::Always {
            return Err(Advised::error(
                format!(
                    "--tokens-field {field}: token ids are taken as they are, but --bos or --eos says always"
                ),
                "leave --bos and --eos out, and put the tokens into the ids",
            ));
        }
        // Only shown and fingerprinted, so that a reader of the masks can compare.
        let named = args.tokenizer.clone().or_else(|| source.tokenizer.clone());
        let Some(path) = named.map(|p| {
            if p.is_dir() {
                p.join("tokenizer.json")
            } else {
                p
            }
        }) else {
            return Ok((None, None));
        };
        let tokenization = Tokenization::load(
            &path,
            SpecialToken::Never,
            SpecialToken::Never,
            &source.config,
        )?;
        tokenization.must_fit(&path, reference.vocabulary())?;
        return Ok((Some(path), Some(tokenization)));
    }
    let Some(path) = args.tokenizer.clone().or_else(|| source.tokenizer.clone()) else {
        return Err(Advised::error(
            format!(
                "{}: expected tokenizer.json beside the model, got none",
                source.model.display()
            ),
            "name it with --tokenizer, or score token ids with --tokens-field",
        ));
    };
    let path = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path
    };
    let tokenization = Tokenization::load(&path, args.bos, args.eos, &source.config)?;
    tokenization.must_fit(&path, reference.vocabulary())?;
    Ok((Some(path), Some(tokenization)))
}

/// What `--precision` means for this model.
pub(super) fn precision(
    args: &ScoreArgs,
    source: &Source,
    reference: &OpenedReference,
) -> anyhow::Result<Precision> {
    match args.precision {
        PrecisionChoice::Auto => Ok(Precision::AsStored),
        PrecisionChoice::Bf16 => Ok(Precision::Bf16),
        PrecisionChoice::Int8 => Ok(Precision::Int8),
        PrecisionChoice::F32 if reference.precision() == DataType::F32 => Ok(Precision::AsStored),
        PrecisionChoice::F32 => Err(Advised::error(
            format!(
                "{}: --precision f32: expected weights stored in f32, got {:?}",
                source.model.display(),
                reference.precision()
            ),
            "leave --precision out to compute as the model is stored, or export it in f32",
        )),
    }
}

/// Context and overlap.
pub(super) fn windows(args: &ScoreArgs, source: &Source) -> anyhow::Result<(usize, usize)> {
    let most = source.config.max_positions;
    let context = args
        .context
        .unwrap_or_else(|| most.unwrap_or(MAX_DEFAULT_CONTEXT).min(MAX_DEFAULT_CONTEXT));
    if args.context.is_none() && most.is_none() {
        let shown = source.model.display();
        terminal::line(&format!(
            "note: {shown}: no config.json says how long inputs may be; taking {context} tokens (--context N changes it)"
        ));
    }
    if context < 2 || most.is_some_and(|most| context > most) {
        let most = most.map_or("any number".to_owned(), |m| m.to_string());
        return Err(Advised::error(
            format!("--context: expected 2 to {most} tokens, got {context}"),
            "the upper end is what the model's config.json allows",
        ));
    }
    let overlap = args.overlap.unwrap_or(context / 2);
    if overlap >= context {
        return Err(Advised::error(
            format!("--overlap: expected less than the context of {context} tokens, got {overlap}"),
            "half of the context is the default; 0 is fastest",
        ));
    }
    Ok((context, overlap))
}
