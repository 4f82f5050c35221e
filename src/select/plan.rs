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

use super::{
    documents::{self, DocumentRule, Ranking},
    filter::Filter,
    join::JoinPlan,
};
use crate::{
    cli::{SelectArgs, SelectBy},
    hinted_error::HintedError,
    masks::{finished::Input, out_folder},
    metadata::{Metadata, Scored, Selection, without_counts},
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
    /// The column of another program that is added.
    pub(super) joined: Option<JoinPlan>,
    /// Whether documents that came before are dropped.
    pub(super) drop_duplicates: bool,
    /// How whole documents are selected, if they are.
    pub(super) documents: Option<DocumentRule>,
    /// Whether new masks are written; else they are copied.
    pub(super) selects_tokens: bool,
    /// The rule of the masks that are copied, if it is known.
    pub(super) stored: Option<Rule>,
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
            joined: None,
            drop_duplicates: false,
            documents: None,
            selects_tokens: true,
            stored: None,
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
    pub(super) fn metadata(&self, cuts: Option<&Cuts>, ranking: Option<&Ranking>) -> Value {
        let mut metadata = self.input.first.schema().metadata.clone();
        if let Some(filter) = &self.filter {
            let mut filters = Metadata::of(&metadata).filters;
            filters.push(filter.text().to_owned());
            metadata["where"] = json!(filters);
        }
        if let Some(join) = &self.joined {
            let mut joined = Metadata::of(&metadata).joined;
            joined.push(join.metadata());
            metadata["joined"] = json!(joined);
        }
        if self.drop_duplicates {
            metadata["duplicates"] = json!("dropped");
        }
        if let Some(rule) = &self.documents {
            let mut documents = Metadata::of(&metadata).documents;
            documents.push(rule.metadata(ranking));
            metadata["documents"] = json!(documents);
        }
        match self.selects_tokens {
            true => self.add_selections(metadata, cuts),
            false => {
                // The counts were those of all documents.
                if metadata["selections"].is_array() {
                    metadata["selections"] = without_counts(&metadata["selections"]);
                }
                metadata
            }
        }
    }

    /// Whether something is counted over all files before anything is written.
    pub(super) fn counts_first(&self) -> bool {
        self.scope == Scope::Corpus || self.needs_documents()
    }

    /// Whether something must be known about all documents before tokens are ranked.
    pub(super) fn needs_documents(&self) -> bool {
        self.joined.is_some() || self.drop_duplicates || self.documents.is_some()
    }

    fn add_selections(&self, mut metadata: Value, cuts: Option<&Cuts>) -> Value {
        let mut selections = self.rule.metadata();
        for (i, selection) in selections.iter_mut().enumerate() {
            self.add_counts(cuts, i, selection);
        }
        let scope = self.scope.metadata();
        // All other metadata of the scores is kept unchanged.
        metadata["selections"] = json!(selections);
        metadata["scope"] = json!(scope.name);
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
            "metadata": self.metadata(None, None),
            "input": self.input.identities(),
        });
        record_format(&mut settings, self.format);
        if let Some(join) = &self.joined {
            settings["join"] = join.recorded();
        }
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
    let joined = JoinPlan::resolve(args, &input.first.names())?;
    let joined_name = joined.as_ref().map(|joined| joined.column.as_str());
    let there: Vec<&str> = input
        .first
        .scores()
        .into_iter()
        .chain(joined_name)
        .collect();
    let masks = &input.first.schema().masks;
    let documents = match args.documents {
        true => Some(DocumentRule::resolve(args, &there, masks)?),
        false => None,
    };
    let (rule, scope) = match documents {
        Some(_) => (Rule::none(), Scope::None),
        None => tokens(args, &there)?,
    };
    let selects_tokens = !args.documents && args.by.is_some();
    let stored = match selects_tokens {
        true => None,
        false => {
            let selections = Metadata::of(&input.first.schema().metadata).selections;
            selections.and_then(|selections| Rule::of_metadata(&selections))
        }
    };
    let exists = |rule: &Rule| {
        let own = [rule.masks(), rule.weights()].concat();
        let names = input.first.names();
        own.iter().all(|name| names.contains(&name.as_str()))
            && rule.columns().iter().all(|name| there.contains(name))
    };
    let stored = stored.filter(exists);
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
    let filter = filter.map(|text| Filter::read(text, &input.first, joined_name));
    Ok(SelectPlan {
        filter: filter.transpose()?,
        joined,
        drop_duplicates: args.drop_duplicates,
        documents,
        selects_tokens,
        stored,
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

/// The rule and the scope of tokens; none of both if they are not selected.
fn tokens(args: &SelectArgs, there: &[&str]) -> anyhow::Result<(Rule, Scope)> {
    for (option, given) in [
        ("--statistic", args.statistic.is_some()),
        ("--mask", args.mask.is_some()),
    ] {
        if given {
            return Err(HintedError::error(
                format!("{option}: expected --documents with it, got a selection of tokens"),
                "omit it, or select documents with --documents",
            ));
        }
    }
    let columns = documents::columns(args, Direction::High);
    for (option, given) in [
        ("--combine", args.combine.is_some()),
        ("--direction", args.direction.is_some()),
    ] {
        if given && columns.is_none() {
            return Err(HintedError::error(
                format!("{option}: expected --by column:NAME with it, got another rule"),
                "omit it",
            ));
        }
    }
    match (&args.by, columns) {
        (_, Some(columns)) => options::resolve_columns(&columns, &args.selection, there),
        (Some(SelectBy::Rule(rule)), _) => options::resolve(*rule, &args.selection, there),
        (Some(_), _) => Err(HintedError::error(
            "--by kept: expected --documents with it, got a selection of tokens",
            "add --documents to keep the documents of which a mask keeps the most",
        )),
        (None, _) => {
            if let Some(option) = options::first_given(&args.selection, false) {
                return Err(HintedError::error(
                    format!("{option}: expected --by with it, got no rule"),
                    "say what to select by, such as --by loss",
                ));
            }
            let copies =
                args.filter.is_some() || args.drop_duplicates || !args.join.join.is_empty();
            if !copies {
                return Err(HintedError::error(
                    "--by: expected a rule to select by, got none",
                    "give one, such as --by loss; only --where, --drop-duplicates and --join may do without",
                ));
            }
            Ok((Rule::none(), Scope::None))
        }
    }
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
