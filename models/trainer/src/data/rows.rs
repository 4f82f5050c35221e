//! All rows of all epochs in order, starting anywhere.
//!
//! Documents are taken in the epoch's order, one window at a time. Each window is packed by itself, and its rows are
//! shuffled because packing sorts them by length. So a place is the index of a window's first document in that order
//! and the number of its rows already used. A resumed run packs that window again.

use serde::{Deserialize, Serialize};

use super::order::{Order, mix, shuffle};
use rho_selection::{DocumentPart, Packed, Row, pack};

/// How documents are packed into rows. Every field changes the contents of batches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Packing {
    /// Tokens per row.
    pub length: usize,
    /// A window ends with the document that reaches this many tokens.
    pub window_tokens: usize,
    /// The share of padding above which documents are cut to fill gaps.
    pub most_padding: f64,
    /// Seed of the order.
    pub seed: u64,
}

impl Packing {
    /// Fewest rows per window: with fewer, the padding of the last rows is more than 1 %.
    const WINDOW_ROWS: usize = 512;

    /// Fewest tokens per window, for any row length.
    const WINDOW_TOKENS: usize = 1 << 18;

    /// Padding under 1 %, with windows large enough for that and for a shuffle over several batches of `batch_rows`.
    pub fn new(length: usize, batch_rows: usize, seed: u64) -> Self {
        let rows = Self::WINDOW_ROWS.max(batch_rows * 4);
        Self {
            length,
            window_tokens: (rows * length).max(Self::WINDOW_TOKENS),
            most_padding: 0.01,
            seed,
        }
    }

    /// Packs the window that starts at index `from` of an epoch's order. Also returns the index after the window.
    fn window(
        &self,
        order: &Order,
        epoch: u64,
        from: usize,
        count: usize,
        length: impl Fn(usize) -> usize,
    ) -> (Packed, usize) {
        let (mut end, mut tokens) = (from, 0);
        let mut documents = Vec::new();
        while end < count && tokens < self.window_tokens {
            let document = order.at(end);
            let length = length(document);
            documents.push((document, length));
            tokens += length;
            end += 1;
        }
        let mut packed = pack(documents, self.length, self.most_padding);
        let key = mix(mix(self.seed ^ 0x726f_7773).wrapping_add(epoch)).wrapping_add(from as u64);
        shuffle(&mut packed.rows, mix(key));
        (packed, end)
    }

    /// Packs whole epochs without reading a token, to count their rows, targets, padding and cuts.
    pub fn count(
        &self,
        documents: usize,
        length: impl Fn(usize) -> usize,
        epochs: u64,
    ) -> PackingCounts {
        let mut counts = PackingCounts::default();
        for epoch in 0..epochs {
            let order = Order::new(documents, self.seed, epoch);
            let mut from = 0;
            while from < documents {
                let (packed, end) = self.window(&order, epoch, from, documents, &length);
                counts.add(&packed, self.length);
                from = end;
            }
        }
        counts
    }
}

/// The counts of packed rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PackingCounts {
    /// Rows.
    pub rows: u64,
    /// Pieces of documents in them.
    pub parts: u64,
    /// Target tokens.
    pub targets: u64,
    /// Padding tokens.
    pub padding: u64,
    /// Cuts made to fill gaps.
    pub cuts: u64,
}

impl PackingCounts {
    fn add(&mut self, packed: &Packed, length: usize) {
        let parts = || packed.rows.iter().flatten();
        let tokens: usize = parts().map(|part| part.length).sum();
        self.rows += packed.rows.len() as u64;
        self.parts += parts().count() as u64;
        self.targets += parts().map(|part| part.length as u64 - 1).sum::<u64>();
        self.padding += (packed.rows.len() * length - tokens) as u64;
        self.cuts += packed.cuts as u64;
    }

    /// The share of the rows' tokens that is padding.
    pub fn padding_share(&self, length: usize) -> f64 {
        match self.rows {
            0 => 0.0,
            rows => self.padding as f64 / (rows * length as u64) as f64,
        }
    }
}

/// A run's position in the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataPosition {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The index in the epoch's order of the window's first document.
    pub document: u64,
    /// Number of the window's rows already used.
    pub row: u64,
}

/// An endless sequence of rows, epoch after epoch.
#[derive(Debug)]
pub struct Rows {
    packing: Packing,
    documents: usize,
    order: Order,
    place: DataPosition,
    /// The rows of the window and the index after it; `None` until it is packed.
    window: Option<(Vec<Row>, usize)>,
}

impl Rows {
    /// Rows starting at `place`.
    pub fn new(packing: Packing, documents: usize, place: DataPosition) -> Self {
        Self {
            packing,
            documents,
            order: Order::new(documents, packing.seed, place.epoch),
            place,
            window: None,
        }
    }

    /// The current position.
    pub fn place(&self) -> DataPosition {
        self.place
    }

    /// The next row; `length` returns a document's number of tokens. `None` if an epoch has no row.
    pub fn next_row(&mut self, length: impl Fn(usize) -> usize) -> Option<Vec<DocumentPart>> {
        let mut ended = 0;
        loop {
            if self.place.document as usize >= self.documents {
                // A whole epoch without a row: no document has a target.
                if ended == 2 || self.documents == 0 {
                    return None;
                }
                ended += 1;
                self.place = DataPosition {
                    epoch: self.place.epoch + 1,
                    ..DataPosition::default()
                };
                self.order = Order::new(self.documents, self.packing.seed, self.place.epoch);
            }
            let (rows, end) = self.window.get_or_insert_with(|| {
                let (epoch, from) = (self.place.epoch, self.place.document as usize);
                let packing = &self.packing;
                let (packed, end) =
                    packing.window(&self.order, epoch, from, self.documents, &length);
                (packed.rows, end)
            });
            if let Some(row) = rows.get_mut(self.place.row as usize) {
                let row = std::mem::take(row);
                self.place.row += 1;
                return Some(row);
            }
            self.place.document = *end as u64;
            self.place.row = 0;
            self.window = None;
        }
    }
}
