//! Compares two masks: opens them, joins their documents, counts by source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    agreement::Agreement,
    documents::{Columns, Document, FromFiles},
    join::{Join, Joined},
};
use crate::{
    cli::{DiffArgs, JoinKey},
    masks::{files::Masks, kind::must_be_masks},
    stop::{Stop, Stopped},
    terminal,
};

/// Most documents of one side alone that are named.
const NAMED: usize = 10;

/// The comparison of two masks.
pub(crate) struct Compared {
    pub(super) columns: Columns,
    /// The columns that only one side has.
    pub(super) columns_only: [Vec<String>; 2],
    /// By source; none are the documents without a source.
    pub(super) sources: BTreeMap<Option<String>, Agreement>,
    pub(super) total: Agreement,
    /// The first documents of one side alone, by shard and row.
    pub(super) named: [BTreeSet<(String, i64)>; 2],
    /// The names of the settings that differ.
    pub(super) settings: Vec<String>,
}

/// Compares the masks of the arguments.
///
/// # Errors
/// If one of them cannot be read or is damaged, or the comparison is stopped.
pub(crate) fn compare(args: &DiffArgs) -> anyhow::Result<Compared> {
    let stop = Stop::at_signals()?;
    let open = |path| {
        must_be_masks(path)?;
        let masks = Masks::open(path)?;
        terminal::note_missing(&masks.missing, "compared");
        anyhow::Ok(masks)
    };
    let (a, b) = (open(&args.a)?, open(&args.b)?);
    let (columns, columns_only) = columns(&a, &b);
    let mut sources = BTreeMap::<Option<String>, Agreement>::new();
    let mut named = [BTreeSet::new(), BTreeSet::new()];
    let have_source = [a.have_source(), b.have_source()];
    // An id that a document does not have itself is its shard and row: only joined by these, it must be the same.
    let must_equal = [args.join == JoinKey::Row, have_source == [true, true]];
    let source_of = |side: usize, document: &Document| match have_source[side] {
        true => document.source.clone(),
        false => Some(document.shard.clone()),
    };
    let join = Join {
        by: args.join,
        most: args.memory,
        stop: &stop,
    };
    let [mut of_a, mut of_b] = [&a, &b].map(|masks| FromFiles::new(masks, &columns));
    let whole = join.run([&mut of_a, &mut of_b], &mut |joined| {
        let source = match &joined {
            Joined::Both(a, b) => match have_source {
                [false, true] => source_of(1, b),
                _ => source_of(0, a),
            },
            Joined::Only(side, document) => source_of(*side, document),
        };
        let agreement = sources.entry(source);
        let agreement = agreement.or_insert_with(|| Agreement::new(&columns));
        match joined {
            Joined::Both(a, b) => agreement.add(&a, &b, must_equal),
            Joined::Only(side, document) => {
                agreement.add_only(side, &document);
                named[side].insert((document.shard, document.row));
                if named[side].len() > NAMED {
                    named[side].pop_last();
                }
            }
        }
    })?;
    if !whole {
        return Err(Stopped("stopped: nothing was compared to the end".to_owned()).into());
    }
    let mut total = Agreement::new(&columns);
    sources.values().for_each(|source| total.merge(source));
    let settings = settings(a.metadata(), b.metadata());
    Ok(Compared {
        columns,
        columns_only,
        sources,
        total,
        named,
        settings,
    })
}

/// The columns of both, and those of only one; texts and the most likely tokens are not compared.
fn columns(a: &Masks, b: &Masks) -> (Columns, [Vec<String>; 2]) {
    let all = |masks: &Masks| {
        let mut all = [masks.scores(), masks.weights(), masks.masks()].concat();
        all.extend(masks.have_source().then(|| "source".to_owned()));
        all
    };
    let without = |these: Vec<String>, others: &[String]| {
        let only = these.into_iter().filter(|name| !others.contains(name));
        only.collect::<Vec<_>>()
    };
    let common = |these: Vec<String>, others: &[String]| {
        let both = these.into_iter().filter(|name| others.contains(name));
        both.collect::<Vec<_>>()
    };
    let numbers = |masks: &Masks| [masks.scores(), masks.weights()].concat();
    let columns = Columns {
        numbers: common(numbers(a), &numbers(b)),
        masks: common(a.masks(), &b.masks()),
    };
    let only = [without(all(a), &all(b)), without(all(b), &all(a))];
    (columns, only)
}

/// The names of the fields in which the metadata differ.
fn settings(a: &Value, b: &Value) -> Vec<String> {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return Vec::new();
    };
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name));
    differ.cloned().collect()
}
