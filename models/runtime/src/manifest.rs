//! The manifest of an installed folder: names, sizes and hashes of its files, in `manifest.json` beside them. It detects
//! damage; it does not protect against someone who can write to the user's cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rho_files::Content;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use crate::error::{LibraryError, chain};

const NAME: &str = "manifest.json";

/// How thoroughly to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Existence and size: costs nothing, done each time.
    Sizes,
    /// Every byte, by XXH3: done when a library is used first in a process. An installation of an earlier version has
    /// only SHA-256.
    Fast,
    /// Every byte, by SHA-256.
    Hashes,
}

/// The result of checking a folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Absent,
    Damaged(String),
    Whole,
}

/// The files of an installation, by their path relative to its folder, with `/` as separator.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) files: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Installations of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) xxh3: Option<String>,
}

impl Manifest {
    pub(crate) fn write(&self, folder: &Path) -> Result<(), LibraryError> {
        let path = folder.join(NAME);
        let text = serde_json::to_string_pretty(self).expect("names and numbers are always JSON");
        fs::write(&path, text + "\n").map_err(LibraryError::disk("write the manifest", &path))
    }
}

pub(crate) fn condition(folder: &Path, depth: Depth) -> Condition {
    if !folder.exists() {
        return Condition::Absent;
    }
    match first_problem(folder, depth) {
        None => Condition::Whole,
        Some(problem) => Condition::Damaged(problem),
    }
}

pub(crate) fn verify(folder: &Path, depth: Depth) -> Result<(), LibraryError> {
    let problem = match condition(folder, depth) {
        Condition::Whole => return Ok(()),
        Condition::Absent => "the folder is missing".to_owned(),
        Condition::Damaged(problem) => problem,
    };
    Err(LibraryError::Damaged {
        folder: folder.to_owned(),
        problem,
    })
}

fn first_problem(folder: &Path, depth: Depth) -> Option<String> {
    let manifest = match fs::read(folder.join(NAME)) {
        Ok(bytes) => serde_json::from_slice::<Manifest>(&bytes).map_err(|error| chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(reason) => return Some(format!("{NAME}: {reason}")),
    };
    manifest.files.iter().find_map(|(name, entry)| {
        let path = folder.join(name);
        match fs::metadata(&path) {
            Err(error) => return Some(format!("{name}: {error}")),
            Ok(found) if found.len() != entry.bytes => {
                return Some(format!(
                    "{name}: expected {} bytes, got {}",
                    entry.bytes,
                    found.len()
                ));
            }
            Ok(_) if depth == Depth::Sizes => return None,
            Ok(_) => {}
        }
        let (kind, expected, got) = match (&entry.xxh3, depth) {
            (Some(xxh3), Depth::Fast) => ("XXH3", xxh3, Content::of(&path).map(|got| got.xxh3)),
            _ => ("SHA-256", &entry.sha256, sha256_of(&path)),
        };
        match got {
            Ok(got) if got == *expected => None,
            Ok(got) => Some(format!("{name}: expected {kind} {expected}, got {got}")),
            Err(error) => Some(format!("{name}: {error}")),
        }
    })
}

/// Reads every byte of an installation that this process uses for the first time.
///
/// # Errors
/// [`LibraryError::Damaged`] when a file is missing or has changed.
pub(crate) fn verify_once(folder: &Path) -> Result<(), LibraryError> {
    static WHOLE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let is_known = |whole: &BTreeSet<PathBuf>| whole.contains(folder);
    if is_known(&WHOLE.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(());
    }
    verify(folder, Depth::Fast)?;
    // Where it cannot be written, the next process reads SHA-256 again.
    let _ = add_fast_hashes(folder);
    let mut whole = WHOLE.lock().unwrap_or_else(PoisonError::into_inner);
    whole.insert(folder.to_owned());
    Ok(())
}

/// Adds the XXH3 hashes to the manifest of an installation of an earlier version, whose SHA-256 has just been checked.
fn add_fast_hashes(folder: &Path) -> io::Result<()> {
    let path = folder.join(NAME);
    let mut manifest: Manifest = serde_json::from_slice(&fs::read(&path)?)?;
    let mut missing = false;
    for (name, entry) in &mut manifest.files {
        if entry.xxh3.is_none() {
            entry.xxh3 = Some(Content::of(&folder.join(name))?.xxh3);
            missing = true;
        }
    }
    match missing {
        true => rho_files::write_atomic_shared(&path, &serde_json::to_vec_pretty(&manifest)?),
        false => Ok(()),
    }
}

pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    copy_hashing(&mut File::open(path)?, &mut io::sink()).map(|entry| entry.sha256)
}

/// Copies to the end, and returns the number of bytes and their hashes in hexadecimal.
pub(crate) fn copy_hashing(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<Entry> {
    let (mut hash, mut fast) = (Sha256::new(), Xxh3::new());
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hash.update(&buffer[..read]);
        fast.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    let sha256 = hash.finalize();
    Ok(Entry {
        bytes,
        sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        xxh3: Some(format!("{:016x}", fast.digest())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_known_one() {
        // printf abc | sha256sum
        let entry = copy_hashing(&mut &b"abc"[..], &mut io::sink()).unwrap();
        assert_eq!(
            entry.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        // printf abc | xxhsum -H3
        assert_eq!(entry.xxh3.as_deref(), Some("78af5f94892f3950"));
        assert_eq!(entry.bytes, 3);
    }

    #[test]
    fn damage_is_noticed_at_the_depth_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(
            condition(&folder.join("none"), Depth::Hashes),
            Condition::Absent
        );
        let damaged = |depth| match condition(folder, depth) {
            Condition::Damaged(problem) => problem,
            other => panic!("expected damage, got {other:?}"),
        };
        assert!(damaged(Depth::Sizes).starts_with("manifest.json: "));

        fs::write(folder.join("lib"), "abc").unwrap();
        let entry = copy_hashing(&mut &b"abc"[..], &mut io::sink()).unwrap();
        Manifest {
            files: [("lib".to_owned(), entry)].into(),
        }
        .write(folder)
        .unwrap();
        assert_eq!(condition(folder, Depth::Hashes), Condition::Whole);

        fs::write(folder.join("lib"), "abd").unwrap();
        assert_eq!(condition(folder, Depth::Sizes), Condition::Whole);
        assert!(damaged(Depth::Hashes).starts_with("lib: expected SHA-256 ba7816bf"));
        assert!(damaged(Depth::Fast).starts_with("lib: expected XXH3 78af5f94"));
        assert!(verify_once(folder).is_err());
        // As an earlier version wrote it.
        let manifest = fs::read_to_string(folder.join(NAME)).unwrap();
        let mut earlier: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let files = earlier["files"]["lib"].as_object_mut().unwrap();
        assert!(files.remove("xxh3").is_some());
        fs::write(folder.join(NAME), earlier.to_string()).unwrap();
        assert!(damaged(Depth::Fast).starts_with("lib: expected SHA-256 ba7816bf"));
        fs::write(folder.join("lib"), "abc").unwrap();
        verify_once(folder).unwrap();
        let completed = fs::read_to_string(folder.join(NAME)).unwrap();
        let completed: serde_json::Value = serde_json::from_str(&completed).unwrap();
        assert_eq!(completed["files"]["lib"]["xxh3"], "78af5f94892f3950");
        fs::write(folder.join("lib"), "ab").unwrap();
        assert_eq!(damaged(Depth::Sizes), "lib: expected 3 bytes, got 2");
        fs::remove_file(folder.join("lib")).unwrap();
        assert!(damaged(Depth::Sizes).starts_with("lib: "));
        assert!(matches!(
            verify(folder, Depth::Hashes),
            Err(LibraryError::Damaged { .. })
        ));
    }
}
