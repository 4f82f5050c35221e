//! The records of finished steps, and the folders that killed or forgotten steps left.

use std::{fs, path::Path};

use anyhow::Context as _;
use rho_files::{Entry, Folder};
use rho_formats::MasksFolder;
use serde_json::{Value, json};

use super::{plan::Plan, step::Step};
use crate::{files::remove_folder, run_folder::records, terminal};

/// The folder of the records inside the hidden folder, and of the steps themselves beside it.
pub(super) const STEPS: &str = "steps";

/// The records of finished steps.
pub(super) struct StepRecords {
    pub(super) files: MasksFolder,
}

impl StepRecords {
    fn name(step: &Step) -> String {
        format!("{STEPS}/{}.json", step.folder_name())
    }

    /// Whether a step is done and its folder exists.
    pub(super) fn is_done(&self, step: &Step) -> bool {
        let record = MasksFolder::record_name(&Self::name(step));
        let folder = self.files.folder();
        folder.bytes(&record).is_some() && folder.has_folder(&Self::inside(step))
    }

    /// Refuses a step whose folder is a link, or in one: its command follows the path of its folder.
    pub(super) fn check(&self, step: &Step) -> anyhow::Result<()> {
        let checked = self.files.folder().subfolder(&Self::inside(step));
        checked.map(|_| ()).context("cannot be used")
    }

    fn inside(step: &Step) -> String {
        format!("{STEPS}/{}", step.folder_name())
    }

    /// Seconds of the start that finished it.
    pub(super) fn seconds(&self, step: &Step) -> Option<f64> {
        let record = records::read::<Value>(&self.files, &Self::name(step));
        record.ok()??["seconds"].as_f64()
    }

    /// Whether a finished step skipped a part of its input.
    pub(super) fn is_incomplete(&self, step: &Step) -> bool {
        let record = records::read::<Value>(&self.files, &Self::name(step));
        record.is_ok_and(|record| record.is_some_and(|record| record["incomplete"] == true))
    }

    /// Records that a step is done, and whether it skipped a part of its input.
    pub(super) fn write(&self, step: &Step, seconds: f64, incomplete: bool) -> anyhow::Result<()> {
        let record = json!({
            "name": step.name,
            "command": step.words(),
            "seconds": seconds,
            "incomplete": incomplete,
        });
        records::write_readable(&self.files, &Self::name(step), &record)
    }

    /// A step as `--show-plan` prints it.
    pub(super) fn shown(&self, step: &Step) -> Value {
        json!({
            "name": step.name,
            "folder": step.folder,
            "command": step.words(),
            "done": self.is_done(step),
        })
    }
}

/// Removes the partial files of killed exports. Nobody else is working here, because the experiment is locked.
pub(super) fn remove_leftovers(out: &Path) -> anyhow::Result<()> {
    let entries = Folder::at(out).entries(STEPS);
    let entries = entries.with_context(|| format!("{}: cannot be read", out.display()))?;
    for Entry { name, .. } in entries {
        if name.starts_with('.') && name.contains(".partial-") {
            remove_folder(&out.join(STEPS).join(name))?;
        }
    }
    Ok(())
}

/// Reports folders of steps that are no longer in the file.
pub(super) fn say_unused(plan: &Plan, out: &Path) {
    let planned: Vec<String> = plan.steps.iter().map(Step::folder_name).collect();
    let entries = fs::read_dir(out.join(STEPS)).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unused: Vec<String> = names.filter(|name| !planned.contains(name)).collect();
    unused.sort();
    if let Some(first) = unused.first() {
        terminal::line(&format!(
            "note: {} of the folders in {} belong to steps that are no longer in the file, such as {first}: they are left unchanged",
            unused.len(),
            out.join(STEPS).display()
        ));
    }
}
