//! Takes the pages of one column, yields a cell per row. The parent module turns cells into documents.

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::page::PageReader;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type,
};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::ColumnDescriptor;

use std::io;
use std::sync::atomic::Ordering;

use half::f16;

use super::super::Form;
use super::super::cell::{Cell, wide};
use super::super::error::{cut_short, malformed};
use super::cause;
use super::pages::{Budget, may_share};

/// The most rows decoded at once.
const ROWS: usize = 256;
/// Fewer rows, if they take more bytes than this.
const BYTES: usize = 1 << 20;

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Bytes that should be UTF-8.
    Text,
    /// An integer.
    Integer { unsigned: bool },
    /// A list of integers. An item exists from this definition level on, the list itself from one less.
    Integers { unsigned: bool, item: i16 },
    /// A floating-point number.
    Float,
    /// A list of them; `item` as above.
    Floats { item: i16 },
}

impl Role {
    /// How to read the `column` as a text (or as a list of token ids, or as numbers), or what it is instead. `exact`: the
    /// column is the field itself, not something nested in it.
    pub(super) fn of(
        column: &ColumnDescriptor,
        exact: bool,
        form: Form,
    ) -> Result<Self, &'static str> {
        let tokens = form == Form::Tokens;
        let repeated = column.max_rep_level();
        if form == Form::Numbers {
            return Self::numbers(column, exact);
        }
        if matches!(column.logical_type_ref(), Some(LogicalType::Unknown)) {
            return Err("null");
        }
        match column.physical_type() {
            Type::BYTE_ARRAY if !tokens && exact && repeated == 0 => Ok(Self::Text),
            Type::INT32 | Type::INT64 if tokens && repeated == 1 => Ok(Self::Integers {
                unsigned: is_unsigned(column),
                item: item_level(column),
            }),
            _ if repeated > 1 => Err("a list of lists"),
            _ if repeated == 1 => Err("a list"),
            _ if !exact => Err("an object"),
            Type::BYTE_ARRAY => Err("a string"),
            Type::BOOLEAN => Err("a boolean"),
            Type::FIXED_LEN_BYTE_ARRAY => Err("a column of bytes of fixed length"),
            _ => Err("a number"),
        }
    }

    /// How to read the `column` as a number or a list of numbers, or what it is instead.
    fn numbers(column: &ColumnDescriptor, exact: bool) -> Result<Self, &'static str> {
        let logical = column.logical_type_ref();
        let converted = column.converted_type();
        match (logical, converted) {
            (Some(LogicalType::Unknown), _) => return Err("null"),
            (Some(LogicalType::Decimal { .. }), _) | (_, ConvertedType::DECIMAL) => {
                return Err("of decimals");
            }
            (
                Some(LogicalType::Date | LogicalType::Time { .. } | LogicalType::Timestamp { .. }),
                _,
            )
            | (
                _,
                ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS,
            ) => return Err("a time"),
            _ => {}
        }
        let unsigned = is_unsigned(column);
        let item = item_level(column);
        let is_half = matches!(logical, Some(LogicalType::Float16));
        match (column.max_rep_level(), column.physical_type()) {
            (0, _) if !exact => Err("an object"),
            (0, Type::INT32 | Type::INT64) => Ok(Self::Integer { unsigned }),
            (1, Type::INT32 | Type::INT64) => Ok(Self::Integers { unsigned, item }),
            (0, Type::FLOAT | Type::DOUBLE) => Ok(Self::Float),
            (1, Type::FLOAT | Type::DOUBLE) => Ok(Self::Floats { item }),
            (0, Type::FIXED_LEN_BYTE_ARRAY) if is_half => Ok(Self::Float),
            (1, Type::FIXED_LEN_BYTE_ARRAY) if is_half => Ok(Self::Floats { item }),
            (0, Type::BYTE_ARRAY) => Err("a string"),
            (0, Type::BOOLEAN) => Err("a boolean"),
            (0, _) => Err("a column of bytes of fixed length"),
            (1, _) => Err("a list of something else"),
            _ => Err("a list of lists"),
        }
    }

    /// How to read the column as an integer, if it is one.
    pub(super) fn integer(column: &ColumnDescriptor) -> Option<Self> {
        let integer = matches!(column.physical_type(), Type::INT32 | Type::INT64);
        (integer && column.max_rep_level() == 0).then(|| Self::Integer {
            unsigned: is_unsigned(column),
        })
    }
}

fn is_unsigned(column: &ColumnDescriptor) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(
            column.converted_type(),
            UINT_8 | UINT_16 | UINT_32 | UINT_64
        ),
    }
}

/// The definition level from which on the column's list has an item.
fn item_level(column: &ColumnDescriptor) -> i16 {
    // Below the list, at most the item itself can be null.
    let optional_item = column.self_type().is_optional();
    column.max_def_level() - i16::from(optional_item)
}

/// The cells of a column, with some rows decoded ahead.
pub(super) struct Column {
    reader: ColumnReader,
    role: Role,
    /// The definition level of a value that is not null.
    present: i16,
    budget: Budget,
    full_budget: usize,
    /// The number of rows to decode at once, and its maximum.
    many: usize,
    most: usize,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    texts: Vec<ByteArray>,
    integers: Vec<i64>,
    floats: Vec<f64>,
    items: Vec<Option<i64>>,
    float_items: Vec<Option<f64>>,
    /// Index of the next level and of the next value to yield; the number of levels.
    level: usize,
    value: usize,
    levels: usize,
}

impl Column {
    pub(super) fn new(
        chunk: &ColumnChunkMetaData,
        role: Role,
        pages: Box<dyn PageReader>,
        budget: Budget,
    ) -> Self {
        let description = chunk.column_descr_ptr();
        Self {
            role,
            present: description.max_def_level(),
            reader: get_column_reader(description, pages),
            full_budget: budget.load(Ordering::Relaxed),
            budget,
            many: 1,
            // In such a page each text may be as large as the page; in other pages, all texts together.
            most: if may_share(chunk) { 1 } else { ROWS },
            definition: Vec::new(),
            repetition: Vec::new(),
            texts: Vec::new(),
            integers: Vec::new(),
            floats: Vec::new(),
            items: Vec::new(),
            float_items: Vec::new(),
            level: 0,
            value: 0,
            levels: 0,
        }
    }

    /// The next row's cell. Fails if the column has fewer cells than the file has rows.
    pub(super) fn next(&mut self) -> io::Result<Cell<'_>> {
        if self.is_at_end()? {
            return Err(cut_short("a column ends before its rows do"));
        }
        let level = self.level;
        self.level += 1;
        let definition = self.definition.get(level).copied().unwrap_or(self.present);
        if let Role::Integers { item, .. } | Role::Floats { item } = self.role {
            return Ok(self.list(definition, item));
        }
        if definition != self.present {
            return Ok(Cell::Null);
        }
        let value = self.value;
        self.value += 1;
        Ok(match self.role {
            Role::Text => Cell::Text(self.texts[value].data()),
            Role::Integer { unsigned } | Role::Integers { unsigned, .. } => {
                Cell::Integer(wide(self.integers[value], unsigned))
            }
            Role::Float | Role::Floats { .. } => Cell::Float(self.floats[value]),
        })
    }

    /// Whether there are no more cells.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        if self.level == self.levels {
            self.fill()?;
        }
        Ok(self.levels == 0)
    }

    /// The list that starts at the level before the next one.
    fn list(&mut self, definition: i16, item: i16) -> Cell<'_> {
        self.items.clear();
        self.float_items.clear();
        if definition + 1 < item {
            return Cell::Null;
        }
        if definition < item {
            return self.items();
        }
        let mut definition = definition;
        loop {
            let there = definition == self.present;
            match self.role {
                Role::Floats { .. } => {
                    let float = there.then(|| self.floats[self.value]);
                    self.float_items.push(float);
                }
                _ => self.items.push(there.then(|| self.integers[self.value])),
            }
            self.value += usize::from(there);
            if self.level == self.levels || self.repetition[self.level] == 0 {
                return self.items();
            }
            definition = self
                .definition
                .get(self.level)
                .copied()
                .unwrap_or(self.present);
            self.level += 1;
        }
    }

    fn items(&self) -> Cell<'_> {
        match self.role {
            Role::Integers { unsigned, .. } => Cell::Integers(&self.items, unsigned),
            _ => Cell::Floats(&self.float_items),
        }
    }

    /// Decodes some rows; none at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.definition.clear();
        self.repetition.clear();
        self.texts.clear();
        self.integers.clear();
        self.floats.clear();
        (self.level, self.value) = (0, 0);
        let (many, definition, repetition) =
            (self.many, &mut self.definition, &mut self.repetition);
        let (levels, bytes) = match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                let (levels, values) =
                    decode::<ByteArrayType>(reader, many, definition, repetition)?;
                self.texts = values;
                (levels, self.texts.iter().map(ByteArray::len).sum())
            }
            ColumnReader::Int32ColumnReader(reader) => {
                let (levels, values) = decode::<Int32Type>(reader, many, definition, repetition)?;
                let unsigned = matches!(
                    self.role,
                    Role::Integer { unsigned: true } | Role::Integers { unsigned: true, .. }
                );
                let widen = |value: i32| match unsigned {
                    true => i64::from(value.cast_unsigned()),
                    false => i64::from(value),
                };
                self.integers.extend(values.into_iter().map(widen));
                (levels, levels * size_of::<i64>())
            }
            ColumnReader::Int64ColumnReader(reader) => {
                let (levels, values) = decode::<Int64Type>(reader, many, definition, repetition)?;
                self.integers = values;
                (levels, levels * size_of::<i64>())
            }
            ColumnReader::FloatColumnReader(reader) => {
                let (levels, values) = decode::<FloatType>(reader, many, definition, repetition)?;
                self.floats.extend(values.into_iter().map(f64::from));
                (levels, levels * size_of::<f64>())
            }
            ColumnReader::DoubleColumnReader(reader) => {
                let (levels, values) = decode::<DoubleType>(reader, many, definition, repetition)?;
                self.floats = values;
                (levels, levels * size_of::<f64>())
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                let (levels, values) =
                    decode::<FixedLenByteArrayType>(reader, many, definition, repetition)?;
                for value in values {
                    let bytes = <[u8; 2]>::try_from(value.data());
                    let bytes = bytes.map_err(|_| malformed("a 16-bit number of another size"))?;
                    self.floats.push(f16::from_le_bytes(bytes).to_f64());
                }
                (levels, levels * size_of::<f64>())
            }
            _ => (0, 0),
        };
        self.levels = levels;
        self.budget.store(self.full_budget, Ordering::Relaxed);
        self.many = match bytes > BYTES {
            true => 1,
            false => (self.many * 2).min(self.most),
        };
        Ok(())
    }
}

/// Decodes `many` rows; returns the number of levels, and the values that are not null.
fn decode<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    many: usize,
    definition: &mut Vec<i16>,
    repetition: &mut Vec<i16>,
) -> io::Result<(usize, Vec<T::T>)> {
    let mut values = Vec::new();
    let (_, _, levels) = reader
        .read_records(many, Some(definition), Some(repetition), &mut values)
        .map_err(cause)?;
    Ok((levels, values))
}
