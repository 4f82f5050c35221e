//! The most likely tokens at each position of a document: `top_ids` and `top_logprobs`, lists with a list of fixed length
//! for each token. As everywhere, item `i` belongs to token `i` as a target: the alternatives to it. The list of a token
//! that was not scored is null.

use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder as _, FixedSizeListBuilder, Float16Builder, Float32Builder, Int32Builder,
    ListBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Int32Type};
use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Int32Array};
use arrow_schema::{DataType, Field, Schema};
use half::f16;

use super::ScoreType;
use super::schema::{Unfit, list};

pub(super) const TOP_IDS: &str = "top_ids";
pub(super) const TOP_LOGPROBS: &str = "top_logprobs";

/// The most items of each column in one document: with them an almost full batch can be read back.
pub(super) const MOST_ITEMS: usize = 1 << 28;

/// The type of the columns `top_ids` and `top_logprobs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopColumns {
    /// The number of tokens at each position.
    pub count: usize,
    /// The type of their log-probabilities.
    pub score_type: ScoreType,
}

/// The most likely tokens at each position of a document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TopTokens {
    /// Token ids, [`TopColumns::count`] for each position, the most likely first; 0 where no token was scored.
    pub ids: Vec<u32>,
    /// Their log-probabilities, in nats; NaN where no token was scored.
    pub logprobs: Vec<f32>,
}

impl TopColumns {
    /// The largest [`count`](Self::count).
    pub const MOST: usize = 128;

    /// The most tokens of a document with these columns.
    pub fn most_tokens(&self) -> usize {
        MOST_ITEMS / self.count.max(1)
    }

    /// The columns' names and types, in order.
    pub(super) fn fields(&self) -> [Field; 2] {
        let items = match self.score_type {
            ScoreType::Float32 => DataType::Float32,
            ScoreType::Float16 => DataType::Float16,
        };
        let field = |name, items| Field::new(name, lists_of(items, self.count), true);
        [field(TOP_IDS, DataType::Int32), field(TOP_LOGPROBS, items)]
    }

    /// From a file's schema; none if it has neither column.
    pub(super) fn from_arrow(schema: &Schema) -> Result<Option<Self>, Unfit> {
        let kind = |name| schema.field_with_name(name).ok().map(Field::data_type);
        let (ids, logprobs) = (kind(TOP_IDS), kind(TOP_LOGPROBS));
        if ids.is_none() && logprobs.is_none() {
            return Ok(None);
        }
        let count = [ids, logprobs].into_iter().flatten().find_map(width);
        let columns = |score_type| Self {
            count: count.unwrap_or(1),
            score_type,
        };
        let fits = |columns: Self| {
            let [of_ids, of_logprobs] = columns.fields();
            let is = |got: Option<&DataType>, field: &Field| {
                got.is_some_and(|got| got.equals_datatype(field.data_type()))
            };
            (is(ids, &of_ids), is(logprobs, &of_logprobs))
        };
        let (wide, narrow) = (columns(ScoreType::Float32), columns(ScoreType::Float16));
        match (fits(wide), fits(narrow)) {
            ((true, true), _) => Ok(Some(wide)),
            (_, (true, true)) => Ok(Some(narrow)),
            ((ids_fit, _), _) => {
                let [of_ids, of_logprobs] = wide.fields();
                let (name, field) = match ids_fit {
                    false => (TOP_IDS, of_ids),
                    true => (TOP_LOGPROBS, of_logprobs),
                };
                Err(Unfit::Column {
                    name,
                    expected: field.data_type().clone(),
                })
            }
        }
    }
}

/// The type of lists of lists of this length.
fn lists_of(items: DataType, count: usize) -> DataType {
    let items = Arc::new(Field::new_list_field(items, true));
    list(DataType::FixedSizeList(items, count as i32))
}

/// The length of the inner lists, if it is valid.
fn width(kind: &DataType) -> Option<usize> {
    let DataType::List(item) = kind else {
        return None;
    };
    match item.data_type() {
        DataType::FixedSizeList(_, width) => valid_width(*width),
        _ => None,
    }
}

/// The length of lists of a fixed length, if masks may have it.
pub(super) fn valid_width(width: i32) -> Option<usize> {
    let width = usize::try_from(width).ok()?;
    (1..=TopColumns::MOST).contains(&width).then_some(width)
}

/// Whether a column is one of the two.
pub(super) fn is_top(field: &Field) -> bool {
    [TOP_IDS, TOP_LOGPROBS].contains(&field.name().as_str())
}

/// The columns of the next batch.
pub(super) struct TopBuilder {
    count: usize,
    ids: ListBuilder<FixedSizeListBuilder<Int32Builder>>,
    logprobs: Logprobs,
}

enum Logprobs {
    Wide(ListBuilder<FixedSizeListBuilder<Float32Builder>>),
    Narrow(ListBuilder<FixedSizeListBuilder<Float16Builder>>),
}

impl TopBuilder {
    pub(super) fn new(columns: TopColumns) -> Self {
        let count = columns.count as i32;
        Self {
            count: columns.count,
            ids: ListBuilder::new(FixedSizeListBuilder::new(Int32Builder::new(), count)),
            logprobs: match columns.score_type {
                ScoreType::Float32 => Logprobs::Wide(ListBuilder::new(FixedSizeListBuilder::new(
                    Float32Builder::new(),
                    count,
                ))),
                ScoreType::Float16 => Logprobs::Narrow(ListBuilder::new(
                    FixedSizeListBuilder::new(Float16Builder::new(), count),
                )),
            },
        }
    }

    /// The number of items in each column.
    pub(super) fn items(&self) -> usize {
        self.ids.values_ref().len() * self.count
    }

    /// Adds a document. A null list holds zeros, so that equal rows give equal bytes.
    pub(super) fn push(&mut self, top: &TopTokens) {
        let ids = top.ids.chunks_exact(self.count);
        let logprobs = top.logprobs.chunks_exact(self.count);
        for (ids, logprobs) in ids.zip(logprobs) {
            let scored = is_scored(logprobs);
            let lists = self.ids.values();
            for id in ids {
                lists.values().append_value(match scored {
                    true => id.cast_signed(),
                    false => 0,
                });
            }
            lists.append(scored);
            match &mut self.logprobs {
                Logprobs::Wide(column) => {
                    for logprob in logprobs {
                        let value = if scored { *logprob } else { 0.0 };
                        column.values().values().append_value(value);
                    }
                    column.values().append(scored);
                }
                Logprobs::Narrow(column) => {
                    for logprob in logprobs {
                        let value = if scored {
                            f16::from_f32(*logprob)
                        } else {
                            f16::ZERO
                        };
                        column.values().values().append_value(value);
                    }
                    column.values().append(scored);
                }
            }
        }
        self.ids.append(true);
        match &mut self.logprobs {
            Logprobs::Wide(column) => column.append(true),
            Logprobs::Narrow(column) => column.append(true),
        }
    }

    pub(super) fn finish(&mut self) -> [ArrayRef; 2] {
        let logprobs: ArrayRef = match &mut self.logprobs {
            Logprobs::Wide(column) => Arc::new(column.finish()),
            Logprobs::Narrow(column) => Arc::new(column.finish()),
        };
        [Arc::new(self.ids.finish()), logprobs]
    }
}

/// Whether a position has tokens, by their log-probabilities.
fn is_scored(logprobs: &[f32]) -> bool {
    !logprobs.first().is_none_or(|logprob| logprob.is_nan())
}

impl TopTokens {
    /// The number of positions at which only some log-probabilities are NaN.
    pub(super) fn mixed(&self, count: usize) -> usize {
        let positions = self.logprobs.chunks_exact(count);
        let mixed = positions.filter(|logprobs| {
            let nan = logprobs.iter().filter(|logprob| logprob.is_nan()).count();
            nan != 0 && nan != count
        });
        mixed.count()
    }

    /// From the items of both columns for one document. The error is what was expected there.
    pub(super) fn from_arrays(
        ids: &dyn Array,
        logprobs: &dyn Array,
        count: usize,
    ) -> Result<Self, &'static str> {
        let lists = Lists::of(ids, logprobs)?;
        let mut top = Self::default();
        for position in 0..lists.of_ids.len() {
            match lists.is_scored(position)? {
                true => {
                    for i in position * count..(position + 1) * count {
                        top.ids.push(lists.id(i)?);
                        top.logprobs.push(lists.logprob(i)?);
                    }
                }
                false => {
                    top.ids.extend(std::iter::repeat_n(0, count));
                    top.logprobs.extend(std::iter::repeat_n(f32::NAN, count));
                }
            }
        }
        Ok(top)
    }
}

/// Checks both columns of a batch. The error is the first position that is wrong, and what was expected there.
pub(super) fn check(ids: &dyn Array, logprobs: &dyn Array) -> Result<(), (usize, &'static str)> {
    let lists = Lists::of(ids, logprobs).map_err(|expected| (0, expected))?;
    let width = lists.of_ids.value_length() as usize;
    for position in 0..lists.of_ids.len() {
        let wrong = |expected| (position, expected);
        if lists.is_scored(position).map_err(wrong)? {
            for i in position * width..(position + 1) * width {
                lists.id(i).map_err(wrong)?;
                lists.logprob(i).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// What both columns must hold.
const SAME_POSITIONS: &str = "most likely tokens and their log-probabilities at the same positions";

/// Both columns.
struct Lists<'a> {
    of_ids: &'a FixedSizeListArray,
    of_logprobs: &'a FixedSizeListArray,
    ids: &'a Int32Array,
    logprobs: Numbers<'a>,
}

enum Numbers<'a> {
    Wide(&'a Float32Array),
    Narrow(&'a Float16Array),
}

impl<'a> Lists<'a> {
    fn of(ids: &'a dyn Array, logprobs: &'a dyn Array) -> Result<Self, &'static str> {
        const LISTS: &str = "lists of a fixed length";
        let of_ids = ids.as_fixed_size_list_opt().ok_or(LISTS)?;
        let of_logprobs = logprobs.as_fixed_size_list_opt().ok_or(LISTS)?;
        if of_ids.len() != of_logprobs.len() || of_ids.value_length() != of_logprobs.value_length()
        {
            return Err(SAME_POSITIONS);
        }
        let ids = of_ids.values().as_primitive_opt::<Int32Type>();
        let numbers = of_logprobs.values();
        let wide = numbers.as_primitive_opt::<Float32Type>().map(Numbers::Wide);
        let narrow = || {
            numbers
                .as_primitive_opt::<Float16Type>()
                .map(Numbers::Narrow)
        };
        Ok(Self {
            of_ids,
            of_logprobs,
            ids: ids.ok_or("integers")?,
            logprobs: wide.or_else(narrow).ok_or("numbers")?,
        })
    }

    fn is_scored(&self, position: usize) -> Result<bool, &'static str> {
        let scored = self.of_ids.is_valid(position);
        match self.of_logprobs.is_valid(position) == scored {
            true => Ok(scored),
            false => Err(SAME_POSITIONS),
        }
    }

    fn id(&self, i: usize) -> Result<u32, &'static str> {
        let id = self.ids.is_valid(i).then(|| self.ids.value(i));
        let id = id.and_then(|id| u32::try_from(id).ok());
        id.ok_or("most likely tokens of 0 or more")
    }

    fn logprob(&self, i: usize) -> Result<f32, &'static str> {
        let logprob = match self.logprobs {
            Numbers::Wide(wide) => wide.is_valid(i).then(|| wide.value(i)),
            Numbers::Narrow(narrow) => narrow.is_valid(i).then(|| narrow.value(i).to_f32()),
        };
        let number = logprob.filter(|logprob| !logprob.is_nan());
        number.ok_or("log-probabilities that are numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_columns_have_one_length() {
        let fields = |ids: usize, logprobs: usize| {
            let of = |count| TopColumns {
                count,
                score_type: ScoreType::Float16,
            };
            let ([ids, _], [_, logprobs]) = (of(ids).fields(), of(logprobs).fields());
            Schema::new(vec![ids, logprobs])
        };
        let read = TopColumns::from_arrow(&fields(8, 8)).unwrap().unwrap();
        assert_eq!((read.count, read.score_type), (8, ScoreType::Float16));
        let refused = |schema: &Schema| match TopColumns::from_arrow(schema) {
            Err(Unfit::Column { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&fields(8, 9)), TOP_LOGPROBS);
        assert_eq!(refused(&fields(0, 0)), TOP_IDS);
        assert_eq!(refused(&fields(129, 129)), TOP_IDS);
        let [ids, _] = read.fields();
        assert_eq!(refused(&Schema::new(vec![ids])), TOP_LOGPROBS);
        assert_eq!(TopColumns::from_arrow(&Schema::empty()).unwrap(), None);
    }
}
