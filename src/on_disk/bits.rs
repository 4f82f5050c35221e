//! A bit for each document of a corpus, on the disk. Setting bits in ascending order is fast.

use std::ops::Range;

use super::{Items, Place};

/// Bytes that are in memory while bits are set.
const BLOCK: u64 = 1 << 16;

/// A bit for each document; false until it is set.
pub(crate) struct Bits {
    bytes: Items<u8>,
    count: u64,
}

/// Sets bits.
pub(crate) struct SetBits<'a> {
    bits: &'a Bits,
    /// The first byte of the block in memory, and the block; empty if it holds nothing.
    start: u64,
    block: Vec<u8>,
}

impl Bits {
    pub(crate) fn new(place: &Place, count: u64) -> anyhow::Result<Self> {
        Ok(Self {
            bytes: Items::new(place, count.div_ceil(8))?,
            count,
        })
    }

    /// Starts to set bits. One at a time may.
    pub(crate) fn set(&self) -> SetBits<'_> {
        SetBits {
            bits: self,
            start: 0,
            block: Vec::new(),
        }
    }

    /// The bits of some documents.
    pub(crate) fn read(&self, documents: Range<u64>) -> anyhow::Result<Vec<bool>> {
        let mut bytes = Vec::new();
        let first = documents.start / 8;
        self.bytes
            .read(first..documents.end.div_ceil(8), &mut bytes)?;
        let bit = |i: u64| bytes[(i / 8 - first) as usize] >> (i % 8) & 1 == 1;
        Ok(documents.map(bit).collect())
    }
}

impl SetBits<'_> {
    /// Sets the bit of a document.
    pub(crate) fn set(&mut self, document: u64) -> anyhow::Result<()> {
        let start = document / 8 / BLOCK * BLOCK;
        if self.block.is_empty() || start != self.start {
            self.flush()?;
            let end = (start + BLOCK).min(self.bits.count.div_ceil(8));
            self.block.clear();
            self.bits.bytes.read(start..end, &mut self.block)?;
            self.start = start;
        }
        self.block[(document / 8 - start) as usize] |= 1 << (document % 8);
        Ok(())
    }

    /// Writes what is in memory.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        self.flush()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        match self.block.is_empty() {
            true => Ok(()),
            false => self.bits.bytes.write(self.start, &self.block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_were_set() {
        let count = 3 * 8 * BLOCK + 5;
        let bits = Bits::new(&Place::temporary(), count).unwrap();
        let set = [0, 1, 7, 8, 8 * BLOCK - 1, 8 * BLOCK, 20 * BLOCK, count - 1];
        for some in [&set[2..], &set[..2]] {
            let mut setting = bits.set();
            some.iter().for_each(|&i| setting.set(i).unwrap());
            setting.end().unwrap();
        }
        let all = bits.read(0..count).unwrap();
        let found: Vec<u64> = (0..count).filter(|&i| all[i as usize]).collect();
        assert_eq!(found, set);
        assert_eq!(bits.read(7..9).unwrap(), [true, true]);
        assert_eq!(bits.read(9..9).unwrap(), [false; 0]);
    }
}
