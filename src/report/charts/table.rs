//! The numbers of a chart, as they are to be read.

/// Rows under a header; the first column names the row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct Table {
    /// The names of the columns.
    pub(in crate::report) header: Vec<String>,
    /// As many cells each as there are columns.
    pub(in crate::report) rows: Vec<Vec<String>>,
}

impl Table {
    /// No rows yet.
    pub(in crate::report) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            header: header.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

    /// One more row.
    pub(in crate::report) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }
}
