//! The bundled files, which are written to the cache folder when they are used: the demonstration reference and some
//! documents.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use xxhash_rust::xxh3::Xxh3;

const FILES: [(&str, &[u8]); 3] = [
    ("config.json", include_bytes!("../models/demo/config.json")),
    (
        "tokenizer.json",
        include_bytes!("../models/demo/tokenizer.json"),
    ),
    ("model.onnx", include_bytes!("../models/demo/model.onnx")),
];

const NOTES: (&str, &[u8]) = (
    "notes.jsonl.gz",
    include_bytes!("../examples/corpus/notes.jsonl.gz"),
);

/// The note for a user of the demonstration reference.
pub(crate) const NOTICE: &str = "no --model given: using the bundled demonstration reference (a Llama of about a \
    million parameters, trained on school mathematics); it shows how the tool works and is not meant for real corpora";

/// The folder of the demonstration reference, written if it does not exist yet.
pub(crate) fn folder(cache: &Path) -> anyhow::Result<PathBuf> {
    lay(cache, "demo", &FILES, "the demonstration reference")
}

/// The default documents: 70 notes of the example corpus.
pub(crate) fn documents(cache: &Path) -> anyhow::Result<PathBuf> {
    let folder = lay(cache, "documents", &[NOTES], "the documents")?;
    Ok(folder.join(NOTES.0))
}

/// A folder with these files, which are written if they do not exist yet.
fn lay(cache: &Path, name: &str, files: &[(&str, &[u8])], what: &str) -> anyhow::Result<PathBuf> {
    // The name contains the hash of the content, so another version of the program never changes files that are open
    // here.
    let mut hash = Xxh3::new();
    for (name, bytes) in files {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let folder = cache.join(format!("{name}-{:016x}", hash.digest()));
    let held = fs::create_dir_all(cache).and_then(|()| rho_files::usage::hold(&folder));
    held.with_context(|| format!("cannot write {what} to {}", folder.display()))?;
    for (name, bytes) in files {
        let path = folder.join(name);
        place(&path, bytes)
            .with_context(|| format!("cannot write {what} to {}", path.display()))?;
    }
    Ok(folder)
}

/// Writes a file atomically, unless it already holds these bytes. Other processes may write it at the same time.
fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    rho_files::write_atomic_shared(path, bytes)
}
