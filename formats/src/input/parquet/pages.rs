//! Takes a file's bytes, yields them to Parquet's page reader, and its pages to the column: both only where they are of
//! a size that memory can hold. A page's header says how large it is when decompressed; gzip, Brotli and LZ4 frames
//! may hold more than that, so they are measured before Parquet decompresses them.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::super::error::malformed;
use super::super::ranges::{Ranges, Window};

/// Writers look at a page's size only now and then, so that pages may hold several large documents.
const DOCUMENTS_PER_PAGE: usize = 4;

/// How far a page's header is looked into.
const HEADER: usize = 96;

/// The bytes of one column of a row group, or of the whole file.
pub(super) struct Chunk {
    ranges: Arc<Ranges>,
    window: Arc<Mutex<Window>>,
    /// Nothing for the file's metadata, which has no pages.
    pages: Option<Pages>,
}

struct Pages {
    compression: Compression,
    largest: usize,
    /// Where reading began last and before. One of them is a page's header: it may be read ahead, and then reading
    /// begins once more behind it.
    begun: Mutex<[u64; 2]>,
}

impl Chunk {
    pub(super) fn whole(ranges: Arc<Ranges>) -> Self {
        let window = Arc::new(Mutex::new(Window::new(Arc::clone(&ranges))));
        Self {
            ranges,
            window,
            pages: None,
        }
    }

    pub(super) fn column(
        ranges: Arc<Ranges>,
        metadata: &ColumnChunkMetaData,
        max_document_bytes: usize,
    ) -> Self {
        let mut chunk = Self::whole(ranges);
        chunk.pages = Some(Pages {
            compression: metadata.compression(),
            largest: max_document_bytes.saturating_mul(DOCUMENTS_PER_PAGE),
            begun: Mutex::new([0; 2]),
        });
        chunk
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
        if let Some(pages) = &self.pages {
            let mut begun = pages.begun.lock().unwrap_or_else(PoisonError::into_inner);
            *begun = [start, begun[0]];
        }
        Ok(Bytewise {
            window: Arc::clone(&self.window),
            position: start,
            end: self.ranges.length(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let Some(pages) = &self.pages else {
            return self.ranges.read(start, length).map_err(external);
        };
        let [last, before] = *pages.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let header = if last < start { last } else { before };
        let known = usize::try_from(start.saturating_sub(header)).unwrap_or(HEADER);
        let header = self.window(header, known.min(HEADER)).map_err(external)?;
        let header = Header::parse(&header)
            .ok_or_else(|| external(malformed("a page's header makes no sense")))?;
        let size = header.size.max(length);
        if size > pages.largest {
            let most = pages.largest;
            return Err(external(malformed(format!(
                "expected pages of at most {most} bytes, got one of {size}"
            ))));
        }
        let bytes = self.window(start, length).map_err(external)?;
        let compressed = bytes.get(header.levels..).unwrap_or_default();
        if holds_more(compressed, header.size, pages.compression) {
            return Err(external(malformed(
                "a page holds more than its header says",
            )));
        }
        Ok(bytes)
    }
}

/// What matters of a page's header.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    /// The page's size when decompressed.
    size: usize,
    /// How many bytes of levels stand uncompressed in front of a newer page's values.
    levels: usize,
}

impl Header {
    /// Reads it as far as needed; all fields that are not optional stand there in their order, as writers must put them.
    fn parse(header: &[u8]) -> Option<Self> {
        /// Thrift's compact protocol: how far the field's number is from the one before, and its type.
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

/// An integer that must be there, as the field that `field` says.
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
        // Damage is found once more, and told, by Parquet itself.
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

fn external(error: io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Small reads through the window.
pub(super) struct Bytewise {
    window: Arc<Mutex<Window>>,
    position: u64,
    end: u64,
}

impl Read for Bytewise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        buffer[..length].copy_from_slice(&window.read(self.position, length)?);
        self.position += length as u64;
        Ok(length)
    }
}

/// How many more values pages may hold until the column says that it read something.
pub(super) type Budget = Arc<AtomicUsize>;

/// Pages whose values, once decoded, fit into memory: a few bytes can stand for any number of equal values.
pub(super) struct Limited {
    pages: Box<dyn PageReader>,
    budget: Budget,
}

impl Limited {
    pub(super) fn new(pages: Box<dyn PageReader>, max_document_bytes: usize) -> (Self, Budget) {
        let most = max_document_bytes.saturating_mul(DOCUMENTS_PER_PAGE) / size_of::<i64>();
        let budget = Arc::new(AtomicUsize::new(most));
        let limited = Self {
            pages,
            budget: Arc::clone(&budget),
        };
        (limited, budget)
    }
}

impl PageReader for Limited {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page) = &page {
            let values = page.num_values() as usize;
            let budget = self.budget.load(Ordering::Relaxed).checked_sub(values);
            let left = budget.ok_or_else(|| {
                external(malformed("a row or page holds more values than memory may"))
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
