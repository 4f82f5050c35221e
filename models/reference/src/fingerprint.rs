//! The fingerprint of files: SHA-256 over their bytes.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

use sha2::{Digest, Sha256};

/// SHA-256 of the concatenated contents of files, in hexadecimal: the fingerprint of a model or a tokenizer, equal to
/// `cat FILES | sha256sum`.
///
/// # Errors
/// If a file cannot be opened (checked before anything is read) or cannot be read to its end.
pub fn fingerprint(files: &[PathBuf]) -> io::Result<String> {
    let files = files.iter().map(|path| rho_files::open_named(path));
    let files = files.collect::<io::Result<Vec<fs::File>>>()?;
    let mut hash = Sha256::new();
    for file in files {
        let mut file = BufReader::with_capacity(1 << 20, file);
        loop {
            let length = match file.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    hash.update(bytes);
                    bytes.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            file.consume(length);
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
