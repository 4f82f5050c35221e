//! Quantised weights whose numbers are plain: a matrix in 8 bits, and scales that are multiplied with it.
//!
//! ```text
//! fp8 (DeepSeek, Qwen):     name.weight f8 [out, in]  name.weight_scale_inv [out / rows, in / columns] of blocks
//! compressed-tensors, int8: name.weight i8 [out, in]  name.weight_scale [out, 1] of rows, or [1] of the tensor
//! compressed-tensors, fp8:  the same in f8
//! ```
//!
//! What a deployment does to activations besides is not done here: it is said in a note. Other kinds are refused by name.

use crate::{CheckpointError, DataType, Settings, Stored, Weights, weights::Scales};

const READ: &str =
    "fp8 with scales of blocks, or compressed-tensors with 8 bits and scales of rows";

/// What a checkpoint's quantisation is.
struct Kind {
    name: &'static str,
    dtype: DataType,
    /// Behind the matrix's name.
    scale: &'static str,
    /// Of a scale, where it is of blocks.
    block: Option<[usize; 2]>,
}

/// Gives quantised tensors their scales, which are no tensors of the model any more; a note where there are any.
pub(crate) fn attach(
    settings: &Settings,
    weights: &mut Weights,
) -> Result<Option<String>, CheckpointError> {
    let Some(config) = config(settings)? else {
        return Ok(None);
    };
    let kind = kind(settings, &config)?;
    let names: Vec<String> = weights.tensors.keys().cloned().collect();
    let mut count = 0;
    for name in names {
        let Some(stored) = weights.tensors.get(&name) else {
            continue;
        };
        if stored.dtype != kind.dtype || !name.ends_with("weight") {
            continue;
        }
        let scale_name = format!("{name}{}", kind.scale);
        let dims = stored.dims.clone();
        let Some(scale) = weights.tensors.remove(&scale_name) else {
            return Err(CheckpointError::MissingTensor {
                path: weights.folder.clone(),
                name: scale_name,
                there: weights.tensors.len(),
            });
        };
        // Scales of activations: not used here.
        let base = name.strip_suffix("weight").unwrap_or(&name).to_owned();
        for other in ["input_scale", "activation_scale"] {
            weights.tensors.remove(&format!("{base}{other}"));
        }
        let block = block(&kind, &dims, &scale)?;
        if let Some(stored) = weights.tensors.get_mut(&name) {
            stored.scales = Some(Scales {
                stored: Box::new(scale),
                block,
            });
            count += 1;
        }
    }
    Ok(Some(format!(
        "{count} matrices stored as {} are read as numbers; activations are not quantised",
        kind.name
    )))
}

/// In the file, or for a model inside another in what speaks of that.
fn config(settings: &Settings) -> Result<Option<Settings>, CheckpointError> {
    if let Some(config) = settings.inner_if("quantization_config")? {
        return Ok(Some(config));
    }
    if let Some(config) = settings.inner_if("compression_config")? {
        return Ok(Some(config));
    }
    match settings.inner_if("text_config")? {
        Some(text) => text.inner_if("quantization_config"),
        None => Ok(None),
    }
}

fn kind(settings: &Settings, config: &Settings) -> Result<Kind, CheckpointError> {
    let refused = |got: String| CheckpointError::Quantisation {
        path: settings.path().to_owned(),
        expected: READ.to_owned(),
        got,
    };
    let kind = match config.text_if("quant_method")? {
        Some("fp8") => fp8(config)?,
        Some("compressed-tensors") => compressed(config, &refused)?,
        other => return Err(refused(other.unwrap_or("nothing").to_owned())),
    };
    // What is left says which layers were left alone, and they say it themselves, or how activations are treated.
    for name in [
        "activation_scheme",
        "fmt",
        "modules_to_not_convert",
        "ignored_layers",
        "ignore",
        "kv_cache_scheme",
        "quantization_status",
        "global_compression_ratio",
        "version",
        "sparsity_config",
        "transform_config",
        "dequantize",
        "scale_fmt",
    ] {
        config.says(name);
    }
    for name in ["sparsity_config", "transform_config", "kv_cache_scheme"] {
        // A plain model has an empty object or nothing there.
        if !config.names_in(name).is_empty() {
            return Err(refused(format!("{name} beside the weights")));
        }
    }
    Ok(kind)
}

fn fp8(config: &Settings) -> Result<Kind, CheckpointError> {
    if config
        .text_if("fmt")?
        .is_some_and(|format| format != "e4m3")
    {
        return Err(config.refuse("fmt", "e4m3"));
    }
    let block = match config.counts_if("weight_block_size")?.as_deref() {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Some([rows, columns]),
        None => None,
        Some(_) => return Err(config.refuse("weight_block_size", "rows and columns of a block")),
    };
    Ok(Kind {
        name: "fp8 with scales of blocks",
        dtype: DataType::F8E4M3,
        scale: "_scale_inv",
        block,
    })
}

/// One group of layers, all alike: 8 bits, symmetric, scales of rows or of the tensor.
fn compressed(
    config: &Settings,
    refused: &dyn Fn(String) -> CheckpointError,
) -> Result<Kind, CheckpointError> {
    let format = config.text_if("format")?;
    let float = match format {
        Some("int-quantized" | "naive-quantized") => false,
        Some("float-quantized") => true,
        other => {
            return Err(refused(format!(
                "compressed-tensors in the format {}",
                other.unwrap_or("nothing")
            )));
        }
    };
    let groups = config.inner_if("config_groups")?;
    let groups =
        groups.ok_or_else(|| refused("compressed-tensors without config_groups".to_owned()))?;
    for group_name in groups.values().keys() {
        let Some(group) = groups.inner_if(group_name)? else {
            continue;
        };
        for name in [
            "targets",
            "input_activations",
            "output_activations",
            "format",
        ] {
            group.says(name);
        }
        let Some(weights) = group.inner_if("weights")? else {
            continue;
        };
        let bits = weights.size("num_bits")?;
        let kind = weights.text_if("type")?.unwrap_or("nothing");
        let strategy = weights.text_if("strategy")?.unwrap_or("nothing");
        let expected = if float { "float" } else { "int" };
        if bits != 8 || kind != expected || !matches!(strategy, "channel" | "tensor" | "block") {
            return Err(refused(format!(
                "compressed-tensors with {bits} bits of the type {kind}, scales of a {strategy}"
            )));
        }
        weights.must("symmetric")?;
        weights.must_not("dynamic")?;
        for name in [
            "actorder",
            "group_size",
            "observer",
            "observer_kwargs",
            "block_structure",
            "zp_dtype",
            "scale_dtype",
        ] {
            weights.says(name);
        }
        if weights.text_if("actorder").ok().flatten().is_some() {
            return Err(weights.refuse("actorder", "nothing"));
        }
    }
    Ok(Kind {
        name: if float { "fp8" } else { "int8" },
        dtype: if float {
            DataType::F8E4M3
        } else {
            DataType::I8
        },
        scale: "_scale",
        block: None,
    })
}

/// Rows and columns that a scale is of, from the shape of the scales.
fn block(kind: &Kind, dims: &[usize], scale: &Stored) -> Result<[usize; 2], CheckpointError> {
    let refused = |expected: Vec<usize>| CheckpointError::Shape {
        path: scale.file().to_owned(),
        name: scale.name.clone(),
        expected,
        got: scale.dims.clone(),
    };
    let &[rows, columns] = dims else {
        return Err(refused(vec![]));
    };
    match (&scale.dims[..], kind.block) {
        (&[r, c], Some(block))
            if [r, c] == [rows.div_ceil(block[0]), columns.div_ceil(block[1])] =>
        {
            Ok(block)
        }
        (_, Some(block)) => Err(refused(vec![
            rows.div_ceil(block[0]),
            columns.div_ceil(block[1]),
        ])),
        (&[] | &[1] | &[1, 1], None) => Ok([rows, columns]),
        (&[r] | &[r, 1], None) if r == rows => Ok([1, columns]),
        _ => Err(refused(vec![rows, 1])),
    }
}
