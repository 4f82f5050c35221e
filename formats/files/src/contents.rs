//! Takes a folder that was written once and is read often, such as one in a cache; yields what is in it, so that a later
//! reader notices a flipped bit, a truncated file, a file too many.
//!
//! XXH3 finds damage at the speed of memory. It is no protection against somebody who writes to the folder on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{InsidePath, open};

/// The size of the blocks in which a file is read: smaller ones cost more calls, larger ones leave the processor's cache.
const BLOCK: usize = 1 << 18;

/// The files of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// By their paths in the folder.
    pub files: BTreeMap<InsidePath, Content>,
}

/// The size and the hash of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Its size in bytes.
    pub bytes: u64,
    /// XXH3, 64 bits, in hexadecimal.
    pub xxh3: String,
}

impl Contents {
    /// Reads the files of a folder and of the folders in it, except the one of the name `except` in the folder itself.
    ///
    /// # Errors
    /// If a file cannot be read, is no regular one, or has a name that is not UTF-8.
    pub fn of(folder: &Path, except: &str) -> io::Result<Self> {
        let mut contents = Self::default();
        contents.add(folder, "", except)?;
        Ok(contents)
    }

    /// What in the folder differs from these contents, in words; `None` if nothing does. Sizes are compared first, so
    /// that a truncated file costs no reading of the others.
    pub fn difference(&self, folder: &Path, except: &str) -> Option<String> {
        for (name, content) in &self.files {
            let got = match fs::symlink_metadata(folder.join(name)) {
                Ok(there) if there.len() == content.bytes => continue,
                Ok(there) => format!("{} bytes", there.len()),
                Err(error) => error.to_string(),
            };
            return Some(format!(
                "{name}: expected {} bytes, got {got}",
                content.bytes
            ));
        }
        let found = match Self::of(folder, except) {
            Ok(found) => found,
            Err(error) => return Some(error.to_string()),
        };
        let changed = self.files.iter().find_map(|(name, content)| {
            let got = found
                .files
                .get(name)
                .map_or("none", |got| got.xxh3.as_str());
            let same = got == content.xxh3;
            (!same).then(|| format!("{name}: expected XXH3 {}, got {got}", content.xxh3))
        });
        let new = || {
            found
                .files
                .keys()
                .find(|name| !self.files.contains_key(*name))
        };
        changed.or_else(|| Some(format!("expected no file {}, got one", new()?)))
    }

    /// The sum of the sizes.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    fn add(&mut self, folder: &Path, below: &str, except: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| {
                let text = format!("expected a name in UTF-8, got {}", name.display());
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            let inside = format!("{below}{name}");
            if inside == except {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                self.add(&path, &format!("{inside}/"), except)?;
                continue;
            }
            let inside = InsidePath::new(inside);
            let inside = inside.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            self.files.insert(inside, Content::of(&path)?);
        }
        Ok(())
    }
}

impl Content {
    /// Reads a regular file.
    ///
    /// # Errors
    /// If it cannot be read, or is no regular file.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut file = open::open(path)?;
        let (mut hash, mut block, mut bytes) = (Xxh3::new(), vec![0; BLOCK], 0);
        loop {
            match file.read(&mut block) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&block[..read]);
                    bytes += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let xxh3 = format!("{:016x}", hash.digest());
        Ok(Self { bytes, xxh3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_found() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path();
        let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).unwrap();
        fs::create_dir(folder.join("sub")).unwrap();
        write("a", b"abc");
        write("sub/b", &[7; 1_000_000]);
        write("record.json", b"{}");
        let contents = Contents::of(folder, "record.json").unwrap();
        assert_eq!(contents.bytes(), 1_000_003);
        // printf abc | xxhsum -H3
        let abc = &contents.files[&InsidePath::new("a").unwrap()];
        assert_eq!(abc.xxh3, "78af5f94892f3950");
        let text = serde_json::to_string(&contents).unwrap();
        assert_eq!(serde_json::from_str::<Contents>(&text).unwrap(), contents);
        let difference = || contents.difference(folder, "record.json");
        assert_eq!(difference(), None);

        write("a", b"abd");
        let said = difference().unwrap();
        assert!(
            said.starts_with("a: expected XXH3 78af5f94892f3950, got "),
            "{said}"
        );
        write("a", b"ab");
        assert_eq!(difference().unwrap(), "a: expected 3 bytes, got 2 bytes");
        fs::remove_file(folder.join("a")).unwrap();
        assert!(
            difference()
                .unwrap()
                .starts_with("a: expected 3 bytes, got ")
        );
        write("a", b"abc");
        let mut large = vec![7; 1_000_000];
        large[999_999] ^= 1;
        write("sub/b", &large);
        assert!(difference().unwrap().starts_with("sub/b: expected XXH3 "));
        write("sub/b", &[7; 1_000_000]);
        assert_eq!(difference(), None);
        write("sub/c", b"");
        assert_eq!(difference().unwrap(), "expected no file sub/c, got one");
        fs::remove_file(folder.join("sub/c")).unwrap();
        #[cfg(unix)]
        {
            fs::rename(folder.join("a"), place.path().join("record.json")).unwrap();
            std::os::unix::fs::symlink("record.json", folder.join("a")).unwrap();
            assert!(difference().is_some());
        }
    }
}
