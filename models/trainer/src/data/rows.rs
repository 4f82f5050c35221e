//! One row after the other through all epochs, from any place on.
//!
//! Documents are taken in the epoch's order, a window at a time; a window is packed by itself, and its rows are shuffled,
//! for packing sorts them by length. So a place is the number of a window's first document in that order and how many of
//! its rows are used, and whoever goes on there packs that window again.

use serde::{Deserialize, Serialize};

use super::order::{Order, mix, shuffle};
use rho_selection::{Packed, Piece, Row, pack};

/// How documents become rows. All of it changes what a batch holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Packing {
    /// Tokens in a row.
    pub length: usize,
    /// A window ends with the document that reaches this many tokens.
    pub window_tokens: usize,
    /// The share of padding beyond which documents are cut to fill gaps.
    pub most_padding: f64,
    /// Of the order.
    pub seed: u64,
}

impl Packing {
    /// Rows of a window at the least: with fewer, the last rows' padding is more than 1 %.
    const WINDOW_ROWS: usize = 512;

    /// The least number of tokens in a window, whatever the rows' length.
    const WINDOW_TOKENS: usize = 1 << 18;

    /// Padding under 1 %, windows of enough rows for that and for a shuffle over some batches of `batch_rows`.
    pub fn new(length: usize, batch_rows: usize, seed: u64) -> Self {
        let rows = Self::WINDOW_ROWS.max(batch_rows * 4);
        Self {
            length,
            window_tokens: (rows * length).max(Self::WINDOW_TOKENS),
            most_padding: 0.01,
            seed,
        }
    }

    /// Packs the window that begins at this place of an epoch's order; also the place after it.
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

    /// Packs whole epochs without reading a token: how many rows they have and what they cost.
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

/// What packing comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PackingCounts {
    /// Rows.
    pub rows: u64,
    /// Pieces of documents in them.
    pub pieces: u64,
    /// Tokens that are a target once.
    pub targets: u64,
    /// Tokens of padding.
    pub padding: u64,
    /// Cuts made to fill gaps.
    pub cuts: u64,
}

impl PackingCounts {
    fn add(&mut self, packed: &Packed, length: usize) {
        let pieces = || packed.rows.iter().flatten();
        let tokens: usize = pieces().map(|piece| piece.length).sum();
        self.rows += packed.rows.len() as u64;
        self.pieces += pieces().count() as u64;
        self.targets += pieces().map(|piece| piece.length as u64 - 1).sum::<u64>();
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

/// Where in the data a run is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The first document of the window, as a place in the epoch's order.
    pub document: u64,
    /// Rows of the window that are used.
    pub row: u64,
}

/// All rows, for ever: epoch after epoch.
#[derive(Debug)]
pub struct Rows {
    packing: Packing,
    documents: usize,
    order: Order,
    place: Place,
    /// The rows of the window, and the place after it; none before it is packed.
    window: Option<(Vec<Row>, usize)>,
}

impl Rows {
    /// From a place on.
    pub fn new(packing: Packing, documents: usize, place: Place) -> Self {
        Self {
            packing,
            documents,
            order: Order::new(documents, packing.seed, place.epoch),
            place,
            window: None,
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next row; `length` says how many tokens a document has. None where an epoch has no row.
    pub fn next_row(&mut self, length: impl Fn(usize) -> usize) -> Option<Vec<Piece>> {
        let mut ended = 0;
        loop {
            if self.place.document as usize >= self.documents {
                // Twice without a row between: no document has a target.
                if ended == 2 || self.documents == 0 {
                    return None;
                }
                ended += 1;
                self.place = Place {
                    epoch: self.place.epoch + 1,
                    ..Place::default()
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
