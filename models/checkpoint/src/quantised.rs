//! Quantised weights: matrices in 8 or 4 bits, and scales to multiply them with.
//!
//! ```text
//! fp8 (DeepSeek, Qwen):     name.weight f8 [out, in]  name.weight_scale_inv [out / rows, in / columns] per block, or
//!                                                     [] or [1] per tensor
//! compressed-tensors, int8: name.weight i8 [out, in]  name.weight_scale [out, 1] per row, [1] per tensor, or per block
//! compressed-tensors, fp8:  the same in f8
//! mxfp4 (GPT-OSS):          name_blocks u8 [experts, out, in / 32, 16]  name_scales u8 [experts, out, in / 32]
//!                           (exponents) ─► name [experts, out, in], where a plain checkpoint has [experts, in, out]
//! ```
//!
//! Quantisation of activations is not reproduced, and a note reports this. Other methods are refused by name.

use std::path::PathBuf;

use crate::{
    CheckpointError, DataType, Settings, Stored, Weights, error::type_name, weights::Scales,
};

const READ: &str = "fp8 with scales per block or tensor, compressed-tensors with 8 bits and scales per row, block or \
                    tensor, or mxfp4";

/// How a checkpoint's weights are quantised.
pub(crate) struct Quantisation {
    kind: Kind,
    /// The configuration, for messages.
    path: PathBuf,
}

enum Kind {
    Eight(Eight),
    Mxfp4,
}

/// Matrices in 8 bits.
struct Eight {
    name: &'static str,
    dtype: DataType,
    /// Suffix of the scales' tensor, after the matrix's name.
    scale: &'static str,
    of: Of,
}

/// The part of a matrix that shares one scale.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Rows and columns of a block.
    Block([usize; 2]),
    Row,
    Tensor,
}

impl Quantisation {
    /// Reads the quantisation from the configuration; `None` for plain weights.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, CheckpointError> {
        let Some(config) = config(settings)? else {
            return Ok(None);
        };
        let kind = kind(settings, &config)?;
        let path = settings.path().to_owned();
        Ok(Some(Self { kind, path }))
    }

    /// Attaches the scales to the quantised tensors and removes them from the model's tensors. Returns a note with the
    /// number of quantised tensors.
    pub(crate) fn attach(&self, weights: &mut Weights) -> Result<String, CheckpointError> {
        let names: Vec<String> = weights.tensors.keys().cloned().collect();
        let mut count = 0;
        for name in names {
            count += usize::from(match &self.kind {
                Kind::Eight(kind) => eight(kind, weights, &name)?,
                Kind::Mxfp4 => four(weights, &name)?,
            });
        }
        let name = match &self.kind {
            Kind::Eight(kind) => kind.name,
            Kind::Mxfp4 => "mxfp4",
        };
        // A tensor with another dtype than configured is refused by name where it is used.
        let mut dtypes = weights.tensors.values().map(|stored| stored.dtype);
        match (count, &self.kind) {
            // Configuration and weights are not of the same model.
            (0, _) if dtypes.all(DataType::is_float) => Err(CheckpointError::Quantisation {
                path: self.path.clone(),
                expected: format!("weights stored as {name}"),
                got: "none".to_owned(),
            }),
            (count, Kind::Eight(_)) => Ok(format!(
                "{count} matrices stored as {name} are dequantised; activations are not quantised"
            )),
            (count, Kind::Mxfp4) => Ok(format!("{count} tensors stored as {name} are dequantised")),
        }
    }
}

/// Attaches the scales of a matrix in 8 bits; `false` if `name` is not one.
fn eight(kind: &Eight, weights: &mut Weights, name: &str) -> Result<bool, CheckpointError> {
    let (Some(stored), Some(base)) = (weights.tensors.get(name), name.strip_suffix("weight"))
    else {
        return Ok(false);
    };
    if stored.dtype != kind.dtype {
        return Ok(false);
    }
    let dims = stored.dims.clone();
    let scale = take(weights, &format!("{name}{}", kind.scale))?;
    // Scales of activations: not used here.
    for other in ["input_scale", "activation_scale"] {
        weights.tensors.remove(&format!("{base}{other}"));
    }
    let scales = Scales {
        block: block(kind.of, &dims, &scale)?,
        stored: Box::new(scale),
    };
    if let Some(stored) = weights.tensors.get_mut(name) {
        stored.scales = Some(scales);
    }
    Ok(true)
}

/// Attaches the scales of values in 4 bits, one per 32 values of a row, and renames the tensor as in a plain
/// checkpoint; `false` if `name` is not such a tensor.
fn four(weights: &mut Weights, name: &str) -> Result<bool, CheckpointError> {
    const BLOCK: usize = 32;
    let Some(base) = name.strip_suffix("_blocks") else {
        return Ok(false);
    };
    let mut blocks = take(weights, name)?;
    let mut scales = take(weights, &format!("{base}_scales"))?;
    for stored in [&blocks, &scales] {
        if stored.dtype != DataType::U8 {
            return Err(CheckpointError::Quantisation {
                path: stored.file().to_owned(),
                expected: format!("{} in u8", stored.name),
                got: type_name(stored.dtype),
            });
        }
    }
    let shape = |stored: &Stored, expected: Vec<usize>| CheckpointError::Shape {
        path: stored.file().to_owned(),
        name: stored.name.clone(),
        expected,
        got: stored.dims.clone(),
    };
    let [count, outputs, groups] = match blocks.dims[..] {
        [count, outputs, groups, bytes] if bytes == BLOCK / 2 => [count, outputs, groups],
        _ => {
            let mut expected = blocks.dims.clone();
            expected.resize(4, BLOCK / 2);
            expected[3] = BLOCK / 2;
            return Err(shape(&blocks, expected));
        }
    };
    if scales.dims != [count, outputs, groups] {
        return Err(shape(&scales, vec![count, outputs, groups]));
    }
    scales.dtype = DataType::F8E8M0;
    base.clone_into(&mut blocks.name);
    blocks.dtype = DataType::F4E2M1;
    blocks.dims = vec![count, outputs, groups * BLOCK];
    blocks.scales = Some(Scales {
        stored: Box::new(scales),
        block: [1, BLOCK],
    });
    match weights.tensors.insert(base.to_owned(), blocks) {
        None => Ok(true),
        Some(other) => Err(CheckpointError::Index {
            path: other.file().to_owned(),
            problem: format!("expected one of the tensors {base} and {name}, got both"),
        }),
    }
}

/// Removes a tensor that must exist.
fn take(weights: &mut Weights, name: &str) -> Result<Stored, CheckpointError> {
    let taken = weights.tensors.remove(name);
    taken.ok_or_else(|| CheckpointError::MissingTensor {
        path: weights.folder.clone(),
        name: name.to_owned(),
        there: weights.tensors.len(),
    })
}

/// The object with the quantisation settings: at the top level or, for a multimodal model, in `text_config`.
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
        Some("fp8") => Kind::Eight(fp8(config)?),
        Some("compressed-tensors") => Kind::Eight(compressed(config, &refused)?),
        Some("mxfp4") => match settings.text_if("model_type")? {
            // The layout is specified for GPT-OSS only.
            Some("gpt_oss") => Kind::Mxfp4,
            other => return Err(refused(format!("mxfp4 in {}", other.unwrap_or("nothing")))),
        },
        Some(other) => return Err(refused(other.to_owned())),
        None => return Err(refused("no quant_method".to_owned())),
    };
    // These say which layers are not quantised, which their tensors show, or how activations are quantised.
    for name in [
        "activation_scheme",
        "fmt",
        "modules_to_not_convert",
        "ignored_layers",
        "ignore",
        "quantization_status",
        "global_compression_ratio",
        "version",
        "dequantize",
        "scale_fmt",
    ] {
        config.says(name);
    }
    for name in ["sparsity_config", "transform_config", "kv_cache_scheme"] {
        // A model without it has an empty object or `null`.
        config.says(name);
        if config.inner_if(name)?.is_some() && !config.names_in(name).is_empty() {
            return Err(refused(format!("{name} beside the weights")));
        }
    }
    Ok(kind)
}

fn fp8(config: &Settings) -> Result<Eight, CheckpointError> {
    if config
        .text_if("fmt")?
        .is_some_and(|format| format != "e4m3")
    {
        return Err(config.refuse("fmt", "e4m3"));
    }
    let of = match config.says("weight_block_size") {
        true => blocks(config, "weight_block_size")?.map_or(Of::Tensor, Of::Block),
        // Transformers' default.
        false => Of::Block([128, 128]),
    };
    Ok(Eight {
        name: match of {
            Of::Block(_) => "fp8 with scales per block",
            _ => "fp8 with scales per tensor",
        },
        dtype: DataType::F8E4M3,
        scale: "_scale_inv",
        of,
    })
}

/// Rows and columns of a block; `None` if it is `null`.
fn blocks(config: &Settings, name: &str) -> Result<Option<[usize; 2]>, CheckpointError> {
    match config.counts_if(name)?.as_deref() {
        Some(&[rows, columns]) if rows > 0 && columns > 0 => Ok(Some([rows, columns])),
        None => Ok(None),
        Some(_) => Err(config.refuse(name, "rows and columns of a block")),
    }
}

/// Groups of layers, all quantised alike: 8 bits, symmetric. The tensors show which layers are in a group.
fn compressed(
    config: &Settings,
    refused: &dyn Fn(String) -> CheckpointError,
) -> Result<Eight, CheckpointError> {
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
    let mut all: Option<Of> = None;
    for group_name in groups.values().keys() {
        let Some(group) = groups.inner_if(group_name)? else {
            continue;
        };
        for name in ["targets", "input_activations", "output_activations"] {
            group.says(name);
        }
        if group
            .text_if("format")?
            .is_some_and(|own| Some(own) != format)
        {
            return Err(group.refuse("format", "that of all groups"));
        }
        let Some(weights) = group.inner_if("weights")? else {
            continue;
        };
        let bits = weights.size("num_bits")?;
        let kind = weights.text_if("type")?.unwrap_or("nothing");
        let strategy = weights.text_if("strategy")?.unwrap_or("nothing");
        let block = blocks(&weights, "block_structure")?;
        let expected = if float { "float" } else { "int" };
        let of = match (strategy, block) {
            ("channel", None) => Some(Of::Row),
            ("tensor", None) => Some(Of::Tensor),
            ("block", Some(block)) => Some(Of::Block(block)),
            _ => None,
        };
        let of = of.filter(|_| bits == 8 && kind == expected);
        let of = of.ok_or_else(|| {
            refused(format!(
                "compressed-tensors with {bits}-bit {kind} weights and scales per {strategy}"
            ))
        })?;
        if all.is_some_and(|other| other != of) {
            return Err(refused(
                "compressed-tensors with groups that differ".to_owned(),
            ));
        }
        all = Some(of);
        weights.must("symmetric")?;
        weights.must_not("dynamic")?;
        weights.must_not("actorder")?;
        for name in [
            "group_size",
            "observer",
            "observer_kwargs",
            "zp_dtype",
            "scale_dtype",
        ] {
            weights.says(name);
        }
    }
    let of =
        all.ok_or_else(|| refused("compressed-tensors without quantised weights".to_owned()))?;
    Ok(Eight {
        name: if float { "fp8" } else { "int8" },
        dtype: if float {
            DataType::F8E4M3
        } else {
            DataType::I8
        },
        scale: "_scale",
        of,
    })
}

/// Rows and columns of the blocks that have one scale each. Checks shape and dtype of the scales.
fn block(of: Of, dims: &[usize], scale: &Stored) -> Result<[usize; 2], CheckpointError> {
    if !scale.dtype.is_float() && scale.dtype != DataType::F8E8M0 {
        return Err(CheckpointError::TensorType {
            path: scale.file().to_owned(),
            name: scale.name.clone(),
            got: type_name(scale.dtype),
        });
    }
    let refused = |expected: Vec<usize>| CheckpointError::Shape {
        path: scale.file().to_owned(),
        name: scale.name.clone(),
        expected,
        got: scale.dims.clone(),
    };
    let &[rows, columns] = dims else {
        return Err(CheckpointError::Quantisation {
            path: scale.file().to_owned(),
            expected: format!("a matrix beside {}", scale.name),
            got: format!("the shape {dims:?}"),
        });
    };
    let (block, expected) = match of {
        Of::Block(block) => (
            block,
            vec![rows.div_ceil(block[0]), columns.div_ceil(block[1])],
        ),
        Of::Row => ([1, columns], vec![rows, 1]),
        Of::Tensor => ([rows, columns], vec![1]),
    };
    let one = of == Of::Tensor && matches!(scale.dims[..], [] | [1, 1]);
    match one || scale.dims == expected {
        true => Ok(block),
        false => Err(refused(expected)),
    }
}
