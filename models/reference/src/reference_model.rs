//! A reference whose graph has been read and checked, but whose weights have not; and loading it into a [`Reference`].

use std::{path::PathBuf, sync::Arc};

use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
};
use rho_graph::{
    ConstantMatmul, Cut, DataType, Dimension, Model, NotCuttable, NotReducible, Port,
    cut::Serialized,
};

use crate::{
    Precision, Reference, ReferenceError, ResolvedDevice, Source,
    head::{
        kernel::{Instructions, Kernel},
        session::SessionHead,
    },
    inputs::{Inputs, show},
    matmul::{Multiplier, PackedMatmul, Weights},
    operators,
    reference::Head,
};

/// How a reference is loaded.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceOptions {
    /// The device it runs on.
    pub device: ResolvedDevice,
    /// Threads for the body's operators and for the head on the CPU.
    pub threads: usize,
    /// How the head is computed.
    pub head: HeadChoice,
    /// How matmuls with weights are computed.
    pub precision: Precision,
    /// How many of the most likely tokens are returned for each position, at most vocab_size.
    pub top: usize,
}

/// The ways to compute the head. All give the same scores up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadChoice {
    /// Our kernel on the CPU, a session on other devices; logits if the graph cannot be cut.
    #[default]
    Fastest,
    /// A session, also on the CPU.
    Session,
    /// No cut: the whole graph returns its logits. Slow; for comparison.
    Logits,
}

/// A reference whose graph has been read and whose inputs can be fed. Its weights are still on disk.
#[derive(Debug, Clone)]
pub struct ReferenceModel {
    model: Model,
    inputs: Inputs,
    logits: Port,
    cut: Result<Cut, NotCuttable>,
    vocabulary: usize,
}

impl ReferenceModel {
    /// Reads and checks the graph.
    ///
    /// # Errors
    /// If the graph or its external data cannot be read, an input cannot be fed, there is no output of logits
    /// `[batch, length, vocabulary]`, or vocab_size is unknown.
    pub fn open(source: &Source) -> Result<Self, ReferenceError> {
        let model = Model::open(&source.model)?;
        model.check_external_data()?;
        let inputs = Inputs::of(&model)?;
        let no_logits = || ReferenceError::NoLogits {
            path: source.model.clone(),
            outputs: model.outputs().iter().map(show).collect(),
        };
        let logits = model.logits().ok_or_else(no_logits)?;
        if !logits.dtype.is_float() || logits.dims.as_ref().is_some_and(|d| d.len() != 3) {
            return Err(no_logits());
        }
        if let Some([_, Dimension::Fixed(1), _]) = logits.dims.as_deref() {
            let output = show(&logits);
            let path = source.model.clone();
            return Err(ReferenceError::DeclaresLastPosition { path, output });
        }
        let cut = model.cut(&logits);
        let declared = match logits.dims.as_ref().and_then(|d| d.last()) {
            Some(Dimension::Fixed(size)) => Some(*size),
            _ => None,
        };
        let known = cut
            .as_ref()
            .ok()
            .map(|c| c.head.vocabulary)
            .or(declared)
            .or(source.config.vocabulary);
        let vocabulary = known.ok_or_else(|| ReferenceError::UnknownVocabulary {
            path: source.model.clone(),
        })?;
        Ok(Self {
            model,
            inputs,
            logits,
            cut,
            vocabulary,
        })
    }

    /// vocab_size, the width of the logits: token ids must be below it.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Why the graph cannot be cut before its head, if it cannot. The session then returns logits, in small batches.
    pub fn not_cut(&self) -> Option<&NotCuttable> {
        self.cut.as_ref().err()
    }

    /// Checks that the matmuls can be computed in a precision on a device. Reads no weights.
    ///
    /// # Errors
    /// If the graph computes in bf16 and the device is the CPU, or if a reduced precision is not possible: on CUDA, for
    /// this graph, or on this CPU.
    pub fn check_precision(
        &self,
        precision: Precision,
        device: ResolvedDevice,
    ) -> Result<(), ReferenceError> {
        if device == ResolvedDevice::Cpu && self.model.computes_in(DataType::Bf16) {
            return Err(ReferenceError::Bf16OnCpu {
                path: self.model.path().to_owned(),
            });
        }
        if precision == Precision::AsStored {
            return Ok(());
        }
        if device != ResolvedDevice::Cpu {
            return Err(ReferenceError::PrecisionOnDevice { precision, device });
        }
        self.reduced(precision, HeadChoice::Fastest)?;
        Multiplier::detect(precision).map(|_| ())
    }

    /// Whether the body's weight matrices are stored in 8 bits, as `rho-mask export --dtype int8` does.
    /// [`Precision::Int8`] uses them unchanged.
    pub fn is_stored_in_8_bits(&self) -> bool {
        let body = self.cut.as_ref().map_or(&self.model, |cut| &cut.body);
        body.is_stored_in_8_bits()
    }

    /// The graph up to the head (or up to the logits, without a cut) with its matmuls removed, and the matmuls.
    fn reduced(
        &self,
        precision: Precision,
        head: HeadChoice,
    ) -> Result<(Model, Vec<ConstantMatmul>), ReferenceError> {
        let (reduced, output) = match &self.cut {
            _ if head == HeadChoice::Logits => (self.model.without_matmuls(), &self.logits),
            Ok(cut) => (cut.body.without_matmuls(), &cut.hidden),
            Err(reason) => (Err(NotReducible::NotCut(reason.clone())), &self.logits),
        };
        let reduced = match precision {
            Precision::Bf16 if self.is_stored_in_8_bits() => Err(NotReducible::Quantised {
                operator: "MatMulNBits".to_owned(),
            }),
            _ => reduced,
        };
        let (body, products) = reduced.map_err(|source| ReferenceError::NotReducible {
            path: self.model.path().to_owned(),
            precision,
            source,
        })?;
        let (body, _) = body.with_attention();
        // This drops weights that only the matmuls read.
        Ok((body.with_output(output), products))
    }

    /// Settings of the checkpoint that its export ignored.
    pub fn ignored_settings(&self) -> Vec<String> {
        let noted = self
            .model
            .metadata(rho_graph::export::IGNORED)
            .unwrap_or_default();
        noted.split_whitespace().map(str::to_owned).collect()
    }

    /// Element type of the weights, such as `F32` or `F16`. The body computes in it by default.
    pub fn precision(&self) -> DataType {
        self.cut
            .as_ref()
            .map_or(self.logits.dtype, |cut| cut.head.weights.dtype)
    }

    /// The files of the graph and its weights, for a fingerprint.
    pub fn files(&self) -> Vec<PathBuf> {
        self.model.files()
    }

    /// Loads the weights and creates the sessions.
    ///
    /// On the CPU, f32 attention is computed by our own operator, because exports read and write
    /// `[heads, length, length]` tensors several times. If a first run shows that the operator does not fit the graph,
    /// attention is computed as exported (see [`Reference::attention_as_exported`]).
    ///
    /// Every graph is tried out on two tokens here, before a corpus is read.
    ///
    /// # Errors
    /// If [`check_precision`](Self::check_precision) fails, weights cannot be read, threads cannot be started, ONNX
    /// Runtime refuses the graph, or a first run fails, does not end, or does not return something for each token.
    pub fn load(
        self,
        environment: &Environment,
        options: ReferenceOptions,
    ) -> Result<Reference, ReferenceError> {
        let tried = |model: Self, body| {
            let mut reference = model.load_body(environment, options, body)?;
            reference.try_out()?;
            Ok(reference)
        };
        let Some(body) = self.body_with_own_attention(&options) else {
            return tried(self, None);
        };
        match tried(self.clone(), Some(body)) {
            Ok(reference) => Ok(reference),
            // It would take as long again.
            Err(endless @ ReferenceError::Endless { .. }) => Err(endless),
            Err(reason) => {
                let mut reference = tried(self, None)?;
                reference.attention_as_exported = Some(reason);
                Ok(reference)
            }
        }
    }

    /// The body with our attention operator, if it applies: on the CPU, in f32, with a cut graph. A reduced body gets
    /// the operator elsewhere.
    fn body_with_own_attention(&self, options: &ReferenceOptions) -> Option<Model> {
        let cut = self.cut.as_ref().ok()?;
        let may = options.device == ResolvedDevice::Cpu
            && options.precision == Precision::AsStored
            && options.head != HeadChoice::Logits
            && cut.body.computes_in_single();
        let (body, count) = may.then(|| cut.body.with_attention())?;
        (count > 0).then(|| body.with_output(&cut.hidden))
    }

    fn load_body(
        self,
        environment: &Environment,
        options: ReferenceOptions,
        own_attention: Option<Model>,
    ) -> Result<Reference, ReferenceError> {
        let ReferenceOptions {
            device,
            threads,
            head,
            precision,
            top,
        } = options;
        self.check_precision(precision, device)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("head-{i}"));
        let pool = pool
            .build()
            .map_err(|source| ReferenceError::Threads { threads, source })?;
        let (reduced, products) = match (precision, own_attention) {
            (Precision::AsStored, Some(body)) => (Some(body.to_bytes()?), Some(Vec::new())),
            (Precision::AsStored, None) => (None, None),
            _ => {
                let (graph, products) = self.reduced(precision, head)?;
                (Some(graph.to_bytes()?), Some(products))
            }
        };
        let (body, output, head) = match self.cut {
            Ok(cut) if head != HeadChoice::Logits => {
                let head = if device == ResolvedDevice::Cpu && head == HeadChoice::Fastest {
                    let kernel = pool.install(|| Kernel::new(&cut.head, Instructions::detect()))?;
                    Head::Kernel(kernel.with_top(top))
                } else {
                    Head::Session(SessionHead::new(&cut, device, environment, threads, top)?)
                };
                let body = reduced.map_or_else(|| cut.body.to_bytes(), Ok)?;
                (body, cut.hidden.name, head)
            }
            _ => {
                let whole = || self.model.with_output(&self.logits).to_bytes();
                let body = reduced.map_or_else(whole, Ok)?;
                (body, self.logits.name, Head::None)
            }
        };
        let sizes = self.model.files().into_iter().map(std::fs::metadata);
        let bytes_of_weights = sizes.flatten().map(|file| file.len()).sum();
        // Unmap the model here: this frees the pages read to pack the head before the body loads.
        drop(self.model);
        let doing = "loading the model";
        let mut builder = device.session_builder(environment, threads)?;
        if let Some(products) = products {
            let packed = match precision {
                Precision::AsStored => Arc::default(),
                _ => {
                    let multiplier = Multiplier::detect(precision)?;
                    pool.install(|| pack(&products, multiplier))?
                }
            };
            let operators = operators::domain(packed, threads)?;
            let with_operators = builder.with_operators(operators);
            builder = with_operators.map_err(ReferenceError::runtime(doing))?;
        }
        let session = commit_with(builder, &body, doing)?;
        Ok(Reference {
            session,
            output,
            device,
            inputs: self.inputs,
            head,
            pool,
            vocabulary: self.vocabulary,
            top,
            attention_as_exported: None,
            bytes_handed_out: 0,
            bytes_of_weights,
        })
    }
}

/// Packs the matmuls' weights one after the other: at any time only one matmul's unpacked weights are in memory.
fn pack(
    products: &[ConstantMatmul],
    multiplier: Multiplier,
) -> Result<Arc<[PackedMatmul]>, ReferenceError> {
    let pack = |product: &ConstantMatmul| -> Result<PackedMatmul, ReferenceError> {
        let weights = Weights {
            tensor: &product.weights()?,
            layout: product.layout,
            inputs: product.inputs,
            outputs: product.outputs,
            scale: product.scale,
            bias: product.bias.as_deref(),
        };
        Ok(PackedMatmul::new(&weights, multiplier)?)
    };
    products.iter().map(pack).collect()
}

/// Creates a session from a model whose large weights are in external files.
pub(crate) fn commit(
    model: &Serialized,
    device: ResolvedDevice,
    environment: &Environment,
    threads: usize,
    doing: &str,
) -> Result<Session, ReferenceError> {
    commit_with(device.session_builder(environment, threads)?, model, doing)
}

fn commit_with(
    builder: SessionBuilder,
    model: &Serialized,
    doing: &str,
) -> Result<Session, ReferenceError> {
    const FOLDER: &str = "session.model_external_initializers_file_folder_path";
    let builder = builder.with_config_entry(FOLDER, model.folder.to_string_lossy());
    let mut builder = builder.map_err(ReferenceError::runtime(doing))?;
    builder
        .commit_from_memory(&model.bytes)
        .map_err(ReferenceError::runtime(doing))
}
