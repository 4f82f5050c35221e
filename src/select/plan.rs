//! Resolves the arguments of `select` into a plan. Every invalid argument is found here, before anything is written.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rho_files::InsidePath;
use rho_formats::{FileFormat, MaskColumns, MasksFolder};
use rho_selection::Direction;
use serde_json::{Value, json};

use super::filter::Filter;
use crate::{
    cli::SelectArgs,
    hinted_error::HintedError,
    masks::{finished::Input, out_folder},
    metadata::{Metadata, Scored, Selection},
    plan::{Plan, record_format},
    run_folder::{Command, RecordedPlan, on_threads},
    selections::{
        cuts::Cuts,
        options,
        rule::{BASE_LOSS, Pick, Rule, Scope},
        scores::Documents,
    },
    stop::Stop,
    threads,
};

/// Everything that `select` does, with all defaults resolved.
pub(crate) struct SelectPlan {
    pub(super) input: Input,
    pub(super) out: PathBuf,
    pub(super) format: FileFormat,
    /// The names of the new files, one for each of the input.
    pub(super) names: Vec<InsidePath>,
    pub(super) rule: Rule,
    pub(super) scope: Scope,
    pub(super) threads: usize,
    pub(super) restart: bool,
    /// Which documents are selected from; none means all.
    pub(super) filter: Option<Filter>,
    /// The sources of the documents, sorted; none if they are not ranked by themselves.
    pub(super) sources: Option<Vec<Option<String>>>,
}

impl SelectPlan {
    /// A plan that selects from scores as a plan of `score` says, into its folder.
    pub(crate) fn of_scores(scored: &Path, plan: &Plan, restart: bool) -> anyhow::Result<Self> {
        let input = Input::open(scored)?;
        let sources = match plan.rule.keep_by {
            Some(_) => Some(sources(&input, plan.threads)?),
            None => None,
        };
        Ok(Self {
            names: input.names_in(plan.format)?,
            format: plan.format,
            input,
            filter: None,
            sources,
            out: plan.out.clone(),
            rule: plan.rule.clone(),
            scope: plan.scope,
            threads: plan.threads,
            restart,
        })
    }

    /// The metadata of the files: that of the scores, and how these masks were selected. In the scope `corpus` the cuts
    /// give the counts before the first row.
    pub(super) fn metadata(&self, cuts: Option<&Cuts>) -> Value {
        let mut selections = self.rule.metadata();
        for (i, selection) in selections.iter_mut().enumerate() {
            self.add_counts(cuts, i, selection);
        }
        let scope = self.scope.metadata();
        // All other metadata of the scores is kept unchanged.
        let mut metadata = self.input.first.schema().metadata.clone();
        metadata["selections"] = json!(selections);
        metadata["scope"] = json!(scope.name);
        if let Some(filter) = &self.filter {
            let mut filters = Metadata::of(&metadata).filters;
            filters.push(filter.text().to_owned());
            metadata["where"] = json!(filters);
        }
        match (scope.tokens, metadata.as_object_mut()) {
            (Some(tokens), _) => metadata["scope_tokens"] = json!(tokens),
            (None, Some(metadata)) => {
                metadata.remove("scope_tokens");
            }
            (None, None) => {}
        }
        metadata
    }

    /// Adds to a selection's metadata what the counts of a corpus give before the first row.
    fn add_counts(&self, cuts: Option<&Cuts>, i: usize, said: &mut Selection) {
        // The counts of a combination of two selections are not known yet.
        let Some((cuts, &(scored, kept))) = cuts.and_then(|cuts| Some((cuts, cuts.counts.get(i)?)))
        else {
            return;
        };
        said.scored = Some(Scored::Tokens(scored));
        said.kept = Some(kept);
        if let Pick::Ranked(direction, _) = self.rule.selections[i].pick
            && self.rule.by_scores(i)
            && let [group] = &cuts.groups[..]
        {
            let score = |key: Option<u32>| key.map(|key| direction.score(key));
            let (first, last) = group.cuts[i].bounds();
            match direction {
                Direction::Low => {
                    said.highest_kept = Some(score(last));
                    said.lowest_kept = score(first).map(Some);
                }
                Direction::High => said.lowest_kept = Some(score(last)),
            }
        }
    }

    /// The plan to record. A resumed run must have the same.
    pub(super) fn recorded(&self) -> RecordedPlan {
        let mut settings = json!({
            "command": Command::Select.name(),
            "metadata": self.metadata(None),
            "input": self.input.identities(),
        });
        record_format(&mut settings, self.format);
        RecordedPlan::of_files(settings, self.input.recorded_as(&self.names))
    }

    /// The name of a shard, which is that of its first new file.
    pub(super) fn shard_name(&self, shard: usize) -> &str {
        &self.names[self.input.shards[shard].start]
    }
}

/// Resolves the arguments of `select`.
pub(crate) fn resolve(args: &SelectArgs) -> anyhow::Result<SelectPlan> {
    if args.out.as_os_str() == "-" {
        return Err(HintedError::error(
            "--out: expected a folder, got -",
            "name a new folder for the masks",
        ));
    }
    out_folder::must_be_apart(&args.masks, &args.out)?;
    MasksFolder::check(&args.out)?;
    let input = Input::open(&args.masks)?;
    for file in 0..input.files.len() {
        // The folder may consist of links to files elsewhere.
        if let Some(folder) = input.path(file).canonicalize()?.parent() {
            out_folder::must_be_apart(folder, &args.out)?;
        }
    }
    let there = input.first.scores();
    let (rule, scope) = options::resolve(args.by, &args.selection, &there)?;
    for column in rule.columns() {
        if !there.contains(&column) {
            return Err(missing(&input, column, &there));
        }
    }
    let threads = threads::count(args.threads)?;
    let sources = match &rule.keep_by {
        Some(keep_by) => {
            let sources = sources(&input, threads)?;
            keep_by.must_be_among(&sources)?;
            Some(sources)
        }
        None => None,
    };
    let format = args.format.into();
    let filter = args.filter.as_deref();
    let filter = filter.map(|text| Filter::read(text, &input.first));
    Ok(SelectPlan {
        filter: filter.transpose()?,
        sources,
        scope,
        rule,
        out: args.out.clone(),
        format,
        names: input.names_in(format)?,
        threads,
        restart: args.restart,
        input,
    })
}

/// The sources of all documents, sorted.
fn sources(input: &Input, threads: usize) -> anyhow::Result<Vec<Option<String>>> {
    let all = Mutex::new(BTreeSet::new());
    on_threads(threads, input.files.len(), &Stop::default(), |next| {
        let mut own = BTreeSet::new();
        while let Some(file) = next() {
            let mut columns = MaskColumns::open(&input.path(file))?;
            while let Some(batch) = columns.next_of(&["shard", "source"])? {
                for row in 0..batch.rows() {
                    own.insert(Documents::source(&batch, row).map(str::to_owned));
                }
            }
        }
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.append(&mut own);
        Ok(())
    })?;
    let all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(all.into_iter().collect())
}

fn missing(input: &Input, column: &str, there: &[&str]) -> anyhow::Error {
    let got = match there.is_empty() {
        true => "none".to_owned(),
        false => there.join(", "),
    };
    let hint = match column {
        BASE_LOSS => "use masks with a column excess, or base_loss and loss, for --by excess",
        _ => "name a rule or a column for which these masks have scores",
    };
    HintedError::error(
        format!(
            "{}: expected a score column {column:?}, got {got}",
            input.folder.display()
        ),
        hint,
    )
}
