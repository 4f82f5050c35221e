//! Lays out the text of tokens as lines. Runs of tokens with the same look are drawn together. Colours are reset at the
//! end of every line, so that none runs over.

use super::{
    View,
    looks::Look,
    palette::{Marks, Palette, RESET},
};
use crate::{
    terminal_text::{stand_in, width},
    tokenization::token_texts::TokenTexts,
};

/// Tab stops are at multiples of this.
const TAB: usize = 8;

/// A unit of drawing.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    /// A character or its substitute, or a bracket.
    Text(String, Option<Look>),
    /// A space, after which a line may wrap.
    Space(Option<Look>),
    Tab(Option<Look>),
    LineEnd,
}

/// The tokens as lines, without a line end at the end.
pub(super) fn lines(drawn: &TokenTexts, looks: &[Look], view: &View, marks: Marks) -> String {
    let mut lines = Lines {
        palette: view.palette,
        width: view.width.map_or(usize::MAX, |width| width.max(2)),
        done: String::new(),
        line: Vec::new(),
        column: 0,
    };
    let cells = cells(drawn, looks, view.palette, marks);
    cells.into_iter().for_each(|cell| lines.put(cell));
    lines.end();
    lines.done
}

fn cells(drawn: &TokenTexts, looks: &[Look], palette: Palette, marks: Marks) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut open: Option<(Look, Option<char>)> = None;
    for (i, &look) in looks.iter().enumerate() {
        let text = drawn.token(i);
        // A token that draws nothing does not interrupt a run.
        if text.is_empty() {
            continue;
        }
        let colour = match palette {
            Palette::None => {
                if open.is_none_or(|(before, _)| before != look) {
                    if let Some((_, Some(close))) = open {
                        cells.push(Cell::Text(close.to_string(), None));
                    }
                    let around = marks.around(look);
                    if let Some((start, _)) = &around {
                        cells.push(Cell::Text(start.clone(), None));
                    }
                    open = Some((look, around.map(|(_, close)| close)));
                }
                None
            }
            _ => Some(look),
        };
        for character in text.chars() {
            cells.push(match character {
                '\n' => Cell::LineEnd,
                '\t' => Cell::Tab(colour),
                ' ' => Cell::Space(colour),
                _ => Cell::Text(
                    stand_in(character).unwrap_or_else(|| character.to_string()),
                    colour,
                ),
            });
        }
    }
    if let Some((_, Some(close))) = open {
        cells.push(Cell::Text(close.to_string(), None));
    }
    cells
}

/// Builds the lines.
struct Lines {
    palette: Palette,
    width: usize,
    done: String,
    /// The cells of the current line, each with its width in columns.
    line: Vec<(Cell, usize)>,
    column: usize,
}

impl Lines {
    fn put(&mut self, cell: Cell) {
        let columns = match &cell {
            Cell::LineEnd => {
                self.flush(self.line.len());
                self.done.push('\n');
                return;
            }
            Cell::Tab(_) => TAB - self.column % TAB,
            Cell::Space(_) => 1,
            Cell::Text(text, _) => width(text),
        };
        if self.column + columns > self.width {
            let is_space = matches!(cell, Cell::Space(_) | Cell::Tab(_));
            self.wrap(is_space);
            if is_space {
                // The line end replaces the space.
                return;
            }
        }
        self.column += columns;
        self.line.push((cell, columns));
    }

    /// Wraps a full line: after its last space if it has one.
    fn wrap(&mut self, whole: bool) {
        let space = |(cell, _): &(Cell, usize)| matches!(cell, Cell::Space(_) | Cell::Tab(_));
        let last = self.line.iter().rposition(space).map(|at| at + 1);
        let end = match last {
            Some(last) if !whole => last,
            _ => self.line.len(),
        };
        self.flush(end);
        self.done.push('\n');
    }

    /// Writes the first cells of the line.
    fn flush(&mut self, end: usize) {
        let rest = self.line.split_off(end);
        let mut colour: Option<String> = None;
        for (cell, columns) in std::mem::replace(&mut self.line, rest) {
            let (text, look) = match cell {
                Cell::Text(text, look) => (text, look),
                Cell::Space(look) => (" ".to_owned(), look),
                Cell::Tab(look) => (" ".repeat(columns), look),
                Cell::LineEnd => continue,
            };
            let wanted = look.and_then(|look| self.palette.start(look));
            if wanted != colour {
                if colour.is_some() {
                    self.done += RESET;
                }
                self.done += wanted.as_deref().unwrap_or_default();
                colour = wanted;
            }
            self.done += &text;
        }
        if colour.is_some() {
            self.done += RESET;
        }
        self.column = self.line.iter().map(|(_, columns)| columns).sum();
    }

    fn end(&mut self) {
        self.flush(self.line.len());
    }
}
