//! Turns results into one HTML file that needs nothing else: no network, no fonts, only its own scripts.
//!
//! ```text
//! masks       report on a masks folder: facts, charts, documents
//! dynamics    report on the losses of tokens over a training run: categories, fluctuation, preference
//! training    report on training runs: curves, side by side
//! experiment  report on an experiment: arms compared with the baseline, curves, laws
//! charts      numbers to SVG, a message and a table
//! page        sections, figures and data to HTML with its styles and scripts
//! ```
//!
//! Text of documents is shown with visible control characters ([`crate::terminal_text`]), and the page escapes it. `charts`
//! and `page` do not depend on what they show.

mod charts;
pub(crate) mod dynamics;
pub(crate) mod experiment;
pub(crate) mod masks;
mod page;
pub(crate) mod training;
