//! The exporter, the trainer and the reference read the same values from each fixture's checkpoint.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use prost::Message as _;
use rho_checkpoint::{Checkpoint, Outline};
use rho_graph::{ExportOptions, Prepared, Tensor, onnx::ModelProto};
use rho_reference::Source;
use rho_trainer::{TrainerError, checkpoint};

/// Families of which at least one fixture can be trained.
const TRAINED: [&str; 4] = ["gpt2", "llama", "mistral", "qwen3"];

/// All constants of an export, in f32, with their axes.
fn exported(checkpoint: &Path, out: &Path) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let options = ExportOptions::default();
    let prepared = Prepared::new(Checkpoint::open(checkpoint).unwrap(), options).unwrap();
    prepared
        .write(out, &mut |_| ControlFlow::Continue(()))
        .unwrap();
    let bytes = fs::read(out.join("model.onnx")).unwrap();
    let graph = ModelProto::decode(&bytes[..]).unwrap().graph.unwrap();
    let tensors = graph.initializer.iter().filter_map(|proto| {
        let tensor = Tensor::resolve(proto, out).ok()?;
        let numbers = tensor.to_f32().ok()?;
        Some((tensor.name.clone(), (tensor.dims, numbers)))
    });
    tensors.collect()
}

fn turned([rows, columns]: [usize; 2], numbers: &[f32]) -> Vec<f32> {
    let at = |c: usize| (0..rows).map(move |r| numbers[r * columns + c]);
    (0..columns).flat_map(at).collect()
}

#[test]
fn all_take_the_same_from_every_fixture() {
    let fixtures = Path::new("models/graph/tests/fixtures");
    let mut trained = BTreeMap::<String, usize>::new();
    let mut refused = 0;
    for entry in fs::read_dir(fixtures).unwrap() {
        let folder = entry.unwrap().path();
        if !Checkpoint::is_in(&folder) {
            continue;
        }
        let shown = folder.display();
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("out");
        let constants = exported(&folder, &out);
        let opened = Checkpoint::open(&folder).unwrap();
        let decoder = opened.decoder().unwrap();

        // The reference: tokens and lengths.
        let reference = Source::find(&out).unwrap().config;
        let files = ["config.json", "generation_config.json"].map(|name| folder.join(name));
        let outline = Outline::of_files(files.iter().filter(|path| path.is_file())).unwrap();
        let most = decoder.most_positions.or(outline.max_positions);
        assert_eq!(reference.max_positions, most, "{shown}");
        assert_eq!(
            (reference.bos, reference.eos),
            (outline.bos, outline.eos),
            "{shown}"
        );
        assert_eq!(reference.vocabulary, Some(decoder.vocabulary), "{shown}");

        // The trainer: settings and weights.
        let learned = match checkpoint::open(&folder, &[]) {
            Ok(learned) => learned,
            Err(TrainerError::NotTrainable { family, part }) => {
                assert!(family == decoder.family && !part.is_empty(), "{shown}");
                refused += 1;
                continue;
            }
            Err(error) => panic!("{shown}: {error}"),
        };
        *trained.entry(decoder.family.to_owned()).or_default() += 1;
        let architecture = learned.architecture;
        assert_eq!(architecture.config.decoder, decoder, "{shown}");
        let theta = decoder.attentions().next().unwrap().rotation.as_ref();
        assert_eq!(
            architecture.config.rotary_base,
            theta.map(|rotation| rotation.theta),
            "{shown}"
        );
        for (parameter, numbers) in architecture.parameters.iter().zip(&learned.weights) {
            let (dims, expected) = &constants[&parameter.name];
            let stored = match (&dims[..], &parameter.shape[..]) {
                (&[a, b], &[c, d]) if [a, b] != [c, d] || expected != numbers => {
                    assert_eq!([a, b], [d, c], "{shown} {}", parameter.name);
                    turned([a, b], expected)
                }
                _ => expected.clone(),
            };
            assert_eq!(stored, *numbers, "{shown} {}", parameter.name);
        }
    }
    let families: Vec<&str> = trained.keys().map(String::as_str).collect();
    assert!(
        TRAINED.iter().all(|family| families.contains(family)),
        "{trained:?}"
    );
    assert!(refused > 50, "{refused} refused");
}

/// With both files in one folder, all take `model.safetensors`, as Transformers does.
#[test]
fn all_take_the_same_of_two_files() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("both");
    fs::create_dir(&folder).unwrap();
    for name in ["llama_sharded", "llama_tied"] {
        for entry in fs::read_dir(Path::new("models/graph/tests/fixtures").join(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let opened = Checkpoint::open(&folder).unwrap();
    let names: Vec<_> = opened
        .weights
        .files()
        .iter()
        .map(|path| path.file_name().unwrap())
        .collect();
    assert_eq!(names, ["model.safetensors"]);
    assert!(
        opened.notes[0].contains("the first is taken"),
        "{:?}",
        opened.notes
    );
    let constants = exported(&folder, &place.path().join("out"));
    let learned = checkpoint::open(&folder, &[]).unwrap();
    assert_eq!(constants["model.embed_tokens.weight"].1, learned.weights[0]);
}
