//! The folder of a run of `select`: opened, cleared, and how long its runs took.

use std::time::Instant;

use rho_files::InsidePath;
use rho_formats::{MaskFile, MasksFolder, OutputError, mask_file_stem};
use serde::{Deserialize, Serialize};

use super::plan::SelectPlan;
use crate::run_folder::{Command, Opening, RunFolder, records};

const TIMES: &str = "times.json";

/// Opens the folder of a run.
pub(super) fn open(plan: &SelectPlan) -> anyhow::Result<RunFolder> {
    RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Select,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        clear,
    )
}

/// Removes these files and their records from a folder.
pub(crate) fn clear(folder: &MasksFolder, names: &[&str]) -> anyhow::Result<()> {
    let files = names.iter().map(|&name| {
        let name = InsidePath::new(name)?;
        Ok(MaskFile {
            name,
            bytes: 0,
            rewritten: false,
        })
    });
    let files = files.collect::<Result<Vec<_>, OutputError>>()?;
    let shards = names.iter().filter_map(|name| mask_file_stem(name));
    Ok(folder.clear(shards, &files)?)
}

/// The times of all runs that wrote a folder.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Times {
    /// Tokens of the shards that these runs finished.
    pub(super) tokens: u64,
    pub(super) seconds: f64,
}

impl Times {
    /// The times of earlier runs; zero if they cannot be read.
    pub(super) fn read(folder: &MasksFolder) -> anyhow::Result<Self> {
        let noted = folder.read_record(TIMES)?;
        Ok(noted
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    /// Adds the times of this run.
    pub(super) fn add(folder: &MasksFolder, tokens: u64, start: Instant) -> anyhow::Result<Self> {
        let mut times = Self::read(folder)?;
        times.tokens += tokens;
        times.seconds += start.elapsed().as_secs_f64();
        records::write(folder, TIMES, &times)?;
        Ok(times)
    }
}
