//! Takes lists of numbers row by row, yields them as columns of an Arrow record batch. All columns are lists that hold no
//! nulls; the rows of different columns may differ in length.

use std::sync::Arc;

use arrow_array::types::{ArrowPrimitiveType, Float32Type, Int8Type, Int32Type};
use arrow_array::{ArrayRef, BooleanArray, ListArray, PrimitiveArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use serde_json::Value;

use super::TableSchema;

/// The column of one name.
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
    /// Adds a row of what `fill` adds to the items.
    pub fn push(&mut self, fill: impl FnOnce(&mut Vec<T>)) {
        fill(&mut self.items);
        // Batches are taken long before 32-bit offsets end; a longer list is refused when it becomes an array.
        let end = i32::try_from(self.items.len()).unwrap_or(-1);
        self.offsets.push(end);
    }

    /// Rows in it.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Items of all rows.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no items.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// A type of items.
pub trait Item: Sized {
    /// In Arrow.
    const TYPE: DataType;

    /// Items as an array.
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

/// The columns of a table that are to come, by name and type.
#[derive(Debug, Clone, Default)]
pub struct ListFields(Vec<Field>);

impl ListFields {
    /// With a column more.
    #[must_use]
    pub fn with<T: Item>(mut self, name: &str) -> Self {
        // Nullable, as pyarrow's own defaults are.
        let item = Field::new_list_field(T::TYPE, true);
        let kind = DataType::List(Arc::new(item));
        self.0.push(Field::new(name, kind, true));
        self
    }

    /// The schema of the table, which says under `rho_mask` how it was made.
    pub fn schema(self, made: &Value) -> TableSchema {
        TableSchema::new(self.0, made)
    }
}

/// The columns of a record batch, in the order of its schema.
#[derive(Debug, Default)]
pub struct ListColumns(Vec<Result<ArrayRef, ArrowError>>);

impl ListColumns {
    /// With a column more: what `lists` holds, which is empty afterwards.
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
        let what = "a batch of lists with more items than 32-bit offsets reach";
        return Err(ArrowError::InvalidArgumentError(what.to_owned()));
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let field = Arc::new(Field::new_list_field(T::TYPE, true));
    let lists = ListArray::try_new(field, offsets, T::array(items), None)?;
    Ok(Arc::new(lists))
}
