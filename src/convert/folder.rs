//! The folder of a run of `convert`: opened and cleared.

use rho_formats::{MasksFolder, trainers::NewFiles};

use super::{plan::ConvertPlan, record::Record};
use crate::run_folder::{Command, Opening, RunFolder, shards};

/// The file that records how the others were created.
pub(super) const MADE: &str = "rho_mask.json";
/// The list, in the hidden folder, of the files about all shards.
pub(super) const INDEX: &str = "index.json";

/// Opens the folder of a run.
pub(super) fn open(plan: &ConvertPlan) -> anyhow::Result<RunFolder> {
    RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Convert,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        |folder, _| clear(folder),
    )
}

/// Removes the converted files of a folder, found through the records of its shards. The records go last, so that an
/// interrupted removal can be repeated.
fn clear(folder: &MasksFolder) -> anyhow::Result<()> {
    let new = NewFiles::of(folder);
    new.clear_partial()?;
    new.remove([super::summary::NAME, MADE, "tokenizer.json"])?;
    let index: Vec<String> = match folder.read_record(INDEX)? {
        Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        None => Vec::new(),
    };
    new.remove(index.iter().map(String::as_str))?;
    for stem in shards::recorded::<Record>(folder)? {
        // The files of a damaged record stay behind; they do no harm.
        if let Ok(Some(record)) = shards::read::<Record>(folder, &stem) {
            let files = record.written.files.iter();
            new.remove(files.map(|file| file.name.as_str()))?;
        }
    }
    Ok(folder.clear_records()?)
}
