//! Takes a complete mask file, which is an Arrow stream under its temporary name, yields the same rows in another
//! format, under a second temporary name. Holds one record batch.
//!
//! The stream stays until the rows are recorded in the other format: before that, an interrupted run resumes from it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_ipc::writer::FileWriter;
use arrow_schema::{ArrowError, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use rho_files::Folder;

use super::encode::ipc_options;
use super::frames::Frames;
use super::writer::writing;
use super::{FileFormat, OutputError, Storage};

/// Bytes that are passed to the system at once.
const BUFFER: usize = 1 << 20;

/// What the footer of an Arrow file takes for each record batch, and beside them and the schema, in bytes.
const BLOCK: u64 = 24;
const FRAME: u64 = 512;

/// How much longer than the stream an Arrow file of some record batches may be, in bytes.
pub(super) fn longer(format: FileFormat, schema: u64, batches: u64) -> u64 {
    match format {
        FileFormat::ArrowFile => FRAME + schema + BLOCK * batches,
        FileFormat::ArrowStream | FileFormat::Parquet => 0,
    }
}

/// Writes the rows of the stream `from` to the file `to`, in place of a leftover, and syncs it. Returns its size.
pub(super) fn rewrite(
    folder: &Folder,
    from: &str,
    to: &str,
    storage: Storage,
) -> Result<u64, OutputError> {
    let (from_path, path) = (folder.path().join(from), folder.path().join(to));
    let file = folder.open(from).map_err(|source| OutputError::Read {
        path: from_path.clone(),
        source,
    })?;
    let mut stream = Frames::open(file).map_err(|source| reading(&from_path, source))?;
    let file = folder.create(to).map_err(|source| OutputError::Create {
        path: path.clone(),
        source,
    })?;
    let file = BufWriter::with_capacity(BUFFER, file);
    let failed = |source| writing(&path, source);
    let schema = Arc::clone(stream.schema());
    let file = match storage.format {
        FileFormat::ArrowFile | FileFormat::ArrowStream => {
            let options = ipc_options(storage.compression).map_err(failed)?;
            let writer = FileWriter::try_new_with_options(file, &schema, options);
            let mut writer = writer.map_err(failed)?;
            while let Some(batch) = stream.next().map_err(|e| reading(&from_path, e))? {
                writer.write(&batch).map_err(failed)?;
            }
            writer.finish().and_then(|()| writer.into_inner())
        }
        FileFormat::Parquet => {
            let properties = parquet_properties(&schema).map_err(|e| failed(as_arrow(e)))?;
            let properties = properties.set_max_row_group_row_count(None).build();
            let writer = ArrowWriter::try_new(file, schema, Some(properties));
            let mut writer = writer.map_err(|e| failed(as_arrow(e)))?;
            while let Some(batch) = stream.next().map_err(|e| reading(&from_path, e))? {
                // A row group for each record batch: so readers find the batches of the stream again.
                let written = writer.write(&batch).and_then(|()| writer.flush());
                written.map_err(|e| failed(as_arrow(e)))?;
            }
            writer.into_inner().map_err(as_arrow)
        }
    };
    sync(file.map_err(failed)?).map_err(|source| OutputError::Write { path, source })
}

fn sync(mut file: BufWriter<File>) -> io::Result<u64> {
    file.flush()?;
    file.get_ref().sync_all()?;
    Ok(file.get_ref().metadata()?.len())
}

/// How Parquet is written: compressed with Zstandard, and the schema's metadata also where readers find it that ignore
/// Arrow's own schema.
pub(crate) fn parquet_properties(schema: &Schema) -> Result<WriterPropertiesBuilder, ParquetError> {
    let metadata = schema.metadata().iter();
    let mut pairs: Vec<_> = metadata
        .map(|(key, text)| KeyValue::new(key.clone(), text.clone()))
        .collect();
    // The same schema gives the same bytes.
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("rho-mask".to_owned())
        .set_key_value_metadata(Some(pairs)))
}

/// An error of the Parquet writer; an error of the system inside it stays one.
fn as_arrow(error: ParquetError) -> ArrowError {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => ArrowError::IoError(source.to_string(), *source),
            Err(source) => ArrowError::ExternalError(source),
        },
        error => error.into(),
    }
}

/// An error of reading the stream that was just written.
fn reading(path: &Path, source: ArrowError) -> OutputError {
    let path = path.to_owned();
    match source {
        ArrowError::IoError(_, source) => OutputError::Read { path, source },
        source => OutputError::Encode { path, source },
    }
}
