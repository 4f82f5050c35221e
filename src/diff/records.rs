//! Documents as records on disk.

use std::io::{Read, Write};

use super::documents::{Document, Documents};
use crate::on_disk::{OnDisk, Record, read_number, write_number};

impl Documents for OnDisk<Document> {
    fn next(&mut self) -> anyhow::Result<Option<Document>> {
        Self::next(self)
    }
}

impl Record for Document {
    fn write(&self, to: &mut impl Write) -> std::io::Result<()> {
        to.write_all(&[u8::from(self.source.is_some())])?;
        let source = self.source.as_deref().unwrap_or_default();
        for text in [&self.id, &self.shard, source] {
            write_number(to, text.len() as u64)?;
            to.write_all(text.as_bytes())?;
        }
        for field in [
            self.row.cast_unsigned(),
            self.token_hash.cast_unsigned(),
            self.tokens as u64,
            self.numbers.len() as u64,
            self.masks.len() as u64,
        ] {
            write_number(to, field)?;
        }
        let mut bytes = Vec::new();
        for list in &self.numbers {
            bytes.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        for mask in &self.masks {
            bytes.extend(mask.iter().map(|&kept| u8::from(kept)));
        }
        to.write_all(&bytes)
    }

    fn read(from: &mut impl Read) -> std::io::Result<Self> {
        let mut has_source = [0];
        from.read_exact(&mut has_source)?;
        let mut text = || {
            let mut bytes = vec![0; read_number(from)? as usize];
            from.read_exact(&mut bytes)?;
            String::from_utf8(bytes).map_err(std::io::Error::other)
        };
        let (id, shard, source) = (text()?, text()?, text()?);
        let mut field = || read_number(from);
        let (row, token_hash, tokens) = (field()?, field()?, field()? as usize);
        let (numbers, masks) = (field()?, field()?);
        let mut list = |width: usize| {
            let mut bytes = vec![0; tokens * width];
            from.read_exact(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        let numbers = (0..numbers).map(|_| {
            let bytes = list(4)?;
            let floats = bytes.as_chunks().0.iter();
            std::io::Result::Ok(floats.map(|float| f32::from_le_bytes(*float)).collect())
        });
        let numbers = numbers.collect::<std::io::Result<_>>()?;
        let masks = (0..masks).map(|_| Ok(list(1)?.into_iter().map(|kept| kept == 1).collect()));
        Ok(Self {
            id,
            shard,
            row: row.cast_signed(),
            source: (has_source == [1]).then_some(source),
            token_hash: token_hash.cast_signed(),
            tokens,
            numbers,
            masks: masks.collect::<std::io::Result<_>>()?,
        })
    }
}
