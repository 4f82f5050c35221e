//! Resolves the selection options of `score` and `select` into a rule and a scope. Every invalid option is found here,
//! except missing columns.

use anyhow::Context as _;
use rho_selection::{Batches, Bounds, Combine, Direction, Formula, KeepRatio, Share, Weights};
use serde_json::json;

use super::keep_by::KeepBy;
use super::rule::{Combined, ENTROPY, EXCESS, LOSS, Pick, Rule, Scope, Selection, Source};
use crate::{
    cli::{FormulaName, RuleName, ScopeName, SelectionArgs},
    hinted_error::HintedError,
};

/// The intersection of loss 70 % and entropy 70 % was best in the paper's appendix H.
const DEFAULT_KEEP: f64 = 0.7;
/// Most tokens of a scope `batch`, which are in memory at once.
const MOST_BATCH: usize = 1 << 32;

/// Columns to rank by.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    /// How several become one.
    pub(crate) combine: Option<Combine>,
    pub(crate) direction: Direction,
}

/// The rule and the scope of these options, for masks with these score columns.
pub(crate) fn resolve(
    by: RuleName,
    args: &SelectionArgs,
    there: &[&str],
) -> anyhow::Result<(Rule, Scope)> {
    must_belong(by, args)?;
    let rule = rule(by, args, there, None)?;
    let scope = scope(args, &rule)?;
    Ok((rule, scope))
}

/// The same for a rule that ranks by columns.
pub(crate) fn resolve_columns(
    columns: &Columns,
    args: &SelectionArgs,
    there: &[&str],
) -> anyhow::Result<(Rule, Scope)> {
    must_belong(RuleName::Column, args)?;
    let rule = rule(RuleName::Column, args, there, Some(columns))?;
    let scope = scope(args, &rule)?;
    Ok((rule, scope))
}

/// The first option of a selection of tokens that was given; of `--keep` only if it does not belong either.
pub(crate) fn first_given(args: &SelectionArgs, keep_belongs: bool) -> Option<&'static str> {
    let options = options(RuleName::Loss, args);
    let mut given = options.iter().filter(|option| option.1);
    given
        .find(|option| !(keep_belongs && option.0 == "--keep"))
        .map(|option| option.0)
}

impl Columns {
    /// The name of their mask or weight column, without its prefix.
    pub(crate) fn name(&self) -> String {
        let combine = self.combine.map(Combine::name);
        let names = self.names.iter().map(String::as_str);
        combine
            .into_iter()
            .chain(names)
            .collect::<Vec<_>>()
            .join("_")
    }

    /// Where their scores come from, in masks with these score columns.
    ///
    /// # Errors
    /// If one does not exist or is named twice, or it is not said how several become one.
    pub(crate) fn source(&self, there: &[&str]) -> anyhow::Result<Source> {
        let named = format!("--by column:{}", self.names.join(","));
        let mut parts = Vec::new();
        for name in &self.names {
            let part = match name.as_str() {
                EXCESS => excess(there),
                name => Source::Column(name.to_owned()),
            };
            if let Some(missing) = part.columns().iter().find(|name| !there.contains(name)) {
                let likeness = |name: &&&str| (strsim::jaro_winkler(missing, name) * 1e6) as u64;
                let hint = match there.iter().max_by_key(likeness) {
                    Some(closest) => {
                        format!(
                            "the closest is {closest:?}; these masks have {}",
                            there.join(", ")
                        )
                    }
                    None => "these masks have no scores".to_owned(),
                };
                return Err(HintedError::error(
                    format!("{named}: expected a score column of the masks, got {missing:?}"),
                    hint,
                ));
            }
            if parts.contains(&part) {
                return Err(HintedError::error(
                    format!("{named}: expected each column once, got {name:?} twice"),
                    "omit one of them",
                ));
            }
            parts.push(part);
        }
        let combine = match (parts.len(), self.combine) {
            (1, None) => Combine::Mean,
            (1, Some(_)) => {
                return Err(HintedError::error(
                    format!("--combine: expected several columns to combine, got {named}"),
                    "omit it, or name several columns: --by column:loss,quality",
                ));
            }
            (_, Some(combine)) => combine,
            (_, None) => {
                return Err(HintedError::error(
                    format!("{named}: expected --combine with several columns, got none"),
                    "say how their scores of a token become one: --combine min, max, mean or product",
                ));
            }
        };
        let of_others = |name: &&&str| !self.names.iter().any(|own| own == **name);
        let scored = match there.contains(&LOSS) {
            true => LOSS.to_owned(),
            false => {
                let first = there.iter().find(of_others);
                first.map_or_else(|| self.names[0].clone(), |first| (*first).to_owned())
            }
        };
        Ok(Source::Columns {
            parts,
            combine,
            scored,
        })
    }
}

/// Excess loss: its column, else computed.
pub(crate) fn excess(there: &[&str]) -> Source {
    match there.contains(&EXCESS) {
        true => Source::Column(EXCESS.to_owned()),
        false => Source::Excess,
    }
}

/// The options of selections: the name, whether it was given, and whether it belongs to the rule.
fn options(by: RuleName, args: &SelectionArgs) -> [(&'static str, bool, bool); 16] {
    use RuleName::{Band, Column, Entropy, Excess, Intersection, Loss, Random, Threshold, Union};
    let weights = args.weights.is_some();
    let both = matches!(by, Intersection | Union);
    let ranked = by != Threshold && matches!(args.weights, None | Some(FormulaName::Rank));
    [
        (
            "--keep",
            args.keep.is_some(),
            !weights && !matches!(by, Threshold | Band),
        ),
        (
            "--keep-by",
            !args.keep_by.is_empty(),
            !weights && !matches!(by, Threshold | Band),
        ),
        ("--keep-loss", args.keep_loss.is_some(), both),
        ("--keep-entropy", args.keep_entropy.is_some(), both),
        ("--scope", args.scope.is_some(), ranked),
        ("--batch", args.batch.is_some(), ranked),
        ("--seed", args.seed.is_some(), by == Random),
        (
            "--score",
            args.score.is_some(),
            matches!(by, Threshold | Band),
        ),
        ("--above", args.above.is_some(), by == Threshold),
        ("--below", args.below.is_some(), by == Threshold),
        ("--drop-easiest", args.drop_easiest.is_some(), by == Band),
        ("--drop-hardest", args.drop_hardest.is_some(), by == Band),
        (
            "--weights",
            weights,
            matches!(by, Loss | Entropy | Excess | Column),
        ),
        (
            "--temperature",
            args.temperature.is_some(),
            matches!(
                args.weights,
                Some(FormulaName::Sigmoid | FormulaName::Clipped | FormulaName::Entropy)
            ),
        ),
        ("--min-weight", args.min_weight.is_some(), weights),
        ("--max-weight", args.max_weight.is_some(), weights),
    ]
}

/// Refuses options of other rules.
fn must_belong(by: RuleName, args: &SelectionArgs) -> anyhow::Result<()> {
    let options = options(by, args);
    let rule = format!("--by {}", json!(by).as_str().unwrap_or_default());
    let by = match args.weights {
        Some(formula) => format!("{rule} --weights {formula}"),
        None => rule,
    };
    for (option, given, belongs) in options {
        if given && !belongs {
            let fits: Vec<&str> = options.iter().filter(|o| o.2).map(|o| o.0).collect();
            let fits = match fits.is_empty() {
                true => "no option of other rules".to_owned(),
                false => format!("one of {}", fits.join(", ")),
            };
            return Err(HintedError::error(
                format!("{option}: expected an option that belongs to {by}, got one that does not"),
                format!("omit it; {by} takes {fits}"),
            ));
        }
    }
    if args.batch.is_some() && args.scope.unwrap_or_default() != ScopeName::Batch {
        return Err(HintedError::error(
            "--batch: expected --scope batch with it, got another scope",
            "omit one of them",
        ));
    }
    if let Some(tokens) = args.batch.filter(|&tokens| tokens > MOST_BATCH) {
        return Err(HintedError::error(
            format!("--batch: expected at most {MOST_BATCH} tokens, got {tokens}"),
            "use --scope corpus to rank all tokens of the corpus",
        ));
    }
    if args.batch == Some(0) {
        return Err(HintedError::error(
            "--batch: expected at least 1 token, got 0",
            "omit it for the default",
        ));
    }
    Ok(())
}

fn scope(args: &SelectionArgs, rule: &Rule) -> anyhow::Result<Scope> {
    let ranks = |selection: &Selection| match selection.pick {
        Pick::Ranked(..) => true,
        Pick::Weighed(weights) => matches!(weights.formula, Formula::Rank(_)),
        Pick::Bounded(_) => false,
    };
    if !rule.selections.iter().any(ranks) {
        return Ok(Scope::None);
    }
    match args.scope.unwrap_or_default() {
        ScopeName::Document => Ok(Scope::Document),
        ScopeName::Batch => Ok(Scope::Batch(args.batch.unwrap_or(Batches::PAPER))),
        ScopeName::Corpus if args.weights.is_some() => Err(HintedError::error(
            "--weights rank: expected --scope document or batch, got corpus",
            "use --scope batch with a large --batch, because ranking every token of a corpus in bounded memory needs a sort on disk",
        )),
        ScopeName::Corpus => Ok(Scope::Corpus),
    }
}

fn rule(
    by: RuleName,
    args: &SelectionArgs,
    there: &[&str],
    columns: Option<&Columns>,
) -> anyhow::Result<Rule> {
    let keep = |own: Option<KeepRatio>| match own.or(args.keep) {
        Some(ratio) => Ok(ratio),
        None => KeepRatio::new(DEFAULT_KEEP),
    };
    let best = |own, direction| keep(own).map(|k| Pick::Ranked(direction, Share::Best(k)));
    let excess = || excess(there);
    let column = |name: &str| Source::Column(name.to_owned());
    let named = || match args.score.as_deref().unwrap_or(LOSS) {
        EXCESS => excess(),
        name => column(name),
    };
    let one = |name: &str, source: Source, pick: Pick| Selection {
        name: name.to_owned(),
        source,
        pick,
    };
    let weighed = |direction, pick| match weights(by, args, direction)? {
        Some(weights) => anyhow::Ok(Pick::Weighed(weights)),
        None => Ok(pick),
    };
    use Direction::{High, Low};
    let (selections, combined) = match by {
        RuleName::Loss => {
            let pick = weighed(Low, best(None, Low)?)?;
            (vec![one("loss", column(LOSS), pick)], None)
        }
        RuleName::Entropy => {
            let pick = weighed(Low, best(None, Low)?)?;
            (vec![one(ENTROPY, column(ENTROPY), pick)], None)
        }
        RuleName::Excess => {
            let pick = weighed(High, best(None, High)?)?;
            (vec![one(EXCESS, excess(), pick)], None)
        }
        RuleName::Column => {
            let columns = columns.context("expected columns to rank by")?;
            let pick = weighed(columns.direction, best(None, columns.direction)?)?;
            let source = columns.source(there)?;
            (vec![one(&columns.name(), source, pick)], None)
        }
        RuleName::Random => {
            // A token counts as scored if it has a loss; without that column, a score in the first column.
            let scored = match there.first() {
                Some(first) if !there.contains(&LOSS) => first,
                _ => LOSS,
            };
            let source = Source::Random {
                seed: args.seed.unwrap_or(0),
                scored: scored.to_owned(),
            };
            (vec![one("random", source, best(None, Low)?)], None)
        }
        RuleName::Threshold => (
            vec![one("threshold", named(), Pick::Bounded(bounds(args)?))],
            None,
        ),
        RuleName::Band => (
            vec![one("band", named(), Pick::Ranked(Low, band(args)?))],
            None,
        ),
        RuleName::Intersection | RuleName::Union => {
            let combined = match by {
                RuleName::Union => Combined::Union,
                _ => Combined::Intersection,
            };
            let loss = one("loss", column(LOSS), best(args.keep_loss, Low)?);
            let entropy = one(ENTROPY, column(ENTROPY), best(args.keep_entropy, Low)?);
            (vec![loss, entropy], Some(combined))
        }
    };
    Ok(Rule {
        selections,
        combined,
        keep_by: KeepBy::read(&args.keep_by)?,
    })
}

fn bounds(args: &SelectionArgs) -> anyhow::Result<Bounds> {
    if args.above.is_none() && args.below.is_none() {
        return Err(HintedError::error(
            "--by threshold: expected --above or --below, got neither",
            "give the lowest or the highest score to keep, in nats",
        ));
    }
    for (option, given) in [("--above", args.above), ("--below", args.below)] {
        if let Some(bound) = given
            && !bound.is_finite()
        {
            return Err(HintedError::error(
                format!("{option}: expected a number of nats, got {bound}"),
                "omit it if there is no bound",
            ));
        }
    }
    let bounds = Bounds {
        least: args.above.unwrap_or(f32::NEG_INFINITY),
        most: args.below.unwrap_or(f32::INFINITY),
    };
    if bounds.least > bounds.most {
        return Err(HintedError::error(
            format!(
                "--above {}: expected at most --below {}, got more",
                bounds.least, bounds.most
            ),
            "choose --above below --below: tokens between them are kept",
        ));
    }
    Ok(bounds)
}

fn band(args: &SelectionArgs) -> anyhow::Result<Share> {
    let none = KeepRatio::new(0.0)?;
    if args.drop_easiest.is_none() && args.drop_hardest.is_none() {
        return Err(HintedError::error(
            "--by band: expected --drop-easiest or --drop-hardest, got neither",
            "give the share to drop at either end",
        ));
    }
    let (easiest, hardest) = (
        args.drop_easiest.unwrap_or(none),
        args.drop_hardest.unwrap_or(none),
    );
    if easiest.get() + hardest.get() > 1.0 {
        return Err(HintedError::error(
            format!(
                "--drop-easiest {easiest}: expected at most 100% together with --drop-hardest {hardest}, got more"
            ),
            "reduce one of them",
        ));
    }
    Ok(Share::Between { easiest, hardest })
}

fn weights(
    by: RuleName,
    args: &SelectionArgs,
    direction: Direction,
) -> anyhow::Result<Option<Weights>> {
    let Some(formula) = args.weights else {
        return Ok(None);
    };
    let (rule, hint) = match formula {
        FormulaName::Rank => (by, ""),
        FormulaName::Sigmoid | FormulaName::Clipped
            if by == RuleName::Column && direction == Direction::High =>
        {
            (by, "")
        }
        FormulaName::Sigmoid | FormulaName::Clipped if by == RuleName::Column => {
            return Err(HintedError::error(
                format!("--weights {formula}: expected --direction highest, got lowest"),
                "use --weights rank, because these weights grow with the score",
            ));
        }
        FormulaName::Sigmoid | FormulaName::Clipped => (
            RuleName::Excess,
            "use --weights rank, because losses and entropies have no midpoint for the weights; or exp by loss, entropy by entropy",
        ),
        FormulaName::Exp | FormulaName::Power(_) => (
            RuleName::Loss,
            "the weight is a power of the token's probability, which only its loss gives",
        ),
        FormulaName::Entropy => (RuleName::Entropy, "the weight is the entropy itself"),
    };
    if rule != by {
        let rule = json!(rule);
        let rule = rule.as_str().unwrap_or_default();
        return Err(HintedError::error(
            format!("--weights {formula}: expected --by {rule}, got another rule"),
            hint,
        ));
    }
    let temperature = args.temperature.unwrap_or(1.0);
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(HintedError::error(
            format!("--temperature: expected a number of nats above 0, got {temperature}"),
            "omit it for 1",
        ));
    }
    let (least, most) = (
        args.min_weight.unwrap_or(0.0),
        args.max_weight.unwrap_or(1.0),
    );
    if !(-1.0 <= least && least <= most && most <= 1.0) {
        return Err(HintedError::error(
            format!(
                "--min-weight and --max-weight: expected -1 <= min <= max <= 1, got {least} and {most}"
            ),
            "omit them for 0 and 1",
        ));
    }
    let name = formula;
    let formula = match formula {
        FormulaName::Rank => Formula::Rank(direction),
        FormulaName::Sigmoid => Formula::Sigmoid { temperature },
        FormulaName::Clipped | FormulaName::Entropy => Formula::Clipped { temperature },
        FormulaName::Exp => Formula::Power { exponent: 1.0 },
        FormulaName::Power(exponent) => Formula::Power { exponent },
    };
    if least < 0.0 && (!formula.is_signed() || by == RuleName::Entropy) {
        return Err(HintedError::error(
            format!(
                "--min-weight {least}: expected 0 or more, because --weights {name} is never negative, got less"
            ),
            "omit it; --by excess --weights clipped yields negative weights",
        ));
    }
    Ok(Some(Weights {
        formula,
        least,
        most,
    }))
}
