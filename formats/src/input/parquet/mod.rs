//! Takes a Parquet file, yields a document per row. Reads only the wanted columns, page by page, so memory does not
//! depend on the size of the row groups.
//!
//! Columns are read value by value (see `column`), not as Arrow arrays: a value is then a slice of its page, a
//! dictionary's value is in memory once, and an invalid or too large text is one bad row, not the end of a batch.
//! `pages` checks the pages, `footer` and `thrift` the headers around them: Parquet's own parser trusts the sizes in
//! them when it allocates.

mod column;
mod delta;
pub(crate) mod footer;
pub(crate) mod pages;
mod thrift;

use std::io;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;

use super::error::malformed;
use super::fields;
use super::ranges::Ranges;
use super::worker::Sink;
use super::{Content, ContentField, Form, ReadOptions, Record, Said};
use column::{Column, Role};
use pages::{Chunk, Limited};

/// The most rows per byte of the file; a file that claims more is damaged.
const ROWS_PER_BYTE: u64 = 4096;

/// Reads all rows. Calls `progress` with the number of rows done and their total.
pub(super) fn read(
    ranges: Arc<Ranges>,
    shard: &str,
    options: &ReadOptions,
    progress: &dyn Fn(u64, u64),
    sink: &mut Sink,
) -> io::Result<()> {
    let footer = footer::read(&ranges)?;
    let metadata = ParquetMetaDataReader::decode_metadata(&footer).map_err(cause)?;
    let rows = total_rows(&metadata, ranges.length())?;
    let wanted = Wanted::find(&metadata, options);
    for group in metadata.row_groups() {
        let open = |found: &Option<(usize, Role)>| -> io::Result<Option<Column>> {
            let Some((index, role)) = found else {
                return Ok(None);
            };
            let chunk = group.column(*index);
            if !lies_in(chunk, ranges.length()) {
                return Err(malformed("a column is outside the file"));
            }
            let limit = options.max_document_bytes;
            let bytes = Arc::new(Chunk::column(Arc::clone(&ranges), chunk, limit));
            let group_rows = usize::try_from(group.num_rows()).map_err(io::Error::other)?;
            let pages = SerializedPageReader::new(bytes, chunk, group_rows, None).map_err(cause)?;
            let (pages, budget) = Limited::new(Box::new(pages), chunk, limit);
            Ok(Some(Column::new(chunk, *role, Box::new(pages), budget)))
        };
        let mut id = open(&wanted.id)?;
        let mut source = open(&wanted.source)?;
        let mut content = match &wanted.content {
            Ok(found) => open(&Some(*found))?,
            Err(_) => None,
        };
        let group_rows = group.num_rows();
        for _ in 0..group_rows {
            let cell = content.as_mut().map(Column::next).transpose()?;
            let name = |column: &mut Option<Column>| match column {
                Some(column) => column.next().map(|cell| cell.id()),
                None => Ok(None),
            };
            let said = Said {
                id: name(&mut id)?,
                source: name(&mut source)?,
            };
            let document = match (&wanted.content, cell) {
                (Err(reason), _) => Err(reason.clone()),
                (_, None) => Ok(Content::Text(String::new())),
                (_, Some(cell)) => cell.content(&wanted.field, options),
            };
            let row = sink.rows();
            if !sink.push(Record::of(
                shard,
                row,
                document.map(|content| (said, content)),
            )) {
                return Ok(());
            }
            if row % 256 == 0 {
                progress(row as u64, rows);
            }
        }
        for column in [&mut content, &mut id, &mut source].into_iter().flatten() {
            if !column.is_at_end()? {
                return Err(malformed(format!(
                    "a row group of {group_rows} rows with a column of more"
                )));
            }
        }
    }
    progress(1, 1);
    Ok(())
}

/// Whether a column's pages are inside the file. Parquet panics if they start before it.
pub(crate) fn lies_in(chunk: &ColumnChunkMetaData, length: u64) -> bool {
    let start = chunk
        .dictionary_page_offset()
        .unwrap_or_else(|| chunk.data_page_offset());
    match (u64::try_from(start), u64::try_from(chunk.compressed_size())) {
        (Ok(start), Ok(size)) => start.checked_add(size).is_some_and(|end| end <= length),
        _ => false,
    }
}

/// The number of rows, if it is plausible, and the same for the row groups and the file.
pub(crate) fn total_rows(metadata: &ParquetMetaData, bytes: u64) -> io::Result<u64> {
    let groups = metadata.row_groups().iter();
    let rows = groups
        .map(|group| u64::try_from(group.num_rows()).ok())
        .try_fold(0_u64, |sum, rows| sum.checked_add(rows?))
        .filter(|rows| *rows <= bytes.saturating_mul(ROWS_PER_BYTE))
        .ok_or_else(|| malformed("it claims more rows than fit into its size"))?;
    let of_file = metadata.file_metadata().num_rows();
    match u64::try_from(of_file) == Ok(rows) {
        true => Ok(rows),
        false => Err(malformed(format!(
            "expected the {of_file} rows of its footer, got row groups of {rows}"
        ))),
    }
}

/// The wanted columns.
struct Wanted {
    /// The field with the document.
    field: String,
    /// The column and how to read it, or the reason why there is none.
    content: Result<(usize, Role), String>,
    id: Option<(usize, Role)>,
    source: Option<(usize, Role)>,
}

impl Wanted {
    fn find(metadata: &ParquetMetaData, options: &ReadOptions) -> Self {
        let schema = metadata.file_metadata().schema_descr();
        let ContentField {
            form,
            path: field,
            option,
            expected,
        } = options.content_field();
        let find = |path: &str, form: Form| {
            let mut found = None;
            for (index, column) in schema.columns().iter().enumerate() {
                let name = column.path().string();
                let under = name
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
                if under {
                    let role = Role::of(column, name == path, form);
                    found = Some(role.map(|role| (index, role)));
                    if name == path {
                        break;
                    }
                }
            }
            found
        };
        let content = match find(field, form) {
            Some(Ok(found)) => Ok(found),
            Some(Err(kind)) => Err(format!("field {field:?} is {kind}, expected {expected}")),
            None => {
                let root = schema.root_schema();
                let names = root.get_fields().iter().map(|field| field.name());
                Err(fields::missing(field, option, "the file", names))
            }
        };
        let name = |path: &str| match find(path, Form::Text) {
            Some(Ok(found)) => Some(found),
            _ => schema
                .columns()
                .iter()
                .enumerate()
                .find_map(|(index, column)| {
                    let integer = Role::integer(column)?;
                    (column.path().string() == path).then_some((index, integer))
                }),
        };
        Self {
            field: field.to_owned(),
            content,
            id: name(&options.id_field),
            source: options.source_field.as_deref().and_then(name),
        }
    }
}

/// Parquet's error as an input error; an error of the system stays unchanged.
pub(crate) fn cause(error: ParquetError) -> io::Error {
    let kind = match &error {
        ParquetError::EOF(_) => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::new(kind, inner),
        },
        error => io::Error::new(kind, error),
    }
}
