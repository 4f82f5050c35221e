//! Takes record batches of masks, yields JSON lines: an object for each document, with the columns as its fields. Lists
//! are arrays, the lists of the most likely tokens arrays of arrays. Missing scores and those that JSON cannot express (NaN, infinity) are `null`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, ListArray};
use arrow_schema::ArrowError;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::Sink;
use crate::masks::{MaskBatch, MaskFile, OutputError};

/// Writes JSON lines.
pub struct JsonLines {
    sink: Sink,
    columns: Vec<String>,
    line: Vec<u8>,
}

impl JsonLines {
    /// Writes these columns of the masks, in this order.
    pub fn new(sink: Sink, columns: Vec<String>) -> Self {
        Self {
            sink,
            columns,
            line: Vec::new(),
        }
    }

    /// Adds the documents of a record batch.
    ///
    /// # Errors
    /// If a column is missing or has a type that masks do not have, or the bytes cannot be written.
    pub fn write(&mut self, batch: &MaskBatch) -> Result<(), OutputError> {
        let arrays = self.columns.iter().map(|name| batch.array(name));
        let arrays: Vec<Option<ArrayRef>> = arrays.collect();
        let columns: Vec<(&str, Column<'_>)> = self
            .columns
            .iter()
            .zip(&arrays)
            .map(|(name, array)| {
                let column = array.as_ref().and_then(|array| Column::of(array));
                let column = column.ok_or_else(|| OutputError::Encode {
                    path: self.sink.path().to_owned(),
                    source: ArrowError::SchemaError(format!(
                        "column {name:?} is not one of the masks"
                    )),
                })?;
                Ok((name.as_str(), column))
            })
            .collect::<Result<_, OutputError>>()?;
        for row in 0..batch.rows() {
            self.line.clear();
            let object = Object {
                columns: &columns,
                row,
            };
            serde_json::to_writer(&mut self.line, &object)
                .map_err(|error| self.sink.error(error.into()))?;
            self.line.push(b'\n');
            self.sink.put(&self.line)?;
        }
        self.sink.pass_on()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<MaskFile, OutputError> {
        self.sink.finish()
    }
}

/// A column of one of the types that masks have.
enum Column<'a> {
    Strings(&'a arrow_array::StringArray),
    Integers(&'a arrow_array::Int64Array),
    Lists(&'a ListArray),
}

impl<'a> Column<'a> {
    fn of(column: &'a dyn Array) -> Option<Self> {
        let strings = column.as_string_opt::<i32>().map(Self::Strings);
        let integers = || column.as_primitive_opt::<Int64Type>().map(Self::Integers);
        let lists = || column.as_list_opt::<i32>().map(Self::Lists);
        strings.or_else(integers).or_else(lists)
    }
}

/// One row.
struct Object<'a> {
    columns: &'a [(&'a str, Column<'a>)],
    row: usize,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (name, column) in self.columns {
            let row = self.row;
            match column {
                Column::Strings(strings) => {
                    let string = strings.is_valid(row).then(|| strings.value(row));
                    map.serialize_entry(name, &string)?;
                }
                Column::Integers(integers) => map.serialize_entry(name, &integers.value(row))?,
                Column::Lists(lists) => map.serialize_entry(name, &List(&lists.value(row)))?,
            }
        }
        map.end()
    }
}

/// The items of one list.
struct List<'a>(&'a dyn Array);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let items = self.0;
        let mut sequence = serializer.serialize_seq(Some(items.len()))?;
        let finite =
            |i: usize, number: f32| (items.is_valid(i) && number.is_finite()).then_some(number);
        if let Some(ids) = items.as_primitive_opt::<Int32Type>() {
            for id in ids.values() {
                sequence.serialize_element(id)?;
            }
        } else if let Some(numbers) = items.as_primitive_opt::<Float32Type>() {
            for (i, number) in numbers.values().iter().enumerate() {
                sequence.serialize_element(&finite(i, *number))?;
            }
        } else if let Some(numbers) = items.as_primitive_opt::<Float16Type>() {
            for (i, number) in numbers.values().iter().enumerate() {
                sequence.serialize_element(&finite(i, number.to_f32()))?;
            }
        } else if let Some(bits) = items.as_boolean_opt() {
            for bit in bits.values() {
                sequence.serialize_element(&bit)?;
            }
        } else if let Some(lists) = items.as_fixed_size_list_opt() {
            for i in 0..lists.len() {
                let list = lists.is_valid(i).then(|| lists.value(i));
                sequence.serialize_element(&list.as_deref().map(List))?;
            }
        } else {
            return Err(serde::ser::Error::custom(
                "a list of a type that masks do not have",
            ));
        }
        sequence.end()
    }
}
