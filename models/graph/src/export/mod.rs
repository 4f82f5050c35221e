//! Exports a checkpoint as an ONNX reference.
//!
//! ```text
//! Checkpoint ─ decoder ─► graph, constants ─ checks ─► Prepared ─ write ─► out/: model.onnx, its companions
//!                         nothing is written yet ◄──┘            └ to a folder beside it, renamed at the end
//! ```
//!
//! * [`rho_checkpoint`]: reads the checkpoint and describes the model.
//! * `crate::decoder`: turns the description into a graph.
//! * `graph`: nodes and values under construction.
//! * `constants`: tensors from checkpoint to graph.
//! * `writer`: writes the file's bytes.
//! * `head`: the head, as nodes or as metadata.
//!
//! [`Prepared::new`] refuses unsupported checkpoints, before anything is written.

pub(crate) mod constants;
mod error;
pub(crate) mod graph;
pub(crate) mod head;
mod writer;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::Read as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

pub use error::ExportError;
use rho_checkpoint::{CONFIG, Checkpoint, Decoder};

use crate::{
    DataType,
    build::value_info,
    decoder,
    onnx::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto},
};
use graph::{Graph, MICROSOFT, Style};

/// The largest `model.onnx` without external data, in bytes: protobuf's limit is 2 GiB.
const INLINE: u64 = 2_000_000_000;

/// Metadata key of the ignored settings, separated by spaces.
pub const IGNORED: &str = "rho_mask.ignored_settings";

/// Raised when the export of the same checkpoint changes, so that cached exports are created again.
pub const REVISION: u32 = 2;

/// Dtype of the written weights and of the computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// f32.
    #[default]
    F32,
    /// f16.
    F16,
    /// bfloat16.
    Bf16,
    /// The body's matrices in 8 bits with one scale per output; everything else in f32.
    Int8,
}

impl Dtype {
    fn float(self) -> DataType {
        match self {
            Self::F32 | Self::Int8 => DataType::F32,
            Self::F16 => DataType::F16,
            Self::Bf16 => DataType::Bf16,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        })
    }
}

/// The graph's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportHead {
    /// `hidden_states [batch, length, hidden]`; the head's weights are in the file, for a reader that computes it.
    #[default]
    HiddenStates,
    /// `logits [batch, length, vocabulary]`.
    Logits,
}

/// Options of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportOptions {
    /// Dtype of weights and computation.
    pub dtype: Dtype,
    /// The graph's output.
    pub head: ExportHead,
    /// Whether to use standard operators only, for runtimes other than ONNX Runtime.
    pub portable: bool,
    /// If the model has more bytes than this, large weights become external data.
    pub inline: u64,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            dtype: Dtype::F32,
            head: ExportHead::HiddenStates,
            portable: false,
            inline: INLINE,
        }
    }
}

/// Progress of writing.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// The tensor just written.
    pub name: &'a str,
    /// Bytes of the tensors written so far.
    pub bytes: u64,
    /// Bytes of all tensors.
    pub total: u64,
}

/// A summary of an export.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The family.
    pub family: &'static str,
    /// Number of parameters: elements of the tensors that the model uses.
    pub parameters: usize,
    /// Total size of all files in bytes.
    pub bytes: u64,
    /// How often each operator is used; non-standard operators have their domain as prefix.
    pub operators: BTreeMap<String, usize>,
    /// Devices that it runs on, human-readable.
    pub runs_on: &'static str,
    /// Human-readable notes: differences from the checkpoint.
    pub notes: Vec<String>,
}

/// A checkpoint turned into a graph and checked, but not written yet.
#[derive(Debug)]
pub struct Prepared {
    checkpoint: Checkpoint,
    options: ExportOptions,
    family: &'static str,
    graph: GraphProto,
    constants: Vec<constants::Constant>,
    head: head::HeadParts,
    most_positions: Option<usize>,
    parameters: usize,
    notes: Vec<String>,
}

impl Prepared {
    /// Builds the graph and checks everything that can be checked without reading weights.
    ///
    /// # Errors
    /// When the family or a setting is unknown or not supported, a tensor is missing, unused or has an unexpected shape
    /// or dtype, a tied head differs from the embedding, or `portable` is set and the model needs other operators.
    pub fn new(checkpoint: Checkpoint, options: ExportOptions) -> Result<Self, ExportError> {
        let style = Style {
            dtype: options.dtype.float(),
            int8: options.dtype == Dtype::Int8,
            portable: options.portable,
        };
        let description = checkpoint.decoder()?;
        let mut graph = Graph::new(&checkpoint.weights, style);
        let built = decoder::build(&mut graph, &description)?;
        let decoder::Built { hidden, head } = built;
        let Decoder {
            family,
            vocabulary,
            most_positions,
            ..
        } = description;
        checkpoint.weights.must_all_be_taken(&graph.taken)?;
        let taken = graph.taken.iter();
        let taken = taken.filter_map(|name| checkpoint.weights.find_tensor(name));
        let parameters = taken.map(|stored| stored.elements()).sum();
        let (mut proto, constants) = (graph.proto, graph.constants);
        match options.head {
            ExportHead::Logits => {
                head.append(&mut proto, &hidden.name, hidden.dtype, vocabulary);
            }
            ExportHead::HiddenStates => {
                rename(&mut proto, &hidden.name, "hidden_states");
                let info = value_info("hidden_states", hidden.dtype, Some(&hidden.dims));
                proto.output.push(info);
                proto
                    .value_info
                    .retain(|value| value.name.as_deref() != Some("hidden_states"));
            }
        }
        let mut notes = [checkpoint.notes.clone(), description.notes].concat();
        if let Some(most) = most_positions {
            notes.push(format!(
                "the context ends at {most} tokens, where this model's rotary scaling changes with a document's length"
            ));
        }
        Ok(Self {
            options,
            family,
            graph: proto,
            constants,
            head,
            most_positions,
            parameters,
            notes,
            checkpoint,
        })
    }

    /// Full names of the ignored settings.
    pub fn ignored(&self) -> impl Iterator<Item = &str> {
        self.checkpoint.settings.ignored()
    }

    /// Writes the reference to a folder that does not exist yet or is empty: completely, or not at all. `watch` is
    /// called after each tensor and may stop the export. Only one tensor at a time is in memory.
    ///
    /// # Errors
    /// When `out` is taken, a file cannot be read or written, a weight is not finite in the chosen dtype, or `watch`
    /// stops the export.
    pub fn write(
        &self,
        out: &Path,
        watch: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Exported, ExportError> {
        check_out(out)?;
        let fingerprint = self.checkpoint.fingerprint()?;
        let out = std::path::absolute(out).map_err(failed(out))?;
        let parent = out.parent().unwrap_or(&out).to_owned();
        fs::create_dir_all(&parent).map_err(failed(&parent))?;
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{name}.partial-"))
            .tempdir_in(&parent)
            .map_err(failed(&parent))?;
        let folder = temporary.path().join("whole");
        fs::create_dir(&folder).map_err(failed(&folder))?;
        let model = self.envelope(fingerprint);
        let inline = self.options.inline;
        let stopped = |error| match error {
            ExportError::Stopped { .. } => ExportError::Stopped { path: out.clone() },
            other => other,
        };
        let bytes = writer::write(&folder, &model, &self.graph, &self.constants, inline, watch)
            .map_err(stopped)?;
        let beside = self.write_companions(&folder)?;
        // Replaces an empty folder, and nothing else.
        rho_files::rename(&folder, &out).map_err(failed(&out))?;
        Ok(Exported {
            family: self.family,
            parameters: self.parameters,
            bytes: bytes + beside,
            operators: self.operators(),
            runs_on: self.runs_on(),
            notes: self.notes.clone(),
        })
    }

    /// The ModelProto around the graph.
    fn envelope(&self, fingerprint: String) -> ModelProto {
        let entry = |key: &str, value: String| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        let set = |domain: &str, version| OperatorSetIdProto {
            domain: Some(domain.to_owned()),
            version: Some(version),
        };
        let has_own = self
            .graph
            .node
            .iter()
            .any(|n| n.domain.as_deref() == Some(MICROSOFT));
        let mut opset_import = vec![set("", 17)];
        opset_import.extend(has_own.then(|| set(MICROSOFT, 1)));
        let ignored: Vec<&str> = self.ignored().collect();
        let ignored = (!ignored.is_empty()).then(|| entry(IGNORED, ignored.join(" ")));
        ModelProto {
            // IR version 8 and opset 17 have been supported everywhere since 2022.
            ir_version: Some(8),
            producer_name: Some("rho-mask".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            opset_import,
            metadata_props: vec![
                entry("rho_mask.version", env!("CARGO_PKG_VERSION").to_owned()),
                entry("rho_mask.checkpoint", fingerprint),
                entry("rho_mask.family", self.family.to_owned()),
                entry("rho_mask.dtype", self.options.dtype.to_string()),
                entry(head::KEY, self.head.to_json()),
            ]
            .into_iter()
            .chain(ignored)
            .collect(),
            ..Default::default()
        }
    }

    /// Writes configuration and tokenizer beside the model, and returns their size in bytes.
    fn write_companions(&self, folder: &Path) -> Result<u64, ExportError> {
        let config = folder.join(CONFIG);
        let mut bytes = 0;
        let settings = &self.checkpoint.settings;
        match self.most_positions {
            None => bytes += copy(settings.path(), &config)?,
            Some(most) => {
                let mut values = settings.values().clone();
                values.insert("max_position_embeddings".to_owned(), most.into());
                let mut text = serde_json::to_vec_pretty(&values)
                    .map_err(|error| failed(&config)(error.into()))?;
                text.push(b'\n');
                fs::write(&config, &text).map_err(failed(&config))?;
                bytes += text.len() as u64;
            }
        }
        for path in self.checkpoint.companions() {
            bytes += copy(&path, &folder.join(path.file_name().unwrap_or_default()))?;
        }
        Ok(bytes)
    }

    fn operators(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for node in &self.graph.node {
            let operator = node.op_type.as_deref().unwrap_or_default();
            let name = match node.domain.as_deref() {
                Some(domain) if !domain.is_empty() => format!("{domain}.{operator}"),
                _ => operator.to_owned(),
            };
            *counts.entry(name).or_default() += 1;
        }
        counts
    }

    /// By the kernels of ONNX Runtime 1.31.
    fn runs_on(&self) -> &'static str {
        let ours = self.graph.node.iter();
        let ours = ours
            .into_iter()
            .any(|n| n.op_type.as_deref() == Some("GroupQueryAttention"));
        match (self.options.dtype, self.options.portable) {
            (Dtype::F32, false) if ours => {
                "the CPU; on CUDA, attention would fall back to the CPU: export f16 for CUDA"
            }
            (Dtype::F32, _) => "the CPU and CUDA",
            (Dtype::F16, _) => "CUDA, and the CPU, which uses f32 where it has no f16 kernel",
            (Dtype::Bf16, _) => "CUDA; the CPU has no operators for bf16",
            (Dtype::Int8, _) => "the CPU",
        }
    }
}

/// Checks that `out` does not exist or is an empty folder.
///
/// # Errors
/// When it is a file, or a folder with entries.
pub fn check_out(out: &Path) -> Result<(), ExportError> {
    let taken = |got: String| ExportError::OutExists {
        path: out.to_owned(),
        got,
    };
    match fs::read_dir(out) {
        Ok(entries) => match entries.count() {
            0 => Ok(()),
            files => Err(taken(format!("a folder with {files} entries"))),
        },
        Err(_) if out.symlink_metadata().is_ok() => Err(taken("a file".to_owned())),
        Err(_) => Ok(()),
    }
}

/// Renames a value wherever it is produced or read.
fn rename(graph: &mut GraphProto, from: &str, to: &str) {
    let nodes = graph.node.iter_mut();
    let names = nodes.flat_map(|node| node.input.iter_mut().chain(&mut node.output));
    let infos = graph.value_info.iter_mut().filter_map(|v| v.name.as_mut());
    for name in names.chain(infos).filter(|name| *name == from) {
        to.clone_into(name);
    }
}

/// Copies a file of the checkpoint; not any file that a link of its name leads to.
fn copy(from: &Path, to: &Path) -> Result<u64, ExportError> {
    let mut text = Vec::new();
    let read = rho_files::open_to_copy(from).and_then(|mut file| file.read_to_end(&mut text));
    read.map_err(|source| ExportError::Read {
        path: from.to_owned(),
        source,
    })?;
    fs::write(to, &text).map_err(failed(to))?;
    Ok(text.len() as u64)
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> ExportError + 'static {
    let path: PathBuf = path.to_owned();
    move |source| ExportError::Write {
        path: path.clone(),
        source,
    }
}
