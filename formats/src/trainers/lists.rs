//! Takes lists of numbers row by row, yields them as columns of an Arrow record batch. All columns are lists without
//! nulls; the rows of different columns may differ in length.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Float32Type, Int8Type, Int32Type};
use arrow_array::{ArrayRef, BooleanArray, ListArray, PrimitiveArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use serde_json::Value;

use super::TableSchema;

/// One column of lists.
#[derive(Debug, Clone)]
pub struct Lists<T> {
    items: Vec<T>,
    offsets: Vec<i32>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            offsets: vec![0],
        }
    }
}

impl<T> Lists<T> {
    /// Adds a row: the items that `fill` appends.
    pub fn push(&mut self, fill: impl FnOnce(&mut Vec<T>)) {
        fill(&mut self.items);
        // Callers take batches long before 32-bit offsets overflow; an overflow (-1) is refused in `array`.
        let end = i32::try_from(self.items.len()).unwrap_or(-1);
        self.offsets.push(end);
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The number of items in all rows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// An item type.
pub trait Item: Sized {
    /// Its Arrow type.
    const TYPE: DataType;

    /// Converts items to an array.
    fn array(items: Vec<Self>) -> ArrayRef;
}

macro_rules! item {
    ($native:ty, $arrow:ty) => {
        impl Item for $native {
            const TYPE: DataType = <$arrow>::DATA_TYPE;

            fn array(items: Vec<Self>) -> ArrayRef {
                Arc::new(PrimitiveArray::<$arrow>::from_iter_values(items))
            }
        }
    };
}

item!(i8, Int8Type);
item!(i32, Int32Type);
item!(f32, Float32Type);

impl Item for bool {
    const TYPE: DataType = DataType::Boolean;

    fn array(items: Vec<Self>) -> ArrayRef {
        Arc::new(BooleanArray::from(items))
    }
}

/// The names and types of a table's columns.
#[derive(Debug, Clone, Default)]
pub struct ListFields(Vec<Field>);

impl ListFields {
    /// Adds a column.
    #[must_use]
    pub fn with<T: Item>(mut self, name: &str) -> Self {
        // Nullable, like pyarrow's own defaults.
        let item = Field::new_list_field(T::TYPE, true);
        let kind = DataType::List(Arc::new(item));
        self.0.push(Field::new(name, kind, true));
        self
    }

    /// The schema of the table, with `made` as its metadata under `rho_mask`.
    pub fn schema(self, made: &Value) -> TableSchema {
        TableSchema::new(self.0, made)
    }
}

/// The columns of a record batch, in the order of its schema.
#[derive(Debug, Default)]
pub struct ListColumns(Vec<Result<ArrayRef, ArrowError>>);

impl ListColumns {
    /// Adds a column with the content of `lists`, which is empty afterwards.
    #[must_use]
    pub fn with<T: Item>(mut self, lists: &mut Lists<T>) -> Self {
        let Lists { items, offsets } = std::mem::take(lists);
        self.0.push(array(items, offsets));
        self
    }

    pub(super) fn batch(self, schema: &TableSchema) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = self.0.into_iter().collect::<Result<_, _>>()?;
        RecordBatch::try_new(Arc::clone(&schema.0), columns)
    }
}

fn array<T: Item>(items: Vec<T>, offsets: Vec<i32>) -> Result<ArrayRef, ArrowError> {
    if offsets.contains(&-1) {
        let what = "a batch of lists has more items than 32-bit offsets can address";
        return Err(ArrowError::InvalidArgumentError(what.to_owned()));
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let field = Arc::new(Field::new_list_field(T::TYPE, true));
    let lists = ListArray::try_new(field, offsets, T::array(items), None)?;
    Ok(Arc::new(lists))
}
