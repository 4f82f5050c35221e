//! The folders of `train` and `experiment`, which are not datasets of masks. Only one command writes such a folder, and
//! it must not contain other files when the command starts.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use rho_files::{Folder, Lock};
use rho_formats::MasksFolder;

use crate::hinted_error::HintedError;

/// The folder of the records.
const NOTES: &str = ".rho-mask";

/// A command that owns its folder, and how the folder is recognised.
pub(crate) struct Owner {
    /// The record that only this command writes. A folder that contains it is the command's.
    pub(crate) note: &'static str,
    /// Other files that may exist before that record does.
    pub(crate) others: &'static [&'static str],
    /// The lock file, among the records.
    pub(crate) lock: &'static str,
    /// What a refusal calls a run of this command, and the folder that it expects.
    pub(crate) run: &'static str,
    pub(crate) expected: &'static str,
    /// The hint for a refused folder.
    pub(crate) hint: &'static str,
}

/// A folder that no other run writes to.
pub(crate) struct OwnFolder {
    pub(crate) files: MasksFolder,
    _lock: Lock,
}

impl Owner {
    /// Refuses a folder with other files: it must be new or empty, or a folder of the command.
    pub(crate) fn check(&self, path: &Path) -> anyhow::Result<()> {
        let shown = path.display();
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("{shown}: cannot be read"));
            }
            Ok(metadata) if !metadata.is_dir() => {
                return Err(HintedError::error(
                    format!("{shown}: expected a folder, got something else"),
                    "name another folder",
                ));
            }
            Ok(_) if self.owns(path) => return Ok(()),
            Ok(_) => {}
        }
        let entries = fs::read_dir(path).with_context(|| format!("{shown}: cannot be read"))?;
        // A run that was interrupted before its first record leaves the folder of the records.
        let known = |name: &std::ffi::OsStr| {
            name == NOTES || self.others.iter().any(|other| name == *other)
        };
        let mut names = entries.flatten().map(|entry| entry.file_name());
        match names.find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => Err(HintedError::error(
                format!(
                    "{shown}: expected {}, found {} in it",
                    self.expected,
                    name.display()
                ),
                self.hint,
            )),
        }
    }

    /// Whether its record, a file or a folder, is in a folder.
    fn owns(&self, path: &Path) -> bool {
        let (folder, note) = (Folder::at(path), MasksFolder::record_name(self.note));
        folder.bytes(&note).is_some() || folder.has_folder(&note)
    }

    /// Creates or opens a folder. Refuses one with other files, and one that another run writes to.
    pub(crate) fn open(&self, path: &Path) -> anyhow::Result<OwnFolder> {
        self.check(path)?;
        let shown = path.display();
        let files = MasksFolder::existing(path);
        files.make(NOTES)?;
        let lock = MasksFolder::record_name(self.lock);
        let held = files.folder().try_lock(&lock);
        let held = held.with_context(|| format!("{shown}/{lock}: cannot be locked"))?;
        let Some(held) = held else {
            return Err(HintedError::error(
                format!("{shown}: {} is writing to it", self.run),
                "wait for it to end, or name another folder",
            ));
        };
        Ok(OwnFolder { files, _lock: held })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::run_folder::records;

    const OWNER: Owner = Owner {
        note: "own.json",
        others: &["results.json"],
        lock: "own.lock",
        run: "another run",
        expected: "an empty folder",
        hint: "empty it",
    };

    fn refused(path: &Path) -> String {
        OWNER.open(path).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_is_empty_or_its_owners() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        OWNER.check(&path).unwrap();
        assert!(!path.exists(), "a check creates nothing");
        let held = OWNER.open(&path).unwrap();
        let said = format!("{}: another run is writing to it", path.display());
        assert_eq!(refused(&path), said);
        drop(held);
        // Killed before its first record.
        fs::write(path.join("results.json"), "").unwrap();
        drop(OWNER.open(&path).unwrap());
        fs::write(path.join("mine"), "").unwrap();
        let said = "expected an empty folder, found mine in it";
        assert!(refused(&path).ends_with(said));
        assert!(OWNER.check(&path).is_err());
        let folder = MasksFolder::existing(&path);
        records::write_readable(&folder, "own.json", &json!({"seed": 1})).unwrap();
        drop(OWNER.open(&path).unwrap());
        let text = fs::read_to_string(path.join(".rho-mask/own.json")).unwrap();
        assert_eq!(text, "{\n  \"seed\": 1\n}\n");

        let file = place.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&file).ends_with("expected a folder, got something else"));
    }
}
