//! Resolves the arguments of a join. Nothing is read yet.

use rho_formats::{Location, RESERVED, Shard};
use serde_json::{Map, Value, json};

use crate::{
    cli::{JoinMissing, JoinOn, SelectArgs},
    corpus,
    hinted_error::HintedError,
    metadata::JoinedColumn,
    pipeline::record::Identity,
};

/// Where a column comes from, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct JoinPlan {
    pub(super) shards: Vec<Shard>,
    /// The identity of each file.
    identities: Vec<Identity>,
    pub(super) on: JoinOn,
    /// Its name in the files.
    pub(super) from: String,
    /// Its name in the masks.
    pub(crate) column: String,
    pub(super) missing: JoinMissing,
    /// Most bytes of rows in memory.
    pub(super) memory: u64,
}

impl JoinPlan {
    /// From the arguments, for masks with these columns; none if nothing is joined.
    pub(crate) fn resolve(args: &SelectArgs, there: &[&str]) -> anyhow::Result<Option<Self>> {
        let join = &args.join;
        if join.join.is_empty() {
            let given = [
                ("--on", join.on.is_some()),
                ("--column", join.column.is_some()),
                ("--as", join.name.is_some()),
                ("--join-missing", join.join_missing.is_some()),
                ("--memory", join.memory.is_some()),
            ];
            return match given.into_iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((option, _)) => Err(HintedError::error(
                    format!("{option}: expected --join FILE with it, got none"),
                    "name the file with the other program's column, or omit the option",
                )),
            };
        }
        let needed = |option: &str, hint: &str| {
            HintedError::error(
                format!("--join: expected {option} with it, got none"),
                hint.to_owned(),
            )
        };
        let Some(on) = join.on else {
            return Err(needed(
                "--on token_hash or --on id",
                "say which column of the file names the documents",
            ));
        };
        let Some(from) = join.column.clone() else {
            return Err(needed("--column", "name the column with the numbers"));
        };
        let column = join.name.clone().unwrap_or_else(|| from.clone());
        must_be_new(&column, there)?;
        let shards = corpus::find(&join.join)?;
        for shard in &shards {
            if !matches!(shard.place, Location::File | Location::Cached { .. }) {
                return Err(HintedError::error(
                    format!(
                        "--join {}: expected files on this machine, got something else",
                        shard.name
                    ),
                    "write standard input to a file, or download the file first",
                ));
            }
        }
        if shards.is_empty() {
            return Err(HintedError::error(
                "--join: expected Parquet, Arrow or JSON lines, got no such file",
                "name the file with the other program's column",
            ));
        }
        Ok(Some(Self {
            identities: shards.iter().map(Identity::of).collect(),
            shards,
            on,
            from,
            column,
            missing: join.join_missing.unwrap_or_default(),
            memory: join.memory.unwrap_or(1 << 28),
        }))
    }

    /// Its entry in the metadata.
    pub(crate) fn metadata(&self) -> JoinedColumn {
        JoinedColumn {
            column: self.column.clone(),
            from: self.from.clone(),
            on: self.on.name().to_owned(),
        }
    }

    /// What a resumed run must have as well.
    pub(crate) fn recorded(&self) -> Value {
        let files = self.shards.iter().zip(&self.identities);
        let files = files.map(|(shard, identity)| (shard.name.clone(), json!(identity)));
        json!({
            "files": files.collect::<Map<String, Value>>(),
            "missing": self.missing,
        })
    }

    /// Refuses files that changed since the arguments were resolved.
    pub(super) fn must_be_unchanged(&self) -> anyhow::Result<()> {
        for (shard, identity) in self.shards.iter().zip(&self.identities) {
            if let Some(difference) = identity.difference(&Identity::of(shard)) {
                return Err(HintedError::error(
                    format!(
                        "{}: expected an unchanged file, got one that changed while it was read: {difference}",
                        shard.path.display()
                    ),
                    "wait until it is finished, then start over with --restart",
                ));
            }
        }
        Ok(())
    }

    /// The names of the files, for messages.
    pub(super) fn shown(&self) -> String {
        match &self.shards[..] {
            [one] => one.path.display().to_string(),
            several => format!("{} files", several.len()),
        }
    }
}

/// Refuses the name of a column that masks have, or that would mean something else.
fn must_be_new(name: &str, there: &[&str]) -> anyhow::Result<()> {
    let shown = name.escape_debug();
    let refuse = |expected: &str, got: &str| {
        Err(HintedError::error(
            format!("--column {shown}: expected {expected}, got {got}"),
            "give it another name in the masks with --as",
        ))
    };
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 128 || !name.chars().all(is_plain) {
        return refuse(
            "a name of letters, digits, '_', '-' and '.', at most 128 bytes long",
            "another one",
        );
    }
    if name.starts_with("mask_") || name.starts_with("weight_") {
        return refuse("a name of scores", "one of masks or weights");
    }
    if RESERVED.contains(&name) || there.contains(&name) {
        return refuse(
            "a name that no other column of the masks has",
            "one that they have",
        );
    }
    Ok(())
}
