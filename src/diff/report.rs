//! The numbers of a comparison, as `diff --json` prints them.

use serde::Serialize;

use super::{
    agreement::{Agreement, Bits, Numbers},
    compare::Compared,
};
use crate::cli::{DiffArgs, JoinKey};

/// A comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(super) a: String,
    pub(super) b: String,
    pub(super) join: JoinKey,
    /// Whether nothing differs.
    pub(crate) equal: bool,
    /// The columns that only one side has.
    pub(super) columns_only_a: Vec<String>,
    pub(super) columns_only_b: Vec<String>,
    /// The fields of the metadata that differ; they do not count for `equal`.
    pub(super) settings: Vec<String>,
    pub(super) total: Told,
    pub(super) sources: Vec<ToldSource>,
    /// The first documents of one side alone, by shard and row.
    pub(super) only_a: Vec<Name>,
    pub(super) only_b: Vec<Name>,
    #[serde(skip)]
    pub(super) by_source: Vec<(Option<String>, Agreement)>,
    #[serde(skip)]
    columns: [Vec<String>; 2],
}

#[derive(Debug, Serialize)]
pub(super) struct Name {
    pub(super) shard: String,
    pub(super) row: i64,
}

/// The numbers of one source.
#[derive(Debug, Serialize)]
pub(super) struct ToldSource {
    pub(super) source: Option<String>,
    #[serde(flatten)]
    pub(super) told: Told,
}

/// The numbers of some documents.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    /// Documents that both have.
    pub(super) documents: u64,
    pub(super) only_a: u64,
    pub(super) only_b: u64,
    pub(super) other_tokens: u64,
    pub(super) other_id: u64,
    pub(super) other_source: u64,
    /// Tokens of the documents that both have with the same token ids.
    pub(super) tokens: u64,
    pub(super) tokens_only_a: u64,
    pub(super) tokens_only_b: u64,
    pub(super) masks: Vec<ToldMask>,
    /// Scores and weights.
    pub(super) scores: Vec<ToldNumbers>,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldMask {
    pub(super) column: String,
    pub(super) equal: u64,
    pub(super) both: u64,
    pub(super) only_a: u64,
    pub(super) only_b: u64,
    pub(super) neither: u64,
    pub(super) jaccard: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct ToldNumbers {
    pub(super) column: String,
    pub(super) both: u64,
    pub(super) only_a: u64,
    pub(super) only_b: u64,
    pub(super) equal: u64,
    pub(super) infinite: u64,
    pub(super) max_difference: Option<f64>,
    pub(super) mean_difference: Option<f64>,
    pub(super) correlation: Option<f64>,
}

impl Report {
    /// The report of a comparison.
    pub(crate) fn of(args: &DiffArgs, compared: &Compared) -> Self {
        let columns = [
            compared.columns.masks.clone(),
            compared.columns.numbers.clone(),
        ];
        let [columns_only_a, columns_only_b] = compared.columns_only.clone();
        let names = |side: usize| {
            let names = compared.named[side].iter();
            names
                .map(|(shard, row)| Name {
                    shard: shard.clone(),
                    row: *row,
                })
                .collect()
        };
        let sources = compared.sources.iter();
        Self {
            a: args.a.display().to_string(),
            b: args.b.display().to_string(),
            join: args.join,
            equal: compared.total.is_whole()
                && columns_only_a.is_empty()
                && columns_only_b.is_empty(),
            columns_only_a,
            columns_only_b,
            settings: compared.settings.clone(),
            total: told(&compared.total, &columns),
            sources: sources
                .map(|(source, agreement)| ToldSource {
                    source: source.clone(),
                    told: told(agreement, &columns),
                })
                .collect(),
            only_a: names(0),
            only_b: names(1),
            by_source: compared.sources.clone().into_iter().collect(),
            columns,
        }
    }

    /// The numbers of several sources as one.
    pub(super) fn sum<'a>(&self, sources: impl Iterator<Item = &'a Agreement>) -> Option<Told> {
        let mut sum: Option<Agreement> = None;
        for source in sources {
            match &mut sum {
                Some(sum) => sum.merge(source),
                none => *none = Some(source.clone()),
            }
        }
        sum.map(|sum| told(&sum, &self.columns))
    }
}

fn told(agreement: &Agreement, [masks, numbers]: &[Vec<String>; 2]) -> Told {
    let mask = |(column, bits): (&String, &Bits)| ToldMask {
        column: column.clone(),
        equal: bits.equal(),
        both: bits.both,
        only_a: bits.only[0],
        only_b: bits.only[1],
        neither: bits.neither,
        jaccard: bits.jaccard(),
    };
    let number = |(column, numbers): (&String, &Numbers)| ToldNumbers {
        column: column.clone(),
        both: numbers.both,
        only_a: numbers.only[0],
        only_b: numbers.only[1],
        equal: numbers.equal,
        infinite: numbers.infinite,
        max_difference: numbers.max_difference(),
        mean_difference: numbers.mean_difference(),
        correlation: numbers.correlation(),
    };
    Told {
        documents: agreement.documents,
        only_a: agreement.only[0],
        only_b: agreement.only[1],
        other_tokens: agreement.other_tokens,
        other_id: agreement.other_id,
        other_source: agreement.other_source,
        tokens: agreement.tokens,
        tokens_only_a: agreement.only_tokens[0],
        tokens_only_b: agreement.only_tokens[1],
        masks: masks.iter().zip(&agreement.masks).map(mask).collect(),
        scores: numbers.iter().zip(&agreement.numbers).map(number).collect(),
    }
}
