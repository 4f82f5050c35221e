//! Takes a run's list of skipped rows and shards, says which shards were left out, and where the list is. A run that
//! left something out says so at each start, also when there is nothing left to do.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
};

use serde::Deserialize;

use crate::terminal;

/// The list of a folder.
pub(crate) const REJECTED: &str = "rejected.jsonl";
/// The start of the reason for a broken shard.
pub(crate) const ENDS_EARLY: &str = "the shard ends early: ";
/// Most broken shards that are named.
const SHOWN: usize = 5;

#[derive(Deserialize)]
struct Skipped {
    shard: String,
    row: i64,
    reason: String,
}

/// Says what a folder's list holds: broken shards by name, and where the skipped rows are.
pub(crate) fn say(folder: &Path) {
    let list = folder.join(REJECTED);
    if !list.exists() {
        terminal::line(&format!(
            "note: rows or shards were skipped: {} lists them when all ranks are done",
            list.display()
        ));
        return;
    }
    for line in broken_shards(&list) {
        terminal::line(&format!("note: {line}"));
    }
    terminal::line(&format!(
        "note: skipped rows and shards, with reasons: {}",
        list.display()
    ));
}

/// A line for each broken shard, and one for those beyond the first few. A list that cannot be read names none: its
/// reader will find out.
fn broken_shards(list: &Path) -> Vec<String> {
    let Ok(file) = rho_files::open(list) else {
        return Vec::new();
    };
    let (mut lines, mut more) = (Vec::new(), 0_u64);
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        // Most lines are of rows: look before parsing.
        if !line.contains(ENDS_EARLY) {
            continue;
        }
        let Ok(Skipped { shard, row, reason }) = serde_json::from_str(&line) else {
            continue;
        };
        match reason.strip_prefix(ENDS_EARLY) {
            Some(reason) if lines.len() < SHOWN => {
                lines.push(format!("{shard} is left out from row {row} on: {reason}"));
            }
            Some(_) => more += 1,
            None => {}
        }
    }
    if more > 0 {
        lines.push(format!("{more} more shards are left out in part"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    #[test]
    fn broken_shards_are_named_the_first_few() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join(REJECTED);
        assert!(broken_shards(&list).is_empty());
        let line = |shard: &str, reason: &str| {
            format!("{}\n", json!({"shard": shard, "row": 3, "reason": reason}))
        };
        let mut text = line("row.jsonl", "no text, \"the shard ends early: \" in it");
        for i in 0..7 {
            text += &line(&format!("{i}.gz"), "the shard ends early: cut");
        }
        fs::write(&list, text).unwrap();
        let said = broken_shards(&list);
        assert_eq!(said[0], "0.gz is left out from row 3 on: cut");
        assert_eq!(said.len(), SHOWN + 1);
        assert_eq!(said[SHOWN], "2 more shards are left out in part");
    }
}
