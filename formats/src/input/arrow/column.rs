//! Takes the buffers of one column of a batch, yields its cells. Every offset is checked against its buffer, so a
//! damaged file is an error, and an invalid text is one bad row.

use std::io;

use bytes::{Buf as _, Bytes};

use super::super::cell::{Cell, wide};
use super::super::error::malformed;
use super::schema::Values;
use super::source::Buffer;

/// A column's buffers, the validity bitmap first.
pub(super) struct Loaded {
    /// The validity bitmaps of the structs around it; an empty one has no nulls.
    pub(super) around: Vec<Buffer>,
    pub(super) values: Values,
    pub(super) buffers: Vec<Buffer>,
    /// A list's items.
    pub(super) items: Option<(Values, Vec<Buffer>)>,
    /// For a dictionary column: the width of its indices in bytes, and the dictionary's parts with their lengths.
    pub(super) dictionary: Option<(usize, Vec<(u64, Loaded)>)>,
    pub(super) bytes: Bytes,
    pub(super) integers: Vec<Option<i64>>,
    pub(super) floats: Vec<Option<f64>>,
}

impl Loaded {
    pub(super) fn new(values: Values, buffers: Vec<Buffer>) -> Self {
        Self {
            around: Vec::new(),
            values,
            buffers,
            items: None,
            dictionary: None,
            bytes: Bytes::new(),
            integers: Vec::new(),
            floats: Vec::new(),
        }
    }

    /// The value at `row`. A text or list of more than `most` bytes is not read.
    pub(super) fn cell(&mut self, row: u64, most: usize) -> io::Result<Cell<'_>> {
        for bitmap in &mut self.around {
            if !is_valid(bitmap, row)? {
                return Ok(Cell::Null);
            }
        }
        let [validity, buffers @ ..] = &mut self.buffers[..] else {
            return Err(missing());
        };
        if !is_valid(validity, row)? {
            return Ok(Cell::Null);
        }
        if self.dictionary.is_some() {
            return self.look_up(row, most);
        }
        match (self.values, buffers) {
            (Values::Binary { offset }, [offsets, bytes]) => {
                let (start, length) = between(offsets, row, offset)?;
                if length > most {
                    return Ok(Cell::TooLarge);
                }
                self.bytes = bytes.get(start, length)?;
                Ok(Cell::Text(&self.bytes))
            }
            (Values::View, [views, blocks @ ..]) => {
                const INLINE: usize = 12;
                let start = row.checked_mul(16).ok_or_else(outside)?;
                let mut view = views.get(start, 16)?;
                let length = usize::try_from(view.get_i32_le()).map_err(|_| outside())?;
                if length <= INLINE {
                    self.bytes = view.slice(..length);
                } else if length > most {
                    return Ok(Cell::TooLarge);
                } else {
                    view.advance(4);
                    let block = usize::try_from(view.get_i32_le()).map_err(|_| outside())?;
                    let start = u64::try_from(view.get_i32_le()).map_err(|_| outside())?;
                    let block = blocks.get_mut(block).ok_or_else(outside)?;
                    self.bytes = block.get(start, length)?;
                }
                Ok(Cell::Text(&self.bytes))
            }
            (Values::Integer { width, unsigned }, [integers]) => {
                let integer = integers.integer(row, width, unsigned)?;
                Ok(Cell::Integer(wide(integer, unsigned)))
            }
            (Values::Float { width }, [floats]) => Ok(Cell::Float(floats.float(row, width)?)),
            (Values::List { offset }, [offsets]) => {
                let (start, length) = between(offsets, row, offset)?;
                self.list(start, length, most)
            }
            (Values::FixedList { length }, []) => {
                let start = row.checked_mul(length as u64).ok_or_else(outside)?;
                self.list(start, length, most)
            }
            _ => Err(missing()),
        }
    }

    /// The dictionary value at the index that `row` holds.
    fn look_up(&mut self, row: u64, most: usize) -> io::Result<Cell<'_>> {
        let (Some((width, parts)), Some(places)) = (&mut self.dictionary, self.buffers.get_mut(1))
        else {
            return Err(missing());
        };
        let place = places.integer(row, *width, true)?;
        let mut place = u64::try_from(place).map_err(|_| outside())?;
        for (length, part) in parts {
            match place.checked_sub(*length) {
                None => return part.cell(place, most),
                Some(rest) => place = rest,
            }
        }
        Err(outside())
    }

    fn list(&mut self, start: u64, length: usize, most: usize) -> io::Result<Cell<'_>> {
        if length > most / size_of::<u32>() {
            return Ok(Cell::TooLarge);
        }
        let Some((values, buffers)) = &mut self.items else {
            return Err(missing());
        };
        let [validity, numbers] = &mut buffers[..] else {
            return Err(missing());
        };
        self.integers.clear();
        self.floats.clear();
        for index in start..start.checked_add(length as u64).ok_or_else(outside)? {
            let is_there = is_valid(validity, index)?;
            match *values {
                Values::Integer { width, unsigned } => self.integers.push(match is_there {
                    true => Some(numbers.integer(index, width, unsigned)?),
                    false => None,
                }),
                Values::Float { width } => self.floats.push(match is_there {
                    true => Some(numbers.float(index, width)?),
                    false => None,
                }),
                _ => return Err(missing()),
            }
        }
        Ok(match *values {
            Values::Integer { unsigned, .. } => Cell::Integers(&self.integers, unsigned),
            _ => Cell::Floats(&self.floats),
        })
    }
}

/// The start and length of the values between two offsets.
pub(super) fn between(offsets: &mut Buffer, row: u64, width: usize) -> io::Result<(u64, usize)> {
    let start = offsets.integer(row, width, false)?;
    let end = row.checked_add(1).ok_or_else(outside)?;
    let end = offsets.integer(end, width, false)?;
    let length = end
        .checked_sub(start)
        .and_then(|length| usize::try_from(length).ok());
    match (u64::try_from(start), length) {
        (Ok(start), Some(length)) => Ok((start, length)),
        _ => Err(outside()),
    }
}

/// Whether the bit of `row` is set. With an empty bitmap nothing is null.
pub(super) fn is_valid(bitmap: &mut Buffer, row: u64) -> io::Result<bool> {
    if bitmap.length() == 0 {
        return Ok(true);
    }
    Ok(bitmap.get(row / 8, 1)?[0] >> (row % 8) & 1 == 1)
}

fn outside() -> io::Error {
    malformed("a value is outside its buffer")
}

fn missing() -> io::Error {
    malformed("a column lacks buffers")
}
