//! The head as a separate ONNX Runtime session, for other devices: hidden states stay on the device, rows are
//! processed in chunks, and only the scores are copied back.

use ort::{
    environment::Environment,
    session::Session,
    value::{DynValue, Tensor},
};
use rho_graph::{Cut, build};

use super::plain::RowScores;
use crate::{ReferenceError, ResolvedDevice, Top};

/// Bytes of f32 logits per chunk. The graph holds about four such tensors at once.
const CHUNK_BYTES: usize = 128 << 20;

/// A head that runs in ONNX Runtime.
pub struct SessionHead {
    session: Session,
    /// Rows per run.
    chunk: usize,
    hidden: usize,
    /// How many of the most likely tokens are returned for each row.
    top: usize,
}

impl SessionHead {
    /// Loads the head's weights onto the device. `top`: how many of the most likely tokens to return for each row, at
    /// most vocab_size.
    ///
    /// # Errors
    /// If the head's graph cannot be built or ONNX Runtime cannot load it.
    pub fn new(
        cut: &Cut,
        device: ResolvedDevice,
        environment: &Environment,
        threads: usize,
        top: usize,
    ) -> Result<Self, ReferenceError> {
        let doing = "loading the head";
        let model = build::head_model(cut, top).to_bytes()?;
        let session = crate::reference_model::commit(&model, device, environment, threads, doing)?;
        Ok(Self {
            session,
            chunk: (CHUNK_BYTES / 4 / cut.head.vocabulary).max(1),
            hidden: cut.head.hidden,
            top,
        })
    }

    /// hidden_size.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// The bytes that are copied back for each row.
    pub(crate) fn bytes_per_row(&self) -> usize {
        match self.top {
            0 => 8,
            top => 8 + 4 + top * (4 + 8 + 8),
        }
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
        if self.top > 0 {
            for name in build::names::OF_TOP {
                binding.bind_output_to_device(name, &memory)?;
            }
        }
        let outputs = self.session.run_binding(&binding)?;
        scores
            .loss
            .extend_from_slice(outputs[build::names::LOSS].try_extract_tensor::<f32>()?.1);
        scores.entropy.extend_from_slice(
            outputs[build::names::ENTROPY]
                .try_extract_tensor::<f32>()?
                .1,
        );
        if self.top > 0 {
            let [values, ids, ties, log_sums] = build::names::OF_TOP;
            let (_, values) = outputs[values].try_extract_tensor::<f32>()?;
            let (_, ids) = outputs[ids].try_extract_tensor::<i64>()?;
            let (_, ties) = outputs[ties].try_extract_tensor::<i64>()?;
            let (_, log_sums) = outputs[log_sums].try_extract_tensor::<f32>()?;
            let rows = values
                .chunks_exact(self.top)
                .zip(ids.chunks_exact(self.top))
                .zip(ties.chunks_exact(self.top))
                .zip(log_sums);
            for (((values, ids), ties), log_sum) in rows {
                put_row(values, ids, ties, *log_sum, &mut scores.top);
            }
        }
        Ok(())
    }
}

/// Appends the most likely tokens of a row: `values` are their logits minus the row's maximum, `ids` the tokens, `ties` the
/// lowest tokens with the last one's logit. Which of equal logits a device puts into `ids`, and in which order, is up to
/// it.
fn put_row(values: &[f32], ids: &[i64], ties: &[i64], log_sum: f32, top: &mut Top) {
    let least = values.last().copied().unwrap_or(f32::NAN);
    let above = values.iter().zip(ids).filter(|(value, _)| **value > least);
    let mut row: Vec<(f32, i64)> = above.map(|(&value, &id)| (value, id)).collect();
    row.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let rest = ties.iter().take(values.len() - row.len());
    row.extend(rest.map(|&id| (least, id)));
    for (value, id) in row {
        top.ids.push(id as u32);
        top.logprobs.push(value - log_sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_device_does_not_show() {
        // A row -1 -2 -1 0 -2 -2 of which a device took token 5, and 2 before 0.
        let mut top = Top::default();
        put_row(
            &[0.0, -1.0, -1.0, -2.0],
            &[3, 2, 0, 5],
            &[1, 4, 5, 0],
            0.5,
            &mut top,
        );
        assert_eq!(top.ids, [3, 0, 2, 1]);
        assert_eq!(top.logprobs, [-0.5, -1.5, -1.5, -2.5]);
    }
}
