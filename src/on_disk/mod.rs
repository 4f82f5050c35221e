//! What commands hold on the disk because it may not fit into memory, in files without names: the system removes them
//! when the program ends, however it ends.
//!
//! * `place`: where these files are created. `partitions`: records, divided by the hash of their key.
//! * `items`: numbers of one size, by index. `bits`: a bit for each document.

mod bits;
mod items;
mod partitions;
mod place;

pub(crate) use bits::Bits;
pub(crate) use items::Items;
pub(crate) use partitions::{OnDisk, Partitions, Record, read_number, write_number};
pub(crate) use place::Place;
