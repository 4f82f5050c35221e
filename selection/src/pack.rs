//! Pieces of documents into rows of a fixed length: best fit, longest first.
//!
//! Documents stay whole where they can: attention is confined to a document, and a token without its context is a worse
//! target than padding is a waste. Only where padding would take more than a limit are some of them cut to fill gaps, the
//! widest gaps first, so that there are few cuts.

use std::collections::BTreeSet;

/// Tokens of a document that follow one another in a row. The first is context only: it has no token before it there,
/// and where it is not the document's first, it is a target in the piece before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The number of the document.
    pub document: usize,
    /// The piece's first token.
    pub start: usize,
    /// Its tokens; at least two.
    pub length: usize,
}

/// The pieces of one row, one after the other. What is left of it is padding.
pub type Row = Vec<Piece>;

/// Rows, and what they cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    /// The rows.
    pub rows: Vec<Row>,
    /// Cuts made to fill gaps, beside those of documents longer than a row.
    pub cuts: usize,
}

/// Packs the pieces of whole documents, given as (document, tokens), into rows of `length` tokens. Documents of less than
/// two tokens have no target and are left out.
///
/// Where more than `most_padding` of all rows' tokens would be padding, documents are cut to fill gaps; 1 is never.
///
/// # Panics
/// Where rows are shorter than two tokens.
pub fn pack(
    documents: impl IntoIterator<Item = (usize, usize)>,
    length: usize,
    most_padding: f64,
) -> Packed {
    assert!(length >= 2, "rows of {length} tokens hold no target");
    let mut pieces = Vec::new();
    for (document, tokens) in documents {
        let mut start = 0;
        while tokens.saturating_sub(start) > 1 {
            let length = length.min(tokens - start);
            pieces.push(Piece {
                document,
                start,
                length,
            });
            // The last token of a piece is the context of the next one's first target.
            start += length - 1;
        }
    }
    // Stable: of equal lengths the earlier comes first.
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.length));
    let mut rows = Bins::new(length);
    for piece in pieces {
        rows.put(piece);
    }
    rows.fill(most_padding)
}

/// Rows that are being filled.
struct Bins {
    length: usize,
    rows: Vec<Row>,
    /// Tokens that are free in each row.
    free: Vec<usize>,
    /// Rows into which a piece still fits, by what is free: the answer to "where does it fit best" is the next one up.
    open: BTreeSet<(usize, usize)>,
    cuts: usize,
}

impl Bins {
    fn new(length: usize) -> Self {
        Self {
            length,
            rows: Vec::new(),
            free: Vec::new(),
            open: BTreeSet::new(),
            cuts: 0,
        }
    }

    /// Puts a piece where it leaves least, else into a new row.
    fn put(&mut self, piece: Piece) {
        let best = self.open.range((piece.length, 0)..).next();
        let row = match best {
            Some(&(_, row)) => row,
            None => {
                self.rows.push(Row::new());
                self.free.push(self.length);
                self.rows.len() - 1
            }
        };
        self.put_into(row, piece);
    }

    fn put_into(&mut self, row: usize, piece: Piece) {
        self.open.remove(&(self.free[row], row));
        self.free[row] -= piece.length;
        self.rows[row].push(piece);
        // A piece has two tokens at least.
        if self.free[row] >= 2 {
            self.open.insert((self.free[row], row));
        }
    }

    /// Takes apart the emptiest rows and fills the gaps of others with their pieces, until padding is within the limit or
    /// there is nothing to be won.
    fn fill(mut self, most_padding: f64) -> Packed {
        loop {
            let padding: usize = self.padding();
            let tokens = self.tokens();
            if padding as f64 <= most_padding * tokens as f64 {
                break;
            }
            let Some(&(free, emptiest)) = self.open.last() else {
                break;
            };
            // Each cut repeats a token, so what the others have free must be more than is in the row.
            let gaps = self.open.iter().map(|(free, _)| free - 1).sum::<usize>();
            if gaps.saturating_sub(free - 1) <= self.length - free {
                break;
            }
            self.open.remove(&(free, emptiest));
            let pieces = std::mem::take(&mut self.rows[emptiest]);
            self.free[emptiest] = 0;
            for piece in pieces {
                self.spread(piece);
            }
        }
        let rows = self.rows.into_iter().filter(|row| !row.is_empty());
        Packed {
            rows: rows.collect(),
            cuts: self.cuts,
        }
    }

    /// Puts a piece where it fits best, or cuts it over the widest gaps.
    fn spread(&mut self, mut piece: Piece) {
        loop {
            let fits = self.open.range((piece.length, 0)..).next().is_some();
            let widest = self.open.last().copied();
            let Some((free, row)) = widest.filter(|_| !fits) else {
                self.put(piece);
                return;
            };
            self.put_into(
                row,
                Piece {
                    length: free,
                    ..piece
                },
            );
            self.cuts += 1;
            piece.start += free - 1;
            piece.length -= free - 1;
        }
    }

    /// Tokens of all rows that hold something.
    fn tokens(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_empty()).count() * self.length
    }

    fn padding(&self) -> usize {
        self.free.iter().sum()
    }
}
