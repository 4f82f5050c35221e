//! What came of it: for people as tables, for programs as `summary.json`, for `show` and `report` as they read it back.

use std::fmt;

use rho_selection::Direction;
use serde::{Deserialize, Serialize};

use super::{
    CATEGORIES, PAPER_SHARES,
    counted::{Counts, Fluctuating},
    cuts::{Cuts, TIMES},
    plan::{DynamicsPlan, loss_column},
};
use crate::{
    look::{
        drawn::Drawn,
        pieces::Pieces,
        screen::{safe, shorten},
        table::Table,
    },
    pipeline::summary::grouped,
};

/// Everything that is told of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Tokens that have a line: those that every checkpoint has a loss of.
    pub(crate) fitted: u64,
    /// Shards of the corpus.
    pub(crate) shards: u64,
    /// Shards that ended early.
    pub(crate) broken_shards: u64,
    /// Rows that hold no document; rejected.jsonl says why.
    pub(crate) rejected: u64,
    /// In the order of training.
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) reference: Option<Reference>,
    /// Nats of change from which a token falls or rises.
    pub(crate) threshold: f64,
    /// In the order of their codes.
    pub(crate) categories: Vec<Category>,
    /// What each checkpoint would select; none without a reference.
    pub(crate) selection: Option<Selection>,
    pub(crate) preference: Preference,
    /// The highest variance first.
    pub(crate) fluctuating: Vec<Token>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) step: Option<u64>,
    /// Its place on the line.
    pub(crate) x: f64,
    /// The column of its losses.
    pub(crate) column: String,
    /// Of the tokens that have a line, in nats.
    pub(crate) mean_loss: f64,
    pub(crate) perplexity: f64,
}

/// The reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) mean_loss: f64,
    pub(crate) perplexity: f64,
}

/// A category of tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Category {
    pub(crate) name: String,
    pub(crate) tokens: u64,
    /// Of the tokens that have a line.
    pub(crate) share: f64,
    /// What the paper found.
    pub(crate) paper: f64,
    /// Their mean loss under each checkpoint, in nats; none where there are none.
    pub(crate) curve: Vec<Option<f64>>,
}

/// What each checkpoint would select.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// The share of the tokens that have a line.
    pub(crate) keep: f64,
    /// How many each checkpoint selects.
    pub(crate) tokens: Vec<u64>,
    /// The lowest excess loss that each checkpoint selects, in nats.
    pub(crate) lowest_excess: Vec<f32>,
    /// `perplexity[j][i]`: of the tokens that checkpoint j selects, under checkpoint i.
    pub(crate) perplexity: Vec<Vec<f64>>,
}

/// Five levels of preference at four times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preference {
    /// `excess`, or `loss` where there is no reference; high ones are preferred.
    pub(crate) by: String,
    pub(crate) times: Vec<Time>,
}

/// One of the times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Time {
    /// The share of the way from the first checkpoint to the last that was asked for.
    pub(crate) share: f64,
    /// The column of the checkpoint nearest to it.
    pub(crate) column: String,
    /// The lowest scores of levels 5, 4, 3 and 2, in nats: fifths of all tokens that have a line.
    pub(crate) bounds: [f32; 4],
}

/// A token that fluctuates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) document: String,
    pub(crate) shard: String,
    pub(crate) row: i64,
    /// Its place in the document.
    pub(crate) token: usize,
    pub(crate) id: u32,
    pub(crate) before: String,
    pub(crate) text: String,
    pub(crate) after: String,
    pub(crate) category: String,
    /// About its own line, in nats squared.
    pub(crate) variance: f64,
    /// In nats by place.
    pub(crate) slope: f64,
    pub(crate) l_start: f64,
    pub(crate) l_end: f64,
    pub(crate) losses: Vec<f32>,
}

/// What is known of the corpus beside its tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Corpus {
    pub(super) shards: u64,
    pub(super) broken_shards: u64,
    pub(super) rejected: u64,
}

impl Summary {
    /// Of what was counted.
    pub(super) fn of(
        plan: &DynamicsPlan,
        corpus: Corpus,
        cuts: &Cuts,
        counts: &Counts,
        pieces: Option<&Pieces<'_>>,
    ) -> Self {
        let numbered = (1..).zip(&plan.checkpoints).zip(&plan.x).zip(&cuts.means);
        let checkpoints = numbered.map(|(((number, scored), &x), &mean_loss)| Checkpoint {
            name: scored.named.name.clone(),
            step: scored.named.step,
            x,
            column: loss_column(number),
            mean_loss,
            perplexity: mean_loss.exp(),
        });
        let categories = (0..CATEGORIES.len()).map(|i| {
            let tokens = counts.categories[i];
            let mean = |sum: &f64| (tokens > 0).then(|| sum / tokens as f64);
            Category {
                name: CATEGORIES[i].to_owned(),
                tokens,
                share: tokens as f64 / counts.fitted.max(1) as f64,
                paper: PAPER_SHARES[i],
                curve: counts.curves[i].iter().map(mean).collect(),
            }
        });
        let times = TIMES.iter().zip(&cuts.times);
        let times = times.map(|(&share, &(checkpoint, bounds))| Time {
            share,
            column: loss_column(checkpoint + 1),
            bounds,
        });
        let by = if plan.reference.is_some() {
            "excess"
        } else {
            "loss"
        };
        Self {
            documents: counts.documents,
            tokens: counts.tokens,
            fitted: counts.fitted,
            shards: corpus.shards,
            broken_shards: corpus.broken_shards,
            rejected: corpus.rejected,
            checkpoints: checkpoints.collect(),
            reference: cuts.reference_mean.map(|mean_loss| Reference {
                mean_loss,
                perplexity: mean_loss.exp(),
            }),
            threshold: plan.threshold,
            categories: categories.collect(),
            selection: plan
                .reference
                .is_some()
                .then(|| selection(plan, cuts, counts)),
            preference: Preference {
                by: by.to_owned(),
                times: times.collect(),
            },
            fluctuating: counts
                .fluctuating
                .tokens
                .iter()
                .map(|token| Token::of(token, pieces))
                .collect(),
        }
    }

    /// Whether something of the corpus was left out.
    pub(crate) fn incomplete(&self) -> bool {
        self.rejected > 0 || self.broken_shards > 0
    }
}

fn selection(plan: &DynamicsPlan, cuts: &Cuts, counts: &Counts) -> Selection {
    let lowest = |cut: &rho_selection::Cut| {
        let (_, last) = cut.bounds();
        last.map_or(f32::MAX, |key| Direction::High.score(key))
    };
    let perplexity = counts.selected.iter().map(|selected| {
        let mean = |sum: &f64| (sum / selected.tokens.max(1) as f64).exp();
        selected.losses.iter().map(mean).collect()
    });
    Selection {
        keep: plan.keep.get(),
        tokens: counts.selected.iter().map(|s| s.tokens).collect(),
        lowest_excess: cuts.selected.iter().map(lowest).collect(),
        perplexity: perplexity.collect(),
    }
}

impl Token {
    fn of(token: &Fluctuating, pieces: Option<&Pieces<'_>>) -> Self {
        let ids = [&token.before[..], &[token.id], &token.after[..]].concat();
        let drawn = Drawn::of(&ids, pieces);
        let at = token.before.len();
        let text =
            |range: std::ops::Range<usize>| -> String { range.map(|i| drawn.token(i)).collect() };
        Self {
            document: token.document.clone(),
            shard: token.shard.clone(),
            row: token.row,
            token: token.token,
            id: token.id,
            // It may begin within a character.
            before: text(0..at)
                .trim_start_matches(char::REPLACEMENT_CHARACTER)
                .to_owned(),
            text: text(at..at + 1),
            after: text(at + 1..ids.len()),
            category: CATEGORIES[usize::from(token.category)].to_owned(),
            variance: token.variance,
            slope: token.slope,
            l_start: token.start,
            l_end: token.end,
            losses: token.losses.clone(),
        }
    }
}

/// Tokens that fluctuate, in what is printed.
const SHOWN: usize = 5;
/// Checkpoints up to which the matrix of perplexities is printed.
const WIDEST: usize = 9;
/// Columns of the text before a token.
const CONTEXT: usize = 36;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |checkpoint: Option<&Checkpoint>| {
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
        let mut table = Table::new(["fluctuates most", "token", "variance", "losses, nats"])
            .with_text(1)
            .with_text(3);
        for token in self.fluctuating.iter().take(SHOWN) {
            let line = |text: &str| safe(&text.replace(['\n', '\t'], " ")).into_owned();
            let before = line(&token.before);
            let skip = before.chars().count().saturating_sub(CONTEXT);
            let before: String = before.chars().skip(skip).collect();
            let losses: Vec<String> = token.losses.iter().map(|l| format!("{l:.1}")).collect();
            table.row([
                shorten(&before, CONTEXT).into_owned(),
                format!("[{}]", line(&token.text)),
                format!("{:.3}", token.variance),
                losses.join(" "),
            ]);
        }
        table.lines(usize::MAX)
    }

    fn table_of_selected(&self) -> String {
        let Some(selection) = &self.selection else {
            return "what each checkpoint would select is not told: it needs --reference\n"
                .to_owned();
        };
        let keep = format!("{:.0} %", selection.keep * 100.0);
        if self.checkpoints.len() > WIDEST {
            return format!(
                "perplexity of the {keep} of tokens that each checkpoint would select, under each: see summary.json or \
                 report\n"
            );
        }
        let names = |c: &Checkpoint| safe(&c.name).into_owned();
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
        table.lines(usize::MAX)
    }
}
