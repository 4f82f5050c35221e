//! A reference model in two stages: opened (checked, nothing large read) and loaded (ready to score).

use std::{path::PathBuf, sync::Arc};

use half::f16;
use ort::{
    environment::Environment,
    session::{Session, builder::SessionBuilder},
    value::{DynValue, TensorElementType},
};
use rayon::prelude::*;
use rho_graph::{
    ConstantProduct, Cut, DataType, Dimension, Model, NotCuttable, NotReducible, Port,
    cut::Serialized,
};

use crate::{
    Piece, Precision, ReferenceError, ResolvedDevice, Scorer, Scores, Source,
    head::{
        kernel::{Instructions, Kernel},
        plain::{self, RowScores},
        session::SessionHead,
    },
    inputs::{Inputs, Rectangle, show},
    operators,
    product::{Multiplier, Product, Weights},
};

/// Bytes of f32 logits that a graph which cannot be cut may hand out at once.
const LOGITS_BYTES: usize = 256 << 20;

/// How a reference is loaded.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceOptions {
    /// Where it runs.
    pub device: ResolvedDevice,
    /// Threads for the body's operators and for the head on the CPU.
    pub threads: usize,
    /// How the head is computed.
    pub head: HeadChoice,
    /// How the products with weights are computed.
    pub precision: Precision,
}

/// The ways to compute the head. All give the same scores within rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadChoice {
    /// The kernel on the CPU, a session elsewhere; logits where the graph cannot be cut.
    #[default]
    Fastest,
    /// A session, also on the CPU.
    Session,
    /// No cut: the whole graph hands out its logits. Slow; to compare with.
    Logits,
}

/// A reference whose graph has been read and can be fed; weights are still on disk.
#[derive(Debug, Clone)]
pub struct OpenedReference {
    model: Model,
    inputs: Inputs,
    logits: Port,
    cut: Result<Cut, NotCuttable>,
    vocabulary: usize,
}

impl OpenedReference {
    /// Reads the graph and refuses what cannot work.
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

    /// Width of the logits: token ids must be below it.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Why the graph cannot be cut before its head, where it cannot: scoring then hands out logits in small batches.
    pub fn not_cut(&self) -> Option<&NotCuttable> {
        self.cut.as_ref().err()
    }

    /// Whether the products can be computed in a precision, on a device. Reads no weights.
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

    /// Whether the body's matrices are stored in 8 bits, as `rho-mask export --dtype int8` does: [`Precision::Int8`]
    /// takes them as they are.
    pub fn is_stored_in_8_bits(&self) -> bool {
        let body = self.cut.as_ref().map_or(&self.model, |cut| &cut.body);
        body.is_stored_in_8_bits()
    }

    /// The graph up to the head without its products, and the products; up to the logits where there is to be no cut.
    fn reduced(
        &self,
        precision: Precision,
        head: HeadChoice,
    ) -> Result<(Model, Vec<ConstantProduct>), ReferenceError> {
        let (reduced, output) = match &self.cut {
            _ if head == HeadChoice::Logits => (self.model.without_products(), &self.logits),
            Ok(cut) => (cut.body.without_products(), &cut.hidden),
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
        // Weights that only the products read are left out here.
        Ok((body.with_output(output), products))
    }

    /// Element type of the weights, such as `F32` or `F16`, in which the body computes unless told otherwise.
    pub fn precision(&self) -> DataType {
        self.cut
            .as_ref()
            .map_or(self.logits.dtype, |cut| cut.head.weights.dtype)
    }

    /// The files that hold graph and weights, for a fingerprint.
    pub fn files(&self) -> Vec<PathBuf> {
        self.model.files()
    }

    /// Loads the weights.
    ///
    /// On the CPU attention in single precision is ours: exports walk over `[heads, length, length]` in memory several
    /// times. Where a graph has another attention than it looked like, which the first run tells, it is computed as
    /// exported (see [`Reference::attention_as_exported`]).
    pub fn load(
        self,
        environment: &Environment,
        options: ReferenceOptions,
    ) -> Result<Reference, ReferenceError> {
        let Some(body) = self.body_with_own_attention(&options) else {
            return self.load_body(environment, options, None);
        };
        let tried = self
            .clone()
            .load_body(environment, options, Some(body))
            .and_then(|mut reference| reference.try_out().map(|()| reference));
        tried.or_else(|reason| {
            let mut reference = self.load_body(environment, options, None)?;
            reference.attention_as_exported = Some(reason);
            Ok(reference)
        })
    }

    /// The body with our operator for its attention, where that has it and is not reduced anyway.
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
                    Head::Kernel(pool.install(|| Kernel::new(&cut.head, Instructions::detect()))?)
                } else {
                    Head::Session(SessionHead::new(&cut, device, environment, threads)?)
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
        // The maps of the model end here: pages that were read to pack the head are given back before the body loads.
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
            attention_as_exported: None,
            bytes_handed_out: 0,
        })
    }
}

/// Packs products one after the other: beside the packed ones, the weights of one are in memory.
fn pack(
    products: &[ConstantProduct],
    multiplier: Multiplier,
) -> Result<Arc<[Product]>, ReferenceError> {
    let pack = |product: &ConstantProduct| -> Result<Product, ReferenceError> {
        let weights = Weights {
            tensor: &product.weights()?,
            layout: product.layout,
            inputs: product.inputs,
            outputs: product.outputs,
            scale: product.scale,
            bias: product.bias.as_deref(),
        };
        Ok(Product::new(&weights, multiplier)?)
    };
    products.iter().map(pack).collect()
}

/// Makes a session of a model whose large weights lie in files.
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

enum Head {
    Kernel(Kernel),
    Session(SessionHead),
    /// The graph could not be cut: the body's output is the logits.
    None,
}

/// What a reference has done, for those who watch that it does no more than it must.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// Sessions of ONNX Runtime that were made.
    pub sessions: usize,
    /// Bytes that sessions handed to the host.
    pub bytes_handed_out: u64,
}

/// A loaded reference.
pub struct Reference {
    session: Session,
    output: String,
    device: ResolvedDevice,
    inputs: Inputs,
    head: Head,
    pool: rayon::ThreadPool,
    vocabulary: usize,
    attention_as_exported: Option<ReferenceError>,
    bytes_handed_out: u64,
}

/// Rows of the body's output that predict something, and what they have to predict.
struct Rows {
    numbers: Vec<usize>,
    targets: Vec<u32>,
}

impl Rows {
    /// Row `p` of a piece predicts its token `p + 1`.
    fn of(batch: &Rectangle<'_>) -> Self {
        let mut rows = Self {
            numbers: Vec::new(),
            targets: Vec::new(),
        };
        for (b, piece) in batch.pieces.iter().enumerate() {
            let first = piece.scored_from;
            rows.numbers
                .extend((first..piece.tokens.len()).map(|i| b * batch.length + i - 1));
            rows.targets.extend_from_slice(&piece.tokens[first..]);
        }
        rows
    }
}

impl Reference {
    /// How the head is computed, for the record.
    pub fn head(&self) -> String {
        match &self.head {
            Head::Kernel(kernel) => format!("kernel {:?}", kernel.instructions()).to_lowercase(),
            Head::Session(_) => "session".to_owned(),
            Head::None => "logits".to_owned(),
        }
    }

    /// What was done so far.
    pub fn work_done(&self) -> WorkDone {
        WorkDone {
            sessions: 1 + usize::from(matches!(self.head, Head::Session(_))),
            bytes_handed_out: self.bytes_handed_out,
        }
    }

    /// Why attention is not computed by our operator, where it looked as if it could be.
    pub fn attention_as_exported(&self) -> Option<&ReferenceError> {
        self.attention_as_exported.as_ref()
    }

    /// Scores two tokens, to see whether the graph runs at all.
    fn try_out(&mut self) -> Result<(), ReferenceError> {
        let piece = Piece {
            tokens: &[0, 0],
            scored_from: 1,
        };
        self.score(&[piece, piece]).map(|_| ())
    }

    /// Runs the body on a rectangle of tokens; the answer stays on the device.
    fn run_body(&mut self, batch: &Rectangle<'_>) -> Result<DynValue, ReferenceError> {
        let doing = || {
            format!(
                "running the model on a batch of {} x {} tokens",
                batch.pieces.len(),
                batch.length
            )
        };
        // Logits come to the host; hidden states stay where the head computes.
        let device = if matches!(self.head, Head::None) {
            ResolvedDevice::Cpu
        } else {
            self.device
        };
        let memory = device.memory()?;
        let mut run = || -> ort::Result<Option<DynValue>> {
            let mut binding = self.session.create_binding()?;
            self.inputs.bind(batch, &mut binding)?;
            binding.bind_output_to_device(self.output.as_str(), &memory)?;
            Ok(self.session.run_binding(&binding)?.remove(&self.output))
        };
        let missing = || ort::Error::new(format!("no output {}", self.output.clone()));
        match run() {
            Ok(Some(value)) => Ok(value),
            Ok(None) => Err(ReferenceError::runtime(doing())(missing())),
            Err(error) => Err(ReferenceError::runtime(doing())(error)),
        }
    }

    fn score_rows(&mut self, batch: &Rectangle<'_>) -> Result<RowScores, ReferenceError> {
        let rows = Rows::of(batch);
        let value = self.run_body(batch)?;
        let positions = batch.pieces.len() * batch.length;
        match &mut self.head {
            Head::Session(head) => {
                // A loss and an entropy per row; hidden states stay where they are.
                self.bytes_handed_out += rows.numbers.len() as u64 * 8;
                head.score(&value, &rows.numbers, &rows.targets)
            }
            Head::Kernel(kernel) => {
                let view = View::of(&value, positions, kernel.hidden())?;
                self.bytes_handed_out += view.bytes();
                let row = |i: usize, out: &mut [f32]| view.row(rows.numbers[i], out);
                Ok(self.pool.install(|| kernel.score(row, &rows.targets)))
            }
            Head::None => {
                let view = View::of(&value, positions, self.vocabulary)?;
                self.bytes_handed_out += view.bytes();
                let vocabulary = self.vocabulary;
                let score = |buffer: &mut Vec<f32>, (&row, &target): (&usize, &u32)| {
                    view.row(row, buffer);
                    plain::of_logits(buffer, target as usize)
                };
                let pairs = rows.numbers.par_iter().zip(&rows.targets);
                let scores: (Vec<f32>, Vec<f32>) = self
                    .pool
                    .install(|| pairs.map_init(|| vec![0.0; vocabulary], score).unzip());
                Ok(RowScores {
                    loss: scores.0,
                    entropy: scores.1,
                })
            }
        }
    }
}

impl Scorer for Reference {
    fn score(&mut self, pieces: &[Piece<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        let length = pieces.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
        let rows = match self.head {
            Head::None => (LOGITS_BYTES / 4 / self.vocabulary / length.max(1)).max(1),
            _ => pieces.len().max(1),
        };
        let mut scores = Vec::with_capacity(pieces.len());
        for pieces in pieces.chunks(rows) {
            let length = pieces.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
            let all = self.score_rows(&Rectangle { pieces, length })?;
            let mut at = 0;
            for piece in pieces {
                let range = at..at + piece.tokens.len() - piece.scored_from;
                at = range.end;
                scores.push(Scores {
                    loss: all.loss[range.clone()].to_vec(),
                    entropy: all.entropy[range].to_vec(),
                });
            }
        }
        Ok(scores)
    }
}

/// The body's output in host memory, row by row as f32.
struct View<'a> {
    data: Data<'a>,
    width: usize,
}

enum Data<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> View<'a> {
    fn of(value: &'a DynValue, rows: usize, width: usize) -> Result<Self, ReferenceError> {
        let expected = format!("{rows} rows of {width} f32 or f16");
        let shape_error = |got: String| ReferenceError::HiddenShape { expected, got };
        let read = ReferenceError::runtime("reading the model's output");
        let (data, length) = match value.dtype().tensor_type() {
            Some(TensorElementType::Float32) => {
                let data = value.try_extract_tensor::<f32>().map_err(read)?.1;
                (Data::F32(data), data.len())
            }
            Some(TensorElementType::Float16) => {
                let data = value.try_extract_tensor::<f16>().map_err(read)?.1;
                (Data::F16(data), data.len())
            }
            other => return Err(shape_error(format!("{other:?}"))),
        };
        if length != rows * width {
            return Err(shape_error(format!("{:?}", value.dtype())));
        }
        Ok(Self { data, width })
    }

    fn bytes(&self) -> u64 {
        match self.data {
            Data::F32(data) => size_of_val(data) as u64,
            Data::F16(data) => size_of_val(data) as u64,
        }
    }

    fn row(&self, row: usize, out: &mut [f32]) {
        let range = row * self.width..(row + 1) * self.width;
        match self.data {
            Data::F32(data) => out.copy_from_slice(&data[range]),
            Data::F16(data) => out
                .iter_mut()
                .zip(&data[range])
                .for_each(|(o, x)| *o = x.to_f32()),
        }
    }
}
