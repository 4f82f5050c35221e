//! The bundled demonstration reference, carried inside the program and laid into the cache folder when it is used.

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

/// What to tell whoever uses it.
pub(crate) const NOTICE: &str = "no --model given: using the bundled demonstration reference (a Llama of about a \
    million parameters, trained on school mathematics); it shows how the tool works and is not meant for real corpora";

/// The folder with the demonstration reference, written if it is not there yet.
pub(crate) fn folder(cache: &Path) -> anyhow::Result<PathBuf> {
    // Named by what it holds: another version of the program never changes files that this one has open.
    let mut hash = Xxh3::new();
    for (name, bytes) in FILES {
        hash.update(name.as_bytes());
        hash.update(bytes);
    }
    let folder = cache.join(format!("demo-{:016x}", hash.digest()));
    for (name, bytes) in FILES {
        let path = folder.join(name);
        place(&path, bytes).with_context(|| {
            format!(
                "cannot lay the demonstration reference at {}",
                path.display()
            )
        })?;
    }
    Ok(folder)
}

/// Writes a file unless it already holds these bytes; whole or not at all, also beside other processes.
fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let temporary = path.with_extension(format!("partial-{}", std::process::id()));
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)
}
