//! The head as a separate ONNX Runtime session, for other devices: hidden states stay on the device, rows are
//! processed in chunks, and only loss and entropy are copied back.

use ort::{
    environment::Environment,
    session::Session,
    value::{DynValue, Tensor},
};
use rho_graph::{Cut, build};

use super::plain::RowScores;
use crate::{ReferenceError, ResolvedDevice};

/// Bytes of f32 logits per chunk. The graph holds about four such tensors at once.
const CHUNK_BYTES: usize = 128 << 20;

/// A head that runs in ONNX Runtime.
pub struct SessionHead {
    session: Session,
    /// Rows per run.
    chunk: usize,
    hidden: usize,
}

impl SessionHead {
    /// Loads the head's weights onto the device.
    ///
    /// # Errors
    /// If the head's graph cannot be built or ONNX Runtime cannot load it.
    pub fn new(
        cut: &Cut,
        device: ResolvedDevice,
        environment: &Environment,
        threads: usize,
    ) -> Result<Self, ReferenceError> {
        let doing = "loading the head";
        let model = build::head_model(cut).to_bytes()?;
        let session = crate::reference_model::commit(&model, device, environment, threads, doing)?;
        Ok(Self {
            session,
            chunk: (CHUNK_BYTES / 4 / cut.head.vocabulary).max(1),
            hidden: cut.head.hidden,
        })
    }

    /// hidden_size.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Sets the number of rows per run, at least one. The default is as many as a fixed amount of memory holds.
    pub fn set_chunk(&mut self, rows: usize) {
        self.chunk = rows.max(1);
    }

    /// Scores the rows `rows` of `hidden` (any shape whose last axis is hidden_size), which may be on the device.
    ///
    /// # Errors
    /// If ONNX Runtime fails to run the head.
    pub fn score(
        &mut self,
        hidden: &DynValue,
        rows: &[usize],
        targets: &[u32],
    ) -> Result<RowScores, ReferenceError> {
        let mut scores = RowScores::default();
        for (rows, targets) in rows.chunks(self.chunk).zip(targets.chunks(self.chunk)) {
            self.chunk_scores(hidden, rows, targets, &mut scores)
                .map_err(ReferenceError::runtime("running the head"))?;
        }
        Ok(scores)
    }

    fn chunk_scores(
        &mut self,
        hidden: &DynValue,
        rows: &[usize],
        targets: &[u32],
        scores: &mut RowScores,
    ) -> ort::Result<()> {
        let row_numbers: Vec<i64> = rows.iter().map(|&r| r as i64).collect();
        let target_numbers: Vec<i64> = targets.iter().map(|&t| i64::from(t)).collect();
        let mut binding = self.session.create_binding()?;
        binding.bind_input(build::names::HIDDEN, hidden)?;
        binding.bind_input(
            build::names::ROWS,
            &Tensor::from_array(([rows.len()], row_numbers))?,
        )?;
        binding.bind_input(
            build::names::TARGETS,
            &Tensor::from_array(([rows.len(), 1], target_numbers))?,
        )?;
        let memory = ort::memory::MemoryInfo::default();
        binding.bind_output_to_device(build::names::LOSS, &memory)?;
        binding.bind_output_to_device(build::names::ENTROPY, &memory)?;
        let outputs = self.session.run_binding(&binding)?;
        scores
            .loss
            .extend_from_slice(outputs[build::names::LOSS].try_extract_tensor::<f32>()?.1);
        scores.entropy.extend_from_slice(
            outputs[build::names::ENTROPY]
                .try_extract_tensor::<f32>()?
                .1,
        );
        Ok(())
    }
}
