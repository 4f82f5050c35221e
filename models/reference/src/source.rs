//! The files of a reference: the graph and the files next to it (config.json, generation_config.json, tokenizer.json).
//! Reads no weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rho_checkpoint::Outline;

use crate::ReferenceError;

/// The paths of a reference's files, and its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The ONNX model.
    pub model: PathBuf,
    /// Its tokenizer.json, if one exists.
    pub tokenizer: Option<PathBuf>,
    /// Its configuration.
    pub config: Outline,
}

impl Source {
    /// Finds the model at `path`: a folder as optimum writes it (the model in it or in `onnx/`), or an .onnx file.
    ///
    /// # Errors
    /// If there is no model, or several of which none has a known name, or an encoder-decoder; or if a configuration
    /// file cannot be read.
    pub fn find(path: &Path) -> Result<Self, ReferenceError> {
        let model = if path.is_dir() {
            model_in(path)?
        } else {
            path.to_owned()
        };
        let is_onnx = model
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("onnx"));
        if !model.is_file() || !is_onnx {
            let got = match (model.exists(), is_onnx) {
                (false, _) => "nothing: it does not exist".to_owned(),
                (true, _) => format!(
                    "a file called {}",
                    model.file_name().unwrap_or_default().to_string_lossy()
                ),
            };
            return Err(ReferenceError::NoModel {
                path: path.to_owned(),
                got,
            });
        }
        // The other files are next to the model, or one folder up if the model is in `onnx/`.
        let beside = model.parent().unwrap_or(Path::new(""));
        let above = beside
            .parent()
            .filter(|_| beside.file_name().is_some_and(|n| n == "onnx"));
        let folders: Vec<&Path> = [Some(beside), above].into_iter().flatten().collect();
        let find = |name: &str| folders.iter().map(|f| f.join(name)).find(|p| p.is_file());
        let mut config = Outline::default();
        for name in ["config.json", "generation_config.json"] {
            if let Some(file) = find(name) {
                config.read(&file)?;
            }
        }
        Ok(Self {
            tokenizer: find("tokenizer.json"),
            model,
            config,
        })
    }
}

/// The model among the files of a folder: `model.onnx`, the decoder of an older export, or the only .onnx file.
/// `None` if there is no .onnx file.
///
/// # Errors
/// If there is an encoder, or several .onnx files of which none has a known name.
pub fn pick(folder: &Path, names: &[String]) -> Result<Option<String>, ReferenceError> {
    let mut models: Vec<String> = names.iter().filter(|n| is_model(n)).cloned().collect();
    models.sort();
    if let Some(encoder) = models.iter().find(|n| n.starts_with("encoder")) {
        return Err(ReferenceError::EncoderDecoder {
            path: folder.to_owned(),
            input: format!("beside {encoder}"),
        });
    }
    let known = [
        "model.onnx",
        "decoder_model.onnx",
        "decoder_model_merged.onnx",
    ];
    if let Some(name) = known.iter().find(|k| models.iter().any(|m| m == *k)) {
        return Ok(Some((*name).to_owned()));
    }
    match models.len() {
        0 | 1 => Ok(models.pop()),
        _ => Err(ReferenceError::SeveralModels {
            path: folder.to_owned(),
            names: models,
        }),
    }
}

/// The .onnx files that [`Source::find`] chooses from: those in the folder and in its `onnx/`.
pub fn models_in(folder: &Path) -> Vec<PathBuf> {
    let places = places(folder).into_iter();
    let models = places.flat_map(|(place, names)| {
        let models = names.into_iter().filter(|n| is_model(n));
        models.map(move |name| place.join(name)).collect::<Vec<_>>()
    });
    models.collect()
}

fn is_model(name: &str) -> bool {
    name.ends_with(".onnx")
}

/// The folders that may contain the model, each with its file names.
fn places(folder: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let mut places = Vec::new();
    for place in [folder.to_owned(), folder.join("onnx")] {
        let Ok(entries) = fs::read_dir(&place) else {
            continue;
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        places.push((place, names));
    }
    places
}

fn model_in(folder: &Path) -> Result<PathBuf, ReferenceError> {
    let mut others = Vec::new();
    for (place, names) in places(folder) {
        match pick(&place, &names)? {
            Some(name) => return Ok(place.join(name)),
            None => others.extend(names),
        }
    }
    let got = if others
        .iter()
        .any(|n| n.ends_with(".safetensors") || n.ends_with(".bin"))
    {
        "a checkpoint that was not exported to ONNX".to_owned()
    } else {
        match others.len() {
            0 => "an empty folder".to_owned(),
            n => format!(
                "{n} other files ({})",
                others.into_iter().take(3).collect::<Vec<_>>().join(", ")
            ),
        }
    };
    Err(ReferenceError::NoModel {
        path: folder.to_owned(),
        got,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_exporters_write() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(matches!(
            Source::find(folder.path()),
            Err(ReferenceError::NoModel { .. })
        ));
        fs::create_dir(at("onnx")).unwrap();
        fs::write(at("onnx/only.onnx"), "").unwrap();
        fs::write(at("tokenizer.json"), "{}").unwrap();
        fs::write(
            at("config.json"),
            r#"{"n_positions": 256, "vocab_size": 10, "eos_token_id": [2, 3]}"#,
        )
        .unwrap();
        fs::write(
            at("generation_config.json"),
            r#"{"bos_token_id": 1, "eos_token_id": 9}"#,
        )
        .unwrap();
        let source = Source::find(folder.path()).unwrap();
        assert_eq!(source.model, at("onnx/only.onnx"));
        assert_eq!(source.tokenizer, Some(at("tokenizer.json")));
        let expected = Outline {
            max_positions: Some(256),
            vocabulary: Some(10),
            bos: Some(1),
            eos: Some(2),
        };
        assert_eq!(source.config, expected);
        fs::write(at("onnx/other.onnx"), "").unwrap();
        assert!(matches!(
            Source::find(folder.path()),
            Err(ReferenceError::SeveralModels { .. })
        ));
        fs::write(at("onnx/model.onnx"), "").unwrap();
        assert_eq!(
            Source::find(folder.path()).unwrap().model,
            at("onnx/model.onnx")
        );
        fs::write(at("encoder_model.onnx"), "").unwrap();
        assert!(matches!(
            Source::find(folder.path()),
            Err(ReferenceError::EncoderDecoder { .. })
        ));
    }

    #[test]
    fn a_checkpoint_and_a_wrong_file_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.safetensors"), "").unwrap();
        let error = Source::find(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("a checkpoint that was not exported"),
            "{error}"
        );
        let error = Source::find(&folder.path().join("model.safetensors"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("a file called model.safetensors"), "{error}");
        let error = Source::find(&folder.path().join("missing.onnx"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not exist"), "{error}");
    }
}
