//! Loss on held-out text: of all its tokens, and of those after a marker, such as the answer to a question.

use serde::{Deserialize, Serialize};

use super::{Trainee, TraineeError};
use crate::data::{DataPosition, Document, Documents, GlobalBatch, Packing, Row, pack};

/// Text to evaluate on, in memory.
#[derive(Debug, Clone, Default)]
pub struct EvaluationSet {
    /// Its name.
    pub name: String,
    /// Its documents.
    pub documents: Vec<Document>,
    /// The index of the first token after the marker, for each document; `None` if the document has no marker. Empty
    /// if no marker is used.
    pub after: Vec<Option<usize>>,
}

/// A mean over tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// Number of tokens.
    pub tokens: u64,
    /// Mean loss, in nats; `None` without tokens.
    pub loss: Option<f64>,
    /// exp of the mean loss.
    pub perplexity: Option<f64>,
}

/// The result of an evaluation: a line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The number of steps done.
    pub step: u64,
    /// The name of the evaluation set.
    pub evaluation: String,
    /// Number of documents.
    pub documents: u64,
    /// The mean over all tokens.
    #[serde(flatten)]
    pub all: Mean,
    /// The mean over the tokens after the marker; `None` if no marker is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Mean>,
    /// Number of documents with the marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marked: Option<u64>,
}

impl EvaluationSet {
    /// Evaluates in batches of `batch_rows` rows of `packing.length` tokens.
    ///
    /// # Errors
    /// If a document has a token id that is not below `vocabulary`, or the model cannot be computed.
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
        // Cut only documents longer than a row: packing must not change the result.
        let rows: Vec<Row> = pack(lengths, packing.length, 1.0).rows;
        let (mut all, mut after) = <((u64, f64), (u64, f64))>::default();
        let add = |sum: &mut (u64, f64), loss: f32| {
            sum.0 += 1;
            sum.1 += f64::from(loss);
        };
        for rows in rows.chunks(batch_rows.max(1)) {
            let length = packing.length;
            let place = DataPosition::default();
            let batch = GlobalBatch::read(rows, length, vocabulary, place, &mut documents)?;
            let loss = trainee.losses(&batch)?;
            for (row, segments) in batch.rows.iter().enumerate() {
                for segment in segments {
                    let part = segment.part;
                    let marked = self.after.get(part.document).copied().flatten();
                    for i in 1..part.length {
                        let place = row * length + segment.start + i;
                        if !batch.targets[place] {
                            continue;
                        }
                        let loss = loss[place];
                        add(&mut all, loss);
                        if marked.is_some_and(|first| part.start + i >= first) {
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
