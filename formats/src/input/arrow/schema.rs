//! Takes the schema message of an Arrow stream, yields the order of the columns' buffers in a batch, and the requested
//! columns.

use std::io;

use arrow_ipc::{Endianness, Field, MetadataVersion, Precision, Schema, Type};

use super::super::error::malformed;
use super::super::fields;
use super::super::wanted::{Holds, Wanted};
use super::nested::Nested;

/// How the values of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// Bytes between offsets of 4 or 8 bytes.
    Binary { offset: usize },
    /// Bytes of 16-byte views.
    View,
    /// Integers of `width` bytes.
    Integer { width: usize, unsigned: bool },
    /// Floating-point numbers of `width` bytes.
    Float { width: usize },
    /// Lists of numbers between offsets of 4 or 8 bytes; the numbers are the next column.
    List { offset: usize },
    /// Lists of `length` numbers each; the numbers are the next column.
    FixedList { length: usize },
}

/// How the values of a field are written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Json {
    Text,
    Integer,
    Boolean,
    Float {
        width: usize,
    },
    Null,
    Object,
    List,
    Map,
    /// JSON has no such values: times, decimals, bytes of fixed length.
    Other,
    /// JSON has such values, but they are not read.
    Unread,
}

/// A field and its children, with the buffers that they have in each batch.
///
/// Readable columns and structs have a validity bitmap as their first buffer.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    /// The number of its own buffers; a view has further ones.
    pub(super) buffers: usize,
    pub(super) is_view: bool,
    pub(super) values: Option<Values>,
    /// The name of the type in error messages.
    pub(super) kind: &'static str,
    /// How its values are written as JSON.
    pub(super) json: Json,
    /// Whether its texts are JSON, by the name of their type.
    pub(super) is_json: bool,
    is_struct: bool,
    pub(super) dictionary: Option<Dictionary>,
    pub(super) children: Vec<Node>,
    /// Its index among all fields, parents first.
    pub(super) index: usize,
}

/// A requested column: the structs around it, outermost first, and itself.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) around: Vec<usize>,
    pub(super) index: usize,
    pub(super) values: Values,
    /// For lists: how the items are stored.
    pub(super) items: Option<Values>,
    pub(super) dictionary: Option<Dictionary>,
}

/// The column of a wanted field, or the columns below it.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Flat(Column),
    Nested(Nested),
}

impl Column {
    /// Whether it needs this dictionary.
    pub(super) fn needs(&self, id: i64) -> bool {
        self.dictionary
            .is_some_and(|dictionary| dictionary.id == id)
    }
}

/// A dictionary column: its batches hold indices into a list of values that comes before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dictionary {
    pub(super) id: i64,
    /// The width of the indices in bytes.
    pub(super) width: usize,
}

/// The position of a field's node and buffers in a batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NodeBuffers {
    /// The index of its node, which has its length.
    pub(super) node: usize,
    /// The index of its first buffer.
    pub(super) first: usize,
    /// The number of buffers that its views point into.
    pub(super) views: usize,
}

/// The state while the nodes and buffers of a batch are counted.
pub(super) struct Next<'a> {
    pub(super) node: usize,
    pub(super) buffer: usize,
    pub(super) views: &'a mut dyn Iterator<Item = usize>,
}

/// All columns of a stream.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) nodes: Vec<Node>,
    pub(super) count: usize,
}

impl Layout {
    pub(super) fn of(schema: Schema<'_>, version: MetadataVersion) -> io::Result<Self> {
        if schema.endianness() != Endianness::Little {
            return Err(malformed("expected little-endian data, got big-endian"));
        }
        let mut count = 0;
        let fields = schema.fields().unwrap_or_default();
        let nodes = fields
            .iter()
            .map(|field| node(field, version, &mut count))
            .collect::<io::Result<_>>()?;
        Ok(Self { nodes, count })
    }

    /// The column of a wanted field, or the reason why there is none; neither, if it may be missing and is.
    pub(super) fn field(&self, wanted: &Wanted) -> Result<Option<Found>, String> {
        let Some((around, node)) = find(&self.nodes, &wanted.path) else {
            if wanted.holds.may_be_missing() {
                return Ok(None);
            }
            let names = self.nodes.iter().map(|node| node.name.as_str());
            return Err(fields::missing(wanted, "the file", names));
        };
        if node.json == Json::Null && wanted.holds.may_be_missing() {
            return Ok(None);
        }
        let is_text = matches!(node.values, Some(Values::Binary { .. } | Values::View));
        if wanted.holds.is_json() && !is_text {
            let nested = Nested::of(around, node).map_err(|kind| wanted.not(kind))?;
            return Ok(Some(Found::Nested(nested)));
        }
        let of_numbers = wanted.holds == Holds::Numbers;
        let of_tokens = wanted.holds == Holds::Tokens;
        let column = node.column(around);
        let column = column.filter(|column| match column.values {
            Values::Binary { .. } | Values::View => !of_tokens && !of_numbers,
            Values::List { .. } | Values::FixedList { .. } => match column.items {
                Some(Values::Integer { .. }) => of_tokens || of_numbers,
                _ => of_numbers,
            },
            Values::Integer { .. } | Values::Float { .. } => of_numbers,
        });
        column.map_or_else(
            || Err(wanted.not(node.kind)),
            |column| Ok(Some(Found::Flat(column))),
        )
    }

    /// A column with names, such as the documents' own ids, if there is one.
    pub(super) fn names(&self, field: &str) -> Option<Column> {
        let (around, node) = find(&self.nodes, field)?;
        let is_name = |values| {
            matches!(
                values,
                Values::Binary { .. } | Values::View | Values::Integer { .. }
            )
        };
        node.column(around).filter(|column| is_name(column.values))
    }
}

impl Node {
    /// Counts the buffers of this field and its children, from `next` on. With `plain`, a dictionary field is counted
    /// as the values of its dictionary.
    pub(super) fn place(&self, plain: bool, next: &mut Next<'_>, places: &mut [NodeBuffers]) {
        if let Some(place) = places.get_mut(self.index) {
            *place = NodeBuffers {
                node: next.node,
                first: next.buffer,
                views: 0,
            };
        }
        next.node += 1;
        if self.dictionary.is_some() && !plain {
            next.buffer += 2;
            return;
        }
        next.buffer += self.buffers;
        if self.is_view {
            let views = next.views.next().unwrap_or_default();
            next.buffer = next.buffer.saturating_add(views);
            if let Some(place) = places.get_mut(self.index) {
                place.views = views;
            }
        }
        for child in &self.children {
            child.place(false, next, places);
        }
    }

    /// The fields that have as many values as this one: itself, and below structs their fields.
    pub(super) fn as_long(&self) -> Vec<&Self> {
        let mut found = vec![self];
        if self.is_struct && self.dictionary.is_none() {
            found.extend(self.children.iter().flat_map(Self::as_long));
        }
        found
    }

    /// The column of this field; none if it is not a readable column.
    pub(super) fn column(&self, around: Vec<usize>) -> Option<Column> {
        let values = self.values?;
        let items = match values {
            Values::List { .. } | Values::FixedList { .. } if self.dictionary.is_some() => {
                return None;
            }
            Values::List { .. } | Values::FixedList { .. } => {
                let [items] = &self.children[..] else {
                    return None;
                };
                match items.values {
                    Some(Values::Integer { .. } | Values::Float { .. })
                        if items.dictionary.is_none() =>
                    {
                        items.values
                    }
                    _ => return None,
                }
            }
            _ => None,
        };
        Some(Column {
            around,
            index: self.index,
            values,
            items,
            dictionary: self.dictionary,
        })
    }

    /// The field, among this one and its children, that uses the dictionary `id`.
    pub(super) fn find_dictionary(&self, id: i64) -> Option<&Self> {
        if self
            .dictionary
            .is_some_and(|dictionary| dictionary.id == id)
        {
            return Some(self);
        }
        self.children
            .iter()
            .find_map(|node| node.find_dictionary(id))
    }
}

/// The field that `path` names: literally, or with dots as a path into structs.
fn find<'a>(nodes: &'a [Node], path: &str) -> Option<(Vec<usize>, &'a Node)> {
    let named = |name: &str| nodes.iter().rev().find(|node| node.name == name);
    if let Some(node) = named(path) {
        return Some((Vec::new(), node));
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let outer = named(&path[..dot]).filter(|node| node.is_struct)?;
        let (mut around, node) = find(&outer.children, &path[dot + 1..])?;
        around.insert(0, outer.index);
        Some((around, node))
    })
}

fn node(field: Field<'_>, version: MetadataVersion, count: &mut usize) -> io::Result<Node> {
    let index = *count;
    *count += 1;
    let fields = field.children().unwrap_or_default();
    let integer = |integer: arrow_ipc::Int<'_>| match integer.bitWidth() {
        bits @ (8 | 16 | 32 | 64) => Some(Values::Integer {
            width: bits as usize / 8,
            unsigned: !integer.is_signed(),
        }),
        _ => None,
    };
    let (buffers, kind, values) = match field.type_type() {
        Type::Null => (0, "null", None),
        Type::Bool => (2, "a boolean", None),
        Type::Int => (2, "a number", field.type_as_int().and_then(integer)),
        Type::FloatingPoint => {
            let width = float_width(field);
            (2, "a number", width.map(|width| Values::Float { width }))
        }
        Type::Decimal => (2, "a decimal", None),
        Type::Date | Type::Time | Type::Timestamp | Type::Interval | Type::Duration => {
            (2, "a time", None)
        }
        Type::FixedSizeBinary => (2, "a column of bytes of fixed length", None),
        Type::Utf8 | Type::Binary => (3, "a string", Some(Values::Binary { offset: 4 })),
        Type::LargeUtf8 | Type::LargeBinary => (3, "a string", Some(Values::Binary { offset: 8 })),
        Type::Utf8View | Type::BinaryView => (2, "a string", Some(Values::View)),
        Type::List => (2, "a list", Some(Values::List { offset: 4 })),
        Type::LargeList => (2, "a list", Some(Values::List { offset: 8 })),
        Type::ListView | Type::LargeListView => (3, "a list of views", None),
        Type::FixedSizeList => {
            let length = field.type_as_fixed_size_list().map(|list| list.listSize());
            let length = length.and_then(|length| usize::try_from(length).ok());
            (
                1,
                "a list",
                length.map(|length| Values::FixedList { length }),
            )
        }
        Type::Struct_ => (1, "an object", None),
        Type::Map => (2, "a map", None),
        Type::Union => {
            use arrow_ipc::UnionMode;
            let mode = field.type_as_union().map(|union| union.mode());
            let dense = mode == Some(UnionMode::Dense);
            // In old streams a union had a validity bitmap as well.
            let validity = usize::from(version < MetadataVersion::V5);
            (1 + usize::from(dense) + validity, "a union", None)
        }
        Type::RunEndEncoded => (0, "run-end encoded", None),
        other => return Err(malformed(format!("a column of unknown type {other:?}"))),
    };
    let children = fields
        .iter()
        .map(|field| node(field, version, count))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(Node {
        name: field.name().unwrap_or_default().to_owned(),
        buffers,
        is_view: values == Some(Values::View),
        values,
        kind,
        json: json(field, values),
        is_json: is_json(field),
        is_struct: field.type_type() == Type::Struct_,
        dictionary: field.dictionary().map(|dictionary| Dictionary {
            id: dictionary.id(),
            width: match dictionary.indexType().map(|integer| integer.bitWidth()) {
                Some(8) => 1,
                Some(16) => 2,
                Some(64) => 8,
                _ => 4,
            },
        }),
        children,
        index,
    })
}

/// The bytes of a floating-point number of a field; none if their format is unknown.
fn float_width(field: Field<'_>) -> Option<usize> {
    match field.type_as_floating_point()?.precision() {
        Precision::HALF => Some(2),
        Precision::SINGLE => Some(4),
        Precision::DOUBLE => Some(8),
        _ => None,
    }
}

/// How the values of a field are written as JSON.
fn json(field: Field<'_>, values: Option<Values>) -> Json {
    match field.type_type() {
        Type::Null => Json::Null,
        Type::Bool => Json::Boolean,
        Type::Int if values.is_some() => Json::Integer,
        Type::FloatingPoint => {
            float_width(field).map_or(Json::Unread, |width| Json::Float { width })
        }
        Type::Utf8
        | Type::Binary
        | Type::LargeUtf8
        | Type::LargeBinary
        | Type::Utf8View
        | Type::BinaryView => Json::Text,
        Type::List | Type::LargeList | Type::FixedSizeList => Json::List,
        Type::Struct_ => Json::Object,
        Type::Map => Json::Map,
        Type::Decimal
        | Type::Date
        | Type::Time
        | Type::Timestamp
        | Type::Interval
        | Type::Duration
        | Type::FixedSizeBinary => Json::Other,
        _ => Json::Unread,
    }
}

/// Whether a field's texts are JSON: the extension type `arrow.json`.
fn is_json(field: Field<'_>) -> bool {
    let metadata = field.custom_metadata().unwrap_or_default();
    metadata.iter().any(|entry| {
        entry.key() == Some("ARROW:extension:name") && entry.value() == Some("arrow.json")
    })
}
