//! Checkpoints written and read again, in shards, in half precision, and refused ones.

use std::collections::HashMap;

use super::*;
use crate::Config;

fn tiny() -> Model {
    let json = r#"{"model_type":"qwen3","vocab_size":40,"hidden_size":16,"intermediate_size":24,"head_dim":6,
        "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"max_position_embeddings":64,"prefix":"kept"}"#;
    let config = Config::from_json(serde_json::from_str(json).unwrap()).unwrap();
    Model::fresh(config, 5)
}

#[test]
fn comes_back_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(from.path().join("tokenizer.json"), "{}").unwrap();
    let checkpoint = tiny();
    save(&checkpoint, to.path(), Some(from.path())).unwrap();
    let again = open(to.path(), &[]).unwrap();
    assert_eq!(again.weights, checkpoint.weights);
    assert_eq!(
        again.architecture.parameters,
        checkpoint.architecture.parameters
    );
    assert_eq!(again.architecture.config.json["prefix"], "kept");
    assert_eq!(
        again.architecture.config.json["architectures"][0],
        "Qwen3ForCausalLM"
    );
    assert!(to.path().join("tokenizer.json").is_file());
    // Save over the first, as the training loop does.
    save(&again, to.path(), None).unwrap();
    assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 3);
}

/// Two shards with an index, one of them in bf16.
#[test]
fn reads_shards_and_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = tiny();
    save(&checkpoint, folder.path(), None).unwrap();
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let parameters = &checkpoint.architecture.parameters;
    let mut map = HashMap::new();
    for (shard, name) in ["a.safetensors", "b.safetensors"].into_iter().enumerate() {
        let mine: Vec<(String, Vec<u8>, Vec<usize>)> = parameters
            .iter()
            .zip(&checkpoint.weights)
            .skip(shard)
            .step_by(2)
            .map(|(parameter, numbers)| {
                map.insert(parameter.name.clone(), name);
                let bytes = numbers.iter().flat_map(|&x| match shard {
                    0 => half::bf16::from_f32(x).to_le_bytes().to_vec(),
                    _ => x.to_le_bytes().to_vec(),
                });
                (
                    parameter.name.clone(),
                    bytes.collect(),
                    parameter.shape.clone(),
                )
            })
            .collect();
        let dtype = [safetensors::Dtype::BF16, safetensors::Dtype::F32][shard];
        let views = mine.iter().map(|(name, bytes, shape)| {
            let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes);
            (name.as_str(), view.unwrap())
        });
        safetensors::serialize_to_file(views, None, &folder.path().join(name)).unwrap();
    }
    let index = serde_json::json!({ "weight_map": map });
    std::fs::write(
        folder.path().join("model.safetensors.index.json"),
        index.to_string(),
    )
    .unwrap();
    let again = open(folder.path(), &[]).unwrap();
    for (i, (got, expected)) in again.weights.iter().zip(&checkpoint.weights).enumerate() {
        let rounded = |x: &f32| half::bf16::from_f32(*x).to_f32();
        let expected: Vec<f32> = expected
            .iter()
            .map(|x| if i % 2 == 0 { rounded(x) } else { *x })
            .collect();
        assert_eq!(*got, expected);
    }
}

#[test]
fn says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = tiny();
    let shape = &mut checkpoint.architecture.parameters[1].shape;
    *shape = vec![4, 4];
    save(&checkpoint, folder.path(), None).unwrap();
    let error = open(folder.path(), &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected the shape [16], got [4, 4]"),
        "{error}"
    );
    checkpoint = tiny();
    checkpoint.architecture.parameters[1].name = "other".into();
    save(&checkpoint, folder.path(), None).unwrap();
    let error = open(folder.path(), &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a tensor model.layers.0.input_layernorm.weight, got"),
        "{error}"
    );
    std::fs::write(folder.path().join("model.safetensors"), "short").unwrap();
    let error = open(folder.path(), &[]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("expected a whole safetensors file"),
        "{error}"
    );
}
