//! Takes the columns below one field, yields a cell of JSON per row: lists of objects, such as messages.
//!
//! Parquet stores each leaf of a nested field as a column of its own. An entry of a leaf says with its *definition level*
//! how many of the optional and repeated parts on its path are there, and with its *repetition level* which list it
//! continues (0: it starts a row). For `messages: list<struct<role, tool_calls: list<struct<name>>>>`:
//!
//! ```text
//! row 0   [{"role": "user"}, {"role": "assistant", "tool_calls": [{"name": "f"}, {"name": "g"}]}]
//! role               "user" (0)                 "assistant" (1)
//! tool_calls.name    null (0: no list there)    "f" (1)   "g" (2)          (in brackets: repetition levels)
//! ```
//!
//! The leaves of a list must agree on where its items start; if they do not, the file is damaged.

use std::io;
use std::ops::Range;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::ByteArray;
use parquet::schema::types::{Type, TypePtr};

use super::super::cell::{Cell, wide};
use super::super::error::{cut_short, malformed};
use super::super::json_text::JsonText;
use super::column::is_unsigned;
use super::decoded::{Decoded, Values};

/// The most leaves of a field that are read: each holds a page.
const MOST_LEAVES: usize = 256;

/// A field with its leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nested {
    root: Node,
    /// The columns of its leaves, and whether their integers are unsigned.
    pub(super) columns: Vec<(usize, bool)>,
}

/// A part of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    name: String,
    /// The definition level from which on it is not null.
    present: i16,
    kind: Kind,
    /// Its leaves, by their indices in [`Nested::columns`]; at least one.
    leaves: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Leaf(Leaf),
    Object(Vec<Node>),
    /// A list. It has an item from the definition level `filled` on; `repetition` is the level of its next items.
    List {
        item: Box<Node>,
        filled: i16,
        repetition: i16,
    },
    /// A list of names and values, as an object.
    Map {
        entry: Box<(Node, Node)>,
        filled: i16,
        repetition: i16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaf {
    Text,
    /// A text of JSON.
    Json,
    Integer {
        unsigned: bool,
    },
    Boolean,
    Float,
}

/// What a path names in a schema.
pub(super) enum Named {
    Nested(Nested),
    /// A column that is in no list.
    Flat(usize),
    /// Something else, by its name in messages.
    Other(&'static str),
}

/// What the field at `path` is. The literal name takes precedence over a path into objects.
pub(super) fn find(root: &Type, path: &str) -> Option<Named> {
    let (field, present, column) = named(root, path, 0, 0)?;
    let is_repeated = repetition(field) == Repetition::REPEATED;
    if field.is_primitive() && !is_repeated {
        return Some(Named::Flat(column));
    }
    let mut building = Building {
        column,
        columns: Vec::new(),
    };
    Some(match building.node(field, present, 0) {
        Err(kind) => Named::Other(kind),
        Ok(_) if building.columns.len() > MOST_LEAVES => {
            Named::Other("a list of more columns than are read")
        }
        Ok(Some(root)) => match root.kind {
            Kind::List { .. } => Named::Nested(Nested {
                root,
                columns: building.columns,
            }),
            Kind::Map { .. } => Named::Other("a map"),
            _ => Named::Other("an object"),
        },
        Ok(None) if is_list(field) || is_repeated => {
            Named::Other("a list of times, decimals or bytes")
        }
        Ok(None) => Named::Other("an object"),
    })
}

/// The type of a path, the definition level around it, and its first column.
fn named<'a>(
    group: &'a Type,
    path: &str,
    present: i16,
    mut column: usize,
) -> Option<(&'a Type, i16, usize)> {
    let mut fields = Vec::new();
    for field in group.get_fields() {
        fields.push((&**field, column));
        column += leaves(field);
    }
    let of_name = |name: &str| fields.iter().rev().find(|(field, _)| field.name() == name);
    if let Some((field, column)) = of_name(path) {
        return Some((field, present, *column));
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let (outer, column) = of_name(&path[..dot])?;
        let repetition = repetition(outer);
        let is_object = !outer.is_primitive() && !is_list(outer) && !is_map(outer);
        if !is_object || repetition == Repetition::REPEATED {
            return None;
        }
        let present = present + i16::from(repetition == Repetition::OPTIONAL);
        named(outer, &path[dot + 1..], present, *column)
    })
}

/// The number of columns below a part of a schema.
fn leaves(field: &Type) -> usize {
    match field.is_primitive() {
        true => 1,
        false => field.get_fields().iter().map(|field| leaves(field)).sum(),
    }
}

fn repetition(field: &Type) -> Repetition {
    let info = field.get_basic_info();
    match info.has_repetition() {
        true => info.repetition(),
        false => Repetition::REQUIRED,
    }
}

fn is_list(field: &Type) -> bool {
    let info = field.get_basic_info();
    !field.is_primitive()
        && (matches!(info.logical_type_ref(), Some(LogicalType::List))
            || info.converted_type() == ConvertedType::LIST)
}

fn is_map(field: &Type) -> bool {
    use ConvertedType::{MAP, MAP_KEY_VALUE};
    let info = field.get_basic_info();
    !field.is_primitive()
        && (matches!(info.logical_type_ref(), Some(LogicalType::Map))
            || matches!(info.converted_type(), MAP | MAP_KEY_VALUE))
}

/// The one field of a list or map, if it is repeated.
fn repeated(field: &Type) -> Option<&TypePtr> {
    match field.get_fields() {
        [entries] if repetition(entries) == Repetition::REPEATED => Some(entries),
        _ => None,
    }
}

/// The state while the nodes of a field are built.
struct Building {
    /// The next column of the schema.
    column: usize,
    columns: Vec<(usize, bool)>,
}

/// A node; none if JSON has no such values; or what it is, if its values cannot be read.
type Built = Result<Option<Node>, &'static str>;

impl Building {
    /// A field with its own repetition, in a part that is there from `present` on.
    fn node(&mut self, field: &Type, present: i16, level: i16) -> Built {
        match repetition(field) {
            Repetition::REQUIRED => self.content(field, present, level),
            Repetition::OPTIONAL => self.content(field, present + 1, level),
            // A repeated field outside of a list is a list that is never null.
            Repetition::REPEATED => {
                let item = self.content(field, present + 1, level + 1)?;
                Ok(item.map(|item| list(field.name(), present, item, level + 1)))
            }
        }
    }

    /// The field itself, which is there from `present` on.
    fn content(&mut self, field: &Type, present: i16, level: i16) -> Built {
        let first = self.columns.len();
        if field.is_primitive() {
            let column = self.column;
            self.column += 1;
            let Some(leaf) = leaf(field) else {
                return Ok(None);
            };
            let unsigned = leaf == Leaf::Integer { unsigned: true };
            self.columns.push((column, unsigned));
            return Ok(Some(Node {
                name: field.name().to_owned(),
                present,
                kind: Kind::Leaf(leaf),
                leaves: first..first + 1,
            }));
        }
        if is_list(field) {
            let entries = repeated(field).ok_or("a list without items")?;
            let item = match is_item(entries, field.name()) {
                true => self.content(entries, present + 1, level + 1)?,
                false => self.node(&entries.get_fields()[0], present + 1, level + 1)?,
            };
            return Ok(item.map(|item| list(field.name(), present, item, level + 1)));
        }
        if is_map(field) {
            let entries = repeated(field).filter(|entries| !entries.is_primitive());
            let [name, value] = entries.map_or(&[][..], |entries| entries.get_fields()) else {
                return Err("a map without names or values");
            };
            let name = self.node(name, present + 1, level + 1)?;
            let value = self.node(value, present + 1, level + 1)?;
            let is_text = |name: &Node| name.kind == Kind::Leaf(Leaf::Text);
            let name = name
                .filter(is_text)
                .ok_or("a map with names that are no strings")?;
            let Some(value) = value else {
                return Err("a map of times, decimals or bytes");
            };
            return Ok(Some(Node {
                name: field.name().to_owned(),
                present,
                leaves: name.leaves.start..value.leaves.end,
                kind: Kind::Map {
                    entry: Box::new((name, value)),
                    filled: present + 1,
                    repetition: level + 1,
                },
            }));
        }
        if field.get_basic_info().logical_type_ref().is_some() {
            return Err("an object of an unknown kind");
        }
        let mut fields = Vec::new();
        for field in field.get_fields() {
            fields.extend(self.node(field, present, level)?);
        }
        let leaves = first..self.columns.len();
        // Without any leaf nothing says whether it is there.
        Ok((!leaves.is_empty()).then(|| Node {
            name: field.name().to_owned(),
            present,
            kind: Kind::Object(fields),
            leaves,
        }))
    }
}

fn list(name: &str, present: i16, item: Node, repetition: i16) -> Node {
    Node {
        name: name.to_owned(),
        present,
        leaves: item.leaves.clone(),
        kind: Kind::List {
            item: Box::new(item),
            filled: present + 1,
            repetition,
        },
    }
}

/// Whether the repeated field of the list `name` is its item, as older writers have it, and does not only hold it. The
/// rules are those of Parquet's specification ("backward-compatibility rules" of logical types).
fn is_item(entries: &Type, name: &str) -> bool {
    if entries.is_primitive() {
        return true;
    }
    let [only] = entries.get_fields() else {
        return true;
    };
    let is_older = entries.name() == "array" || entries.name() == format!("{name}_tuple");
    is_older && !is_list(entries) && repetition(only) != Repetition::REPEATED
}

/// How the values of a column are written as JSON; none if JSON has no such values.
fn leaf(field: &Type) -> Option<Leaf> {
    use ConvertedType as Converted;
    let info = field.get_basic_info();
    let converted = info.converted_type();
    match (field.get_physical_type(), info.logical_type_ref()) {
        (Physical::BYTE_ARRAY, Some(LogicalType::Json)) => Some(Leaf::Json),
        (Physical::BYTE_ARRAY, None) if converted == Converted::JSON => Some(Leaf::Json),
        (
            Physical::BYTE_ARRAY,
            Some(LogicalType::String | LogicalType::Enum | LogicalType::Unknown),
        ) => Some(Leaf::Text),
        (Physical::BYTE_ARRAY, None) => {
            let is_text = matches!(
                converted,
                Converted::NONE | Converted::UTF8 | Converted::ENUM
            );
            is_text.then_some(Leaf::Text)
        }
        (
            Physical::INT32 | Physical::INT64,
            Some(LogicalType::Integer(_) | LogicalType::Unknown),
        ) => Some(Leaf::Integer {
            unsigned: is_unsigned(info),
        }),
        (Physical::INT32 | Physical::INT64, None) => {
            use Converted::{
                INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32, UINT_64,
            };
            let is_integer = matches!(
                converted,
                NONE | INT_8 | INT_16 | INT_32 | INT_64 | UINT_8 | UINT_16 | UINT_32 | UINT_64
            );
            is_integer.then(|| Leaf::Integer {
                unsigned: is_unsigned(info),
            })
        }
        (Physical::BOOLEAN, _) => Some(Leaf::Boolean),
        (Physical::FLOAT | Physical::DOUBLE, _) => Some(Leaf::Float),
        _ => None,
    }
}

/// The cells of a nested field in a row group.
pub(super) struct NestedColumn<'a> {
    root: &'a Node,
    leaves: Vec<Decoded>,
    /// The most bytes of a cell.
    most: usize,
}

impl<'a> NestedColumn<'a> {
    /// `leaves` are the columns of `nested`, in their order.
    pub(super) fn new(nested: &'a Nested, leaves: Vec<Decoded>, most: usize) -> Self {
        Self {
            root: &nested.root,
            leaves,
            most,
        }
    }

    /// The next row's cell. Fails if a leaf has fewer rows than the file.
    pub(super) fn next(&mut self) -> io::Result<Cell<'static>> {
        if self.is_at_end()? {
            return Err(cut_short("a column ends before its rows do"));
        }
        let mut json = JsonText::new(self.most);
        let is_there = write(self.root, &mut self.leaves, &mut json)?;
        match same_repetition(&self.leaves, self.root)? {
            0 if is_there => Ok(json.finish()),
            0 => Ok(Cell::Null),
            _ => Err(disagree()),
        }
    }

    /// Whether there are no more rows, in any leaf.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        let mut ended = 0;
        for leaf in &mut self.leaves {
            ended += usize::from(leaf.is_at_end()?);
        }
        match ended {
            0 => Ok(false),
            ended if ended == self.leaves.len() => Ok(true),
            _ => Err(cut_short("a column ends before its rows do")),
        }
    }
}

/// Takes the next value of a node out of the leaves and writes it; false if it is null, then nothing is written.
fn write(node: &Node, leaves: &mut [Decoded], json: &mut JsonText) -> io::Result<bool> {
    let definition = leaves[node.leaves.start].definition();
    if definition < node.present {
        pass(node, leaves, definition)?;
        return Ok(false);
    }
    match &node.kind {
        Kind::Leaf(kind) => value(*kind, &mut leaves[node.leaves.start], json)?,
        Kind::Object(fields) => {
            json.start_object();
            for field in fields {
                let mark = json.mark();
                json.name(&field.name);
                if !write(field, leaves, json)? {
                    json.undo(mark);
                }
            }
            json.end_object();
        }
        Kind::List {
            item,
            filled,
            repetition,
        } => {
            json.start_list();
            if definition < *filled {
                pass(node, leaves, definition)?;
            } else {
                loop {
                    json.separate();
                    if !write(item, leaves, json)? {
                        json.null();
                    }
                    if !has_next(node, leaves, *repetition)? {
                        break;
                    }
                }
            }
            json.end_list();
        }
        Kind::Map {
            entry,
            filled,
            repetition,
        } => {
            let (name, value) = &**entry;
            json.start_object();
            if definition < *filled {
                pass(node, leaves, definition)?;
            } else {
                loop {
                    let mark = json.mark();
                    json.separate();
                    if !write(name, leaves, json)? {
                        return Err(malformed("a map with a name that is null"));
                    }
                    json.end_name();
                    if !write(value, leaves, json)? {
                        json.undo(mark);
                    }
                    if !has_next(node, leaves, *repetition)? {
                        break;
                    }
                }
            }
            json.end_object();
        }
    }
    Ok(true)
}

/// Takes and writes the next value of a leaf.
fn value(kind: Leaf, leaf: &mut Decoded, json: &mut JsonText) -> io::Result<()> {
    let missing = || malformed("a column with fewer values than its levels say");
    let at = leaf.take().ok_or_else(disagree)?;
    match (kind, &leaf.values) {
        (Leaf::Text, Values::Texts(texts)) => {
            json.string(texts.get(at).map(ByteArray::data).ok_or_else(missing)?);
        }
        (Leaf::Json, Values::Texts(texts)) => {
            json.json(texts.get(at).map(ByteArray::data).ok_or_else(missing)?);
        }
        (Leaf::Integer { unsigned }, Values::Integers(integers)) => {
            json.integer(wide(*integers.get(at).ok_or_else(missing)?, unsigned));
        }
        (Leaf::Boolean, Values::Booleans(booleans)) => {
            json.boolean(*booleans.get(at).ok_or_else(missing)?);
        }
        (Leaf::Float, Values::Floats(floats)) => {
            json.float(*floats.get(at).ok_or_else(missing)?);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

/// Takes one entry of each leaf, which says at `definition` that nothing is below the node.
fn pass(node: &Node, leaves: &mut [Decoded], definition: i16) -> io::Result<()> {
    for leaf in &mut leaves[node.leaves.clone()] {
        if leaf.definition() != definition || leaf.take().is_some() {
            return Err(disagree());
        }
    }
    Ok(())
}

/// Whether the list that starts its next items at this repetition level has another one.
fn has_next(node: &Node, leaves: &[Decoded], repetition: i16) -> io::Result<bool> {
    let next = same_repetition(leaves, node)?;
    match next > repetition {
        true => Err(disagree()),
        false => Ok(next == repetition),
    }
}

/// The repetition level of the next entries of a node's leaves.
fn same_repetition(leaves: &[Decoded], node: &Node) -> io::Result<i16> {
    let mut levels = leaves[node.leaves.clone()].iter().map(Decoded::repetition);
    let first = levels.next().unwrap_or(0);
    match levels.all(|level| level == first) {
        true => Ok(first),
        false => Err(disagree()),
    }
}

fn disagree() -> io::Error {
    malformed("the columns of a list that disagree on its items")
}
