//! From what was typed after `select` to what it means. Everything that can be wrong with it is found here, before
//! anything is written.

use std::path::PathBuf;

use rho_formats::MasksFolder;
use rho_selection::{Batches, Bounds, Direction, Formula, KeepRatio, Share, Weights};
use serde_json::{Value, json};

use super::{
    input::Input,
    place,
    rule::{BASE_LOSS, Combined, LOSS, Pick, Rule, Selection, Source},
};
use crate::{
    cli::{FormulaName, RuleName, SelectArgs, SelectScope},
    hint::Advised,
    plan::DEFAULT_KEEP,
};

/// Everything `select` does, decided.
pub(crate) struct SelectPlan {
    pub(super) input: Input,
    pub(super) out: PathBuf,
    pub(super) rule: Rule,
    pub(super) scope: Scope,
    pub(super) threads: usize,
    pub(super) restart: bool,
}

/// Among which tokens to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Each document by itself.
    Document,
    /// Whole documents of a shard, up to so many tokens.
    Batch(usize),
    /// All shards.
    Corpus,
    /// A token's bit or weight follows from its own score.
    None,
}

impl SelectPlan {
    /// What the files' metadata says: that of the scores, and how these masks were selected. `found` adds to a selection
    /// what is known of it before the first row.
    pub(super) fn metadata(&self, found: impl Fn(usize, &mut Value)) -> Value {
        let mut metadata = self.input.first.schema().metadata.clone();
        let mut selections = self.rule.metadata();
        for (i, said) in selections.iter_mut().enumerate() {
            found(i, said);
        }
        metadata["selections"] = json!(selections);
        metadata["scope"] = match self.scope {
            Scope::Document => json!("document"),
            Scope::Batch(_) => json!("batch"),
            Scope::Corpus => json!("corpus"),
            Scope::None => Value::Null,
        };
        if let Scope::Batch(tokens) = self.scope {
            metadata["scope_tokens"] = json!(tokens);
        }
        metadata
    }

    /// Everything that must be the same for a run to be gone on with.
    pub(super) fn what_changes_masks(&self) -> Value {
        let files = self.input.files.iter();
        let input: serde_json::Map<String, Value> = files
            .map(|file| (file.name.clone(), json!(file.identity)))
            .collect();
        json!({
            "command": "select",
            "metadata": self.metadata(|_, _| ()),
            "input": input,
        })
    }
}

/// Resolves the arguments of `select`.
pub(crate) fn resolve(args: &SelectArgs) -> anyhow::Result<SelectPlan> {
    must_belong(args)?;
    if args.out.as_os_str() == "-" {
        return Err(Advised::error(
            "--out: expected a folder, got -",
            "name a new folder for the masks",
        ));
    }
    place::must_be_apart(&args.masks, &args.out)?;
    MasksFolder::check(&args.out)?;
    let input = Input::open(&args.masks)?;
    for file in 0..input.files.len() {
        // The folder may consist of links to files elsewhere.
        if let Some(folder) = input.path(file).canonicalize()?.parent() {
            place::must_be_apart(folder, &args.out)?;
        }
    }
    let rule = rule(args, &input)?;
    let there = input.first.scores();
    for column in rule.columns() {
        if !there.contains(&column) {
            return Err(missing(&input, column, &there));
        }
    }
    let threads = match args.threads {
        Some(0) => {
            return Err(Advised::error(
                "--threads: expected at least 1, got 0",
                "leave it out for the default",
            ));
        }
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    Ok(SelectPlan {
        scope: scope(args, &rule)?,
        rule,
        out: args.out.clone(),
        threads,
        restart: args.restart,
        input,
    })
}

/// Refuses options of other rules.
fn must_belong(args: &SelectArgs) -> anyhow::Result<()> {
    use RuleName::{Band, Entropy, Excess, Intersection, Loss, Random, Threshold, Union};
    let weights = args.weights.is_some();
    let both = matches!(args.by, Intersection | Union);
    let ranked = args.by != Threshold && matches!(args.weights, None | Some(FormulaName::Rank));
    let options = [
        (
            "--keep",
            args.keep.is_some(),
            !weights && !matches!(args.by, Threshold | Band),
        ),
        ("--keep-loss", args.keep_loss.is_some(), both),
        ("--keep-entropy", args.keep_entropy.is_some(), both),
        ("--scope", args.scope.is_some(), ranked),
        ("--batch", args.batch.is_some(), ranked),
        ("--seed", args.seed.is_some(), args.by == Random),
        (
            "--score",
            args.score.is_some(),
            matches!(args.by, Threshold | Band),
        ),
        ("--above", args.above.is_some(), args.by == Threshold),
        ("--below", args.below.is_some(), args.by == Threshold),
        (
            "--drop-easiest",
            args.drop_easiest.is_some(),
            args.by == Band,
        ),
        (
            "--drop-hardest",
            args.drop_hardest.is_some(),
            args.by == Band,
        ),
        (
            "--weights",
            weights,
            matches!(args.by, Loss | Entropy | Excess),
        ),
        (
            "--temperature",
            args.temperature.is_some(),
            weights && !ranked,
        ),
        ("--min-weight", args.min_weight.is_some(), weights),
        ("--max-weight", args.max_weight.is_some(), weights),
    ];
    let by = format!("--by {}", json!(args.by).as_str().unwrap_or_default());
    let by = match args.weights {
        Some(formula) => format!(
            "{by} --weights {}",
            json!(formula).as_str().unwrap_or_default()
        ),
        None => by,
    };
    for (option, given, belongs) in options {
        if given && !belongs {
            let fits: Vec<&str> = options.iter().filter(|o| o.2).map(|o| o.0).collect();
            let fits = match fits.is_empty() {
                true => "no option of other rules".to_owned(),
                false => format!("one of {}", fits.join(", ")),
            };
            return Err(Advised::error(
                format!("{option}: expected an option that belongs to {by}, got one that does not"),
                format!("leave it out; {by} takes {fits}"),
            ));
        }
    }
    if args.batch.is_some() && args.scope.unwrap_or_default() != SelectScope::Batch {
        return Err(Advised::error(
            "--batch: expected --scope batch beside it, got another scope",
            "leave one of them out",
        ));
    }
    if args.batch == Some(0) {
        return Err(Advised::error(
            "--batch: expected at least 1 token, got 0",
            "leave it out for the default",
        ));
    }
    Ok(())
}

fn scope(args: &SelectArgs, rule: &Rule) -> anyhow::Result<Scope> {
    let ranks = |selection: &Selection| match selection.pick {
        Pick::Ranked(..) => true,
        Pick::Weighed(weights) => matches!(weights.formula, Formula::Rank(_)),
        Pick::Bounded(_) => false,
    };
    if !rule.selections.iter().any(ranks) {
        return Ok(Scope::None);
    }
    match args.scope.unwrap_or_default() {
        SelectScope::Document => Ok(Scope::Document),
        SelectScope::Batch => Ok(Scope::Batch(args.batch.unwrap_or(Batches::PAPER))),
        SelectScope::Corpus if args.weights.is_some() => Err(Advised::error(
            "--weights rank: expected --scope document or batch, got corpus",
            "the rank of every token of a corpus cannot be told in bounded memory: take --scope batch with a large --batch",
        )),
        SelectScope::Corpus => Ok(Scope::Corpus),
    }
}

fn rule(args: &SelectArgs, input: &Input) -> anyhow::Result<Rule> {
    let keep = |own: Option<KeepRatio>| match own.or(args.keep) {
        Some(ratio) => Ok(ratio),
        None => KeepRatio::new(DEFAULT_KEEP),
    };
    let best = |own, direction| keep(own).map(|k| Pick::Ranked(direction, Share::Best(k)));
    let there = input.first.scores();
    let excess = || match there.contains(&"excess") {
        true => Source::Column("excess".to_owned()),
        false => Source::Excess,
    };
    let column = |name: &str| Source::Column(name.to_owned());
    let named = || match args.score.as_deref().unwrap_or(LOSS) {
        "excess" => excess(),
        name => column(name),
    };
    let one = |name: &str, source: Source, pick: Pick| Selection {
        name: name.to_owned(),
        source,
        pick,
    };
    let weighed = |direction, pick| match weights(args, direction)? {
        Some(weights) => anyhow::Ok(Pick::Weighed(weights)),
        None => Ok(pick),
    };
    use Direction::{High, Low};
    let (selections, combined) = match args.by {
        RuleName::Loss => {
            let pick = weighed(Low, best(None, Low)?)?;
            (vec![one("loss", column(LOSS), pick)], None)
        }
        RuleName::Entropy => {
            let pick = weighed(Low, best(None, Low)?)?;
            (vec![one("entropy", column("entropy"), pick)], None)
        }
        RuleName::Excess => {
            let pick = weighed(High, best(None, High)?)?;
            (vec![one("excess", excess(), pick)], None)
        }
        RuleName::Random => {
            // Scored is what has a loss, or whatever score comes first.
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
            let combined = match args.by {
                RuleName::Union => Combined::Union,
                _ => Combined::Intersection,
            };
            let loss = one("loss", column(LOSS), best(args.keep_loss, Low)?);
            let entropy = one("entropy", column("entropy"), best(args.keep_entropy, Low)?);
            (vec![loss, entropy], Some(combined))
        }
    };
    Ok(Rule {
        selections,
        combined,
    })
}

fn bounds(args: &SelectArgs) -> anyhow::Result<Bounds> {
    if args.above.is_none() && args.below.is_none() {
        return Err(Advised::error(
            "--by threshold: expected --above or --below, got neither",
            "say from or up to how many nats tokens are kept",
        ));
    }
    for (option, given) in [("--above", args.above), ("--below", args.below)] {
        if let Some(bound) = given
            && !bound.is_finite()
        {
            return Err(Advised::error(
                format!("{option}: expected a number of nats, got {bound}"),
                "leave it out where there is no bound",
            ));
        }
    }
    let bounds = Bounds {
        least: args.above.unwrap_or(f32::NEG_INFINITY),
        most: args.below.unwrap_or(f32::INFINITY),
    };
    if bounds.least > bounds.most {
        return Err(Advised::error(
            format!(
                "--above {}: expected at most --below {}, got more",
                bounds.least, bounds.most
            ),
            "with both, tokens between them are kept",
        ));
    }
    Ok(bounds)
}

fn band(args: &SelectArgs) -> anyhow::Result<Share> {
    let none = KeepRatio::new(0.0)?;
    if args.drop_easiest.is_none() && args.drop_hardest.is_none() {
        return Err(Advised::error(
            "--by band: expected --drop-easiest or --drop-hardest, got neither",
            "say which shares are dropped at the ends",
        ));
    }
    let (easiest, hardest) = (
        args.drop_easiest.unwrap_or(none),
        args.drop_hardest.unwrap_or(none),
    );
    if easiest.get() + hardest.get() > 1.0 {
        return Err(Advised::error(
            format!(
                "--drop-easiest {easiest}: expected shares that leave something with --drop-hardest {hardest}, got more than all"
            ),
            "together they are at most 100%",
        ));
    }
    Ok(Share::Between { easiest, hardest })
}

fn weights(args: &SelectArgs, direction: Direction) -> anyhow::Result<Option<Weights>> {
    let Some(formula) = args.weights else {
        return Ok(None);
    };
    if formula != FormulaName::Rank && args.by != RuleName::Excess {
        return Err(Advised::error(
            format!(
                "--weights {}: expected --by excess, got another rule",
                json!(formula).as_str().unwrap_or_default()
            ),
            "losses and entropies have no middle to weigh around: take --weights rank",
        ));
    }
    let temperature = args.temperature.unwrap_or(1.0);
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Advised::error(
            format!("--temperature: expected a number of nats above 0, got {temperature}"),
            "leave it out for 1",
        ));
    }
    let (least, most) = (
        args.min_weight.unwrap_or(0.0),
        args.max_weight.unwrap_or(1.0),
    );
    if !(0.0 <= least && least <= most && most <= 1.0) {
        return Err(Advised::error(
            format!(
                "--min-weight and --max-weight: expected 0 <= min <= max <= 1, got {least} and {most}"
            ),
            "leave them out for 0 and 1",
        ));
    }
    let formula = match formula {
        FormulaName::Rank => Formula::Rank(direction),
        FormulaName::Sigmoid => Formula::Sigmoid { temperature },
        FormulaName::Clipped => Formula::Clipped { temperature },
    };
    Ok(Some(Weights {
        formula,
        least,
        most,
    }))
}

fn missing(input: &Input, column: &str, there: &[&str]) -> anyhow::Error {
    let got = match there.is_empty() {
        true => "none".to_owned(),
        false => there.join(", "),
    };
    let hint = match column {
        BASE_LOSS => "the rule excess needs a column excess, or base_loss beside loss",
        _ => "name a rule or a column that these masks have scores for",
    };
    Advised::error(
        format!(
            "{}: expected a column of scores {column:?}, got {got}",
            input.folder.display()
        ),
        hint,
    )
}
