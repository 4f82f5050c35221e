//! Refuses an output folder that overlaps the folder of the input masks, even under another name.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::hinted_error::HintedError;

/// Refuses an output folder that is the input folder, is inside it or contains it; links are followed.
pub(crate) fn must_be_apart(masks: &Path, out: &Path) -> anyhow::Result<()> {
    let (input, output) = (real(masks), real(out));
    let (Ok(input), Ok(output)) = (input, output) else {
        // A path that cannot be resolved is refused with its reason when it is opened.
        return Ok(());
    };
    let relation = match (inside(&output, &input), inside(&input, &output)) {
        (true, true) => "the same",
        (true, false) => "one inside it",
        (false, true) => "one that contains it",
        (false, false) => return Ok(()),
    };
    Err(HintedError::error(
        format!(
            "--out {}: expected another folder than {}, got {relation}",
            out.display(),
            masks.display()
        ),
        "name a new folder beside the masks, because they are never changed",
    ))
}

/// A path with links resolved; its last components need not exist yet.
fn real(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let mut end = Vec::new();
    let mut there = path.as_path();
    loop {
        match there.canonicalize() {
            Ok(mut found) => {
                for part in end.iter().rev() {
                    match Path::new(part).components().next() {
                        Some(std::path::Component::ParentDir) => {
                            found.pop();
                        }
                        _ => found.push(part),
                    }
                }
                return Ok(found);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let part = there.components().next_back();
                let (Some(part), Some(parent)) = (part, there.parent()) else {
                    return Err(error);
                };
                end.push(part.as_os_str().to_owned());
                there = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a folder is the same as another or inside it.
fn inside(inner: &Path, outer: &Path) -> bool {
    inner
        .ancestors()
        .any(|folder| folder == outer || same(folder, outer))
}

/// Whether two paths lead to the same folder, which may have several names (mounted twice, or case-insensitive).
#[cfg(unix)]
fn same(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) else {
        return false;
    };
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
