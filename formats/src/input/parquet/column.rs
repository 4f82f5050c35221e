//! Takes one column, yields a cell per row. The parent module turns cells into documents. `nested` reads the columns
//! below a list of anything but numbers.

use std::io;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::page::PageReader;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::schema::types::{BasicTypeInfo, ColumnDescriptor};

use super::super::cell::{Cell, wide};
use super::super::error::{cut_short, malformed};
use super::super::wanted::Holds;
use super::decoded::{Decoded, Values};
use super::pages::{Budget, may_share};

/// The most rows decoded at once.
const ROWS: usize = 256;

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
    /// How to read the `column` as a text (or as a list of token ids, or as numbers), or what it is instead. `exact`:
    /// the column is the field itself, not something nested in it.
    pub(super) fn of(
        column: &ColumnDescriptor,
        exact: bool,
        holds: Holds,
    ) -> Result<Self, &'static str> {
        if holds == Holds::Numbers {
            return Self::numbers(column, exact);
        }
        let tokens = holds == Holds::Tokens;
        let repeated = column.max_rep_level();
        if matches!(column.logical_type_ref(), Some(LogicalType::Unknown)) {
            return Err("null");
        }
        match column.physical_type() {
            Type::BYTE_ARRAY if !tokens && exact && repeated == 0 => Ok(Self::Text),
            Type::INT32 | Type::INT64 if tokens && repeated == 1 => Ok(Self::Integers {
                unsigned: is_unsigned(column.self_type().get_basic_info()),
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
        match (column.logical_type_ref(), column.converted_type()) {
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
        let unsigned = is_unsigned(column.self_type().get_basic_info());
        let item = item_level(column);
        match (column.max_rep_level(), column.physical_type()) {
            (0, _) if !exact => Err("an object"),
            (0, Type::INT32 | Type::INT64) => Ok(Self::Integer { unsigned }),
            (1, Type::INT32 | Type::INT64) => Ok(Self::Integers { unsigned, item }),
            (0, Type::FLOAT | Type::DOUBLE) => Ok(Self::Float),
            (1, Type::FLOAT | Type::DOUBLE) => Ok(Self::Floats { item }),
            (0, Type::FIXED_LEN_BYTE_ARRAY) if is_half(column) => Ok(Self::Float),
            (1, Type::FIXED_LEN_BYTE_ARRAY) if is_half(column) => Ok(Self::Floats { item }),
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
            unsigned: is_unsigned(column.self_type().get_basic_info()),
        })
    }

    fn is_unsigned(self) -> bool {
        match self {
            Self::Text | Self::Float | Self::Floats { .. } => false,
            Self::Integer { unsigned } | Self::Integers { unsigned, .. } => unsigned,
        }
    }
}

/// Whether a column's integers are unsigned.
pub(super) fn is_unsigned(column: &BasicTypeInfo) -> bool {
    use ConvertedType::{UINT_8, UINT_16, UINT_32, UINT_64};
    match column.logical_type_ref() {
        Some(LogicalType::Integer(integer)) => !integer.is_signed,
        _ => matches!(
            column.converted_type(),
            UINT_8 | UINT_16 | UINT_32 | UINT_64
        ),
    }
}

/// Whether a column's bytes are floating-point numbers of 16 bits.
pub(super) fn is_half(column: &ColumnDescriptor) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Float16))
}

/// The definition level from which on the column's list has an item.
fn item_level(column: &ColumnDescriptor) -> i16 {
    // Below the list, at most the item itself can be null.
    let optional_item = column.self_type().is_optional();
    column.max_def_level() - i16::from(optional_item)
}

/// The cells of a column.
pub(super) struct Column {
    decoded: Decoded,
    role: Role,
    items: Vec<Option<i64>>,
    float_items: Vec<Option<f64>>,
}

impl Column {
    pub(super) fn new(
        chunk: &ColumnChunkMetaData,
        role: Role,
        pages: Box<dyn PageReader>,
        budget: Budget,
    ) -> Self {
        // In such a page each text may be as large as the page; in other pages, all texts together.
        let most = if may_share(chunk) { 1 } else { ROWS };
        Self {
            decoded: Decoded::new(chunk, role.is_unsigned(), pages, budget, most),
            role,
            items: Vec::new(),
            float_items: Vec::new(),
        }
    }

    /// The next row's cell. Fails if the column has fewer cells than the file has rows.
    pub(super) fn next(&mut self) -> io::Result<Cell<'_>> {
        if self.is_at_end()? {
            return Err(cut_short("a column ends before its rows do"));
        }
        if let Role::Integers { item, .. } | Role::Floats { item } = self.role {
            return self.list(item);
        }
        let Some(value) = self.decoded.take() else {
            return Ok(Cell::Null);
        };
        match (self.role, &self.decoded.values) {
            (Role::Text, Values::Texts(texts)) => {
                let text = texts.get(value).map(ByteArray::data);
                text.map(Cell::Text).ok_or_else(missing)
            }
            (_, Values::Integers(integers)) => {
                let integer = integers.get(value).ok_or_else(missing)?;
                Ok(Cell::Integer(wide(*integer, self.role.is_unsigned())))
            }
            (_, Values::Floats(floats)) => {
                let float = floats.get(value).ok_or_else(missing)?;
                Ok(Cell::Float(*float))
            }
            _ => Err(missing()),
        }
    }

    /// Whether there are no more cells.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        self.decoded.is_at_end()
    }

    /// The list of the next row.
    fn list(&mut self, item: i16) -> io::Result<Cell<'_>> {
        let definition = self.decoded.definition();
        self.items.clear();
        self.float_items.clear();
        if definition < item {
            self.decoded.take();
            return Ok(match definition + 1 == item {
                true => self.items(),
                false => Cell::Null,
            });
        }
        loop {
            let value = self.decoded.take();
            match (self.role, &self.decoded.values) {
                (Role::Integers { .. }, Values::Integers(all)) => {
                    self.items.push(item_of(all, value)?);
                }
                (Role::Floats { .. }, Values::Floats(all)) => {
                    self.float_items.push(item_of(all, value)?);
                }
                _ => return Err(missing()),
            }
            if self.decoded.repetition() == 0 {
                return Ok(self.items());
            }
        }
    }

    /// The list that was read last.
    fn items(&self) -> Cell<'_> {
        match self.role {
            Role::Floats { .. } => Cell::Floats(&self.float_items),
            _ => Cell::Integers(&self.items, self.role.is_unsigned()),
        }
    }
}

/// An item of a list: null, or the value at this index.
fn item_of<T: Copy>(all: &[T], value: Option<usize>) -> io::Result<Option<T>> {
    let item = |value| all.get(value).copied().ok_or_else(missing);
    value.map(item).transpose()
}

fn missing() -> io::Error {
    malformed("a column with fewer values than its levels say")
}
