//! Selects whole documents by a value of each: the mean or median of its scored tokens, or the share of them that a mask
//! keeps. Exact: the values of all documents are on disk while they are ranked, eight bytes each.

use rho_selection::{Combine, Direction, KeepRatio, WIDE_UNSCORED, WideRank};
use serde::{Deserialize, Serialize};

use super::filter::numbers::{Loaded, Needed, Statistic};
use crate::{
    cli::{DirectionName, RuleName, SelectArgs, SelectBy, StatisticName},
    hinted_error::HintedError,
    metadata::DocumentSelection,
    on_disk::{Bits, Items},
    selections::{
        default_mask::{USUAL_MASK, chosen},
        options::{self, Columns},
        rule::{ENTROPY, EXCESS, LOSS, Source},
    },
    stop::Stop,
};

/// The share of the documents if --keep is not given: that of tokens.
const DEFAULT_KEEP: f64 = 0.7;
/// Documents whose values are in memory at a time.
const BLOCK: u64 = 1 << 16;

/// How whole documents are selected.
#[derive(Debug, Clone)]
pub(super) struct DocumentRule {
    /// Without counts.
    metadata: DocumentSelection,
    direction: Direction,
    keep: KeepRatio,
    /// The one number of a document that is ranked.
    number: Needed,
}

/// What the ranking of all documents gave.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Ranking {
    /// Documents with a value.
    pub(super) scored: u64,
    pub(super) kept: u64,
    /// The last value that is kept; none if it is infinite, or nothing is kept.
    pub(super) last: Option<f64>,
}

impl DocumentRule {
    /// From the arguments, for masks with these columns.
    pub(super) fn resolve(
        args: &SelectArgs,
        scores: &[&str],
        masks: &[String],
    ) -> anyhow::Result<Self> {
        let Some(by) = &args.by else {
            return Err(HintedError::error(
                "--documents: expected --by with it, got none",
                "say what documents are ranked by: --by loss, entropy, excess, kept or column:NAME",
            ));
        };
        if let Some(option) = options::first_given(&args.selection, true) {
            return Err(HintedError::error(
                format!(
                    "{option}: expected an option that belongs to --documents, got one that does not"
                ),
                "omit it; --documents takes --by, --keep, --statistic, --direction, --mask and --combine, and ranks all documents of the corpus",
            ));
        }
        let columns = columns(args, Direction::High);
        if args.combine.is_some() && columns.is_none() {
            return Err(HintedError::error(
                "--combine: expected --by column:NAME,NAME with it, got another rule",
                "omit it",
            ));
        }
        let mut number = Needed::with(
            scores,
            &masks.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let mut metadata = DocumentSelection::default();
        let statistic = args.statistic.unwrap_or_default();
        let mut low = false;
        let source = match by {
            SelectBy::Rule(RuleName::Loss) => {
                low = true;
                Some((LOSS, Source::Column(LOSS.to_owned())))
            }
            SelectBy::Rule(RuleName::Entropy) => {
                low = true;
                Some((ENTROPY, Source::Column(ENTROPY.to_owned())))
            }
            SelectBy::Rule(RuleName::Excess) => Some((EXCESS, options::excess(scores))),
            SelectBy::Rule(other) => {
                let other = serde_json::json!(other);
                return Err(HintedError::error(
                    format!(
                        "--by {}: expected loss, entropy, excess, kept or column:NAME with --documents, got a rule for tokens",
                        other.as_str().unwrap_or_default()
                    ),
                    "omit --documents to select tokens",
                ));
            }
            SelectBy::Kept => None,
            SelectBy::Columns(_) => None,
        };
        if let Some((name, source)) = source {
            must_exist(&source, scores)?;
            metadata.by = name.to_owned();
            number.add_statistic(statistic.into(), source);
        } else if let Some(columns) = columns {
            metadata.by = columns.name();
            metadata.columns = Some(columns.names.clone());
            metadata.combine = columns.combine.map(|combine| combine.name().to_owned());
            number.add_statistic(statistic.into(), columns.source(scores)?);
        } else {
            if args.statistic.is_some() {
                return Err(HintedError::error(
                    "--statistic: expected scores to compute it from, got --by kept, which is a share",
                    "omit it",
                ));
            }
            let mask = chosen(args.mask.as_deref(), masks, USUAL_MASK);
            let mask = mask.ok_or_else(|| no_mask(args.mask.as_deref(), masks))?;
            metadata.by = "kept".to_owned();
            number.add_share(mask.clone())?;
            metadata.mask = Some(mask);
        }
        if metadata.mask.is_none() {
            let name = serde_json::json!(statistic);
            metadata.statistic = name.as_str().map(str::to_owned);
            if args.mask.is_some() {
                return Err(HintedError::error(
                    "--mask: expected --by kept with it, got another rule",
                    "omit it",
                ));
            }
        }
        let direction = match args.direction {
            Some(DirectionName::Lowest) => Direction::Low,
            Some(DirectionName::Highest) => Direction::High,
            None if low => Direction::Low,
            None => Direction::High,
        };
        let keep = match args.selection.keep {
            Some(keep) => keep,
            None => KeepRatio::new(DEFAULT_KEEP)?,
        };
        let share = Some(keep.get());
        match direction {
            Direction::Low => metadata.keep_lowest = share,
            Direction::High => metadata.keep_highest = share,
        }
        Ok(Self {
            metadata,
            direction,
            keep,
            number,
        })
    }

    /// Its entry in the metadata; with the counts, if they are known.
    pub(super) fn metadata(&self, ranking: Option<&Ranking>) -> DocumentSelection {
        let mut metadata = self.metadata.clone();
        if let Some(ranking) = ranking {
            metadata.scored = Some(ranking.scored);
            metadata.kept = Some(ranking.kept);
            match self.direction {
                Direction::Low => metadata.highest_kept = Some(ranking.last),
                Direction::High => metadata.lowest_kept = Some(ranking.last),
            }
        }
        metadata
    }

    /// The columns that it needs.
    pub(super) fn columns(&self) -> Vec<&str> {
        self.number.columns()
    }

    /// The keys of documents, in order; lower keys rank first.
    pub(super) fn keys(&self, batch: &rho_formats::MaskBatch) -> anyhow::Result<Vec<u64>> {
        let loaded: Loaded = self.number.load(batch)?;
        let documents = batch.documents();
        let key = |tokens| match self.number.number(0, &loaded, &tokens) {
            Some(value) => self.direction.wide_key(value),
            None => WIDE_UNSCORED,
        };
        Ok(documents.map(key).collect())
    }

    /// Sets the bits of the documents that are not kept; none if the run is stopped.
    pub(super) fn rank(
        &self,
        keys: &Items<u64>,
        count: u64,
        dropped: &Bits,
        stop: &Stop,
    ) -> anyhow::Result<Option<Ranking>> {
        let blocks = || (0..count).step_by(BLOCK as usize);
        let mut block = Vec::new();
        let mut read = |first: u64| {
            block.clear();
            keys.read(first..count.min(first + BLOCK), &mut block)?;
            anyhow::Ok((!stop.requested()).then(|| block.clone()))
        };
        let mut scored = 0;
        for first in blocks() {
            let Some(keys) = read(first)? else {
                return Ok(None);
            };
            scored += keys.iter().filter(|&&key| key != WIDE_UNSCORED).count();
        }
        let kept = self.keep.kept(scored) as u64;
        // The key of the last document that is kept, and how many with this key are.
        let mut last = None;
        if kept > 0 {
            let mut search = WideRank::new(kept - 1);
            while last.is_none() {
                for first in blocks() {
                    let Some(keys) = read(first)? else {
                        return Ok(None);
                    };
                    search.count(&keys);
                }
                last = search.end_pass();
            }
        }
        let mut left = last.map_or(0, |(_, before)| before + 1);
        let mut setting = dropped.set();
        for first in blocks() {
            let Some(keys) = read(first)? else {
                return Ok(None);
            };
            for (document, key) in (first..).zip(keys) {
                let is_kept = match last {
                    Some((last, _)) if key == last => {
                        let is_first = left > 0;
                        left -= u64::from(is_first);
                        is_first
                    }
                    Some((last, _)) => key < last,
                    None => false,
                };
                if !is_kept {
                    setting.set(document)?;
                }
            }
        }
        setting.end()?;
        let last = last.map(|(key, _)| self.direction.wide_score(key));
        Ok(Some(Ranking {
            scored: scored as u64,
            kept,
            last: last.filter(|score| score.is_finite()),
        }))
    }
}

/// The columns of `--by column:NAME`, with the direction that was asked for.
pub(super) fn columns(args: &SelectArgs, default: Direction) -> Option<Columns> {
    use crate::cli::ColumnCombination as Way;
    let Some(SelectBy::Columns(names)) = &args.by else {
        return None;
    };
    Some(Columns {
        names: names.clone(),
        combine: args.combine.map(|combine| match combine {
            Way::Min => Combine::Min,
            Way::Max => Combine::Max,
            Way::Mean => Combine::Mean,
            Way::Product => Combine::Product,
        }),
        direction: match args.direction {
            Some(DirectionName::Lowest) => Direction::Low,
            Some(DirectionName::Highest) => Direction::High,
            None => default,
        },
    })
}

fn must_exist(source: &Source, scores: &[&str]) -> anyhow::Result<()> {
    let Some(missing) = source
        .columns()
        .into_iter()
        .find(|name| !scores.contains(name))
    else {
        return Ok(());
    };
    let got = match scores.is_empty() {
        true => "none".to_owned(),
        false => scores.join(", "),
    };
    Err(HintedError::error(
        format!("--documents: expected a score column {missing:?}, got {got}"),
        "name a rule or a column for which these masks have scores",
    ))
}

fn no_mask(named: Option<&str>, there: &[String]) -> anyhow::Error {
    let what = named.map_or("a mask column".to_owned(), |name| {
        format!("a mask column {name:?}")
    });
    let got = match there.is_empty() {
        true => "none".to_owned(),
        false => there.join(", "),
    };
    HintedError::error(
        format!("--by kept: expected {what}, got {got}"),
        "name the mask column with --mask",
    )
}

impl From<StatisticName> for Statistic {
    fn from(name: StatisticName) -> Self {
        match name {
            StatisticName::Mean => Self::Mean,
            StatisticName::Median => Self::Median,
        }
    }
}
