//! Passes a file's bytes to Parquet's page reader, and its pages to the column, after checking that their sizes fit
//! into memory. A page's header has the decompressed size; gzip, Brotli and LZ4 frames may hold more than that, so they
//! are measured before Parquet decompresses them.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::super::error::malformed;
use super::super::ranges::{Ranges, Window};
use super::thrift::Walk;
use super::{delta, levels};

/// Documents of the largest size that a page may hold: writers check a page's size only now and then.
const DOCUMENTS_PER_PAGE: usize = 4;

/// Bytes of a page's header that are parsed here.
const HEADER: usize = 96;

/// The longest page header, in bytes: it may hold statistics, each of which is a value.
const LONGEST_HEADER: usize = 16 << 20;

/// The bytes of one column of a row group.
pub(crate) struct Chunk {
    ranges: Arc<Ranges>,
    window: Arc<Mutex<Window>>,
    compression: Compression,
    largest: usize,
    /// The last two offsets where reading started. One of them is that of a page's header: the header may be read
    /// ahead, and then reading starts again after it.
    begun: Mutex<[u64; 2]>,
}

impl Chunk {
    pub(crate) fn column(
        ranges: Arc<Ranges>,
        metadata: &ColumnChunkMetaData,
        max_document_bytes: usize,
    ) -> Self {
        Self {
            window: Arc::new(Mutex::new(Window::new(Arc::clone(&ranges)))),
            ranges,
            compression: metadata.compression(),
            largest: max_document_bytes.saturating_mul(DOCUMENTS_PER_PAGE),
            begun: Mutex::new([0; 2]),
        }
    }

    /// Reads nothing ahead beyond the column, for a reader that opens many of them.
    pub(crate) fn alone(self, metadata: &ColumnChunkMetaData) -> Self {
        let (start, length) = metadata.byte_range();
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.read_ahead_to(start.saturating_add(length));
        drop(window);
        self
    }

    fn window(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.read(start, length)
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.ranges.length()
    }
}

impl ChunkReader for Chunk {
    type T = Bytewise;

    fn get_read(&self, start: u64) -> Result<Bytewise> {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun = [start, begun[0]];
        Ok(Bytewise {
            window: Arc::clone(&self.window),
            position: start,
            end: self.ranges.length(),
            is_header: false,
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let [last, before] = *self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let header = if last < start { last } else { before };
        let known = usize::try_from(start.saturating_sub(header)).unwrap_or(HEADER);
        let header = self.window(header, known.min(HEADER)).map_err(external)?;
        let header = Header::parse(&header)
            .ok_or_else(|| external(malformed("a page's header is invalid")))?;
        let size = header.size.max(length);
        if header.levels > header.size {
            return Err(external(malformed(
                "a page's levels are longer than the page",
            )));
        }
        if size > self.largest {
            let most = self.largest;
            return Err(external(malformed(format!(
                "expected pages of at most {most} bytes, got one of {size}"
            ))));
        }
        let bytes = self.window(start, length).map_err(external)?;
        let compressed = bytes.get(header.levels..).unwrap_or_default();
        if holds_less(compressed, header.size - header.levels, self.compression) {
            return Err(external(malformed(
                "a page's header says more than the page decompresses to",
            )));
        }
        if holds_more(compressed, header.size, self.compression) {
            return Err(external(malformed(
                "a page decompresses to more than its header says",
            )));
        }
        Ok(bytes)
    }
}

/// The needed fields of a page's header.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    /// Decompressed size of the page, in bytes.
    size: usize,
    /// Bytes of uncompressed levels before the values of a version 2 page.
    levels: usize,
}

impl Header {
    /// Parses the needed fields. Writers must put the required fields first and in order.
    fn parse(header: &[u8]) -> Option<Self> {
        /// Thrift's compact protocol: the step from the previous field's number, and the type.
        const NEXT_INTEGER: u8 = 0x15;
        const DATA_PAGE_V2: usize = 3;
        const V2_AFTER_SIZE: u8 = 0x5c;
        const V2_AFTER_CHECKSUM: u8 = 0x4c;
        let mut bytes = header.iter().copied();
        let page_type = integer(&mut bytes, NEXT_INTEGER)?;
        let size = integer(&mut bytes, NEXT_INTEGER)?;
        if page_type != DATA_PAGE_V2 {
            return Some(Self { size, levels: 0 });
        }
        integer(&mut bytes, NEXT_INTEGER)?;
        let mut next = bytes.next()?;
        if next == NEXT_INTEGER {
            value(&mut bytes)?;
            next = bytes.next()?;
            (next == V2_AFTER_CHECKSUM).then_some(())?;
        } else {
            (next == V2_AFTER_SIZE).then_some(())?;
        }
        for _values_nulls_rows_encoding in 0..4 {
            integer(&mut bytes, NEXT_INTEGER)?;
        }
        let definition = integer(&mut bytes, NEXT_INTEGER)?;
        let repetition = integer(&mut bytes, NEXT_INTEGER)?;
        let levels = definition.checked_add(repetition)?;
        Some(Self { size, levels })
    }
}

/// A required integer; `field` is its field head.
fn integer(bytes: &mut impl Iterator<Item = u8>, field: u8) -> Option<usize> {
    (bytes.next()? == field).then_some(())?;
    let zigzag = value(bytes)?;
    (zigzag & 1 == 0).then_some(())?;
    i32::try_from(zigzag >> 1).ok()?.try_into().ok()
}

fn value(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Whether a page decompresses to more than `claimed` bytes.
fn holds_more(compressed: &[u8], claimed: usize, compression: Compression) -> bool {
    let longer = |stream: &mut dyn Read| {
        let most = claimed as u64 + 1;
        // Parquet finds and reports damage itself.
        let length = io::copy(&mut stream.take(most), &mut io::sink());
        length.is_ok_and(|length| length == most)
    };
    match compression {
        Compression::GZIP(_) => longer(&mut flate2::read::MultiGzDecoder::new(compressed)),
        Compression::BROTLI(_) => longer(&mut brotli::Decompressor::new(compressed, 4096)),
        Compression::LZ4 => longer(&mut lz4_flex::frame::FrameDecoder::new(compressed)),
        _ => false,
    }
}

/// Whether a page decompresses to less than it claims, if that is much: Parquet allocates what is claimed. If it is
/// little, Parquet finds that itself.
fn holds_less(compressed: &[u8], claimed: usize, compression: Compression) -> bool {
    /// Such a page is decompressed twice, so it must be a rare one.
    const LARGE: usize = 1 << 20;
    const TIMES: usize = 64;
    if claimed <= LARGE || claimed / TIMES <= compressed.len() {
        return false;
    }
    let shorter = |stream: &mut dyn Read| {
        let length = io::copy(&mut stream.take(claimed as u64), &mut io::sink());
        length.is_ok_and(|length| length < claimed as u64)
    };
    match compression {
        Compression::ZSTD(_) => match zstd::stream::read::Decoder::with_buffer(compressed) {
            Ok(mut stream) => shorter(&mut stream),
            Err(_) => true,
        },
        Compression::GZIP(_) => shorter(&mut flate2::read::MultiGzDecoder::new(compressed)),
        Compression::BROTLI(_) => shorter(&mut brotli::Decompressor::new(compressed, 4096)),
        Compression::LZ4 => shorter(&mut lz4_flex::frame::FrameDecoder::new(compressed)),
        // At most 255 times as long, for a block of one byte.
        Compression::LZ4_RAW => claimed / 256 > compressed.len(),
        // At most 22 times (Snappy), and not at all.
        _ => true,
    }
}

fn external(error: io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Small reads of a page's header through the window.
pub(crate) struct Bytewise {
    window: Arc<Mutex<Window>>,
    position: u64,
    end: u64,
    /// Whether a valid header is known to start here.
    is_header: bool,
}

impl Bytewise {
    fn left(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX)
    }

    fn peek(&self, length: usize) -> io::Result<Bytes> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.read(self.position, length)
    }

    /// Checks that a valid header starts here: Parquet's parser allocates what it claims.
    fn check(&self) -> io::Result<()> {
        let most = self.left().min(LONGEST_HEADER);
        let mut length = HEADER.min(most);
        while Walk(&self.peek(length)?).skip_struct().is_none() {
            if length == most {
                return Err(malformed("a page's header is invalid"));
            }
            length = (length * 4).min(most);
        }
        Ok(())
    }
}

impl Read for Bytewise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_header {
            self.check()?;
            self.is_header = true;
        }
        let length = buffer.len().min(self.left());
        buffer[..length].copy_from_slice(&self.peek(length)?);
        self.position += length as u64;
        Ok(length)
    }
}

/// The number of bytes that the values of further pages may take until the column resets it.
pub(crate) type Budget = Arc<AtomicUsize>;

/// How the values of a page are held when they are decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageValues {
    /// Some rows at once: of integers, or of a text each.
    Flat,
    /// One row at once, with any number of values; its field has this many columns.
    Nested(usize),
}

impl PageValues {
    /// The bytes that the values of some pages may take together.
    fn most(self, max_document_bytes: usize) -> usize {
        /// Documents may be small, and their lists long.
        const LEAST: usize = 64 << 20;
        let most = max_document_bytes.saturating_mul(DOCUMENTS_PER_PAGE);
        match self {
            Self::Flat => most,
            Self::Nested(columns) => most.max(LEAST) / columns.max(1),
        }
    }
}

/// Pages whose decoded values fit into memory: a few bytes can encode any number of equal values.
pub(crate) struct Limited {
    pages: Box<dyn PageReader>,
    budget: Budget,
    values: PageValues,
    /// Bits per repetition level and per definition level.
    level_bits: [usize; 2],
    /// Whether texts may share a prefix with the text before.
    may_share: bool,
    is_text: bool,
    /// Whether the values are bytes of a fixed length.
    is_fixed: bool,
    /// Whether the dictionary page was read.
    has_dictionary: bool,
}

/// Whether `most` texts are in these bytes, each after its length.
fn plain_texts_lie_in(mut bytes: &[u8], most: usize) -> bool {
    (0..most).all(|_| {
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return false;
        };
        let rest = rest.get(u32::from_le_bytes(*length) as usize..);
        bytes = rest.unwrap_or_default();
        rest.is_some()
    })
}

/// Whether a column declares that its texts may share a prefix with the text before: then a small page may hold any
/// number of large texts. Its pages may not use an encoding that it does not declare.
pub(super) fn may_share(chunk: &ColumnChunkMetaData) -> bool {
    chunk
        .encodings()
        .any(|encoding| encoding == Encoding::DELTA_BYTE_ARRAY)
}

impl Limited {
    pub(super) fn new(
        pages: Box<dyn PageReader>,
        chunk: &ColumnChunkMetaData,
        values: PageValues,
        max_document_bytes: usize,
    ) -> (Self, Budget) {
        let budget = Arc::new(AtomicUsize::new(values.most(max_document_bytes)));
        let limited = Self::with_budget(pages, chunk, values, Arc::clone(&budget));
        (limited, budget)
    }

    /// Shares a budget, which others may have as well.
    pub(crate) fn with_budget(
        pages: Box<dyn PageReader>,
        chunk: &ColumnChunkMetaData,
        values: PageValues,
        budget: Budget,
    ) -> Self {
        Self {
            pages,
            budget,
            values,
            level_bits: {
                let column = chunk.column_descr();
                let bits = |most: i16| (i16::BITS - most.max(0).leading_zeros()) as usize;
                [bits(column.max_rep_level()), bits(column.max_def_level())]
            },
            may_share: may_share(chunk),
            is_text: chunk.column_type() == Type::BYTE_ARRAY,
            is_fixed: chunk.column_type() == Type::FIXED_LEN_BYTE_ARRAY,
            has_dictionary: false,
        }
    }

    /// The bytes that the values of a page may take at once. A text's bytes are in the page or in the dictionary, except
    /// those that it shares.
    fn size(&self, page: &Page, shared: usize) -> usize {
        let all = page.num_values() as usize;
        if self.values == PageValues::Flat {
            // Only one of the texts that share bytes is decoded at a time.
            return all.saturating_mul(size_of::<i64>());
        }
        let [width, _] = self.level_bits;
        let levels = match page {
            Page::DataPage {
                buf,
                rep_level_encoding: Encoding::RLE,
                ..
            } => buf.get(size_of::<u32>()..),
            Page::DataPageV2 { buf, .. } => Some(&buf[..]),
            Page::DictionaryPage { .. } => return 0,
            Page::DataPage { .. } => None,
        };
        let longest = levels.and_then(|levels| levels::longest_row(levels, width, all));
        let value = match self.is_text {
            true => size_of::<ByteArray>(),
            false => size_of::<i64>(),
        };
        let entry = value + 2 * size_of::<i16>();
        longest
            .unwrap_or(all)
            .saturating_mul(entry)
            .saturating_add(shared)
    }

    /// Checks what Parquet does not check before it decodes a page. The bytes of its texts that are not in the page
    /// itself, because texts may share a prefix.
    fn check(&self, page: &Page) -> io::Result<usize> {
        let length = page.buffer().len();
        let levels_end = match page {
            Page::DataPage {
                buf,
                num_values,
                def_level_encoding,
                rep_level_encoding,
                ..
            } => {
                let encodings = [rep_level_encoding, def_level_encoding];
                let mut end = 0;
                for (encoding, bits) in encodings.into_iter().zip(self.level_bits) {
                    end += match encoding {
                        _ if bits == 0 => 0,
                        // Their length comes first.
                        Encoding::RLE => match buf.get(end..).and_then(<[u8]>::first_chunk) {
                            Some(length) => 4 + u32::from_le_bytes(*length) as usize,
                            None => return Err(malformed("a page without its levels")),
                        },
                        // BIT_PACKED, the only other encoding, is older than RLE.
                        _ => (*num_values as usize * bits).div_ceil(8),
                    };
                }
                end
            }
            Page::DataPageV2 {
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => *def_levels_byte_len as usize + *rep_levels_byte_len as usize,
            Page::DictionaryPage { .. } => 0,
        };
        if levels_end > length {
            return Err(malformed("a page's levels are longer than the page"));
        }
        let values = page.buffer().slice(levels_end..);
        let most = page.num_values() as usize;
        let is_text = self.is_text;
        let mut shared = 0;
        let fits = match page {
            Page::DictionaryPage { .. } if is_text => plain_texts_lie_in(&values, most),
            _ => match page.encoding() {
                Encoding::DELTA_LENGTH_BYTE_ARRAY if is_text => delta::texts_lie_in(&values, most),
                Encoding::DELTA_BYTE_ARRAY if (is_text || self.is_fixed) && !self.may_share => {
                    return Err(malformed(
                        "a page with an encoding that its column does not declare",
                    ));
                }
                Encoding::DELTA_BYTE_ARRAY if is_text || self.is_fixed => {
                    let bytes = delta::shared_texts_in(&values, most);
                    shared = bytes.unwrap_or(0);
                    bytes.is_some()
                }
                Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY
                    if !self.has_dictionary && page.is_data_page() =>
                {
                    return Err(malformed(
                        "a page that needs a dictionary before any was read",
                    ));
                }
                _ => true,
            },
        };
        match fits {
            true => Ok(shared),
            false => Err(malformed("a page whose texts are longer than the page")),
        }
    }
}

impl PageReader for Limited {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            let shared = self.check(page).map_err(external)?;
            self.has_dictionary |= page.is_dictionary_page();
            let budget = self.budget.load(Ordering::Relaxed);
            let budget = budget.checked_sub(self.size(page, shared));
            let left = budget.ok_or_else(|| {
                external(malformed(
                    "a row or page has more values than fit into memory",
                ))
            })?;
            self.budget.store(left, Ordering::Relaxed);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for Limited {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
