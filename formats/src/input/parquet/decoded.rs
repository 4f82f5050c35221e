//! Takes the pages of one column, yields its entries: levels, and values that are not null. `column` and `nested` combine
//! them into cells.

use std::io;
use std::sync::atomic::Ordering;

use half::f16;
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type,
};
use parquet::file::metadata::ColumnChunkMetaData;

use super::super::error::malformed;
use super::cause;
use super::column::is_half;
use super::pages::Budget;

/// Only one row is decoded at once, if some take more bytes than this.
const BYTES: usize = 1 << 20;

/// Values of one type.
pub(super) enum Values {
    None,
    Texts(Vec<ByteArray>),
    Integers(Vec<i64>),
    Booleans(Vec<bool>),
    Floats(Vec<f64>),
}

/// The entries of a column, with some rows decoded ahead. A row has one entry, or more if the column is in a list.
pub(super) struct Decoded {
    reader: ColumnReader,
    /// Whether its integers are.
    unsigned: bool,
    /// Whether its bytes are floating-point numbers.
    half: bool,
    /// The definition level of a value that is not null.
    pub(super) present: i16,
    budget: Budget,
    full_budget: usize,
    /// The number of rows to decode at once, and its maximum.
    many: usize,
    most: usize,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    pub(super) values: Values,
    /// Index of the next entry and of the next value; the number of entries.
    entry: usize,
    value: usize,
    entries: usize,
}

impl Decoded {
    /// At most `most` rows are decoded at once.
    pub(super) fn new(
        chunk: &ColumnChunkMetaData,
        unsigned: bool,
        pages: Box<dyn PageReader>,
        budget: Budget,
        most: usize,
    ) -> Self {
        let description = chunk.column_descr_ptr();
        Self {
            unsigned,
            half: is_half(&description),
            present: description.max_def_level(),
            reader: get_column_reader(description, pages),
            full_budget: budget.load(Ordering::Relaxed),
            budget,
            many: 1,
            most,
            definition: Vec::new(),
            repetition: Vec::new(),
            values: Values::None,
            entry: 0,
            value: 0,
            entries: 0,
        }
    }

    /// Whether there are no more rows. To be asked between rows.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.entry == self.entries {
            self.fill()?;
        }
        Ok(self.entries == 0)
    }

    /// The definition level of the next entry of the row.
    pub(super) fn definition(&self) -> i16 {
        // Columns that cannot be null have no levels.
        let level = self.definition.get(self.entry);
        level.copied().unwrap_or(self.present)
    }

    /// The repetition level of the next entry; 0 if it belongs to another row, or is not decoded yet, which means the
    /// same: whole rows are.
    pub(super) fn repetition(&self) -> i16 {
        self.repetition.get(self.entry).copied().unwrap_or(0)
    }

    /// Takes the next entry of the row. The index of its value, if it is not null.
    pub(super) fn take(&mut self) -> Option<usize> {
        let is_there = self.definition() == self.present;
        self.entry += 1;
        let value = self.value;
        self.value += usize::from(is_there);
        is_there.then_some(value)
    }

    /// Decodes some rows; none at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.definition.clear();
        self.repetition.clear();
        self.values = Values::None;
        (self.entry, self.value) = (0, 0);
        let (many, definition, repetition) =
            (self.many, &mut self.definition, &mut self.repetition);
        let (entries, bytes) = match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                let (entries, texts) =
                    decode::<ByteArrayType>(reader, many, definition, repetition)?;
                let bytes = texts.iter().map(ByteArray::len).sum();
                self.values = Values::Texts(texts);
                (entries, bytes)
            }
            ColumnReader::Int32ColumnReader(reader) => {
                let (entries, values) = decode::<Int32Type>(reader, many, definition, repetition)?;
                let widen = |value: i32| match self.unsigned {
                    true => i64::from(value.cast_unsigned()),
                    false => i64::from(value),
                };
                self.values = Values::Integers(values.into_iter().map(widen).collect());
                (entries, entries * size_of::<i64>())
            }
            ColumnReader::Int64ColumnReader(reader) => {
                let (entries, values) = decode::<Int64Type>(reader, many, definition, repetition)?;
                self.values = Values::Integers(values);
                (entries, entries * size_of::<i64>())
            }
            ColumnReader::BoolColumnReader(reader) => {
                let (entries, values) = decode::<BoolType>(reader, many, definition, repetition)?;
                self.values = Values::Booleans(values);
                (entries, entries)
            }
            ColumnReader::FloatColumnReader(reader) => {
                let (entries, values) = decode::<FloatType>(reader, many, definition, repetition)?;
                self.values = Values::Floats(values.into_iter().map(f64::from).collect());
                (entries, entries * size_of::<f64>())
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let (entries, values) = decode::<DoubleType>(reader, many, definition, repetition)?;
                self.values = Values::Floats(values);
                (entries, entries * size_of::<f64>())
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) if self.half => {
                let (entries, values) =
                    decode::<FixedLenByteArrayType>(reader, many, definition, repetition)?;
                let mut floats = Vec::with_capacity(values.len());
                for value in values {
                    let bytes = <[u8; 2]>::try_from(value.data());
                    let bytes = bytes.map_err(|_| malformed("a 16-bit number of another size"))?;
                    floats.push(f16::from_le_bytes(bytes).to_f64());
                }
                self.values = Values::Floats(floats);
                (entries, entries * size_of::<f64>())
            }
            ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                (0, 0)
            }
        };
        self.entries = entries;
        self.budget.store(self.full_budget, Ordering::Relaxed);
        self.many = match bytes > BYTES {
            true => 1,
            false => (self.many * 2).min(self.most),
        };
        Ok(())
    }
}

/// Decodes `many` rows; returns the number of entries, and the values that are not null.
fn decode<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    many: usize,
    definition: &mut Vec<i16>,
    repetition: &mut Vec<i16>,
) -> io::Result<(usize, Vec<T::T>)> {
    let mut values = Vec::new();
    let (_, _, entries) = reader
        .read_records(many, Some(definition), Some(repetition), &mut values)
        .map_err(cause)?;
    Ok((entries, values))
}
