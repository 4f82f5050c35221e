//! The masks folder of a run, which other ranks may share: which shards are done, and which are left.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Mutex,
};

use rho_formats::{
    FileFormat, Location, MaskSchema, MasksFolder, OutputError, ScoreType, Shard, Storage,
    TopColumns, WriteOptions,
};

use super::{
    finish,
    output::{Totals, lock},
    record::{Broken, Counts, From, Identity, ShardRecord, State},
    shard_files::{Columns, MemberRow, ShardFiles, put},
};
use crate::{
    groups::Group,
    hinted_error::HintedError,
    plan::Plan,
    ranks,
    run_folder::{Command, Opening, RecordedPlan, RunFolder, STARTING},
    selections::rule::Scope,
    terminal,
};

/// Broken shards of a group that are named one by one.
const NAMED: usize = 5;

/// The folder of a run.
pub(crate) struct Store<'a> {
    folder: RunFolder,
    plan: &'a Plan,
    shards: &'a [Shard],
    columns: Columns,
    /// The shards, gathered as the first run recorded.
    groups: Vec<Group>,
    /// Numbers of the groups that this rank masks.
    mine: Vec<usize>,
    records: Mutex<BTreeMap<usize, ShardRecord>>,
    /// The inputs' identities when this run started. The shards must still have them when they are read.
    found: Mutex<BTreeMap<usize, Vec<Identity>>>,
    /// Groups that an earlier run started, opened where it stopped.
    resumed: Mutex<BTreeMap<usize, (ShardFiles, Vec<MemberRow>)>>,
    /// The number of files when they were listed last.
    listed: Mutex<usize>,
}

impl<'a> Store<'a> {
    /// Creates or opens the folder. Refuses it if another run writes the same shards, or if an earlier run had another
    /// plan or other inputs.
    pub(crate) fn open(plan: &'a Plan, shards: &'a [Shard], restart: bool) -> anyhow::Result<Self> {
        let opening = Opening {
            path: &plan.out,
            command: Command::Score,
            plan: RecordedPlan::of_corpus(plan.what_changes_masks(), shards)?,
            restart,
            rank: Some((plan.rank, plan.world_size)),
        };
        let folder = RunFolder::open(&opening, finish::clear)?;
        {
            let _starting = folder.files.lock(STARTING)?;
            plan.put_tokenizer(&folder.files)?;
        }
        // By the sizes that the first rank recorded, so that all ranks agree even if a file changed since.
        let recorded = &folder.plan.shards;
        let groups = folder.plan.groups()?;
        let bytes = |group: &Group| -> u64 {
            let members = &recorded[group.members.clone()];
            members.iter().map(|shard| shard.bytes).sum()
        };
        let sizes: Vec<(u64, &str)> = groups
            .iter()
            .map(|group| (bytes(group), group.name.as_str()))
            .collect();
        let mut columns = columns(plan);
        // The metadata that the first run recorded: another run may have typed another path to the same model.
        columns.schema.metadata = folder.plan.settings["metadata"].clone();
        let store = Self {
            columns,
            mine: ranks::share(&sizes, plan.rank, plan.world_size),
            groups,
            listed: Mutex::default(),
            records: Mutex::default(),
            found: Mutex::default(),
            resumed: Mutex::default(),
            folder,
            plan,
            shards,
        };
        for &i in &store.mine {
            store.take_up(i)?;
        }
        Ok(store)
    }

    /// Takes over what an earlier run did of a group.
    fn take_up(&self, i: usize) -> anyhow::Result<()> {
        let group = &self.groups[i];
        let shards = self.shards_of(i);
        let now: Vec<Identity> = shards.iter().map(Identity::of).collect();
        lock(&self.found).insert(i, now.clone());
        let Some(record) = finish::record(&self.folder.files, group)? else {
            return Ok(());
        };
        let again = |why: &str| terminal::line(&format!("note: {}: {why}", group.name));
        // A broken shard is read again in any case.
        if !matches!(record.state, State::Incomplete { .. }) {
            for ((shard, before), now) in shards.iter().zip(record.inputs()).zip(&now) {
                must_be_the_input(&self.folder.files, shard, before, now)?;
            }
        }
        match &record.state {
            State::Open(durable) => {
                let opened = ShardFiles::resume(
                    &self.folder.files,
                    &self.columns,
                    &group.name,
                    record.clone(),
                    durable,
                )?;
                match opened {
                    Some(opened) => {
                        lock(&self.resumed).insert(i, opened);
                    }
                    None => again("its unfinished masks are missing; it is scored again"),
                }
            }
            _ => {
                let there =
                    self.folder
                        .files
                        .publish(&group.name, &record.files, &record.replaces)?;
                match &record.state {
                    State::Complete if !there => {
                        again("its masks are missing; it is scored again");
                        return Ok(());
                    }
                    State::Complete if shards[0].place == Location::StandardInput => {
                        again("its masks are complete; standard input is not read")
                    }
                    State::Incomplete { row, reason } if !group.is_gathered() => again(&format!(
                        "it broke at row {row} ({reason}); it is tried again"
                    )),
                    State::Incomplete { .. } => again(&broken_members(&record)),
                    _ => {}
                }
                if !record.replaces.is_empty() {
                    let mut record = record.clone();
                    record.replaces.clear();
                    put(&self.folder.files, &group.name, &record)?;
                }
            }
        }
        lock(&self.records).insert(i, record);
        Ok(())
    }

    /// The shards of a group.
    pub(super) fn shards_of(&self, i: usize) -> &[Shard] {
        &self.shards[self.groups[i].members.clone()]
    }

    /// The groups of the corpus.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups of this rank that are not done, with the position to start or resume from.
    pub(super) fn todo(&self) -> Vec<(usize, From)> {
        let (records, resumed) = (lock(&self.records), lock(&self.resumed));
        let mut todo = Vec::new();
        for &i in &self.mine {
            match records.get(&i).map(|record| &record.state) {
                Some(State::Complete) => {}
                Some(State::Open(durable)) if resumed.contains_key(&i) => {
                    todo.push((i, durable.from));
                }
                _ => todo.push((i, From::default())),
            }
        }
        todo
    }

    /// Whether all shards of this rank are done, broken ones included.
    pub(crate) fn done(&self) -> bool {
        let records = lock(&self.records);
        let done =
            |i| matches!(records.get(i).map(|r| &r.state), Some(s) if !matches!(s, State::Open(_)));
        self.mine.iter().all(done)
    }

    /// Whether nothing is left to do, not even a broken shard to try again.
    pub(crate) fn nothing_to_do(&self) -> bool {
        self.todo().is_empty()
    }

    /// The shards of this rank.
    pub(crate) fn mine(&self) -> Vec<usize> {
        self.members(self.mine.iter().copied())
    }

    /// The groups of this rank.
    pub(crate) fn my_groups(&self) -> impl Iterator<Item = &Group> {
        self.mine.iter().map(|&i| &self.groups[i])
    }

    /// The shards of this rank that are done.
    pub(crate) fn finished(&self) -> Vec<usize> {
        let todo: HashSet<usize> = self.todo().into_iter().map(|(i, _)| i).collect();
        self.members(self.mine.iter().copied().filter(|i| !todo.contains(i)))
    }

    fn members(&self, groups: impl Iterator<Item = usize>) -> Vec<usize> {
        groups
            .flat_map(|i| self.groups[i].members.clone())
            .collect()
    }

    /// The counts of earlier runs for groups that this run does not start again.
    pub(super) fn counted_before(&self) -> Counts {
        let anew = |&(i, from): &(usize, From)| (from == From::default()).then_some(i);
        let anew: HashSet<usize> = self.todo().iter().filter_map(anew).collect();
        let mut counts = Counts::default();
        for (i, record) in lock(&self.records).iter() {
            if !anew.contains(i) {
                counts.add(&record.counts);
            }
        }
        counts
    }

    /// The counts of this rank's shards.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for record in lock(&self.records).values() {
            totals.add(record);
        }
        totals
    }

    /// Whether rows or shards of this rank were skipped, in this start or an earlier one.
    pub(crate) fn incomplete(&self) -> bool {
        let totals = self.totals();
        totals.broken_shards > 0 || totals.counts.rejected + totals.counts.untargeted > 0
    }

    pub(super) fn begin(&self, i: usize) -> anyhow::Result<(ShardFiles, Vec<MemberRow>)> {
        if let Some(resumed) = lock(&self.resumed).remove(&i) {
            return Ok(resumed);
        }
        let earlier = lock(&self.records).remove(&i);
        // The identities at the start, not the current ones: the reader is ahead of this stage.
        let found = lock(&self.found).remove(&i);
        let inputs = found.unwrap_or_else(|| self.shards_of(i).iter().map(Identity::of).collect());
        let files = ShardFiles::begin(
            &self.folder.files,
            &self.columns,
            &self.groups[i].name,
            inputs,
            earlier,
        )?;
        Ok((files, Vec::new()))
    }

    pub(super) fn completed(&self, i: usize, record: ShardRecord) -> Result<(), OutputError> {
        let mut records = lock(&self.records);
        records.insert(i, record);
        // A single rank lists its files as it goes, so that the dataset can be opened from the first one on. Each time it
        // writes all names, so it waits until they are an eighth more; the end of a run lists all.
        let mut listed = lock(&self.listed);
        let complete = records.len();
        if self.plan.world_size == 1 && complete > *listed + *listed / 8 {
            let files = records.values().flat_map(|r| r.files.iter());
            self.folder
                .files
                .list(&self.columns.schema.metadata, files)?;
            *listed = complete;
        }
        Ok(())
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &MasksFolder {
        &self.folder.files
    }
}

impl Totals {
    /// Adds a group.
    pub(super) fn add(&mut self, record: &ShardRecord) {
        self.counts.add(&record.counts);
        let (done, broken) = match record.state {
            State::Open(_) => (0, 0),
            State::Complete => (record.shards(), 0),
            // Older records do not list it.
            State::Incomplete { .. } => (record.shards(), record.broken.len().max(1)),
        };
        self.shards += done as u64;
        self.broken_shards += broken as u64;
    }
}

/// Names the broken shards of a group.
fn broken_members(record: &ShardRecord) -> String {
    let mut named: Vec<String> = Vec::new();
    for broken in record.broken.iter().take(NAMED) {
        let Broken { shard, row, reason } = broken;
        named.push(format!("{shard} broke at row {row} ({reason})"));
    }
    if let Some(more @ 1..) = record.broken.len().checked_sub(NAMED) {
        named.push(format!("and {more} more"));
    }
    format!("{}; it is tried again", named.join("; "))
}

/// Refuses a shard whose input changed since it was scored.
pub(crate) fn must_be_the_input(
    folder: &MasksFolder,
    shard: &Shard,
    before: &Identity,
    now: &Identity,
) -> anyhow::Result<()> {
    let Some(difference) = before.difference(now) else {
        return Ok(());
    };
    Err(HintedError::error(
        format!(
            "{}: expected the file that the masks in {} were started with, got another: {difference}",
            shard.path.display(),
            folder.path().display()
        ),
        "put the file back, name another folder, or start over with --restart",
    ))
}

/// The columns of the masks and their types.
pub(crate) fn schema(plan: &Plan) -> MaskSchema {
    MaskSchema {
        scores: plan.scores.clone(),
        score_type: plan.score_type,
        top: plan.top_columns(),
        masks: plan.rule.masks(),
        weights: plan.rule.weights(),
        text: plan.keep_text,
        source: plan.source_field.is_some(),
        target: plan.content.has_context(),
        metadata: serde_json::json!(plan.metadata()),
    }
}

fn columns(plan: &Plan) -> Columns {
    let schema = schema(plan);
    let scored = MaskSchema {
        masks: Vec::new(),
        weights: Vec::new(),
        // f32 is exact here: the scores are already rounded to the stored type.
        score_type: ScoreType::Float32,
        top: schema.top.map(|top| TopColumns {
            score_type: ScoreType::Float32,
            ..top
        }),
        ..schema.clone()
    };
    let options = WriteOptions {
        storage: Storage {
            // Scores without a selection are only read again, by `select` or `dynamics`.
            format: match plan.scope {
                Scope::None => FileFormat::ArrowStream,
                _ => plan.format,
            },
            compression: plan.compression,
        },
        file_bytes: plan.shard_bytes,
    };
    Columns {
        schema,
        scored,
        options,
    }
}
