//! Renders a document with its masks and scores as text for a terminal or a pipe, at the end of `score` and in `show`.
//!
//! * `looks`: the look of each token, by a mask or a score.
//! * `palette`: draws looks as colours, or as brackets and digits.
//! * `layout`: tokens to lines.
//! * `numbers`: a line for each token.

mod layout;
mod looks;
mod numbers;
mod palette;

pub(crate) use looks::{By, default_mask};
pub(crate) use palette::Palette;

use crate::{
    document::Document,
    numbers::grouped,
    terminal_text::{safe, shorten},
    tokenization::{token_bytes::TokenBytes, token_texts::TokenTexts},
};
use looks::Levels;

/// How to show documents.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) by: By,
    pub(crate) palette: Palette,
    /// The width to wrap lines at; None: do not wrap.
    pub(crate) width: Option<usize>,
    /// The most tokens to show.
    pub(crate) limit: Option<usize>,
    /// Whether to add a table of all tokens.
    pub(crate) numbers: bool,
}

/// Renders a document: a heading, the legend, the tokens.
///
/// # Errors
/// If it has no such mask or score.
pub(crate) fn document(
    document: &Document,
    pieces: Option<&TokenBytes<'_>>,
    view: &View,
) -> anyhow::Result<String> {
    let total = document.tokens.len();
    let shown = view.limit.unwrap_or(total).min(total);
    let levels = Levels::of(document, &view.by)?;
    let drawn = TokenTexts::of(&document.tokens[..shown], pieces);
    let marks = view.palette.marks((0..shown).map(|i| drawn.token(i)));
    let mut text = head(document, view, &levels, marks);
    let body = layout::lines(&drawn, &levels.looks[..shown], view, marks);
    if !body.is_empty() {
        text.push('\n');
        text += &body;
    }
    if shown < total {
        // If lines are wrapped, it may not fit after the last one.
        let gap = if view.width.is_some() { '\n' } else { ' ' };
        text += &format!("{gap}... ({} more tokens)", grouped((total - shown) as u64));
    }
    if drawn.split > 0 {
        let split = drawn.split as u64;
        let (characters, are) = match split {
            1 => ("character", "is"),
            _ => ("characters", "are"),
        };
        text += &format!(
            "\n({} {characters} whose bytes lie in several tokens {are} drawn with the last of them)",
            grouped(split)
        );
    }
    if view.numbers {
        text += "\n\n";
        text += numbers::table(document, pieces, shown, view.width).trim_end();
    }
    Ok(text)
}

/// The heading with the legend.
fn head(document: &Document, view: &View, levels: &Levels, marks: palette::Marks) -> String {
    let mut name = safe(&document.id).into_owned();
    if document.id != format!("{}#{}", document.shard, document.row) && !document.shard.is_empty() {
        name += &format!(" ({} row {})", safe(&document.shard), document.row);
    }
    if let Some(source) = &document.source {
        name += &format!(", from {}", safe(source));
    }
    if let Some(width) = view.width {
        name = shorten(&name, width.saturating_sub(1).max(20)).into_owned();
    }
    format!("{name}: {}", levels.legend(view.palette, marks))
}
