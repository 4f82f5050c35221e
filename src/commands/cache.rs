//! `cache list` and `cache clean`.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rho_runtime::LibraryOptions;
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    cache::{self, Entry, Kind},
    cli::{CacheAction, CacheArgs, CacheCleanArgs},
    hinted_error::HintedError,
    table::Table,
    terminal,
};

pub(super) fn run(args: &CacheArgs) -> anyhow::Result<Outcome> {
    let folder = LibraryOptions::from_environment().cache;
    if folder.as_os_str().is_empty() {
        return Err(HintedError::error(
            "expected a cache folder, got none",
            "set HOME or XDG_CACHE_HOME",
        ));
    }
    let entries = cache::entries(&folder)?;
    match &args.action {
        CacheAction::List(args) => list(&folder, &entries, args.json),
        CacheAction::Clean(args) => return clean(&folder, &entries, args),
    }
    Ok(Outcome::Done)
}

fn list(folder: &Path, entries: &[Entry], as_json: bool) {
    if as_json {
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).ok();
        let entries = entries.iter().map(|entry| {
            json!({
                "name": entry.name,
                "kind": entry.kind,
                "bytes": entry.bytes,
                "last_used": entry.used.and_then(seconds).map(|time| time.as_secs()),
                "in_use": entry.in_use,
                "from": entry.from,
            })
        });
        let entries: Vec<Value> = entries.collect();
        let text = json!({"folder": folder.to_string_lossy(), "entries": entries});
        terminal::data(&format!("{text:#}"));
        return;
    }
    let mut table = Table::new(["name", "from", "kind", "MB", "last used"]).with_text(1);
    for entry in entries {
        let used = match (entry.in_use, entry.kind) {
            (true, _) => "in use".to_owned(),
            (false, Kind::Unknown) => String::new(),
            _ => entry.used.map_or(String::new(), ago),
        };
        let from = entry.from.clone().unwrap_or_default();
        let kind = entry.kind.name().to_owned();
        table.row([entry.name.clone(), from, kind, megabytes(entry.bytes), used]);
    }
    let text = table.lines(terminal::data_width().unwrap_or(usize::MAX));
    let sum: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let count = entries.len();
    terminal::data(&format!(
        "{text}{count} entries, {} MB in {}",
        megabytes(sum),
        folder.display()
    ));
}

fn clean(folder: &Path, entries: &[Entry], args: &CacheCleanArgs) -> anyhow::Result<Outcome> {
    let now = SystemTime::now();
    let is_old = |entry: &&Entry| match (args.older_than, entry.used) {
        (None, _) => true,
        (Some(age), Some(used)) => now.duration_since(used).is_ok_and(|since| since >= age),
        (Some(_), None) => false,
    };
    let chosen: Vec<&Entry> = match args.names.is_empty() {
        true => entries.iter().filter(|e| e.kind != Kind::Unknown).collect(),
        false => {
            let named = args.names.iter().map(|name| named(folder, entries, name));
            named.collect::<anyhow::Result<_>>()?
        }
    };
    let (mut removed, mut bytes, mut kept) = (0, 0, 0);
    for entry in chosen.into_iter().filter(is_old) {
        let gone = match args.dry_run {
            true => !entry.in_use,
            false => cache::remove(entry)?,
        };
        if gone {
            removed += 1;
            bytes += entry.bytes;
            terminal::line(&format!("{}, {} MB", entry.name, megabytes(entry.bytes)));
        } else {
            kept += 1;
            terminal::line(&format!("{}: in use, so it stays", entry.name));
        }
    }
    let done = match args.dry_run {
        true => "would remove",
        false => "removed",
    };
    terminal::line(&format!(
        "{done} {removed} entries, {} MB, from {}",
        megabytes(bytes),
        folder.display()
    ));
    Ok(match kept {
        0 => Outcome::Done,
        _ => Outcome::Incomplete,
    })
}

/// The entry of this name, or the only one whose name starts so.
fn named<'a>(folder: &Path, entries: &'a [Entry], name: &str) -> anyhow::Result<&'a Entry> {
    let shown = folder.display();
    let exact = entries.iter().find(|entry| entry.name == name);
    let mut starting = entries.iter().filter(|entry| entry.name.starts_with(name));
    let found = match (exact, starting.next(), starting.next()) {
        (Some(entry), _, _) | (None, Some(entry), None) if !name.is_empty() => entry,
        (_, None, _) => {
            return Err(HintedError::error(
                format!("{shown}: expected an entry {name:?}, got none"),
                "`rho-mask cache list` prints the names",
            ));
        }
        _ => {
            return Err(HintedError::error(
                format!("{shown}: expected one entry whose name starts with {name:?}, got several"),
                "write more of its name",
            ));
        }
    };
    match found.kind {
        Kind::Unknown => Err(HintedError::error(
            format!("{shown}: expected an entry that rho-mask wrote, got {name:?}"),
            "remove it yourself if it is yours",
        )),
        _ => Ok(found),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// How long ago, in the largest unit that gives a number.
fn ago(time: SystemTime) -> String {
    let since = SystemTime::now().duration_since(time);
    let seconds = since.unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
