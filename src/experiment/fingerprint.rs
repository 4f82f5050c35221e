//! What an input is known by: the bytes of its files, wherever they lie and whatever they are called.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use sha2::{Digest, Sha256};

use crate::hub;

/// Digits of a step's fingerprint: 48 bits, of which a folder has some hundred.
const DIGITS: usize = 12;

/// Fingerprints of files and folders, each read once.
#[derive(Debug, Default)]
pub(super) struct Inputs(BTreeMap<PathBuf, String>);

impl Inputs {
    /// Of a file, or of all files under a folder with their names in it.
    pub(super) fn of(&mut self, path: &Path) -> anyhow::Result<String> {
        if let Some(known) = self.0.get(path) {
            return Ok(known.clone());
        }
        let mut hash = Sha256::new();
        let read = match hub::name(path) {
            // A commit is what it is, whichever of its files are in the cache.
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
    let mut file = fs::File::open(path)?;
    hash.update(file.metadata()?.len().to_le_bytes());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Of what a step is made of.
pub(super) fn of(what: &serde_json::Value) -> String {
    let mut digits = hex(&Sha256::digest(what.to_string()));
    digits.truncate(DIGITS);
    digits
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
