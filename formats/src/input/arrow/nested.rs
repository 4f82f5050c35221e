//! Takes the buffers of a column and of the columns below it, yields cells of JSON: lists of objects, such as messages.

use std::collections::HashMap;
use std::io;

use arrow_ipc::{CompressionType, RecordBatch};

use super::super::cell::Cell;
use super::super::error::malformed;
use super::super::json_text::JsonText;
use super::column::{Loaded, between, is_valid};
use super::messages::{Part, lacks, opened};
use super::schema::{Column, Json, Node, NodeBuffers, Values};
use super::source::{Buffer, Raw};

/// The most columns below a field that are read.
const MOST_COLUMNS: usize = 512;

/// A list, and the columns below it.
#[derive(Debug, Clone)]
pub(super) struct Nested {
    /// The indices of the structs around it, outermost first.
    around: Vec<usize>,
    root: Branch,
}

/// A part of a field.
#[derive(Debug, Clone)]
struct Branch {
    name: String,
    /// The index of its field, see [`Node::index`].
    index: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Texts or integers, which may be in a dictionary.
    Leaf {
        column: Column,
        /// Whether its texts are JSON.
        is_json: bool,
    },
    Boolean,
    /// Floats of `width` bytes.
    Float {
        width: usize,
    },
    Null,
    Object(Vec<Branch>),
    List {
        values: Values,
        item: Box<Branch>,
    },
    /// Lists between offsets of 4 bytes, of names and values.
    Map {
        /// The index of the field of the entries.
        entries: usize,
        entry: Box<(Branch, Branch)>,
    },
}

impl Nested {
    /// The columns below `node`, or what it is, if it is no list that can be read.
    pub(super) fn of(around: Vec<usize>, node: &Node) -> Result<Self, &'static str> {
        let mut count = 0;
        let root = branch(node, &mut count)?;
        match root {
            Some(Branch {
                kind: Kind::Object(_),
                ..
            }) => Err("an object"),
            Some(Branch {
                kind: Kind::Map { .. },
                ..
            }) => Err("a map"),
            Some(root) if matches!(root.kind, Kind::List { .. }) => Ok(Self { around, root }),
            Some(_) => Err(node.kind),
            None => Err("a list of times, decimals or bytes"),
        }
    }

    /// The dictionaries that it needs.
    pub(super) fn needs(&self, dictionary: i64) -> bool {
        self.root.needs(dictionary)
    }

    /// The indices of the buffers of a batch that it needs.
    pub(super) fn buffers(&self, places: &[NodeBuffers]) -> Vec<usize> {
        let around = self.around.iter();
        let mut found = around.map(|index| places[*index].first).collect();
        self.root.buffers(places, &mut found);
        found
    }

    pub(super) fn load(&self, batch: &Buffers<'_>) -> io::Result<LoadedNested> {
        let around = self.around.iter().map(|index| batch.own(*index, 0));
        Ok(LoadedNested {
            around: around.collect::<io::Result<_>>()?,
            root: self.root.load(batch)?,
        })
    }
}

/// The part of a field that `node` is; none if JSON has no such values.
fn branch(node: &Node, count: &mut usize) -> Result<Option<Branch>, &'static str> {
    *count += 1;
    if *count > MOST_COLUMNS {
        return Err("a list of more columns than are read");
    }
    let kind = match (node.json, node.values) {
        (Json::Other, _) => return Ok(None),
        (Json::Unread, _) => return Err(node.kind),
        (Json::Text | Json::Integer, _) => {
            let column = node.column(Vec::new()).ok_or(node.kind)?;
            Kind::Leaf {
                column,
                is_json: node.is_json,
            }
        }
        _ if node.dictionary.is_some() => return Err("a dictionary of other values than strings"),
        (Json::Boolean, _) => Kind::Boolean,
        (Json::Float { width }, _) => Kind::Float { width },
        (Json::Null, _) => Kind::Null,
        (Json::Object, _) => {
            let mut fields = Vec::new();
            for node in &node.children {
                fields.extend(branch(node, count)?);
            }
            Kind::Object(fields)
        }
        (Json::List, Some(values)) => {
            let [item] = &node.children[..] else {
                return Err("a list without items");
            };
            let Some(item) = branch(item, count)? else {
                return Ok(None);
            };
            let item = Box::new(item);
            Kind::List { values, item }
        }
        (Json::List, None) => return Err(node.kind),
        (Json::Map, _) => {
            let [entries] = &node.children[..] else {
                return Err("a map without entries");
            };
            let [name, value] = &entries.children[..] else {
                return Err("a map without names or values");
            };
            let is_text = name.json == Json::Text && !name.is_json;
            let (Some(name), true) = (branch(name, count)?, is_text) else {
                return Err("a map with names that are no strings");
            };
            let Some(value) = branch(value, count)? else {
                return Err("a map of times, decimals or bytes");
            };
            Kind::Map {
                entries: entries.index,
                entry: Box::new((name, value)),
            }
        }
    };
    Ok(Some(Branch {
        name: node.name.clone(),
        index: node.index,
        kind,
    }))
}

impl Branch {
    fn needs(&self, dictionary: i64) -> bool {
        match &self.kind {
            Kind::Leaf { column, .. } => column.needs(dictionary),
            Kind::Boolean | Kind::Float { .. } | Kind::Null => false,
            Kind::Object(fields) => fields.iter().any(|field| field.needs(dictionary)),
            Kind::List { item, .. } => item.needs(dictionary),
            Kind::Map { entry, .. } => entry.0.needs(dictionary) || entry.1.needs(dictionary),
        }
    }

    fn buffers(&self, places: &[NodeBuffers], found: &mut Vec<usize>) {
        let mut own = |count| found.extend((places[self.index].first..).take(count));
        match &self.kind {
            Kind::Leaf { column, .. } => found.extend(column.buffers(places)),
            Kind::Boolean | Kind::Float { .. } => own(2),
            Kind::Null => {}
            Kind::Object(fields) => {
                own(1);
                fields.iter().for_each(|field| field.buffers(places, found));
            }
            Kind::List { values, item } => {
                own(match values {
                    Values::FixedList { .. } => 1,
                    _ => 2,
                });
                item.buffers(places, found);
            }
            Kind::Map { entry, .. } => {
                own(2);
                entry.0.buffers(places, found);
                entry.1.buffers(places, found);
            }
        }
    }

    fn load(&self, batch: &Buffers<'_>) -> io::Result<LoadedBranch> {
        let validity = |branch: &Self| batch.own(branch.index, 0);
        let kind = match &self.kind {
            Kind::Leaf { column, is_json } => LoadedKind::Leaf {
                loaded: batch.column(column)?,
                is_json: *is_json,
            },
            Kind::Boolean => LoadedKind::Boolean {
                validity: validity(self)?,
                bits: batch.own(self.index, 1)?,
            },
            Kind::Float { width } => LoadedKind::Float {
                validity: validity(self)?,
                floats: batch.own(self.index, 1)?,
                width: *width,
            },
            Kind::Null => LoadedKind::Null,
            Kind::Object(fields) => LoadedKind::Object {
                validity: validity(self)?,
                fields: fields
                    .iter()
                    .map(|field| Ok((field.name.clone(), field.load(batch)?)))
                    .collect::<io::Result<_>>()?,
            },
            Kind::List { values, item } => LoadedKind::List {
                validity: validity(self)?,
                places: match values {
                    Values::FixedList { length } => Places::Every(*length),
                    Values::List { offset } => Places::Between(batch.own(self.index, 1)?, *offset),
                    _ => return Err(lacks()),
                },
                length: batch.length(item.index)?,
                item: Box::new(item.load(batch)?),
            },
            Kind::Map { entries, entry } => LoadedKind::Map {
                validity: validity(self)?,
                offsets: batch.own(self.index, 1)?,
                length: batch.length(*entries)?,
                entry: Box::new((entry.0.load(batch)?, entry.1.load(batch)?)),
            },
        };
        Ok(LoadedBranch { kind })
    }
}

/// The buffers of a batch, by the fields.
pub(super) struct Buffers<'a> {
    pub(super) batch: &'a RecordBatch<'a>,
    pub(super) places: &'a [NodeBuffers],
    pub(super) raws: &'a HashMap<usize, Raw>,
    pub(super) compression: Option<CompressionType>,
    pub(super) most: usize,
    pub(super) dictionaries: &'a HashMap<i64, Vec<Part>>,
}

impl Buffers<'_> {
    /// A buffer of the field of this index.
    fn own(&self, index: usize, buffer: usize) -> io::Result<Buffer> {
        let buffer = self.places[index].first.saturating_add(buffer);
        opened(self.raws, buffer, self.compression, false, self.most)
    }

    pub(super) fn column(&self, column: &Column) -> io::Result<Loaded> {
        column.load(
            self.places,
            self.raws,
            self.compression,
            self.most,
            self.dictionaries,
        )
    }

    /// The number of values of the field of this index.
    fn length(&self, index: usize) -> io::Result<u64> {
        let nodes = self.batch.nodes().unwrap_or_default();
        let node = self.places[index].node;
        if node >= nodes.len() {
            return Err(malformed("a batch lacks columns"));
        }
        let length = u64::try_from(nodes.get(node).length());
        length.map_err(|_| malformed("a column of negative length"))
    }
}

/// The buffers of a nested column in a batch.
pub(super) struct LoadedNested {
    around: Vec<Buffer>,
    root: LoadedBranch,
}

struct LoadedBranch {
    kind: LoadedKind,
}

enum LoadedKind {
    Leaf {
        loaded: Loaded,
        is_json: bool,
    },
    Boolean {
        validity: Buffer,
        bits: Buffer,
    },
    Float {
        validity: Buffer,
        floats: Buffer,
        width: usize,
    },
    Null,
    Object {
        validity: Buffer,
        fields: Vec<(String, LoadedBranch)>,
    },
    List {
        validity: Buffer,
        places: Places,
        /// The number of all items.
        length: u64,
        item: Box<LoadedBranch>,
    },
    Map {
        validity: Buffer,
        offsets: Buffer,
        length: u64,
        entry: Box<(LoadedBranch, LoadedBranch)>,
    },
}

/// Where the items of a list are.
enum Places {
    /// Between offsets of this width.
    Between(Buffer, usize),
    /// Each list has this many.
    Every(usize),
}

impl LoadedNested {
    /// The value at `row`, of at most `most` bytes.
    pub(super) fn cell(&mut self, row: u64, most: usize) -> io::Result<Cell<'static>> {
        for bitmap in &mut self.around {
            if !is_valid(bitmap, row)? {
                return Ok(Cell::Null);
            }
        }
        let mut json = JsonText::new(most);
        Ok(match self.root.write(row, most, &mut json)? {
            true => json.finish(),
            false => Cell::Null,
        })
    }
}

impl LoadedBranch {
    /// Writes the value at `row`; false if it is null, then nothing is written.
    fn write(&mut self, row: u64, most: usize, json: &mut JsonText) -> io::Result<bool> {
        match &mut self.kind {
            LoadedKind::Leaf { loaded, is_json } => match loaded.cell(row, most)? {
                Cell::Null => return Ok(false),
                Cell::Text(text) if *is_json => json.json(text),
                Cell::Text(text) => json.string(text),
                Cell::Integer(integer) => json.integer(integer),
                Cell::TooLarge => json.too_large(),
                Cell::Integers(..) | Cell::Float(_) | Cell::Floats(_) | Cell::Json(_) => {
                    return Err(lacks());
                }
            },
            LoadedKind::Boolean { validity, bits } => {
                if !is_valid(validity, row)? {
                    return Ok(false);
                }
                json.boolean(bits.get(row / 8, 1)?[0] >> (row % 8) & 1 == 1);
            }
            LoadedKind::Float {
                validity,
                floats,
                width,
            } => {
                if !is_valid(validity, row)? {
                    return Ok(false);
                }
                json.float(floats.float(row, *width)?);
            }
            LoadedKind::Null => return Ok(false),
            LoadedKind::Object { validity, fields } => {
                if !is_valid(validity, row)? {
                    return Ok(false);
                }
                json.start_object();
                for (name, field) in fields {
                    let mark = json.mark();
                    json.name(name);
                    if !field.write(row, most, json)? {
                        json.undo(mark);
                    }
                }
                json.end_object();
            }
            LoadedKind::List {
                validity,
                places,
                length,
                item,
            } => {
                if !is_valid(validity, row)? {
                    return Ok(false);
                }
                let (start, count) = match places {
                    Places::Between(offsets, width) => between(offsets, row, *width)?,
                    Places::Every(count) => {
                        let start = row.checked_mul(*count as u64);
                        (start.ok_or_else(outside)?, *count)
                    }
                };
                json.start_list();
                for row in items(start, count, *length)? {
                    // Each item is at least two bytes, so a list that is too long ends here.
                    if json.is_closed() {
                        break;
                    }
                    json.separate();
                    if !item.write(row, most, json)? {
                        json.null();
                    }
                }
                json.end_list();
            }
            LoadedKind::Map {
                validity,
                offsets,
                length,
                entry,
            } => {
                if !is_valid(validity, row)? {
                    return Ok(false);
                }
                let (start, count) = between(offsets, row, 4)?;
                let (name, value) = &mut **entry;
                // Entries whose values are null leave nothing behind, so they are counted.
                if count > most {
                    json.too_large();
                }
                json.start_object();
                for row in items(start, count, *length)? {
                    if json.is_closed() {
                        break;
                    }
                    let mark = json.mark();
                    json.separate();
                    if !name.write(row, most, json)? {
                        return Err(malformed("a map with a name that is null"));
                    }
                    json.end_name();
                    if !value.write(row, most, json)? {
                        json.undo(mark);
                    }
                }
                json.end_object();
            }
        }
        Ok(true)
    }
}

/// The rows of a list's items, of which there are `length` in all.
fn items(start: u64, count: usize, length: u64) -> io::Result<std::ops::Range<u64>> {
    let end = start.checked_add(count as u64);
    let end = end.filter(|end| *end <= length);
    Ok(start..end.ok_or_else(outside)?)
}

fn outside() -> io::Error {
    malformed("a value is outside its buffer")
}
