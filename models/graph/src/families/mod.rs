//! The model families, a file each: configuration, attention, block, model. Takes the settings of a checkpoint, gives
//! the values of its graph. Tensors are asked for by the names that the checkpoint has.
//!
//! What they share: `linear`, `norms` (and the stream between blocks), `rotary`, `attention`, `mlp`.
//!
//! A new family is a file here and a line in [`FAMILIES`].

pub(crate) mod attention;
mod gemma2;
mod gpt2;
mod gpt_neox;
mod linear;
mod llama;
mod mistral;
pub(crate) mod mlp;
pub(crate) mod norms;
mod olmo2;
mod opt;
mod phi3;
mod qwen2;
mod qwen3;
pub(crate) mod rotary;

use crate::{
    ExportError, Settings,
    export::{
        constants::Change,
        graph::{Graph, Value},
        head::HeadParts,
    },
};
use attention::Heads;

/// What a family has built.
pub(crate) struct Built {
    /// `[batch, length, hidden]`, after the last norm.
    pub(crate) hidden: Value,
    /// What makes logits of it.
    pub(crate) head: HeadParts,
    /// Rows of the head.
    pub(crate) vocabulary: usize,
    /// Longest input, where it is shorter than the configuration says.
    pub(crate) most_positions: Option<usize>,
}

type Build = fn(&mut Graph<'_>, &Settings) -> Result<Built, ExportError>;

/// `model_type` and who builds it.
const FAMILIES: [(&str, Build); 10] = [
    ("llama", llama::build),
    ("mistral", mistral::build),
    ("qwen2", qwen2::build),
    ("qwen3", qwen3::build),
    ("gpt2", gpt2::build),
    ("gpt_neox", gpt_neox::build),
    ("olmo2", olmo2::build),
    ("phi3", phi3::build),
    ("gemma2", gemma2::build),
    ("opt", opt::build),
];

/// The names of all families.
pub fn names() -> Vec<&'static str> {
    FAMILIES.iter().map(|(name, _)| *name).collect()
}

/// Builds the model that the settings name.
pub(crate) fn build(
    graph: &mut Graph<'_>,
    settings: &Settings,
) -> Result<(&'static str, Built), ExportError> {
    let got = settings.text_if("model_type")?.unwrap_or("nothing");
    let family = FAMILIES.iter().find(|(name, _)| *name == got);
    let (name, build) = family.ok_or_else(|| ExportError::Family {
        path: settings.path().to_owned(),
        got: got.to_owned(),
        known: names(),
    })?;
    settings.must_be_absent("quantization_config", "quantised checkpoints are not read")?;
    settings.must_not("is_encoder_decoder")?;
    settings.must_not("add_cross_attention")?;
    if let Some(architectures) = settings.texts_if("architectures")? {
        let speaks = |name: &&str| name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel");
        // A bare base model names itself, and is what the head of a tied model stands on.
        let bare = |name: &&str| name.ends_with("Model");
        if !architectures.iter().any(|name| speaks(name) || bare(name)) {
            return Err(settings.refuse("architectures", "a causal language model"));
        }
    }
    Ok((name, build(graph, settings)?))
}

impl Heads {
    /// From the names that most configurations have. Heads of keys and values are as many as those of queries where
    /// nothing is said.
    pub(crate) fn read(settings: &Settings) -> Result<Self, ExportError> {
        let queries = settings.size("num_attention_heads")?;
        let keys = settings.size_if("num_key_value_heads")?.unwrap_or(queries);
        let hidden = settings.size("hidden_size")?;
        let width = match settings.size_if("head_dim")? {
            Some(width) => width,
            None if hidden.is_multiple_of(queries) => hidden / queries,
            None => {
                let expected = format!("a divisor of hidden_size, {hidden}");
                return Err(settings.refuse("num_attention_heads", expected));
            }
        };
        if !queries.is_multiple_of(keys) {
            let expected = format!("a divisor of num_attention_heads, {queries}");
            return Err(settings.refuse("num_key_value_heads", expected));
        }
        Ok(Self::new(queries, keys, width))
    }
}

/// The head's weights: its own, or the embedding's.
pub(crate) fn head(
    graph: &mut Graph<'_>,
    tied: bool,
    [head, embedding]: [&str; 2],
    [vocabulary, hidden]: [usize; 2],
) -> Result<HeadParts, ExportError> {
    let own = format!("{head}.weight");
    let shared = format!("{embedding}.weight");
    let dims = [vocabulary, hidden];
    let name = match tied {
        false => own,
        true => {
            must_be_the_same(graph, &own, &shared, &dims)?;
            shared
        }
    };
    Ok(HeadParts {
        weights: graph.tensor(&name, &dims, Change::default())?.name,
        bias: None,
        cap: None,
    })
}

/// A tied head that was saved all the same has to be the embedding: Transformers would not read it.
fn must_be_the_same(
    graph: &mut Graph<'_>,
    head: &str,
    embedding: &str,
    dims: &[usize],
) -> Result<(), ExportError> {
    if graph.weights.find_tensor(head).is_none() {
        return Ok(());
    }
    let stored = graph.weights.expect(head, dims)?;
    let table = graph.weights.expect(embedding, dims)?;
    if stored.name == table.name {
        return Ok(());
    }
    if stored.dtype != table.dtype || stored.bytes()? != table.bytes()? {
        return Err(ExportError::Tied {
            path: stored.file().to_owned(),
            head: head.to_owned(),
            embedding: embedding.to_owned(),
        });
    }
    let name = stored.name.clone();
    graph.taken.insert(name);
    Ok(())
}
