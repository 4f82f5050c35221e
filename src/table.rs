//! Prints tables with aligned columns that fit a width. The first column holds names, which are shortened if that is
//! enough; else the table is split into several blocks of columns, each with the names.

use crate::terminal_text::{safe, shorten, width};

/// The minimum width of the names.
const NAME: usize = 12;
const GAP: usize = 2;

/// A table of numbers with names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The column, besides the names, that holds text and is left-aligned.
    text: Option<usize>,
}

impl Table {
    /// A table with these columns; the first one holds the names.
    pub(crate) fn new(head: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            head: head.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            text: None,
        }
    }

    /// The same table with a column of text instead of numbers.
    pub(crate) fn with_text(self, column: usize) -> Self {
        Self {
            text: Some(column),
            ..self
        }
    }

    /// Adds a row, as long as the head.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The lines of the table, at most `columns` wide if possible; each ends with a newline.
    pub(crate) fn lines(&self, columns: usize) -> String {
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        let widest = |column: usize| {
            let cells = rows().filter_map(|row| row.get(column));
            cells.map(|cell| width(&safe(cell))).max().unwrap_or(0)
        };
        let names = widest(0);
        let numbers: Vec<usize> = (1..self.head.len()).map(widest).collect();
        let mut text = String::new();
        let mut start = 0;
        while start < numbers.len() || start == 0 {
            // As many columns as fit beside names of minimum width, at least one.
            let room = columns.saturating_sub(names.min(NAME));
            let mut taken = 0;
            let fitting = numbers[start..].iter().take_while(|&&number| {
                taken += number + GAP;
                taken <= room
            });
            let count = fitting.count().max(1).min(numbers.len() - start);
            let part = start..start + count;
            let taken: usize = numbers[part.clone()].iter().map(|n| n + GAP).sum();
            let names = names.min(columns.saturating_sub(taken).max(NAME));
            if start > 0 {
                text.push('\n');
            }
            for row in rows() {
                let mut line = pad(row.first().map_or("", String::as_str), names, false);
                for column in part.clone() {
                    let cell = row.get(column + 1).map_or("", String::as_str);
                    line += &" ".repeat(GAP);
                    line += &pad(cell, numbers[column], self.text != Some(column + 1));
                }
                text += line.trim_end();
                text.push('\n');
            }
            start += count.max(1);
        }
        text
    }
}

/// A cell, padded to the width of its column.
fn pad(cell: &str, columns: usize, right: bool) -> String {
    let cell = safe(cell);
    let cell = shorten(&cell, columns);
    let space = " ".repeat(columns.saturating_sub(width(&cell)));
    match right {
        true => space + &cell,
        false => cell.into_owned() + &space,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_fit() {
        let mut table = Table::new(["source", "documents", "loss"]);
        table.row(["web/a-page-of-a-long-name", "1,234", "2.5"]);
        table.row(["中文", "5", "12.25"]);
        assert_eq!(
            table.lines(80),
            "source                     documents   loss\n\
             web/a-page-of-a-long-name      1,234    2.5\n\
             中文                               5  12.25\n"
        );
        assert_eq!(
            table.lines(36),
            "source              documents   loss\n\
             web/a-pag…ong-name      1,234    2.5\n\
             中文                        5  12.25\n"
        );
        assert_eq!(
            table.lines(24),
            "source         documents\n\
             web/a-…g-name      1,234\n\
             中文                   5\n\
             \n\
             source              loss\n\
             web/a-pa…ong-name    2.5\n\
             中文               12.25\n"
        );
        let mut alone = Table::new(["name"]);
        alone.row(["x\u{1b}"]);
        assert_eq!(alone.lines(80), "name\nx␛\n");
    }
}
