//! Takes a Parquet file, yields a document per row. Reads only the wanted columns, page by page, so memory does not
//! depend on the size of the row groups.
//!
//! Columns are read value by value (see `column`; `nested` for lists of objects), not as Arrow arrays: a value is then a
//! slice of its page, a dictionary's value is in memory once, and an invalid or too large text is one bad row, not the
//! end of a batch.
//! `pages` checks the pages, `footer` and `thrift` the headers around them: Parquet's own parser trusts the sizes in
//! them when it allocates.

mod column;
mod decoded;
mod delta;
pub(crate) mod footer;
mod levels;
mod nested;
pub(crate) mod pages;
mod thrift;

use std::io;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::serialized_reader::SerializedPageReader;

use super::error::malformed;
use super::fields;
use super::ranges::Ranges;
use super::wanted::{self, Holds, Value, Wanted};
use super::worker::Sink;
use super::{ReadOptions, Record, Said};
use column::{Column, Role};
use decoded::Decoded;
use nested::{Named, Nested, NestedColumn};
use pages::{Budget, Chunk, Limited, PageValues};

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
    let columns = Columns::find(&metadata, options);
    for group in metadata.row_groups() {
        let open = |index: usize, of: PageValues| open(&ranges, group, index, of, options);
        let flat = |(index, role): (usize, Role)| -> io::Result<Column> {
            let (chunk, pages, budget) = open(index, PageValues::Flat)?;
            Ok(Column::new(chunk, role, pages, budget))
        };
        let mut id = columns.id.map(flat).transpose()?;
        let mut source = columns.source.map(flat).transpose()?;
        let mut fields = Vec::with_capacity(columns.fields.len());
        for field in &columns.fields {
            fields.push(match field {
                Ok(Some(Found::Flat(index, role))) => {
                    Some(Field::Flat(Box::new(flat((*index, *role))?)))
                }
                Ok(Some(Found::Nested(nested))) => {
                    let mut leaves = Vec::with_capacity(nested.columns.len());
                    for &(index, unsigned) in &nested.columns {
                        let (chunk, pages, budget) =
                            open(index, PageValues::Nested(nested.columns.len()))?;
                        leaves.push(Decoded::new(chunk, unsigned, pages, budget, 1));
                    }
                    let most = options.max_document_bytes;
                    Some(Field::Nested(NestedColumn::new(nested, leaves, most)))
                }
                Ok(None) | Err(_) => None,
            });
        }
        let group_rows = group.num_rows();
        for _ in 0..group_rows {
            let mut values = Vec::with_capacity(fields.len());
            for ((column, found), wanted) in
                fields.iter_mut().zip(&columns.fields).zip(&columns.wanted)
            {
                values.push(match (found, column) {
                    (Err(reason), _) => Err(reason.clone()),
                    (_, None) => Ok(Value::Missing),
                    (_, Some(Field::Flat(column))) => column.next()?.value(wanted, options),
                    (_, Some(Field::Nested(column))) => column.next()?.value(wanted, options),
                });
            }
            let name = |column: &mut Option<Column>| match column {
                Some(column) => column.next().map(|cell| cell.id()),
                None => Ok(None),
            };
            let mut said = Said {
                id: name(&mut id)?,
                source: name(&mut source)?,
                context: None,
            };
            let document = wanted::document(options, values).map(|(content, context)| {
                said.context = context;
                (said, content)
            });
            let row = sink.rows();
            if !sink.push(Record::of(shard, row, document)) {
                return Ok(());
            }
            if row % 256 == 0 {
                progress(row as u64, rows);
            }
        }
        let mut at_end = true;
        for field in fields.iter_mut().flatten() {
            at_end &= match field {
                Field::Flat(column) => column.is_at_end()?,
                Field::Nested(column) => column.is_at_end()?,
            };
        }
        for column in [&mut id, &mut source].into_iter().flatten() {
            at_end &= column.is_at_end()?;
        }
        if !at_end {
            return Err(malformed(format!(
                "a row group of {group_rows} rows with a column of more"
            )));
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

/// Opens one column of a row group.
fn open<'a>(
    ranges: &Arc<Ranges>,
    group: &'a RowGroupMetaData,
    index: usize,
    values: PageValues,
    options: &ReadOptions,
) -> io::Result<(&'a ColumnChunkMetaData, Box<Limited>, Budget)> {
    let chunk = group.column(index);
    if !lies_in(chunk, ranges.length()) {
        return Err(malformed("a column is outside the file"));
    }
    let limit = options.max_document_bytes;
    let bytes = Arc::new(Chunk::column(Arc::clone(ranges), chunk, limit));
    let rows = usize::try_from(group.num_rows()).map_err(io::Error::other)?;
    let pages = SerializedPageReader::new(bytes, chunk, rows, None).map_err(cause)?;
    let (pages, budget) = Limited::new(Box::new(pages), chunk, values, limit);
    Ok((chunk, Box::new(pages), budget))
}

/// The column, or the columns, of a wanted field.
enum Found {
    Flat(usize, Role),
    Nested(Nested),
}

/// The same in a row group.
enum Field<'a> {
    Flat(Box<Column>),
    Nested(NestedColumn<'a>),
}

/// The columns that are read.
struct Columns {
    wanted: Vec<Wanted>,
    /// For each wanted field its column and how to read it, or the reason why there is none; neither, if the field may
    /// be missing and is.
    fields: Vec<Result<Option<Found>, String>>,
    id: Option<(usize, Role)>,
    source: Option<(usize, Role)>,
}

impl Columns {
    fn find(metadata: &ParquetMetaData, options: &ReadOptions) -> Self {
        let schema = metadata.file_metadata().schema_descr();
        let find = |path: &str, holds: Holds| {
            let mut found = None;
            for (index, column) in schema.columns().iter().enumerate() {
                let name = column.path().string();
                let under = name
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
                if under {
                    let role = Role::of(column, name == path, holds);
                    found = Some(role.map(|role| (index, role)));
                    if name == path {
                        break;
                    }
                }
            }
            found
        };
        let list = |path: &str| match nested::find(schema.root_schema(), path)? {
            Named::Nested(nested) => Some(Ok(Found::Nested(nested))),
            Named::Flat(index) => {
                let role = Role::of(&schema.column(index), true, Holds::Text);
                Some(role.map(|role| Found::Flat(index, role)))
            }
            Named::Other(kind) => Some(Err(kind)),
        };
        let flat = |path: &str, holds: Holds| {
            let found = find(path, holds)?;
            Some(found.map(|(index, role)| Found::Flat(index, role)))
        };
        let found = |wanted: &Wanted| match wanted.holds.is_json() {
            true => list(&wanted.path),
            false => flat(&wanted.path, wanted.holds),
        };
        let field = |wanted: &Wanted| match found(wanted) {
            Some(Ok(found)) => Ok(Some(found)),
            // A column that is null in every row.
            Some(Err("null")) if wanted.holds.may_be_missing() => Ok(None),
            Some(Err(kind)) => Err(wanted.not(kind)),
            None if wanted.holds.may_be_missing() => Ok(None),
            None => {
                let root = schema.root_schema();
                let names = root.get_fields().iter().map(|field| field.name());
                Err(fields::missing(wanted, "the file", names))
            }
        };
        let name = |path: &str| match find(path, Holds::Text) {
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
        let wanted = Wanted::of(options);
        Self {
            fields: wanted.iter().map(field).collect(),
            wanted,
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
