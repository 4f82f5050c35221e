//! Takes results, yields one HTML file that needs nothing else: no network, no fonts, no scripts but its own.
//!
//! ```text
//! masks     what a masks folder has to say: facts, charts, documents
//! dynamics  what the losses of tokens did over a training run: categories, fluctuation, preference
//! training  what the folders of training runs have to say: curves, side by side
//! experiment what an experiment has to say: arms beside the baseline, curves, laws
//! charts    numbers to SVG, a message and a table
//! page      sections, figures and data to HTML with its styles and scripts
//! ```
//!
//! Text of documents reaches a page with its control characters made visible ([`crate::screen`]), and escaped by
//! the page. `charts` and `page` know nothing of them.

mod charts;
pub(crate) mod dynamics;
pub(crate) mod experiment;
pub(crate) mod masks;
mod page;
pub(crate) mod training;
