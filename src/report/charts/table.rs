//! The numbers of a chart as a table.

/// A table whose first column names the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct Table {
    /// The names of the columns.
    pub(in crate::report) header: Vec<String>,
    /// The rows, each with one cell per column.
    pub(in crate::report) rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(in crate::report) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            header: header.map(str::to_owned).to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(in crate::report) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }
}
