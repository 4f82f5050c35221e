//! Shared by the tests: reading a file to its end, compressing, finding files beside the project.

pub(crate) mod answers;
pub(crate) mod bucket;
pub(crate) mod python;
pub(crate) mod server;
mod webdataset;

use std::io::Write;
use std::path::{Path, PathBuf};

use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use rho_formats::{
    Compression, Content, Document, ReadOptions, Record, Shard, ShardError, ShardReader,
    find_shards,
};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The records of a file, and the error that ended it.
pub(crate) struct Outcome {
    pub(crate) records: Vec<Record>,
    pub(crate) error: Option<ShardError>,
    pub(crate) bytes_read: u64,
}

impl Outcome {
    /// The documents; panics on an error or a rejection.
    pub(crate) fn documents(self) -> Vec<Document> {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.records
            .into_iter()
            .map(|record| match record {
                Record::Document(document) => document,
                Record::Rejected(rejection, _) => panic!("{rejection:?}"),
            })
            .collect()
    }

    /// Texts of documents, reasons of rejections.
    pub(crate) fn told(&self) -> Vec<(i64, Result<&str, &str>)> {
        let tell = |record| match record {
            &Record::Document(Document {
                row,
                content: Content::Text(ref text),
                ..
            }) => (row, Ok(text.as_str())),
            &Record::Document(Document { row, .. }) => (row, Ok("tokens")),
            Record::Rejected(rejection, _) => (rejection.row, Err(rejection.reason.as_str())),
        };
        self.records.iter().map(tell).collect()
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Reads a file to its end, as the only argument of a command.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Outcome {
    let shard = find_shards(&[path.to_path_buf()]).unwrap().shards.remove(0);
    read_all(&shard, options)
}

/// Reads a shard to its end.
pub(crate) fn read_all(shard: &Shard, options: &ReadOptions) -> Outcome {
    block_on(async {
        let mut outcome = Outcome {
            records: Vec::new(),
            error: None,
            bytes_read: 0,
        };
        let mut reader = match ShardReader::open(shard, options).await {
            Ok(reader) => reader,
            Err(error) => {
                outcome.error = Some(error);
                return outcome;
            }
        };
        loop {
            match reader.next().await {
                Ok(Some(record)) => outcome.records.push(record),
                Ok(None) => break,
                Err(error) => outcome.error = Some(error),
            }
        }
        outcome.bytes_read = reader.bytes_read();
        if outcome.error.is_none() {
            webdataset::assert_the_same(&shard.path, &outcome.records, options);
        }
        outcome
    })
}

/// Writes `bytes` under `name` into a fresh folder and reads them.
pub(crate) fn read_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path, options)
}

/// Compresses `bytes` as one gzip member or zstd frame.
pub(crate) fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    compress_flushed(&[bytes], compression).0
}

/// Compresses `parts` as one stream, flushed after each; also returns the offsets up to which each part can be decoded.
pub(crate) fn compress_flushed(parts: &[&[u8]], compression: Compression) -> (Vec<u8>, Vec<usize>) {
    async fn encode<E: AsyncWrite + Unpin>(
        mut encoder: E,
        parts: &[&[u8]],
        length: impl Fn(&E) -> usize,
    ) -> (E, Vec<usize>) {
        let mut ends = Vec::new();
        for part in parts {
            encoder.write_all(part).await.unwrap();
            encoder.flush().await.unwrap();
            ends.push(length(&encoder));
        }
        encoder.shutdown().await.unwrap();
        (encoder, ends)
    }
    macro_rules! with {
        ($encoder:ident) => {{
            let encoder = $encoder::new(Vec::new());
            let (encoder, ends) = encode(encoder, parts, |encoder| encoder.get_ref().len()).await;
            (encoder.into_inner(), ends)
        }};
    }
    block_on(async {
        match compression {
            Compression::None => (parts.concat(), Vec::new()),
            Compression::Gzip => with!(GzipEncoder),
            Compression::Zstd => with!(ZstdEncoder),
            Compression::Bzip2 => with!(BzEncoder),
            Compression::Xz => with!(XzEncoder),
        }
    })
}

/// A file of the data beside the project; reports it as skipped if it is missing, as on most machines.
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(name);
    let there = path.exists();
    if !there {
        // Not with `eprintln!`, whose output the test harness hides for passing tests.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {} is missing", path.display());
    }
    there.then_some(path)
}
