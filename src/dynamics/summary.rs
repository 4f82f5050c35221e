//! The results: `summary.json`, which programs, `show` and `report` read. `display` prints them as tables.

use std::path::Path;

use anyhow::Context as _;
use rho_selection::Direction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CATEGORIES, PAPER_SHARES,
    counts::{Counts, Fluctuating},
    cuts::{Cuts, TIMES},
    plan::{DynamicsPlan, loss_column},
};
use crate::tokenization::{token_bytes::TokenBytes, token_texts::TokenTexts};

/// The file that is written last.
pub(super) const SUMMARY: &str = "summary.json";

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Tokens that have a line: those with a loss under every checkpoint.
    pub(crate) fitted: u64,
    /// Shards of the corpus.
    pub(crate) shards: u64,
    /// Shards that ended early.
    pub(crate) broken_shards: u64,
    /// Rows that hold no document; rejected.jsonl says why.
    pub(crate) rejected: u64,
    /// In the order of training.
    pub(crate) checkpoints: Vec<CheckpointSummary>,
    pub(crate) reference: Option<Reference>,
    /// A token falls or rises if its change exceeds this, in nats.
    pub(crate) threshold: f64,
    /// In the order of the codes.
    pub(crate) categories: Vec<Category>,
    /// What each checkpoint would select; None without a reference.
    pub(crate) selection: Option<Selection>,
    pub(crate) preference: Preference,
    /// Highest variance first.
    pub(crate) fluctuating: Vec<Token>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointSummary {
    pub(crate) name: String,
    pub(crate) step: Option<u64>,
    /// Its position on the x axis.
    pub(crate) x: f64,
    /// The column of its losses.
    pub(crate) column: String,
    /// Mean over the tokens that have a line, in nats.
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
    /// The share of the tokens that have a line.
    pub(crate) share: f64,
    /// The share in the paper.
    pub(crate) paper: f64,
    /// The mean loss of its tokens under each checkpoint, in nats; None for a category without tokens.
    pub(crate) curve: Vec<Option<f64>>,
}

/// What each checkpoint would select.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// The share of the tokens that have a line.
    pub(crate) keep: f64,
    /// The number of tokens that each checkpoint selects.
    pub(crate) tokens: Vec<u64>,
    /// The lowest excess loss that each checkpoint selects, in nats.
    pub(crate) lowest_excess: Vec<f32>,
    /// `perplexity[j][i]`: perplexity of the tokens that checkpoint j selects, under checkpoint i.
    pub(crate) perplexity: Vec<Vec<f64>>,
}

/// Five levels of preference at four times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Preference {
    /// `excess`, or `loss` without a reference; high scores are preferred.
    pub(crate) by: String,
    pub(crate) times: Vec<Time>,
}

/// One of the four times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Time {
    /// The share of the way from the first checkpoint to the last.
    pub(crate) share: f64,
    /// The column of the nearest checkpoint.
    pub(crate) column: String,
    /// The lowest scores of levels 5, 4, 3 and 2, in nats: fifths of all tokens that have a line.
    pub(crate) bounds: [f32; 4],
}

/// A fluctuating token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) document: String,
    pub(crate) shard: String,
    pub(crate) row: i64,
    /// Its index in the document.
    pub(crate) token: usize,
    pub(crate) id: u32,
    pub(crate) before: String,
    pub(crate) text: String,
    pub(crate) after: String,
    pub(crate) category: String,
    /// Around its own line, in nats squared.
    pub(crate) variance: f64,
    /// In nats per unit of x.
    pub(crate) slope: f64,
    pub(crate) l_start: f64,
    pub(crate) l_end: f64,
    pub(crate) losses: Vec<f32>,
}

/// Counts of the corpus other than tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Corpus {
    pub(super) shards: u64,
    pub(super) broken_shards: u64,
    pub(super) rejected: u64,
}

impl Corpus {
    /// Reads the counts from the summary of a checkpoint's scores.
    pub(super) fn read(scores: &Path) -> anyhow::Result<Self> {
        let path = scores.join(SUMMARY);
        let read = || -> anyhow::Result<Self> {
            let summary: Value = serde_json::from_slice(&rho_files::read_named(&path)?)?;
            Ok(serde_json::from_value(summary)?)
        };
        read().with_context(|| format!("{}: cannot be read", path.display()))
    }
}

impl Summary {
    /// The summary of these counts.
    pub(super) fn of(
        plan: &DynamicsPlan,
        corpus: Corpus,
        cuts: &Cuts,
        counts: &Counts,
        pieces: Option<&TokenBytes<'_>>,
    ) -> Self {
        let numbered = (1..).zip(&plan.checkpoints).zip(&plan.x).zip(&cuts.means);
        let checkpoints = numbered.map(|(((number, scored), &x), &mean_loss)| CheckpointSummary {
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

    /// The fluctuating tokens by their ids, each with its occurrences in the list, highest variance first: a token that
    /// occurs in many documents is one token.
    pub(crate) fn fluctuating_tokens(&self) -> Vec<Vec<&Token>> {
        let mut groups: Vec<Vec<&Token>> = Vec::new();
        for token in &self.fluctuating {
            match groups.iter_mut().find(|group| group[0].id == token.id) {
                Some(group) => group.push(token),
                None => groups.push(vec![token]),
            }
        }
        groups
    }

    /// Whether part of the corpus was skipped.
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
    fn of(token: &Fluctuating, pieces: Option<&TokenBytes<'_>>) -> Self {
        let ids = [&token.before[..], &[token.id], &token.after[..]].concat();
        let drawn = TokenTexts::of(&ids, pieces);
        let at = token.before.len();
        let text =
            |range: std::ops::Range<usize>| -> String { range.map(|i| drawn.token(i)).collect() };
        Self {
            document: token.document.clone(),
            shard: token.shard.clone(),
            row: token.row,
            token: token.token,
            id: token.id,
            // The first token may start inside a character.
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
