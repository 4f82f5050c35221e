//! The masks folder of a run, which other ranks may share: which shards are done, and which are left.

use std::{collections::BTreeMap, sync::Mutex};

use rho_formats::{
    Location, MaskRow, MaskSchema, MasksFolder, OutputError, ScoreType, Shard, WriteOptions,
};

use super::{
    finish,
    output::{Totals, lock},
    record::{Counts, From, Identity, ShardRecord, State},
    shard_files::{Columns, ShardFiles, put},
};
use crate::{
    hinted_error::HintedError,
    plan::Plan,
    ranks,
    run_folder::{Command, Opening, RecordedPlan, RecordedShard, RunFolder, STARTING},
    terminal,
};

/// The folder of a run.
pub(crate) struct Store<'a> {
    folder: RunFolder,
    plan: &'a Plan,
    shards: &'a [Shard],
    columns: Columns,
    /// Numbers of the shards that this rank masks.
    mine: Vec<usize>,
    records: Mutex<BTreeMap<usize, ShardRecord>>,
    /// The inputs' identities when this run started. The shards must still have them when they are read.
    found: Mutex<BTreeMap<usize, Identity>>,
    /// Shards that an earlier run started, opened where it stopped.
    resumed: Mutex<BTreeMap<usize, (ShardFiles, Vec<MaskRow>)>>,
}

impl<'a> Store<'a> {
    /// Creates or opens the folder. Refuses it if another run writes the same shards, or if an earlier run had another
    /// plan or other inputs.
    pub(crate) fn open(plan: &'a Plan, shards: &'a [Shard], restart: bool) -> anyhow::Result<Self> {
        let opening = Opening {
            path: &plan.out,
            command: Command::Score,
            plan: RecordedPlan {
                settings: plan.what_changes_masks(),
                shards: shards.iter().map(RecordedShard::of).collect(),
            },
            restart,
            rank: Some((plan.rank, plan.world_size)),
        };
        let folder = RunFolder::open(&opening, finish::clear)?;
        {
            let _starting = folder.files.lock(STARTING)?;
            plan.put_tokenizer(&folder.files)?;
        }
        // By the sizes that the first rank recorded, so that all ranks agree even if a file changed since.
        let sizes: Vec<(u64, &str)> = folder
            .plan
            .shards
            .iter()
            .map(|s| (s.bytes, s.name.as_str()))
            .collect();
        let store = Self {
            columns: columns(plan),
            mine: ranks::share(&sizes, plan.rank, plan.world_size),
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

    /// Takes over what an earlier run did of a shard.
    fn take_up(&self, i: usize) -> anyhow::Result<()> {
        let shard = &self.shards[i];
        let now = Identity::of(shard);
        lock(&self.found).insert(i, now.clone());
        let Some(record) = finish::record(&self.folder.files, &shard.name)? else {
            return Ok(());
        };
        let again = |why: &str| terminal::line(&format!("note: {}: {why}", shard.name));
        // A broken shard is read again in any case.
        if !matches!(record.state, State::Incomplete { .. }) {
            must_be_the_input(&self.folder.files, shard, &record.input, &now)?;
        }
        match &record.state {
            State::Open(durable) => {
                let opened = ShardFiles::resume(
                    &self.folder.files,
                    &self.columns,
                    &shard.name,
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
                        .publish(&shard.name, &record.files, &record.replaces)?;
                match &record.state {
                    State::Complete if !there => {
                        again("its masks are missing; it is scored again");
                        return Ok(());
                    }
                    State::Complete if shard.place == Location::StandardInput => {
                        again("its masks are complete; standard input is not read")
                    }
                    State::Incomplete { row, reason } => again(&format!(
                        "it broke at row {row} ({reason}); it is tried again"
                    )),
                    _ => {}
                }
                if !record.replaces.is_empty() {
                    let mut record = record.clone();
                    record.replaces.clear();
                    put(&self.folder.files, &shard.name, &record)?;
                }
            }
        }
        lock(&self.records).insert(i, record);
        Ok(())
    }

    pub(super) fn shard(&self, i: usize) -> &Shard {
        &self.shards[i]
    }

    /// The shards of this rank that are not done, with the position to start or resume from.
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
    pub(crate) fn mine(&self) -> &[usize] {
        &self.mine
    }

    /// The shards of this rank that are done.
    pub(crate) fn finished(&self) -> Vec<usize> {
        let todo = self.todo();
        let is_done = |i: &usize| todo.iter().all(|(t, _)| t != i);
        self.mine.iter().copied().filter(is_done).collect()
    }

    /// The counts of earlier runs for shards that this run does not start again.
    pub(super) fn counted_before(&self) -> Counts {
        let anew = |&(i, from): &(usize, From)| (from == From::default()).then_some(i);
        let anew: Vec<usize> = self.todo().iter().filter_map(anew).collect();
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
        totals.broken_shards > 0 || totals.counts.rejected > 0
    }

    pub(super) fn begin(&self, i: usize) -> anyhow::Result<(ShardFiles, Vec<MaskRow>)> {
        if let Some(resumed) = lock(&self.resumed).remove(&i) {
            return Ok(resumed);
        }
        let shard = &self.shards[i];
        let earlier = lock(&self.records).remove(&i);
        // The identity at the start, not the current one: the reader is ahead of this stage.
        let found = lock(&self.found).remove(&i);
        let input = found.unwrap_or_else(|| Identity::of(shard));
        let files = ShardFiles::begin(
            &self.folder.files,
            &self.columns,
            &shard.name,
            input,
            earlier,
        )?;
        Ok((files, Vec::new()))
    }

    pub(super) fn completed(&self, i: usize, record: ShardRecord) -> Result<(), OutputError> {
        let mut records = lock(&self.records);
        records.insert(i, record);
        // A single rank lists its files at once, so that the dataset can be opened from the first shard on.
        if self.plan.world_size == 1 {
            let files = records.values().flat_map(|r| r.files.iter());
            self.folder
                .files
                .list(&self.columns.schema.metadata, files)?;
        }
        Ok(())
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &MasksFolder {
        &self.folder.files
    }
}

impl Totals {
    /// Adds a shard.
    pub(super) fn add(&mut self, record: &ShardRecord) {
        self.counts.add(&record.counts);
        let (done, broken) = match record.state {
            State::Open(_) => (0, 0),
            State::Complete => (1, 0),
            State::Incomplete { .. } => (1, 1),
        };
        self.shards += done;
        self.broken_shards += broken;
    }
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
        masks: plan.rule.masks(),
        weights: plan.rule.weights(),
        text: plan.keep_text,
        source: plan.source_field.is_some(),
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
        ..schema.clone()
    };
    let options = WriteOptions {
        compression: plan.compression,
        file_bytes: plan.shard_bytes,
    };
    Columns {
        schema,
        scored,
        options,
    }
}
