//! TensorBoard's event files: TFRecord records, each holding a protocol buffer `Event`. Scalars only.
//!
//! ```text
//! record   length u64 │ checksum of the length u32 │ Event │ checksum of the Event u32        little-endian
//! ```
//!
//! The field numbers are those of TensorFlow's `event.proto` and `summary.proto`.

use std::{
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use crc_fast::{CrcAlgorithm::Crc32Iscsi, checksum};
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    /// Only in the first event of a file.
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// An event file being written.
pub(super) struct EventFile<W>(W);

impl<W: Write> EventFile<W> {
    /// Writes the header event.
    pub(super) fn new(writer: W) -> io::Result<Self> {
        let mut file = Self(writer);
        file.event(0, What::FileVersion("brain.Event:2".to_owned()))?;
        Ok(file)
    }

    /// Adds a point to the curve named `tag`.
    pub(super) fn scalar(&mut self, tag: String, step: i64, value: f32) -> io::Result<()> {
        let scalar = Scalar {
            tag,
            simple_value: value,
        };
        let value = vec![scalar];
        self.event(step, What::Summary(Summary { value }))?;
        self.0.flush()
    }

    fn event(&mut self, step: i64, what: What) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let event = Event {
            wall_time: now.unwrap_or_default().as_secs_f64(),
            step,
            what: Some(what),
        };
        let bytes = event.encode_to_vec();
        let length = (bytes.len() as u64).to_le_bytes();
        self.0.write_all(&length)?;
        self.0.write_all(&masked(&length).to_le_bytes())?;
        self.0.write_all(&bytes)?;
        self.0.write_all(&masked(&bytes).to_le_bytes())
    }
}

/// TFRecord's masked checksum: CRC-32C, rotated and offset, because checksums of data that contains CRCs are
/// problematic.
fn masked(bytes: &[u8]) -> u32 {
    let sum = checksum(Crc32Iscsi, bytes) as u32;
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}
