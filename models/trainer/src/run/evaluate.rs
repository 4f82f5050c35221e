//! Loss on text that is not trained on: of all its tokens, and of those after a marker, such as the answer to a question.

use serde::{Deserialize, Serialize};

use super::{Trainee, TraineeError};
use crate::data::{Document, Documents, GlobalBatch, Packing, Place, Row, pack};

/// Text to evaluate on, in memory.
#[derive(Debug, Clone, Default)]
pub struct EvaluationSet {
    /// What it is called.
    pub name: String,
    /// Its documents.
    pub documents: Vec<Document>,
    /// The first token of each document that comes after the marker; none where the document has no marker. Empty where
    /// there is no marker to look for.
    pub after: Vec<Option<usize>>,
}

/// A mean over tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// How many.
    pub tokens: u64,
    /// Their mean loss, in nats; none of no tokens.
    pub loss: Option<f64>,
    /// Its exponential.
    pub perplexity: Option<f64>,
}

/// What an evaluation came to: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The steps that were done.
    pub step: u64,
    /// What the text is called.
    pub evaluation: String,
    /// Documents in it.
    pub documents: u64,
    /// All its tokens.
    #[serde(flatten)]
    pub all: Mean,
    /// Its tokens after the marker; none where no marker was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Mean>,
    /// Documents in which the marker stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marked: Option<u64>,
}

impl EvaluationSet {
    /// Evaluates in batches of so many rows of so many tokens.
    ///
    /// # Errors
    /// Where the model cannot be computed.
    pub(super) fn evaluate(
        &self,
        trainee: &mut dyn Trainee,
        step: u64,
        packing: &Packing,
        batch_rows: usize,
        vocabulary: usize,
    ) -> Result<Evaluated, TraineeError> {
        let mut documents = self.documents.clone();
        let lengths = documents.iter().map(|d| d.input_ids.len()).enumerate();
        // Never cut but where they are longer than a row: how they are packed must not change what is measured.
        let rows: Vec<Row> = pack(lengths, packing.length, 1.0).rows;
        let (mut all, mut after) = <((u64, f64), (u64, f64))>::default();
        let add = |sum: &mut (u64, f64), loss: f32| {
            sum.0 += 1;
            sum.1 += f64::from(loss);
        };
        for rows in rows.chunks(batch_rows.max(1)) {
            let length = packing.length;
            let place = Place::default();
            let batch = GlobalBatch::read(rows, length, vocabulary, place, &mut documents)?;
            let loss = trainee.losses(&batch)?;
            for (row, segments) in batch.rows.iter().enumerate() {
                for segment in segments {
                    let piece = segment.piece;
                    let marked = self.after.get(piece.document).copied().flatten();
                    for i in 1..piece.length {
                        let loss = loss[row * length + segment.start + i];
                        add(&mut all, loss);
                        if marked.is_some_and(|first| piece.start + i >= first) {
                            add(&mut after, loss);
                        }
                    }
                }
            }
        }
        let mean = |(tokens, sum): (u64, f64)| {
            let loss = (tokens > 0).then(|| sum / tokens as f64);
            Mean {
                tokens,
                loss,
                perplexity: loss.map(f64::exp),
            }
        };
        let marker = !self.after.is_empty();
        Ok(Evaluated {
            step,
            evaluation: self.name.clone(),
            documents: documents.count() as u64,
            all: mean(all),
            after: marker.then(|| mean(after)),
            marked: marker.then(|| self.after.iter().flatten().count() as u64),
        })
    }
}
