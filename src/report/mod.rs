//! Takes results, yields one HTML file that needs nothing else: no network, no fonts, no scripts but its own.
//!
//! ```text
//! masks     what a masks folder has to say: facts, charts, documents
//! charts    numbers to SVG, a message and a table
//! page      sections, figures and data to HTML with its styles and scripts
//! ```
//!
//! Text of documents reaches a page with its control characters made visible ([`crate::look::screen`]), and escaped by
//! the page. `charts` and `page` know nothing of masks: other results are drawn by a neighbour of `masks`.

mod charts;
pub(crate) mod masks;
mod page;
