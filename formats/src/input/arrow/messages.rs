//! Takes the messages of an Arrow stream in order, yields the rows of their batches. Finds the buffers of the requested
//! columns; `column` reads their values.

use std::collections::HashMap;
use std::io;

use arrow_ipc::{CompressionType, MetadataVersion, RecordBatch, Schema};

use super::super::error::malformed;
use super::super::wanted::{self, Value, Wanted};
use super::super::worker::Sink;
use super::super::{ReadOptions, Record, Said};
use super::column::Loaded;
use super::nested::{Buffers, LoadedNested};
use super::schema::{Column, Found, Layout, Next, Node, NodeBuffers, Values};
use super::source::{Buffer, Raw, Source};
use crate::ipc::{self, Misplaced};

/// A stream may hold this many documents of the largest size in memory, for each batch or dictionary.
const DOCUMENTS_PER_BATCH: usize = 16;
/// A batch with more rows per byte than this is malformed.
const ROWS_PER_BYTE: u64 = 4096;

/// A part of a dictionary: the number of its values, and its buffers.
pub(super) type Part = (u64, Vec<bytes::Bytes>);

/// The schema and dictionaries of the messages so far.
pub(super) struct Messages<'a> {
    options: &'a ReadOptions,
    layout: Option<Columns>,
    dictionaries: HashMap<i64, Vec<Part>>,
}

/// All columns, and the requested ones.
struct Columns {
    layout: Layout,
    wanted: Vec<Wanted>,
    /// For each wanted field its column, or the reason why there is none; neither, if it may be missing and is.
    fields: Vec<Result<Option<Found>, String>>,
    id: Option<Column>,
    source: Option<Column>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(options: &'a ReadOptions) -> Self {
        Self {
            options,
            layout: None,
            dictionaries: HashMap::new(),
        }
    }

    /// Takes the schema, which comes first.
    pub(super) fn schema(
        &mut self,
        schema: Schema<'_>,
        version: MetadataVersion,
    ) -> io::Result<()> {
        self.layout = Some(Columns::of(schema, version, self.options)?);
        Ok(())
    }

    /// Why a wanted field is in no column of the schema.
    pub(super) fn missing(&self) -> Option<String> {
        let fields = &self.layout.as_ref()?.fields;
        fields
            .iter()
            .find_map(|field| field.as_ref().err().cloned())
    }

    /// Takes a message and its body; false if the receiver has closed.
    pub(super) fn take(
        &mut self,
        message: &[u8],
        source: &mut Source,
        shard: &str,
        sink: &mut Sink,
    ) -> io::Result<bool> {
        let message = ipc::message(message).map_err(malformed)?;
        let version = message.version();
        let body = u64::try_from(message.bodyLength());
        let body = body.map_err(|_| malformed("a message of negative length"))?;
        let Some(columns) = &self.layout else {
            let schema = message.header_as_schema();
            let schema = schema.ok_or_else(|| malformed("expected a schema first"))?;
            self.schema(schema, version)?;
            return Ok(true);
        };
        if let Some(batch) = message.header_as_record_batch() {
            let batch = columns.load(&batch, body, source, self)?;
            return batch.rows(columns, shard, self.options, sink);
        }
        if let Some(dictionary) = message.header_as_dictionary_batch() {
            let id = dictionary.id();
            let data = dictionary
                .data()
                .ok_or_else(|| malformed("a dictionary without values"))?;
            let part = columns.dictionary(id, &data, body, source, self.most())?;
            if let Some(part) = part {
                let parts = self.dictionaries.entry(id).or_default();
                if !dictionary.isDelta() {
                    parts.clear();
                }
                parts.push(part);
                let bytes = parts.iter().flat_map(|(_, buffers)| buffers);
                if bytes.map(bytes::Bytes::len).sum::<usize>() > self.most() {
                    return Err(malformed("a dictionary that exceeds the memory limit"));
                }
            }
            return Ok(true);
        }
        Err(malformed("expected a batch"))
    }

    fn most(&self) -> usize {
        let most = self.options.max_document_bytes;
        most.saturating_mul(DOCUMENTS_PER_BATCH)
    }
}

impl Columns {
    fn of(
        schema: arrow_ipc::Schema<'_>,
        version: MetadataVersion,
        options: &ReadOptions,
    ) -> io::Result<Self> {
        let layout = Layout::of(schema, version)?;
        let wanted = Wanted::of(options);
        Ok(Self {
            fields: wanted.iter().map(|field| layout.field(field)).collect(),
            wanted,
            id: layout.names(&options.id_field),
            source: options
                .source_field
                .as_deref()
                .and_then(|field| layout.names(field)),
            layout,
        })
    }

    /// The columns with the id and the source.
    fn names(&self) -> impl Iterator<Item = &Column> {
        [&self.id, &self.source].into_iter().flatten()
    }

    /// The columns of the wanted fields.
    fn found(&self) -> impl Iterator<Item = &Found> {
        let fields = self.fields.iter();
        fields.filter_map(|field| field.as_ref().ok()?.as_ref())
    }

    /// Finds or reads the requested buffers of a batch.
    fn load(
        &self,
        batch: &RecordBatch<'_>,
        body: u64,
        source: &mut Source,
        messages: &Messages<'_>,
    ) -> io::Result<Batch> {
        let rows = u64::try_from(batch.length()).ok();
        let rows =
            rows.filter(|rows| *rows <= body.saturating_add(1).saturating_mul(ROWS_PER_BYTE));
        let rows =
            rows.ok_or_else(|| malformed("a batch claims more rows than it has room for"))?;
        let places = places(&self.layout.nodes, self.layout.count, false, batch);
        for node in self.layout.nodes.iter().flat_map(Node::as_long) {
            has_length(batch, places[node.index].node, rows)?;
        }
        let names = self.names().map(|column| column.buffers(&places));
        let fields = self.found().map(|found| match found {
            Found::Flat(column) => column.buffers(&places),
            Found::Nested(nested) => nested.buffers(&places),
        });
        let mut indexes: Vec<usize> = names.chain(fields).flatten().collect();
        indexes.sort_unstable();
        indexes.dedup();
        let most = messages.most();
        let raws = raws(batch, &indexes, body, source, most)?;
        let buffers = Buffers {
            batch,
            places: &places,
            raws: &raws,
            compression: batch.compression().map(|compression| compression.codec()),
            most,
            dictionaries: &messages.dictionaries,
        };
        let flat = |column: &Column| buffers.column(column);
        let mut fields = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            fields.push(match field {
                Ok(Some(Found::Flat(column))) => Some(LoadedField::Flat(flat(column)?)),
                Ok(Some(Found::Nested(nested))) => {
                    Some(LoadedField::Nested(nested.load(&buffers)?))
                }
                Ok(None) | Err(_) => None,
            });
        }
        Ok(Batch {
            rows,
            id: self.id.as_ref().map(flat).transpose()?,
            source: self.source.as_ref().map(flat).transpose()?,
            fields,
        })
    }

    /// Reads a dictionary if a requested column uses it; skips it otherwise.
    fn dictionary(
        &self,
        id: i64,
        batch: &RecordBatch<'_>,
        body: u64,
        source: &mut Source,
        most: usize,
    ) -> io::Result<Option<Part>> {
        let of_field = |found: &Found| match found {
            Found::Flat(column) => column.needs(id),
            Found::Nested(nested) => nested.needs(id),
        };
        let used = self.names().any(|column| column.needs(id)) || self.found().any(of_field);
        let nodes = &mut self.layout.nodes.iter();
        let node = nodes
            .find_map(|node| node.find_dictionary(id))
            .filter(|_| used);
        let Some(node) = node else {
            source.body(body, &[], most)?;
            return Ok(None);
        };
        let rows = u64::try_from(batch.length());
        let rows = rows.map_err(|_| malformed("a dictionary of negative length"))?;
        let places = places(std::slice::from_ref(node), self.layout.count, true, batch);
        let place = places[node.index];
        has_length(batch, place.node, rows)?;
        let indexes: Vec<_> = (place.first..).take(node.buffers + place.views).collect();
        let raws = raws(batch, &indexes, body, source, most)?;
        let compression = batch.compression().map(|compression| compression.codec());
        let mut buffers = Vec::new();
        for index in indexes {
            let raw = raws.get(&index).cloned().ok_or_else(lacks)?;
            let mut buffer = Buffer::open(raw, compression, false, most)?;
            let length = usize::try_from(buffer.length()).unwrap_or(usize::MAX);
            if length > most {
                return Err(malformed("a dictionary that exceeds the memory limit"));
            }
            buffers.push(buffer.get(0, length)?);
        }
        Ok(Some((rows, buffers)))
    }
}

/// The positions of the fields' buffers in a batch.
fn places(nodes: &[Node], count: usize, plain: bool, batch: &RecordBatch<'_>) -> Vec<NodeBuffers> {
    let views = batch.variadicBufferCounts();
    let mut views = views
        .iter()
        .flatten()
        .map(|views| usize::try_from(views).unwrap_or(usize::MAX));
    let mut next = Next {
        node: 0,
        buffer: 0,
        views: &mut views,
    };
    let mut places = vec![NodeBuffers::default(); count];
    for node in nodes {
        node.place(plain, &mut next, &mut places);
    }
    places
}

/// The buffers at these indices.
fn raws(
    batch: &RecordBatch<'_>,
    indexes: &[usize],
    body: u64,
    source: &mut Source,
    most: usize,
) -> io::Result<HashMap<usize, Raw>> {
    let buffers = batch.buffers().unwrap_or_default();
    let mut wanted = Vec::with_capacity(indexes.len());
    for index in indexes {
        if *index >= buffers.len() {
            return Err(lacks());
        }
        let place = ipc::buffer_range(buffers.get(*index), body);
        let place = place.map_err(|misplaced| match misplaced {
            Misplaced::Negative => malformed("a buffer of negative length"),
            Misplaced::Outside => malformed("a buffer is outside its message"),
        })?;
        let (offset, length) = (place.start, place.end - place.start);
        // Writers do not always set the offset of an empty buffer.
        let offset = match length {
            0 => wanted.last().map_or(0, |(offset, length)| offset + length),
            _ => offset,
        };
        wanted.push((offset, length));
    }
    let raws = source.body(body, &wanted, most)?;
    Ok(indexes.iter().copied().zip(raws).collect())
}

/// Refuses a column that has another length than its batch: the rows of the longer one would be lost.
fn has_length(batch: &RecordBatch<'_>, node: usize, rows: u64) -> io::Result<()> {
    let nodes = batch.nodes().unwrap_or_default();
    if node >= nodes.len() {
        return Err(malformed("a batch lacks columns"));
    }
    let length = nodes.get(node).length();
    match u64::try_from(length) == Ok(rows) {
        true => Ok(()),
        false => Err(malformed(format!(
            "a batch of {rows} rows with a column of {length}"
        ))),
    }
}

pub(super) fn lacks() -> io::Error {
    malformed("a column lacks buffers")
}

impl Column {
    /// The indices of the buffers of a batch that the column needs.
    pub(super) fn buffers(&self, places: &[NodeBuffers]) -> Vec<usize> {
        let mut found: Vec<_> = self
            .around
            .iter()
            .map(|index| places[*index].first)
            .collect();
        let place = places[self.index];
        let own = match (self.dictionary, self.values) {
            (Some(_), _) => 2,
            (None, Values::Binary { .. }) => 3,
            (None, Values::View) => 2_usize.saturating_add(place.views),
            (None, Values::Integer { .. } | Values::Float { .. } | Values::List { .. }) => 2,
            (None, Values::FixedList { .. }) => 1,
        };
        // An impossible number of views is detected at the first buffer that does not exist.
        found.extend((place.first..).take(own.min(1 << 20)));
        if self.items.is_some() {
            found.extend((places[self.index + 1].first..).take(2));
        }
        found
    }

    pub(super) fn load(
        &self,
        places: &[NodeBuffers],
        raws: &HashMap<usize, Raw>,
        compression: Option<CompressionType>,
        most: usize,
        dictionaries: &HashMap<i64, Vec<Part>>,
    ) -> io::Result<Loaded> {
        let mut opened = self
            .buffers(places)
            .into_iter()
            .enumerate()
            .map(|(at, index)| {
                // Texts are read from front to back.
                let texts =
                    matches!(self.values, Values::Binary { .. }) && self.dictionary.is_none();
                let flows = texts && at == self.around.len() + 2;
                opened(raws, index, compression, flows, most)
            });
        let around = opened.by_ref().take(self.around.len());
        let around = around.collect::<io::Result<Vec<_>>>()?;
        let mut own = opened.collect::<io::Result<Vec<_>>>()?;
        let items = self.items.map(|values| {
            let buffers = own.split_off(own.len().saturating_sub(2));
            (values, buffers)
        });
        let mut loaded = Loaded::new(self.values, own);
        loaded.around = around;
        loaded.items = items;
        if let Some(dictionary) = self.dictionary {
            let parts = dictionaries
                .get(&dictionary.id)
                .map_or(&[][..], Vec::as_slice);
            let part = |(length, buffers): &Part| {
                let buffers = buffers.iter().cloned().map(Buffer::Held).collect();
                (*length, Loaded::new(self.values, buffers))
            };
            loaded.dictionary = Some((dictionary.width, parts.iter().map(part).collect()));
        }
        Ok(loaded)
    }
}

/// Opens a buffer of a batch, see [`Buffer::open`].
pub(super) fn opened(
    raws: &HashMap<usize, Raw>,
    index: usize,
    compression: Option<CompressionType>,
    flows: bool,
    most: usize,
) -> io::Result<Buffer> {
    let raw = raws.get(&index).cloned().ok_or_else(lacks)?;
    Buffer::open(raw, compression, flows, most)
}

/// The column of a wanted field in a batch, or the columns below it.
enum LoadedField {
    Flat(Loaded),
    Nested(LoadedNested),
}

/// The requested columns of a batch.
struct Batch {
    rows: u64,
    id: Option<Loaded>,
    source: Option<Loaded>,
    fields: Vec<Option<LoadedField>>,
}

impl Batch {
    /// Sends all rows to `sink`; false if the receiver has closed.
    fn rows(
        mut self,
        columns: &Columns,
        shard: &str,
        options: &ReadOptions,
        sink: &mut Sink,
    ) -> io::Result<bool> {
        let most = options.max_document_bytes;
        for row in 0..self.rows {
            let name = |column: &mut Option<Loaded>| match column {
                Some(column) => column.cell(row, most).map(|cell| cell.id()),
                None => Ok(None),
            };
            let mut said = Said {
                id: name(&mut self.id)?,
                source: name(&mut self.source)?,
                context: None,
            };
            let mut values = Vec::with_capacity(self.fields.len());
            let found = self.fields.iter_mut().zip(&columns.fields);
            for ((column, found), wanted) in found.zip(&columns.wanted) {
                values.push(match (found, column) {
                    (Err(reason), _) => Err(reason.clone()),
                    (_, None) => Ok(Value::Missing),
                    (_, Some(LoadedField::Flat(column))) => {
                        column.cell(row, most)?.value(wanted, options)
                    }
                    (_, Some(LoadedField::Nested(column))) => {
                        column.cell(row, most)?.value(wanted, options)
                    }
                });
            }
            let record = match wanted::document(options, values) {
                Ok((content, context)) => {
                    said.context = context;
                    Record::of(shard, sink.rows(), Ok((said, content)))
                }
                Err(reason) => Record::rejected(shard, sink.rows(), said.id, reason),
            };
            if !sink.push(record) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
