//! The numbers of a chart as a table, and how a page lays it out: numbers are aligned right and texts left, and a table
//! that is wider than its place is shown as a list.

use super::letters::text_width;

/// A table whose first column names the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::report) struct Table {
    /// The names of the columns.
    pub(in crate::report) header: Vec<String>,
    /// The rows, each with one cell per column.
    pub(in crate::report) rows: Vec<Vec<String>>,
}

/// The size of the letters of a table and the room between columns in pixels, as in `page.css`.
const LETTERS: f64 = 14.72;
const BETWEEN: f64 = 13.0;
/// A column of texts is not made narrower than this for its longest one.
const TEXT: f64 = 200.0;

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

    /// Whether each column holds numbers and nothing else.
    pub(in crate::report) fn numeric(&self) -> Vec<bool> {
        let numeric = |column: usize| {
            let cells = || self.rows.iter().filter_map(|row| row.get(column));
            cells().all(|cell| is_number(cell)) && cells().any(|cell| !is_missing(cell))
        };
        (0..self.header.len()).map(numeric).collect()
    }

    /// The width in pixels that the table needs in a wide font: numbers are on one line, texts may be broken between
    /// words.
    pub(in crate::report) fn width(&self) -> f64 {
        let wide = |text: &str| text_width(text, LETTERS);
        let words = |text: &str| text.split(' ').map(wide).fold(0.0, f64::max);
        let numeric = self.numeric();
        let cell = |column: usize, cell: &str| match numeric[column] {
            true => wide(cell),
            false => words(cell).max(wide(cell).min(TEXT)),
        };
        let width = |(column, name): (usize, &String)| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let cells = cells.map(|text| cell(column, text));
            cells.fold(words(name), f64::max)
        };
        let widths = self.header.iter().enumerate().map(width);
        widths.map(|width| width + BETWEEN).sum()
    }
}

/// Whether a cell says that there is no number.
fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "–")
}

/// Whether a cell is a number: with its unit or interval, or missing.
fn is_number(cell: &str) -> bool {
    if is_missing(cell) {
        return true;
    }
    let words = cell
        .split([' ', '(', ')', '–'])
        .filter(|word| !word.is_empty());
    let mut words = words.filter(|word| !matches!(*word, "%" | "±" | "k" | "M" | "G"));
    words.all(|word| {
        let word = word.trim_start_matches(['+', '-', '±']);
        let finite = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        word == "∞" || finite(word) && word.replace(',', "").parse::<f64>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_texts() {
        let numbers = [
            "1",
            "-1.5",
            "+0.1234",
            "12.3 %",
            "1,234,567",
            "1.2345 ± 0.0100",
            "± 0.0100",
            "2.1000 (1.9000–2.3000)",
            "1.00e308",
            "–",
            "",
            "-∞",
            "12–13",
        ];
        let texts = [
            "step 8",
            "L->H",
            "0 to 0.25",
            "3f2a9b",
            "“1”",
            "no difference found",
            "10 and over",
            "NaN",
            "inf",
            "0.5 of them",
            "1.2.3",
            "x",
        ];
        assert_eq!(numbers.map(is_number), [true; 13]);
        assert_eq!(texts.map(is_number), [false; 12]);
        let mut table = Table::new(["step", "loss", "says", "none"]);
        table.row(["0", "1.5", "lower", "–"].map(str::to_owned));
        table.row(["8", "–", "0.5", ""].map(str::to_owned));
        assert_eq!(table.numeric(), [true, true, false, false]);
    }
}
