//! Takes decompressed bytes, yields them as one document. Keeps every character, line ends included; only a byte-order
//! mark is removed.

use std::io;

use tokio::io::AsyncReadExt;

use super::compression::Plain;
use super::lines::BYTE_ORDER_MARK;
use super::{Content, ReadOptions, Record, Said};

/// The one document of a text file.
pub(super) struct TextFile {
    shard: String,
    options: ReadOptions,
    /// `None` once it was read.
    input: Option<Plain>,
}

impl TextFile {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        Self {
            shard,
            options,
            input: Some(input),
        }
    }

    /// The number of complete rows so far. It is asked for only if the stream breaks, and then the only row is
    /// incomplete.
    pub(super) fn rows(&self) -> i64 {
        0
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        let Some(input) = self.input.take() else {
            return Ok(None);
        };
        let most = self.options.max_document_bytes;
        let mut bytes = Vec::new();
        let limit = (most as u64).saturating_add(1);
        input.take(limit).read_to_end(&mut bytes).await?;
        let text = if let Some(reason) = self.options.no_fields_in_text() {
            Err(reason)
        } else if bytes.len() > most {
            Err(self.options.too_large("a text file"))
        } else {
            if bytes.starts_with(BYTE_ORDER_MARK) {
                bytes.drain(..BYTE_ORDER_MARK.len());
            }
            String::from_utf8(bytes).map_err(|error| {
                let byte = error.utf8_error().valid_up_to();
                format!("invalid UTF-8 at byte {byte} of the text")
            })
        };
        let document = text.map(|text| (Said::default(), Content::Text(text)));
        Ok(Some(Record::of(&self.shard, 0, document)))
    }
}
