//! Chooses documents by an expression, before tokens are ranked: `--where "mean(loss) < 4 and tokens >= 20"`.
//!
//! ```text
//! text ── words ──► words ── expression ──► condition ── numbers of a document ──► true, false or unknown
//! ```
//!
//! * `words`: divides the text. `expression`: the grammar. `numbers`: the numbers of a document that it compares.
//!
//! A number of a document may be null: the mean of no scores. A comparison with null is unknown, and so is `not` of
//! something unknown; `and` and `or` follow from their other side if they can. Only documents for which the expression is
//! true are kept. These are the rules of SQL.

mod expression;
pub(super) mod numbers;
mod words;

use rho_formats::{MaskBatch, MaskColumns};

use expression::Condition;

/// An expression, checked against the columns of some masks.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    text: String,
    condition: Condition,
    numbers: numbers::Needed,
}

impl Filter {
    /// Reads an expression about masks with these columns, and with one of other scores.
    ///
    /// # Errors
    /// If it is not an expression, or names something that the masks do not have.
    pub(crate) fn read(
        text: &str,
        masks: &MaskColumns,
        other: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut needed = numbers::Needed::of(masks, other);
        let condition = expression::read(text, &mut needed)?;
        Ok(Self {
            text: text.to_owned(),
            condition,
            numbers: needed,
        })
    }

    /// The expression as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The columns that it needs.
    pub(super) fn columns(&self) -> Vec<&str> {
        self.numbers.columns()
    }

    /// Whether it is true for each document of a record batch.
    pub(super) fn holds(&self, batch: &MaskBatch) -> anyhow::Result<Vec<bool>> {
        let loaded = self.numbers.load(batch)?;
        let documents = batch.documents();
        let holds = documents.map(|tokens| {
            let number = |i| self.numbers.number(i, &loaded, &tokens);
            self.condition.holds(&number) == Some(true)
        });
        Ok(holds.collect())
    }
}
