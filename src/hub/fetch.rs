//! Downloads a file into the cache: resumes a partial download, counts the bytes, hashes them if the ETag is a hash,
//! and renames the file at the end. Two processes take turns with a lock; if the file system has no locks, both write
//! the same bytes to the same offsets.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use rho_files::Lock;
use sha2::{Digest, Sha256};

use super::{
    cache::{Repository, make_parent},
    client::{Client, Failure, Part, Remote},
};
use crate::{
    hinted_error::HintedError,
    terminal::{self, Bar},
};

/// How often to try a lock.
const LOOK: Duration = Duration::from_millis(200);
/// Files of at least this many bytes get their own line if no bar is shown.
const LARGE: u64 = 1 << 20;

/// A download from a server into a repository of the cache.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client<'a>,
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a str,
    bar: Bar,
}

/// The progress of one file.
struct Progress {
    file: File,
    bytes: u64,
    hash: Option<Sha256>,
    /// Whether it contains bytes of an earlier run.
    resumed: bool,
}

impl<'a> Download<'a> {
    pub(super) fn new(client: &'a Client<'a>, repository: &'a Repository, commit: &'a str) -> Self {
        Self {
            client,
            repository,
            commit,
            bar: Bar::hidden(),
        }
    }

    /// Shows a bar for files of this many bytes in total, if standard error is a terminal.
    pub(super) fn show(&mut self, bytes: u64) {
        let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {wide_msg}";
        self.bar = Bar::if_watched(bytes, style);
    }

    /// Downloads a file, if necessary, and links it into the commit's folder.
    pub(super) async fn bring(&self, remote: &Remote) -> Result<(), Failure> {
        self.bar.set_message(&remote.name);
        let begun = self.bar.position();
        if !self.is_there(remote) {
            let _lock = self.lock(remote).await?;
            // Another process may have downloaded it in the meantime.
            if !self.is_there(remote) {
                self.blob(remote).await?;
                if self.bar.is_hidden() && remote.bytes >= LARGE {
                    terminal::line(&format!(
                        "downloaded {} ({})",
                        remote.name,
                        size(remote.bytes)
                    ));
                }
            }
        }
        self.bar.set_position(begun + remote.bytes);
        Ok(self
            .repository
            .link(self.commit, &remote.name, &remote.etag)?)
    }

    /// Whether its blob exists with the right size.
    fn is_there(&self, remote: &Remote) -> bool {
        let blob = fs::metadata(self.repository.blob(&remote.etag));
        blob.is_ok_and(|blob| blob.is_file() && blob.len() == remote.bytes)
    }

    /// Waits for another process that downloads the same file; the wait can be stopped.
    async fn lock(&self, remote: &Remote) -> Result<Lock, Failure> {
        let path = self.repository.lock_file(&remote.etag);
        make_parent(&path)?;
        let mut waits = false;
        loop {
            let lock = Lock::try_take(&path);
            let lock = lock.with_context(|| format!("{}: cannot be locked", path.display()))?;
            if let Some(lock) = lock {
                return Ok(lock);
            }
            if !waits {
                terminal::line(&format!(
                    "waiting for another download of {} to end",
                    remote.name
                ));
                waits = true;
            }
            self.client.sleep(LOOK).await?;
        }
    }

    async fn blob(&self, remote: &Remote) -> Result<(), Failure> {
        let path = self.repository.incomplete(&remote.etag);
        make_parent(&path)?;
        let mut progress = self.begin(&path, remote)?;
        let begun = self.bar.position();
        let mut tried = 0;
        loop {
            self.bar.set_position(begun + progress.bytes);
            let before = progress.bytes;
            let Err(failure) = self.more(&mut progress, remote, &path, begun).await else {
                break;
            };
            if progress.bytes > before {
                tried = 0;
            }
            self.client.may_try_again(failure, tried).await?;
            tried += 1;
        }
        let written =
            rho_files::complete(&path, &progress.file, &self.repository.blob(&remote.etag));
        let written = written.with_context(|| format!("{}: cannot be written", path.display()));
        Ok(written?)
    }

    /// Resumes a partial download, if the hash of the file is known. Without a hash, the bytes may be of another file.
    fn begin(&self, path: &Path, remote: &Remote) -> Result<Progress, Failure> {
        let context = || format!("{}: cannot be written", path.display());
        let file = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(remote.sha256().is_none())
            .open(path)
            .with_context(context)?;
        let mut progress = Progress {
            bytes: 0,
            hash: remote.sha256().map(|_| Sha256::new()),
            resumed: false,
            file,
        };
        let mut buffer = vec![0; 1 << 20];
        loop {
            self.client.must_go_on()?;
            let read = progress.file.read(&mut buffer).with_context(context)?;
            if read == 0 {
                break;
            }
            progress.take(&buffer[..read]);
            progress.resumed = true;
        }
        if progress.bytes > remote.bytes {
            progress.restart().with_context(context)?;
        }
        Ok(progress)
    }

    /// Adds the bytes of one request; an error if the file is not whole afterwards.
    async fn more(
        &self,
        progress: &mut Progress,
        remote: &Remote,
        path: &Path,
        begun: u64,
    ) -> Result<(), Failure> {
        let context = || format!("{}: cannot be written", path.display());
        let shown = || format!("{}: {}", self.client.shown(), remote.name);
        if progress.bytes < remote.bytes || remote.bytes == 0 {
            let mut part: Part = self
                .client
                .open(self.commit, remote, progress.bytes)
                .await?;
            if part.from != progress.bytes {
                progress.restart().with_context(context)?;
            }
            while let Some(bytes) = self.client.next(&mut part).await? {
                if progress.bytes + bytes.len() as u64 > remote.bytes {
                    progress.restart().with_context(context)?;
                    let error = anyhow!("{}: expected {} bytes, got more", shown(), remote.bytes);
                    return Err(error.into());
                }
                progress.file.write_all(&bytes).with_context(context)?;
                progress.take(&bytes);
                self.bar.set_position(begun + progress.bytes);
            }
        }
        if progress.bytes < remote.bytes {
            let (expected, got) = (remote.bytes, progress.bytes);
            let hint = "try again: downloaded bytes are kept";
            return Err(Failure {
                error: HintedError::error(
                    format!("{}: expected {expected} bytes, got {got}", shown()),
                    hint,
                ),
                passing: true,
                missing: false,
            });
        }
        let Some(expected) = remote.sha256() else {
            return Ok(());
        };
        let got = progress.hash.take().unwrap_or_default().finalize();
        let got: String = got.iter().map(|byte| format!("{byte:02x}")).collect();
        if got.eq_ignore_ascii_case(expected) {
            return Ok(());
        }
        // The resumed bytes may be wrong: try again from the first byte.
        let passing = progress.resumed;
        progress.restart().with_context(context)?;
        let message = format!(
            "{}: expected content with the SHA-256 {expected}, got {got}",
            shown()
        );
        let hint =
            "try again, nothing of it was kept; if the error stays, ask the operator of the server";
        Err(Failure {
            error: HintedError::error(message, hint),
            passing,
            missing: false,
        })
    }
}

impl Drop for Download<'_> {
    fn drop(&mut self) {
        self.bar.finish();
    }
}

impl Progress {
    /// Counts and hashes bytes that are in the file.
    fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
    }

    /// Starts again from the first byte.
    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.bytes = 0;
        self.hash = Some(Sha256::new());
        self.resumed = false;
        Ok(())
    }
}

/// Bytes as human-readable text.
pub(super) fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
