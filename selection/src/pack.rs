//! Packs documents into rows of a fixed length: best fit, longest first.
//!
//! Documents stay whole where possible: attention is confined to a document, and a target without its context costs
//! more than padding does. Only if padding would exceed a limit are some documents cut to fill gaps, the widest gaps
//! first to keep the number of cuts low.

use std::collections::BTreeSet;

/// Consecutive tokens of a document in a row. The first token is context only: no token precedes it in the row. If it
/// is not the document's first token, it is a target of the previous part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DocumentPart {
    /// The document's number.
    pub document: usize,
    /// Index of the part's first token in the document.
    pub start: usize,
    /// Number of tokens, at least two.
    pub length: usize,
}

/// The parts of one row, in order. The rest of the row is padding.
pub type Row = Vec<DocumentPart>;

/// Packed rows and the number of cuts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed {
    /// The rows.
    pub rows: Vec<Row>,
    /// Cuts made to fill gaps, not counting those of documents longer than a row.
    pub cuts: usize,
}

/// Packs documents, given as (document, tokens), into rows of `length` tokens. Documents of fewer than two tokens
/// have no target and are skipped.
///
/// If more than the share `most_padding` of all rows' tokens would be padding, documents are cut to fill gaps. 1 never
/// cuts.
///
/// # Panics
/// If `length` is less than two tokens.
pub fn pack(
    documents: impl IntoIterator<Item = (usize, usize)>,
    length: usize,
    most_padding: f64,
) -> Packed {
    assert!(length >= 2, "rows of {length} tokens hold no target");
    let mut parts = Vec::new();
    for (document, tokens) in documents {
        let mut start = 0;
        while tokens.saturating_sub(start) > 1 {
            let length = length.min(tokens - start);
            parts.push(DocumentPart {
                document,
                start,
                length,
            });
            // The last token of a part is the context of the next part's first target.
            start += length - 1;
        }
    }
    // A stable sort: of equal lengths the earlier comes first.
    parts.sort_by_key(|part| std::cmp::Reverse(part.length));
    let mut rows = Bins::new(length);
    for part in parts {
        rows.put(part);
    }
    rows.fill(most_padding)
}

/// Rows being filled.
struct Bins {
    length: usize,
    rows: Vec<Row>,
    /// Free tokens in each row.
    free: Vec<usize>,
    /// Rows with room for a part, as (free tokens, row): the best fit is the first entry of at least the part's
    /// length.
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

    /// Puts a part into the row where it leaves the least free, else into a new row.
    fn put(&mut self, part: DocumentPart) {
        let best = self.open.range((part.length, 0)..).next();
        let row = match best {
            Some(&(_, row)) => row,
            None => {
                self.rows.push(Row::new());
                self.free.push(self.length);
                self.rows.len() - 1
            }
        };
        self.put_into(row, part);
    }

    fn put_into(&mut self, row: usize, part: DocumentPart) {
        self.open.remove(&(self.free[row], row));
        self.free[row] -= part.length;
        self.rows[row].push(part);
        // A part has at least two tokens.
        if self.free[row] >= 2 {
            self.open.insert((self.free[row], row));
        }
    }

    /// Breaks up the emptiest rows and fills the gaps of others with their parts, until padding is within the limit or
    /// cannot be reduced any more.
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
            // Each cut repeats a token, so the other rows need more free tokens than this row holds.
            let gaps = self.open.iter().map(|(free, _)| free - 1).sum::<usize>();
            if gaps.saturating_sub(free - 1) <= self.length - free {
                break;
            }
            self.open.remove(&(free, emptiest));
            let parts = std::mem::take(&mut self.rows[emptiest]);
            self.free[emptiest] = 0;
            for part in parts {
                self.spread(part);
            }
        }
        let rows = self.rows.into_iter().filter(|row| !row.is_empty());
        Packed {
            rows: rows.collect(),
            cuts: self.cuts,
        }
    }

    /// Puts a part where it fits best, or cuts it to fill the widest gaps.
    fn spread(&mut self, mut part: DocumentPart) {
        loop {
            let fits = self.open.range((part.length, 0)..).next().is_some();
            let widest = self.open.last().copied();
            let Some((free, row)) = widest.filter(|_| !fits) else {
                self.put(part);
                return;
            };
            self.put_into(
                row,
                DocumentPart {
                    length: free,
                    ..part
                },
            );
            self.cuts += 1;
            part.start += free - 1;
            part.length -= free - 1;
        }
    }

    /// Tokens of all rows that are not empty, padding included.
    fn tokens(&self) -> usize {
        self.rows.iter().filter(|row| !row.is_empty()).count() * self.length
    }

    fn padding(&self) -> usize {
        self.free.iter().sum()
    }
}
