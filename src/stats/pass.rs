//! Gathers the statistics of masks in one pass over the record batches, on several threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use rho_formats::MaskBatch;
use rho_selection::excess;

use super::{Group, Joint, TokenTypes, group::Loaded};
use crate::masks::files::Masks;

/// The most sources that are counted by themselves: a corpus may have a source per shard, or per document.
pub(crate) const MOST_SOURCES: usize = 1024;

/// The columns to count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    /// Columns of scores. `excess` may be computed, as `base_loss - loss`.
    pub(crate) scores: Vec<String>,
    /// Whether `excess` is computed because it is not a column.
    pub(crate) excess_is_computed: bool,
    pub(crate) masks: Vec<String>,
    pub(crate) weights: Vec<String>,
    /// The scores that came from other programs: their unit is not known.
    pub(crate) joined: Vec<String>,
    pub(crate) source: SourceOf,
}

/// What the source of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceOf {
    /// The document's value in the column `source`.
    Column,
    /// The shard of the document.
    Shard,
}

/// The statistics of masks.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) columns: Columns,
    /// Sources in the order of the corpus, the first [`MOST_SOURCES`] by name; `None` are the documents without a source.
    pub(crate) sources: Vec<(Option<String>, Group)>,
    /// The documents of all other sources.
    pub(crate) other_sources: Option<Group>,
    pub(crate) total: Group,
    pub(crate) types: TokenTypes,
    /// None without loss or entropy.
    pub(crate) joint: Option<Joint>,
}

impl Columns {
    fn of(masks: &Masks) -> Self {
        let mut scores = masks.scores();
        let has = |name: &str| scores.iter().any(|score| score == name);
        let excess_is_computed = has("base_loss") && has("loss") && !has("excess");
        if excess_is_computed {
            scores.push("excess".to_owned());
        }
        // Loss and entropy always come first.
        let rank = |name: &String| match name.as_str() {
            "loss" => 0,
            "entropy" => 1,
            _ => 2,
        };
        scores.sort_by_key(rank);
        Self {
            scores,
            excess_is_computed,
            masks: masks.masks(),
            weights: masks.weights(),
            joined: masks
                .known_metadata()
                .joined
                .into_iter()
                .map(|joined| joined.column)
                .collect(),
            source: match masks.have_source() {
                true => SourceOf::Column,
                false => SourceOf::Shard,
            },
        }
    }

    /// The index of a score.
    pub(crate) fn score(&self, name: &str) -> Option<usize> {
        self.scores.iter().position(|score| score == name)
    }

    fn group(&self) -> Group {
        Group::new(self.scores.len(), self.masks.len(), self.weights.len())
    }
}

/// Gathers all statistics.
///
/// # Errors
/// If a file cannot be read or is damaged.
pub(crate) fn gather(masks: &Masks, threads: usize) -> anyhow::Result<Statistics> {
    let columns = Columns::of(masks);
    // If there are fewer files than threads, the threads share each file batch by batch.
    let parts = if masks.files.len() < threads {
        threads
    } else {
        1
    };
    let units = masks.files.len() * parts;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.min(units).max(1))
        .build();
    let pool = pool.context("cannot start threads")?;
    let (taken, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counted = pool.broadcast(|_| {
        let mut counter = Counter::new(&columns);
        loop {
            let unit = taken.fetch_add(1, Ordering::Relaxed);
            if unit >= units || failed.load(Ordering::Relaxed) > 0 {
                return anyhow::Ok(counter);
            }
            counter
                .file(masks, unit / parts, (unit % parts, parts))
                .inspect_err(|_| {
                    failed.fetch_add(1, Ordering::Relaxed);
                })?;
        }
    });
    let mut all = Counter::new(&columns);
    for counter in counted {
        all.merge(counter?);
    }
    Ok(all.statistics())
}

/// The counts of one thread.
struct Counter<'a> {
    columns: &'a Columns,
    sources: BySource,
    types: TokenTypes,
    joint: Option<Joint>,
    loaded: Loaded,
}

/// Counts by source, in bounded memory. The first sources by name are counted by themselves: whichever part of the corpus
/// a thread counts, it never drops a source that is among the first of all, so the result is that of one thread.
#[derive(Default)]
struct BySource {
    /// For each source the position of its first document, and its counts.
    first: BTreeMap<Option<String>, (Seen, Group)>,
    others: Option<Group>,
}

impl BySource {
    /// The counts that a document of this source belongs to.
    fn group(&mut self, source: Option<&str>, at: Seen, columns: &Columns) -> &mut Group {
        let is_full = self.first.len() >= MOST_SOURCES;
        let is_after = |(last, _): (&Option<String>, _)| last.as_deref() < source;
        if is_full && self.first.last_key_value().is_some_and(is_after) {
            return self.others(columns);
        }
        let source = source.map(str::to_owned);
        if is_full
            && !self.first.contains_key(&source)
            && let Some((_, (_, last))) = self.first.pop_last()
        {
            self.others(columns).merge(&last);
        }
        let counted = self.first.entry(source);
        let (seen, group) = counted.or_insert_with(|| (at, columns.group()));
        *seen = at.min(*seen);
        group
    }

    fn others(&mut self, columns: &Columns) -> &mut Group {
        self.others.get_or_insert_with(|| columns.group())
    }
}

/// A file, a record batch in it, and a row there.
type Seen = (usize, usize, usize);

impl<'a> Counter<'a> {
    fn new(columns: &'a Columns) -> Self {
        let masks = columns.masks.len();
        let both = columns.score("loss").is_some() && columns.score("entropy").is_some();
        let lists = |count: usize| vec![Vec::new(); count];
        Self {
            columns,
            sources: BySource::default(),
            types: TokenTypes::new(masks),
            joint: both.then(|| Joint::new(masks)),
            loaded: Loaded {
                scores: lists(columns.scores.len()),
                masks: vec![Vec::new(); masks],
                weights: lists(columns.weights.len()),
                target: Vec::new(),
                scored: (!columns.scores.is_empty()).then_some(0),
            },
        }
    }

    /// Counts every `parts`th record batch of a file.
    fn file(
        &mut self,
        masks: &Masks,
        file: usize,
        (part, parts): (usize, usize),
    ) -> anyhow::Result<()> {
        let columns = self.columns;
        let source = match columns.source {
            SourceOf::Column => "source",
            SourceOf::Shard => "shard",
        };
        let mut wanted = vec!["input_ids", source];
        let names = [&columns.scores, &columns.masks, &columns.weights];
        wanted.extend(names.into_iter().flatten().map(String::as_str));
        let mut batches = masks.open_file(file)?;
        for number in 0.. {
            let only: &[&str] = match number % parts == part {
                true => &wanted,
                false => &[],
            };
            let Some(batch) = batches.next_of(only)? else {
                break;
            };
            if !only.is_empty() {
                let path = masks.files[file].path.display();
                self.batch(&batch, (file, number))
                    .with_context(|| format!("{path}: record batch {number}"))?;
            }
        }
        Ok(())
    }

    fn batch(&mut self, batch: &MaskBatch, (file, number): (usize, usize)) -> anyhow::Result<()> {
        self.load(batch)?;
        let ids = batch.input_ids();
        for (row, tokens) in batch.documents().enumerate() {
            let source = match self.columns.source {
                SourceOf::Column => batch.source(row),
                SourceOf::Shard => Some(batch.shard(row)),
            };
            let (columns, at) = (self.columns, (file, number, row));
            let group = self.sources.group(source, at, columns);
            group.add(&self.loaded, tokens);
        }
        let loaded = &self.loaded;
        let kept = |i: usize| loaded.masks.iter().map(move |mask| mask[i]);
        if let Some(scored) = loaded.scored {
            for (i, (&id, &score)) in ids.iter().zip(&loaded.scores[scored]).enumerate() {
                if !score.is_nan() {
                    // A negative id is invalid; it would not match its hash either.
                    let id = u32::try_from(id).context("expected token ids of 0 or more")?;
                    self.types.add(id, score, kept(i));
                }
            }
        }
        if let Some(joint) = &mut self.joint {
            let both = loaded.scores[0].iter().zip(&loaded.scores[1]);
            for (i, (&loss, &entropy)) in both.enumerate() {
                if !loss.is_nan() && !entropy.is_nan() {
                    joint.add(loss, entropy, kept(i));
                }
            }
        }
        Ok(())
    }

    /// Reads the columns of a batch.
    fn load(&mut self, batch: &MaskBatch) -> anyhow::Result<()> {
        let columns = self.columns;
        let found = |found: bool, name: &str| {
            found
                .then_some(())
                .with_context(|| format!("expected a column {name:?}"))
        };
        for (name, scores) in columns.scores.iter().zip(&mut self.loaded.scores) {
            scores.clear();
            if name == "excess" && columns.excess_is_computed {
                let (mut base, mut loss) = (Vec::new(), Vec::new());
                found(batch.scores("base_loss", &mut base), "base_loss")?;
                found(batch.scores("loss", &mut loss), "loss")?;
                *scores = excess(&base, &loss);
                continue;
            }
            found(batch.scores(name, scores), name)?;
        }
        self.loaded.target.clear();
        batch.target(&mut self.loaded.target);
        for (name, mask) in columns.masks.iter().zip(&mut self.loaded.masks) {
            mask.clear();
            found(batch.mask(name, mask), name)?;
        }
        for (name, weights) in columns.weights.iter().zip(&mut self.loaded.weights) {
            weights.clear();
            found(batch.scores(name, weights), name)?;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        for (source, (at, group)) in other.sources.first {
            let all = self.sources.group(source.as_deref(), at, self.columns);
            all.merge(&group);
        }
        if let Some(others) = other.sources.others {
            self.sources.others(self.columns).merge(&others);
        }
        self.types.merge(&other.types);
        if let (Some(joint), Some(other)) = (&mut self.joint, &other.joint) {
            joint.merge(other);
        }
    }

    fn statistics(self) -> Statistics {
        let mut sources: Vec<_> = self.sources.first.into_iter().collect();
        sources.sort_by_key(|(_, (seen, _))| *seen);
        let mut total = self.columns.group();
        for (_, (_, group)) in &sources {
            total.merge(group);
        }
        if let Some(others) = &self.sources.others {
            total.merge(others);
        }
        Statistics {
            columns: self.columns.clone(),
            sources: sources
                .into_iter()
                .map(|(source, (_, group))| (source, group))
                .collect(),
            other_sources: self.sources.others,
            total,
            types: self.types,
            joint: self.joint,
        }
    }
}
