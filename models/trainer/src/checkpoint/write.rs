//! Writes a checkpoint that Transformers can load.

use std::{borrow::Cow, collections::HashMap, path::Path};

use safetensors::{Dtype, View};
use serde_json::Value;

use super::Model;
use crate::{Result, TrainerError};

/// The tokenizer's files (and the generation settings), copied if the source has them.
const TOKENIZER_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "generation_config.json",
];

struct Tensor<'a> {
    shape: &'a [usize],
    numbers: &'a [f32],
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    fn shape(&self) -> &[usize] {
        self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
    }
    fn data_len(&self) -> usize {
        self.numbers.len() * 4
    }
}

/// Writes `config.json` and `model.safetensors` (F32) to a folder, and copies the tokenizer's files from
/// `tokenizer_from`. `config.json` and `model.safetensors` are replaced atomically.
///
/// # Errors
/// If the folder or a file cannot be written, or a file of the tokenizer cannot be copied.
pub fn save(checkpoint: &Model, folder: &Path, tokenizer_from: Option<&Path>) -> Result<()> {
    let failed = |path: &Path, action| {
        let path = path.to_owned();
        move |source| TrainerError::File {
            path,
            action,
            source,
        }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder, "create the folder"))?;
    let architecture = &checkpoint.architecture;
    let tensors = architecture.parameters.iter().zip(&checkpoint.weights);
    let tensors = tensors.map(|(parameter, numbers)| {
        let tensor = Tensor {
            shape: &parameter.shape,
            numbers,
        };
        (parameter.name.as_str(), tensor)
    });
    // Transformers refuses files without this metadata.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let path = folder.join("model.safetensors");
    let part = tempfile::NamedTempFile::new_in(folder).map_err(failed(folder, "create a file"))?;
    safetensors::serialize_to_file(tensors, Some(metadata), part.path()).map_err(|source| {
        TrainerError::Tensors {
            path: path.clone(),
            source,
        }
    })?;
    persist(part, &path)?;

    let mut json = architecture.config.json.clone();
    // The dtype of the written weights; older readers know only the first name.
    json.insert("torch_dtype".to_owned(), Value::from("float32"));
    json.insert("dtype".to_owned(), Value::from("float32"));
    // The written weights are not quantised, even if the source's were.
    for name in ["quantization_config", "compression_config"] {
        json.remove(name);
    }
    json.insert(
        "architectures".to_owned(),
        Value::from(vec![class(architecture.config.decoder.family)]),
    );
    let path = folder.join("config.json");
    let mut part =
        tempfile::NamedTempFile::new_in(folder).map_err(failed(folder, "create a file"))?;
    serde_json::to_writer_pretty(&mut part, &json).map_err(|source| {
        TrainerError::ConfigSyntax {
            path: path.clone(),
            source,
        }
    })?;
    persist(part, &path)?;

    for name in TOKENIZER_FILES {
        let Some(from) = tokenizer_from.map(|from| from.join(name)) else {
            break;
        };
        let to = folder.join(name);
        if from.is_file() && from != to {
            copy(&from, &to).map_err(failed(&from, "copy a file of the tokenizer"))?;
        }
    }
    Ok(())
}

/// Copies a file of a tokenizer; not any file that a link of its name leads to.
pub(crate) fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut from = rho_files::open_to_copy(from)?;
    std::io::copy(&mut from, &mut rho_files::create(to)?).map(|_| ())
}

/// The Transformers class of a family: its capitalised words, with exceptions.
fn class(family: &str) -> String {
    match family {
        "gpt2" => return "GPT2LMHeadModel".to_owned(),
        "smollm3" => return "SmolLM3ForCausalLM".to_owned(),
        _ => {}
    }
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    let words: String = family.split('_').map(capital).collect();
    format!("{words}ForCausalLM")
}

fn persist(part: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    let failed = |source| TrainerError::File {
        path: path.to_owned(),
        action: "write the file",
        source,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are readable only by their owner; a checkpoint is for everybody.
        let readable = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(part.path(), readable).map_err(failed)?;
    }
    part.as_file().sync_all().map_err(failed)?;
    part.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
