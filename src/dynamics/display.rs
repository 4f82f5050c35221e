//! The human-readable summary: a few lines and three tables.

use std::fmt;

use super::summary::{CheckpointSummary, Summary};
use crate::{
    numbers::grouped,
    table::Table,
    terminal_text::{safe, shorten},
};

/// Fluctuating tokens to print.
const SHOWN: usize = 5;
/// The matrix of perplexities is printed for up to this many checkpoints.
const WIDEST: usize = 9;
/// Columns for the text before a token.
const CONTEXT: usize = 36;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |checkpoint: Option<&CheckpointSummary>| {
            checkpoint.map_or(String::new(), |c| {
                format!("{} ({:.3} nats)", safe(&c.name), c.mean_loss)
            })
        };
        let mut line = |name: &str, text: String| writeln!(f, "  {name:<13}{text}");
        line(
            "checkpoints",
            format!(
                "{}, from {} to {}",
                self.checkpoints.len(),
                named(self.checkpoints.first()),
                named(self.checkpoints.last())
            ),
        )?;
        if let Some(reference) = &self.reference {
            line("reference", format!("{:.3} nats", reference.mean_loss))?;
        }
        let left_out = match (self.rejected, self.broken_shards) {
            (0, 0) => String::new(),
            (rejected, broken) => {
                format!(
                    ", {} rows rejected, {} shards ended early",
                    grouped(rejected),
                    grouped(broken)
                )
            }
        };
        line(
            "documents",
            format!("{}{left_out}", grouped(self.documents)),
        )?;
        line(
            "tokens",
            format!(
                "{}, {} with a line through their losses",
                grouped(self.tokens),
                grouped(self.fitted)
            ),
        )?;
        write!(
            f,
            "\n{}\n{}",
            self.table_of_categories(),
            self.table_of_fluctuating()
        )?;
        write!(f, "\n{}", self.table_of_selected())
    }
}

impl Summary {
    fn table_of_categories(&self) -> String {
        let mut table = Table::new([
            "category",
            "tokens",
            "share",
            "paper",
            "first, nats",
            "last, nats",
        ]);
        let nats = |loss: Option<&Option<f64>>| match loss.copied().flatten() {
            Some(loss) => format!("{loss:.3}"),
            None => "-".to_owned(),
        };
        for category in &self.categories {
            table.row([
                category.name.clone(),
                grouped(category.tokens),
                format!("{:.1} %", category.share * 100.0),
                format!("{:.0} %", category.paper * 100.0),
                nats(category.curve.first()),
                nats(category.curve.last()),
            ]);
        }
        table.lines(usize::MAX)
    }

    fn table_of_fluctuating(&self) -> String {
        if self.fluctuating.is_empty() {
            return String::new();
        }
        let columns = [
            "fluctuates most",
            "token",
            "times",
            "variance",
            "losses, nats",
        ];
        let mut table = Table::new(columns).with_text(1).with_text(4);
        for group in self.fluctuating_tokens().iter().take(SHOWN) {
            let token = group[0];
            let line = |text: &str| safe(&text.replace(['\n', '\t'], " ")).into_owned();
            let before = line(&token.before);
            let skip = before.chars().count().saturating_sub(CONTEXT);
            let before: String = before.chars().skip(skip).collect();
            let losses: Vec<String> = token.losses.iter().map(|l| format!("{l:.1}")).collect();
            table.row([
                shorten(&before, CONTEXT).into_owned(),
                format!("[{}]", line(&token.text)),
                group.len().to_string(),
                format!("{:.3}", token.variance),
                losses.join(" "),
            ]);
        }
        table.lines(usize::MAX)
    }

    fn table_of_selected(&self) -> String {
        let Some(selection) = &self.selection else {
            return "what each checkpoint would select is not shown: it needs --reference"
                .to_owned();
        };
        let keep = format!("{:.0} %", selection.keep * 100.0);
        if self.checkpoints.len() > WIDEST {
            return format!(
                "perplexity of the {keep} of tokens that each checkpoint would select, under each: see summary.json or \
                 report"
            );
        }
        let names = |c: &CheckpointSummary| safe(&c.name).into_owned();
        let head = std::iter::once("perplexity under".to_owned());
        let mut table = Table::new(head.chain(self.checkpoints.iter().map(names)));
        let numbers = |row: &[f64]| -> Vec<String> {
            row.iter()
                .map(|perplexity| format!("{perplexity:.2}"))
                .collect()
        };
        for (checkpoint, row) in self.checkpoints.iter().zip(&selection.perplexity) {
            let name = format!("{keep} selected by {}", safe(&checkpoint.name));
            table.row(std::iter::once(name).chain(numbers(row)));
        }
        let all: Vec<f64> = self.checkpoints.iter().map(|c| c.perplexity).collect();
        table.row(std::iter::once("all tokens".to_owned()).chain(numbers(&all)));
        table.lines(usize::MAX).trim_end().to_owned()
    }
}
