//! Quantised checkpoints: their dequantised values, and the ones that are refused by name rather than read wrongly.
#![expect(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::HashSet;

use rho_checkpoint::{Checkpoint, CheckpointError};
use safetensors::{
    Dtype,
    tensor::{TensorView, serialize_to_file},
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Name, dtype, shape, bytes.
type Tensor = (&'static str, Dtype, &'static [usize], Vec<u8>);

fn floats(name: &'static str, dims: &'static [usize], numbers: &[f32]) -> Tensor {
    let bytes = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    (name, Dtype::F32, dims, bytes)
}

fn bytes(name: &'static str, dtype: Dtype, dims: &'static [usize], bytes: &[u8]) -> Tensor {
    (name, dtype, dims, bytes.to_vec())
}

fn folder(family: &str, quantisation: &Value, tensors: &[Tensor]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "architectures": ["SomeForCausalLM"],
        "model_type": family,
        "quantization_config": quantisation,
        "hidden_act": "silu",
        "hidden_size": 4,
        "intermediate_size": 4,
        "max_position_embeddings": 8,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "num_hidden_layers": 1,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10_000.0,
        "tie_word_embeddings": true,
        "vocab_size": 8,
    });
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let views = tensors.iter().map(|(name, dtype, dims, bytes)| {
        (
            *name,
            TensorView::new(*dtype, dims.to_vec(), bytes).unwrap(),
        )
    });
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

/// Opens a checkpoint and reads its only tensor, as an export does; slice by slice if it has three axes.
fn read(
    family: &str,
    quantisation: &Value,
    tensors: &[Tensor],
    (name, dims): (&str, &[usize]),
) -> Result<Vec<f32>, CheckpointError> {
    let folder = folder(family, quantisation, tensors);
    let checkpoint = Checkpoint::open(folder.path())?;
    let stored = checkpoint.weights.expect(name, dims)?;
    let taken = HashSet::from([stored.name.clone()]);
    checkpoint.weights.must_all_be_taken(&taken)?;
    match dims {
        [count, _, _] => {
            let parts = (0..*count).map(|i| stored.part(i).to_f32());
            Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        _ => stored.to_f32(),
    }
}

fn fp8(block: Value) -> Value {
    json!({"quant_method": "fp8", "weight_block_size": block})
}

/// compressed-tensors in int8, with some settings of its weights replaced.
fn compressed(weights: Value) -> Value {
    let mut all = json!({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true});
    for (name, value) in weights.as_object().unwrap() {
        all[name] = value.clone();
    }
    json!({
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": all}},
    })
}

fn with(mut config: Value, name: &str, value: Value) -> Value {
    config[name] = value;
    config
}

const MATRIX: (&str, &[usize]) = ("a.weight", &[2, 3]);

/// 1, 2, 4 and -1, -2, -4 in E4M3.
fn eights() -> Tensor {
    let codes = [0x38, 0x40, 0x48, 0xb8, 0xc0, 0xc8];
    bytes("a.weight", Dtype::F8_E4M3, &[2, 3], &codes)
}

fn integers() -> Tensor {
    bytes("a.weight", Dtype::I8, &[2, 3], &[1, 2, 4, 255, 254, 252])
}

#[test]
fn scales_are_of_blocks_rows_or_the_tensor() {
    let one = |name| floats(name, &[], &[0.5]);
    let four = |name| floats(name, &[2, 2], &[1.0, 10.0, 100.0, 1000.0]);
    let exponents = bytes("a.weight_scale_inv", Dtype::F8_E8M0, &[1, 1], &[126]);
    let halves = [0.5, 1.0, 2.0, -0.5, -1.0, -2.0];
    let blocks = [1.0, 2.0, 40.0, -100.0, -200.0, -4000.0];
    let rows = [0.5, 1.0, 2.0, -2.0, -4.0, -8.0];
    let block = json!({"strategy": "block", "block_structure": [1, 2]});
    let tensor = json!({"strategy": "tensor"});
    for (config, tensors, expected) in [
        (
            fp8(Value::Null),
            [eights(), one("a.weight_scale_inv")],
            halves,
        ),
        (
            fp8(json!([1, 2])),
            [eights(), four("a.weight_scale_inv")],
            blocks,
        ),
        // By default a block has 128 rows and columns.
        (
            json!({"quant_method": "fp8", "scale_fmt": "ue8m0"}),
            [eights(), exponents],
            halves,
        ),
        (
            compressed(json!({})),
            [integers(), floats("a.weight_scale", &[2, 1], &[0.5, 2.0])],
            rows,
        ),
        (
            compressed(block),
            [integers(), four("a.weight_scale")],
            blocks,
        ),
        (
            compressed(tensor),
            [integers(), floats("a.weight_scale", &[1], &[0.5])],
            halves,
        ),
    ] {
        let got = read("llama", &config, &tensors, MATRIX);
        assert_eq!(got.unwrap(), expected, "{config}");
    }
}

const EXPERTS: (&str, &[usize]) = ("experts.down_proj", &[2, 1, 32]);

fn fours(name: &'static str) -> Tensor {
    let codes = [[0x10; 16], [0xf2; 16]].concat();
    bytes(name, Dtype::U8, &[2, 1, 1, 16], &codes)
}

fn exponents(name: &'static str, dims: &'static [usize]) -> Tensor {
    bytes(name, Dtype::U8, dims, &[126, 129])
}

#[test]
fn each_expert_in_4_bits_has_its_own_scales() {
    let config = json!({"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]});
    let tensors = [
        fours("experts.down_proj_blocks"),
        exponents("experts.down_proj_scales", &[2, 1, 1]),
    ];
    let got = read("gpt_oss", &config, &tensors, EXPERTS).unwrap();
    assert_eq!(
        got,
        [[0.0, 0.25].repeat(16), [4.0, -24.0].repeat(16)].concat()
    );
}

#[test]
fn other_quantisations_are_refused_by_name() {
    let group = |format: Value| {
        let mut config = compressed(json!({}));
        config["config_groups"]["group_0"]["format"] = format;
        config
    };
    let mut differing = compressed(json!({}));
    differing["config_groups"]["group_1"] =
        json!({"weights": {"num_bits": 8, "type": "int", "strategy": "tensor"}});
    let cases = [
        (
            json!({"quant_method": "gptq", "bits": 4, "group_size": 128}),
            "got gptq",
        ),
        (
            json!({"quant_method": "awq", "bits": 4, "zero_point": true}),
            "got awq",
        ),
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}),
            "got bitsandbytes",
        ),
        (json!({"load_in_8bit": true}), "got no quant_method"),
        (
            json!({"quant_method": "hqq", "quant_config": {}}),
            "got hqq",
        ),
        (json!({"quant_method": "fbgemm_fp8"}), "got fbgemm_fp8"),
        (
            json!({"quant_method": "modelopt", "quant_algo": "FP8"}),
            "got modelopt",
        ),
        (json!({"quant_method": "torchao"}), "got torchao"),
        (json!({"quant_method": "mxfp4"}), "got mxfp4 in llama"),
        (
            with(fp8(Value::Null), "fmt", json!("e5m2")),
            "fmt: expected e4m3",
        ),
        (
            fp8(json!([128])),
            "weight_block_size: expected rows and columns",
        ),
        (
            with(compressed(json!({})), "format", json!("pack-quantized")),
            "got compressed-tensors in the format pack-quantized",
        ),
        (
            compressed(json!({"num_bits": 4})),
            "4-bit int weights and scales per channel",
        ),
        (compressed(json!({"type": "float"})), "8-bit float weights"),
        (
            compressed(json!({"strategy": "group", "group_size": 32})),
            "scales per group",
        ),
        (compressed(json!({"strategy": "block"})), "scales per block"),
        (
            compressed(json!({"symmetric": false})),
            "weights.symmetric: expected true",
        ),
        (
            compressed(json!({"dynamic": true})),
            "weights.dynamic: expected false",
        ),
        (
            compressed(json!({"actorder": true})),
            "weights.actorder: expected false",
        ),
        (
            compressed(json!({"actorder": "group"})),
            "weights.actorder: expected true or false",
        ),
        (
            group(json!("float-quantized")),
            "group_0.format: expected that of all groups",
        ),
        (differing, "got compressed-tensors with groups that differ"),
        (
            with(compressed(json!({})), "config_groups", json!({})),
            "without quantised weights",
        ),
        (
            with(
                compressed(json!({})),
                "kv_cache_scheme",
                json!({"num_bits": 8}),
            ),
            "got kv_cache_scheme beside",
        ),
        (
            with(compressed(json!({})), "kv_cache_scheme", json!("fp8")),
            "kv_cache_scheme: expected an object",
        ),
        (
            with(
                compressed(json!({})),
                "sparsity_config",
                json!({"format": "sparse-24"}),
            ),
            "got sparsity_config beside",
        ),
    ];
    for (config, expected) in cases {
        let folder = folder("llama", &config, &[floats("a.weight", &[1], &[1.0])]);
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("quantization_config"), "{config}: {error}");
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn an_unknown_setting_of_a_quantisation_is_refused() {
    for (config, expected) in [
        (
            with(fp8(Value::Null), "novel", json!(1)),
            "quantization_config.novel = 1",
        ),
        (
            compressed(json!({"novel": 2})),
            "quantization_config.config_groups.group_0.weights.novel = 2",
        ),
    ] {
        let folder = folder("llama", &config, &[bytes("a", Dtype::I64, &[1], &[0; 8])]);
        let checkpoint = Checkpoint::open(folder.path());
        let error = checkpoint
            .and_then(|checkpoint| checkpoint.decoder())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn scales_that_do_not_fit_are_refused() {
    let scale = |dims: &'static [usize]| {
        let numbers = vec![1.0; dims.iter().product()];
        floats("a.weight_scale_inv", dims, &numbers)
    };
    let plain = || floats("a.weight", &[2, 3], &[1.0; 6]);
    let blocks = || fp8(json!([1, 2]));
    let cases = [
        (
            blocks(),
            vec![eights()],
            "expected a tensor a.weight_scale_inv",
        ),
        (
            blocks(),
            vec![eights(), floats("a.weight_scale", &[], &[1.0])],
            "expected a tensor a.weight_scale_inv",
        ),
        (
            blocks(),
            vec![eights(), scale(&[2, 1])],
            "expected the shape [2, 2], got [2, 1]",
        ),
        (
            blocks(),
            vec![eights(), scale(&[])],
            "expected the shape [2, 2], got []",
        ),
        (
            fp8(Value::Null),
            vec![eights(), scale(&[2])],
            "expected the shape [1], got [2]",
        ),
        (
            fp8(Value::Null),
            vec![eights(), scale(&[2, 1])],
            "expected the shape [1], got [2, 1]",
        ),
        (
            blocks(),
            vec![
                eights(),
                bytes("a.weight_scale_inv", Dtype::U8, &[2, 2], &[127; 4]),
            ],
            "a.weight_scale_inv: expected f32, f16 or bf16, got u8",
        ),
        (
            blocks(),
            vec![plain()],
            "expected weights stored as fp8 with scales per block, got none",
        ),
        // Nothing is left over.
        (
            blocks(),
            vec![eights(), scale(&[2, 2]), floats("k_scale", &[], &[1.0])],
            "expected no other tensors, got k_scale",
        ),
        // Other dtypes.
        (
            blocks(),
            vec![integers(), scale(&[2, 2])],
            "a.weight: expected f32, f16 or bf16, got i8",
        ),
        (
            blocks(),
            vec![
                bytes("a.weight", Dtype::F8_E5M2, &[2, 3], &[0; 6]),
                scale(&[2, 2]),
            ],
            "a.weight: expected f32, f16 or bf16, got f8_e5m2",
        ),
        (
            blocks(),
            vec![
                bytes("a.weight", Dtype::F8_E4M3, &[1, 2, 3], &[0; 6]),
                scale(&[2, 2]),
            ],
            "expected a matrix beside a.weight_scale_inv, got the shape [1, 2, 3]",
        ),
        (
            compressed(json!({})),
            vec![integers(), floats("a.weight_scale", &[2], &[1.0; 2])],
            "expected the shape [2, 1], got [2]",
        ),
        (
            compressed(json!({})),
            vec![
                integers(),
                floats("a.weight_scale", &[2, 1], &[1.0; 2]),
                bytes("a.weight_zero_point", Dtype::I8, &[2, 1], &[0, 1]),
            ],
            "expected no other tensors, got a.weight_zero_point",
        ),
        (
            compressed(json!({})),
            vec![
                integers(),
                bytes("a.weight_scale", Dtype::I8, &[2, 1], &[1; 2]),
            ],
            "a.weight_scale: expected f32, f16 or bf16, got i8",
        ),
        (
            Value::Null,
            vec![integers()],
            "a.weight: expected f32, f16 or bf16, got i8",
        ),
        (
            Value::Null,
            vec![eights()],
            "a.weight: expected f32, f16 or bf16, got f8e4m3",
        ),
    ];
    for (config, tensors, expected) in cases {
        let error = read("llama", &config, &tensors, MATRIX);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn experts_in_8_bits_in_one_tensor_are_refused() {
    let tensors = [
        bytes(
            "experts.down_proj",
            Dtype::F8_E4M3,
            &[2, 1, 32],
            &[0x38; 64],
        ),
        floats("experts.down_proj_scale_inv", &[2, 1, 1], &[2.0, 3.0]),
    ];
    let error = read("llama", &fp8(json!([1, 32])), &tensors, EXPERTS).unwrap_err();
    let expected = "experts.down_proj: expected f32, f16 or bf16, got f8e4m3";
    assert!(error.to_string().contains(expected), "{error}");
}

#[test]
fn blocks_of_4_bits_and_scales_that_do_not_fit_are_refused() {
    let (blocks, scales) = ("experts.down_proj_blocks", "experts.down_proj_scales");
    let right = || exponents(scales, &[2, 1, 1]);
    let plain = || floats("experts.down_proj", &[2, 1, 32], &[1.0; 64]);
    let cases = [
        (
            vec![fours(blocks)],
            "expected a tensor experts.down_proj_scales",
        ),
        (
            vec![plain(), right()],
            "expected no other tensors, got experts.down_proj_scales",
        ),
        (
            vec![fours(blocks), exponents(scales, &[2, 1])],
            "expected the shape [2, 1, 1], got [2, 1]",
        ),
        (
            vec![bytes(blocks, Dtype::U8, &[2, 1, 2, 8], &[0; 32]), right()],
            "expected the shape [2, 1, 2, 16], got [2, 1, 2, 8]",
        ),
        (
            vec![bytes(blocks, Dtype::U8, &[2, 1, 16], &[0; 32]), right()],
            "expected the shape [2, 1, 16, 16], got [2, 1, 16]",
        ),
        (
            vec![bytes(blocks, Dtype::I8, &[2, 1, 1, 16], &[0; 32]), right()],
            "expected experts.down_proj_blocks in u8, got i8",
        ),
        (
            vec![fours(blocks), floats(scales, &[2, 1, 1], &[1.0; 2])],
            "expected experts.down_proj_scales in u8, got f32",
        ),
        (
            vec![fours(blocks), right(), plain()],
            "expected one of the tensors experts.down_proj and",
        ),
    ];
    let config = json!({"quant_method": "mxfp4"});
    for (tensors, expected) in cases {
        let error = read("gpt_oss", &config, &tensors, EXPERTS);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // Without quantization_config they are unknown tensors.
    let tensors = [fours(blocks), right(), plain()];
    let error = read("gpt_oss", &Value::Null, &tensors, EXPERTS).unwrap_err();
    assert!(
        error.to_string().contains("expected no other tensors"),
        "{error}"
    );
}
