//! The score columns of each model, and how they are computed.
//!
//! ```text
//! reference            ─► loss entropy; on a server: loss
//! references 1, 2 ...  ─► loss_1 entropy_1 loss_2 ... ─ combined token by token ─► loss entropy
//! base                 ─► base_loss ─ minus loss ─► excess
//! references, after a text that stands before the document ─► loss_context entropy_context; loss minus that ─► gain
//! ```
//!
//! Derived scores are computed in f32 from the stored scores, then stored in the same type: a reader can recompute them
//! from the columns, bit for bit.

use rho_selection::{Combine, excess};

use super::ScoringRequest;
use crate::{cli::Combination, reference_server::is_server};

/// The score columns of a run's models.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScoreColumns {
    /// Number of references, at least one.
    pub(crate) references: usize,
    /// How the scores of several references are combined.
    pub(crate) combine: Combine,
    /// Whether a base scores too.
    pub(crate) base: bool,
    /// Whether the references score each document also after a text.
    pub(crate) context: bool,
    /// Whether the references give entropies; a server does not, and is the only reference.
    pub(crate) entropy: bool,
}

impl ScoreColumns {
    /// Those of a request with this many references.
    pub(super) fn of(request: &ScoringRequest, references: usize) -> Self {
        Self {
            references,
            combine: match request.combine.unwrap_or_default() {
                Combination::Min => Combine::Min,
                Combination::Mean => Combine::Mean,
                Combination::Max => Combine::Max,
            },
            base: request.base.is_some(),
            context: request.context_field.is_some(),
            entropy: !request.references.iter().any(|model| is_server(model)),
        }
    }

    /// Number of columns of a reference's own scores.
    pub(crate) fn of_reference(&self) -> usize {
        1 + usize::from(self.entropy)
    }

    /// Names of the columns, in the order of the masks.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = self.of_kind("loss", "entropy");
        if self.base {
            names.extend(["base_loss", "excess"].map(String::from));
        }
        if self.context {
            names.extend(self.after_text());
            names.push("gain".to_owned());
        }
        if self.references > 1 {
            names.extend((0..self.references).flat_map(|i| self.of_model(i)));
        }
        names
    }

    /// The columns of the references' scores after a text.
    pub(crate) fn after_text(&self) -> Vec<String> {
        self.of_kind("loss_context", "entropy_context")
    }

    /// The columns of a reference's scores.
    fn of_kind(&self, loss: &str, entropy: &str) -> Vec<String> {
        let names = [loss, entropy].into_iter().take(self.of_reference());
        names.map(str::to_owned).collect()
    }

    /// Number of models that score, base included.
    pub(crate) fn models(&self) -> usize {
        self.references + usize::from(self.base)
    }

    /// The columns that hold a model's own scores.
    pub(crate) fn of_model(&self, model: usize) -> Vec<String> {
        match model {
            base if base >= self.references => vec!["base_loss".to_owned()],
            _ if self.references == 1 => self.of_kind("loss", "entropy"),
            i => self.of_kind(&format!("loss_{}", i + 1), &format!("entropy_{}", i + 1)),
        }
    }

    /// The columns of a document, from the columns of each model in turn, and from those of the references after a text.
    /// Those are already rounded to the stored type; `round` rounds the derived ones.
    pub(crate) fn of_scores(
        &self,
        mut own: Vec<Vec<f32>>,
        after_text: Vec<Vec<f32>>,
        round: impl Fn(f32) -> f32,
    ) -> Vec<Vec<f32>> {
        let base = self.base.then(|| own.pop()).flatten();
        let combined = |own: &[Vec<f32>]| -> Vec<Vec<f32>> {
            let of = |first: usize| -> Vec<f32> {
                let scores = own[first..].iter().step_by(2).map(Vec::as_slice);
                let combined = self.combine.of(&scores.collect::<Vec<_>>());
                combined.into_iter().map(&round).collect()
            };
            vec![of(0), of(1)]
        };
        let mut columns = match self.references > 1 {
            true => combined(&own),
            false => std::mem::take(&mut own),
        };
        if let Some(base) = base {
            let excess = excess(&base, &columns[0]).into_iter().map(&round).collect();
            columns.extend([base, excess]);
        }
        if self.context {
            let mut after_text = match self.references > 1 {
                // Nothing stood before the document.
                _ if after_text.is_empty() => {
                    vec![vec![f32::NAN; columns[0].len()]; self.of_reference()]
                }
                true => combined(&after_text),
                false => after_text,
            };
            let pairs = columns[0].iter().zip(&after_text[0]);
            let gain = pairs.map(|(loss, after)| round(loss - after)).collect();
            columns.append(&mut after_text);
            columns.push(gain);
        }
        columns.append(&mut own);
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_its_columns() {
        let columns = |references, base| ScoreColumns {
            references,
            combine: Combine::Mean,
            base,
            context: false,
            entropy: true,
        };
        assert_eq!(columns(1, false).names().join(" "), "loss entropy");
        assert_eq!(
            columns(2, true).names().join(" "),
            "loss entropy base_loss excess loss_1 entropy_1 loss_2 entropy_2"
        );
        assert_eq!(columns(1, true).of_model(1), ["base_loss"]);
        let own = vec![
            vec![1.0, 2.0],
            vec![3.0, 4.0],
            vec![2.0, 3.0],
            vec![5.0, 5.0],
            vec![1.0, 9.0],
        ];
        let all = columns(2, true).of_scores(own, vec![], |score| score.floor());
        let expected = [
            [1.0, 2.0],
            [4.0, 4.0],
            [1.0, 9.0],
            [0.0, 7.0],
            [1.0, 2.0],
            [3.0, 4.0],
            [2.0, 3.0],
            [5.0, 5.0],
        ];
        assert_eq!(all, expected);
        let alone =
            columns(1, true)
                .of_scores(vec![vec![1.0], vec![2.0], vec![4.5]], vec![], |score| score);
        assert_eq!(alone, [[1.0], [2.0], [4.5], [3.5]]);
        let after_text = ScoreColumns {
            context: true,
            ..columns(1, true)
        };
        let names = "loss entropy base_loss excess loss_context entropy_context gain";
        assert_eq!(after_text.names().join(" "), names);
        let own = vec![vec![1.0], vec![2.0], vec![4.5]];
        let all = after_text.of_scores(own, vec![vec![0.25], vec![0.5]], |score| score);
        assert_eq!(all, [[1.0], [2.0], [4.5], [3.5], [0.25], [0.5], [0.75]]);
        let on_server = ScoreColumns {
            entropy: false,
            ..after_text
        };
        let names = "loss base_loss excess loss_context gain";
        assert_eq!(on_server.names().join(" "), names);
        assert_eq!(on_server.of_model(0), ["loss"]);
        let own = vec![vec![1.0], vec![4.5]];
        let all = on_server.of_scores(own, vec![vec![0.25]], |score| score);
        assert_eq!(all, [[1.0], [4.5], [3.5], [0.25], [0.75]]);
    }
}
