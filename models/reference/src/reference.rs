//! A loaded reference: batches of tokens in, scores out. reference_model opens and loads it.

use half::f16;
use ort::{
    session::Session,
    value::{DynValue, TensorElementType},
};
use rayon::prelude::*;

use crate::{
    ReferenceError, ResolvedDevice, Scorer, Scores, TokenWindow, Top,
    head::{
        kernel::Kernel,
        plain::{RowScores, Softmax},
        session::SessionHead,
    },
    inputs::{Inputs, Rectangle},
    time_limit,
};

/// Bytes of f32 logits that an uncut graph may return at once.
const LOGITS_BYTES: usize = 256 << 20;

/// What computes loss and entropy from the body's output.
pub(crate) enum Head {
    Kernel(Kernel),
    Session(SessionHead),
    /// The graph is not cut: the body's output is the logits.
    None,
}

/// Counters of a reference's work, to check that it does not do more than necessary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// Number of ONNX Runtime sessions created.
    pub sessions: usize,
    /// Bytes that the sessions returned to the host.
    pub bytes_handed_out: u64,
}

/// A loaded reference.
pub struct Reference {
    pub(crate) session: Session,
    pub(crate) output: String,
    pub(crate) device: ResolvedDevice,
    pub(crate) inputs: Inputs,
    pub(crate) head: Head,
    pub(crate) pool: rayon::ThreadPool,
    pub(crate) vocabulary: usize,
    /// How many of the most likely tokens are returned for each position.
    pub(crate) top: usize,
    pub(crate) attention_as_exported: Option<ReferenceError>,
    pub(crate) bytes_handed_out: u64,
    /// Of the files with the weights.
    pub(crate) bytes_of_weights: u64,
}

/// The rows of the body's output that predict a scored token, and their target tokens.
struct Rows {
    numbers: Vec<usize>,
    targets: Vec<u32>,
}

impl Rows {
    /// Row `p` of a window predicts its token `p + 1`.
    fn of(batch: &Rectangle<'_>) -> Self {
        let mut rows = Self {
            numbers: Vec::new(),
            targets: Vec::new(),
        };
        for (b, window) in batch.windows.iter().enumerate() {
            let first = window.scored_from;
            rows.numbers
                .extend((first..window.tokens.len()).map(|i| b * batch.length + i - 1));
            rows.targets.extend_from_slice(&window.tokens[first..]);
        }
        rows
    }
}

impl Reference {
    /// A description of how the head is computed: `kernel`, `session` or `logits`.
    pub fn head(&self) -> String {
        match &self.head {
            Head::Kernel(kernel) => format!("kernel {:?}", kernel.instructions()).to_lowercase(),
            Head::Session(_) => "session".to_owned(),
            Head::None => "logits".to_owned(),
        }
    }

    /// The work done so far.
    pub fn work_done(&self) -> WorkDone {
        WorkDone {
            sessions: 1 + usize::from(matches!(self.head, Head::Session(_))),
            bytes_handed_out: self.bytes_handed_out,
        }
    }

    /// Why attention is computed as exported although the graph seemed to fit our own operator.
    pub fn attention_as_exported(&self) -> Option<&ReferenceError> {
        self.attention_as_exported.as_ref()
    }

    /// Scores two tokens to check that the graph runs, ends, and returns something for each token.
    pub(crate) fn try_out(&mut self) -> Result<(), ReferenceError> {
        let window = TokenWindow {
            tokens: &[0, 0],
            scored_from: 1,
        };
        let tried = self.score(&[window, window]);
        self.bytes_handed_out = 0;
        tried.map(|_| ())
    }

    /// Runs the body on a padded batch. Hidden states stay on the device.
    fn run_body(&mut self, batch: &Rectangle<'_>) -> Result<DynValue, ReferenceError> {
        let doing = || {
            format!(
                "running the model on a batch of {} x {} tokens",
                batch.windows.len(),
                batch.length
            )
        };
        // Logits are copied to the host; hidden states stay on the head's device.
        let device = if matches!(self.head, Head::None) {
            ResolvedDevice::Cpu
        } else {
            self.device
        };
        let memory = device.memory()?;
        let (session, inputs, output) = (&mut self.session, &self.inputs, self.output.as_str());
        let tokens = batch.windows.len().saturating_mul(batch.length);
        let seconds = time_limit::allowed(self.device, self.bytes_of_weights, tokens);
        let run = time_limit::within(seconds, |options| -> ort::Result<Option<DynValue>> {
            let mut binding = session.create_binding()?;
            inputs.bind(batch, &mut binding)?;
            binding.bind_output_to_device(output, &memory)?;
            let mut outputs = session.run_binding_with_options(&binding, options)?;
            Ok(outputs.remove(output))
        });
        let missing = || ort::Error::new(format!("no output {output}"));
        match run {
            Ok((Ok(Some(value)), _)) => Ok(value),
            Ok((Ok(None), _)) => Err(ReferenceError::runtime(doing())(missing())),
            Ok((Err(_), true)) => Err(ReferenceError::Endless {
                doing: doing(),
                seconds,
            }),
            Ok((Err(error), false)) | Err(error) => Err(ReferenceError::runtime(doing())(error)),
        }
    }

    /// Checks that the body's output has a row of `width` numbers for each position of a batch.
    fn check_shape(
        value: &DynValue,
        batch: &Rectangle<'_>,
        width: usize,
    ) -> Result<(), ReferenceError> {
        let shape = value.dtype().tensor_shape();
        let got: Vec<i64> = shape.map_or_else(Vec::new, |shape| shape.to_vec());
        let (rows, length) = (batch.windows.len(), batch.length);
        let sizes = |axes: &[usize]| axes.iter().map(|&axis| axis as i64).product::<i64>();
        let count = |axes: &[i64]| axes.iter().product::<i64>();
        // The shape of a batch may be flattened.
        if count(&got) == sizes(&[rows, length, width]) && got.last() == Some(&(width as i64)) {
            return Ok(());
        }
        Err(match count(&got) == sizes(&[rows, width]) {
            true => ReferenceError::LastPosition {
                output: format!("{got:?}"),
            },
            false => ReferenceError::HiddenShape {
                expected: format!("[{rows}, {length}, {width}]"),
                got: format!("{got:?}"),
            },
        })
    }

    fn score_rows(&mut self, batch: &Rectangle<'_>) -> Result<RowScores, ReferenceError> {
        let rows = Rows::of(batch);
        let value = self.run_body(batch)?;
        let positions = batch.windows.len() * batch.length;
        let width = match &self.head {
            Head::Kernel(kernel) => kernel.hidden(),
            Head::Session(head) => head.hidden(),
            Head::None => self.vocabulary,
        };
        Self::check_shape(&value, batch, width)?;
        match &mut self.head {
            Head::Session(head) => {
                // A few numbers per row; hidden states stay on the device.
                self.bytes_handed_out += (rows.numbers.len() * head.bytes_per_row()) as u64;
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
                let (vocabulary, count) = (self.vocabulary, self.top);
                let score = |buffer: &mut Vec<f32>, (&row, &target): (&usize, &u32)| {
                    view.row(row, buffer);
                    let softmax = Softmax::of(buffer);
                    let top = match count {
                        0 => Top::default(),
                        count => softmax.top(buffer, count),
                    };
                    (softmax.scores(buffer[target as usize]), top)
                };
                let pairs = rows.numbers.par_iter().zip(&rows.targets);
                let scores: Vec<((f32, f32), Top)> = self
                    .pool
                    .install(|| pairs.map_init(|| vec![0.0; vocabulary], score).collect());
                let mut all = RowScores::default();
                for ((loss, entropy), top) in scores {
                    all.loss.push(loss);
                    all.entropy.push(entropy);
                    all.top.append(top);
                }
                Ok(all)
            }
        }
    }
}

impl Scorer for Reference {
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        let length = windows.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
        let rows = match self.head {
            Head::None => (LOGITS_BYTES / 4 / self.vocabulary / length.max(1)).max(1),
            _ => windows.len().max(1),
        };
        let mut scores = Vec::with_capacity(windows.len());
        for windows in windows.chunks(rows) {
            let length = windows.iter().map(|p| p.tokens.len()).max().unwrap_or(0);
            let all = self.score_rows(&Rectangle { windows, length })?;
            let mut at = 0;
            for window in windows {
                let range = at..at + window.tokens.len() - window.scored_from;
                at = range.end;
                scores.push(Scores {
                    loss: all.loss[range.clone()].to_vec(),
                    entropy: all.entropy[range.clone()].to_vec(),
                    top: all.top.part(range, self.top),
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
