//! Fingerprints of inputs: of the bytes of their files, wherever the files are and whatever they are called.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use crate::hub;

/// Hexadecimal digits of a step's fingerprint: 48 bits are plenty for the hundred or so steps in a folder.
const DIGITS: usize = 12;

/// Fingerprints of files and folders, each read once.
#[derive(Debug, Default)]
pub(super) struct Inputs(BTreeMap<PathBuf, String>);

impl Inputs {
    /// The fingerprint of a file, or of all files in a folder and their relative names.
    pub(super) fn of(&mut self, path: &Path) -> anyhow::Result<String> {
        if let Some(known) = self.0.get(path) {
            return Ok(known.clone());
        }
        let mut hash = Sha256::new();
        let read = match hub::name(path) {
            // The name of a commit identifies it, no matter which of its files are in the cache.
            Some(name) => {
                hash.update(name);
                Ok(())
            }
            None => add(path, Path::new(""), &mut hash),
        };
        read.with_context(|| format!("{}: cannot be read", path.display()))?;
        let digest = hex(&hash.finalize());
        self.0.insert(path.to_owned(), digest.clone());
        Ok(digest)
    }
}

fn add(path: &Path, name: &Path, hash: &mut Sha256) -> std::io::Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            add(&entry.path(), &name.join(entry.file_name()), hash)?;
        }
        return Ok(());
    }
    hash.update(name.as_os_str().as_encoded_bytes());
    let mut file = rho_files::open_named(path)?;
    hash.update(file.metadata()?.len().to_le_bytes());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// The fingerprint of the options and inputs of a step.
pub(super) fn of(what: &serde_json::Value) -> String {
    let mut digits = hex(&Sha256::digest(what.to_string()));
    digits.truncate(DIGITS);
    digits
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
