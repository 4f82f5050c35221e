//! Small random models of every family, random batches and comparisons.

#[path = "../../../../formats/tests/support/python.rs"]
#[expect(dead_code, reason = "one environment of several is asked for here")]
mod python;
#[path = "../../../../tests/support/torch.rs"]
pub(crate) mod torch;

use std::{io::Write, path::PathBuf};

use candle_core::{DType, Device};
use rho_trainer::{Batch, Config, Model, Network, initial_weights, model::Architecture};

/// Random numbers with a fixed seed, so that a failure can be reproduced.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }

    pub(crate) fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }
}

/// Configurations of all families, with odd sizes, grouped-query attention and biases.
pub(crate) fn families() -> Vec<(&'static str, String)> {
    let common = r#""vocab_size":83,"hidden_size":24,"intermediate_size":40,"num_hidden_layers":2,"num_attention_heads":4,
        "max_position_embeddings":64,"initializer_range":0.2"#;
    vec![
        ("llama", format!(r#"{{"model_type":"llama",{common},"num_key_value_heads":2}}"#)),
        ("llama tied, with biases", format!(
            r#"{{"model_type":"llama",{common},"num_key_value_heads":4,"attention_bias":true,"mlp_bias":true,"tie_word_embeddings":true}}"#
        )),
        ("mistral", format!(r#"{{"model_type":"mistral",{common},"num_key_value_heads":1,"sliding_window":null}}"#)),
        ("qwen2", format!(r#"{{"model_type":"qwen2",{common},"num_key_value_heads":2,"tie_word_embeddings":true}}"#)),
        ("qwen3", format!(r#"{{"model_type":"qwen3",{common},"num_key_value_heads":2,"head_dim":10}}"#)),
        ("gpt2", r#"{"model_type":"gpt2","vocab_size":83,"n_embd":24,"n_layer":2,"n_head":3,"n_positions":64,"initializer_range":0.2}"#.to_owned()),
    ]
}

/// A model with random weights. Norms and biases are random too, so that their gradients are tested.
pub(crate) fn checkpoint(json: &str, seed: u64) -> Model {
    let config = Config::from_json(serde_json::from_str(json).unwrap()).unwrap();
    let architecture = Architecture::new(config);
    let mut weights = initial_weights::weights(&architecture, seed);
    let mut random = Random(seed);
    for (parameter, numbers) in architecture.parameters.iter().zip(&mut weights) {
        if parameter.shape.len() == 1 {
            numbers.iter_mut().for_each(|x| *x += random.unit() - 0.5);
        }
    }
    Model {
        architecture,
        weights,
    }
}

/// Rows of documents of all lengths, with random reference losses, masks and weights.
pub(crate) fn batch(rows: usize, length: usize, vocabulary: u32, random: &mut Random) -> Batch {
    let row = |random: &mut Random| {
        let mut left = length;
        let mut documents = Vec::new();
        // Some rows end in padding.
        while left > 2 {
            let size = 1 + random.below(left as u32) as usize;
            documents.push((0..size).map(|_| random.below(vocabulary)).collect());
            left -= size;
        }
        documents
    };
    let documents: Vec<Vec<Vec<u32>>> = (0..rows).map(|_| row(random)).collect();
    let mut batch = Batch::from_documents(length, &documents);
    let tokens = batch.tokens();
    batch.reference_loss = (0..tokens).map(|_| random.unit() * 8.0).collect();
    for target in batch.targets() {
        if random.below(10) == 0 {
            batch.reference_loss[target.place] = f32::NAN;
        }
    }
    batch.mask = (0..tokens).map(|_| random.below(2) == 0).collect();
    batch.weights = (0..tokens).map(|_| random.unit()).collect();
    batch
}

pub(crate) fn fused(checkpoint: &Model) -> Network {
    Network::new(checkpoint.clone(), &Device::Cpu).unwrap()
}

pub(crate) fn plain(checkpoint: &Model) -> Network {
    Network::plain(checkpoint.clone(), &Device::Cpu, DType::F64).unwrap()
}

/// Asserts that two gradients agree, by the relative norm of each parameter's difference.
pub(crate) fn assert_gradients(
    what: &str,
    network: &Network,
    got: &[Vec<f64>],
    expected: &[Vec<f64>],
    tolerance: f64,
) {
    let norm = |numbers: &[f64]| numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
    for (parameter, (got, expected)) in network
        .architecture()
        .parameters
        .iter()
        .zip(got.iter().zip(expected))
    {
        let difference: Vec<f64> = got.iter().zip(expected).map(|(g, e)| g - e).collect();
        let (off, whole) = (norm(&difference), norm(expected));
        assert!(whole > 0.0, "{what}: {} has no gradient", parameter.name);
        assert!(
            off <= tolerance * whole,
            "{what}: {}: off by {off:e} of {whole:e}",
            parameter.name
        );
    }
}

/// The folder of a tiny model outside the project, if it exists; otherwise prints that the test is skipped.
pub(crate) fn shared_model(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/parity")
        .join(name);
    if folder.join("hf").is_dir() {
        return Some(folder);
    }
    // Not by `eprintln!`, whose output the test harness hides if a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: there is no {}",
        folder.display()
    );
    None
}
