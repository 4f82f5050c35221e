//! Decides which tokens to keep. Pure functions over slices of scores: no files, no models, no tensors. [`pack`]
//! decides which documents share a row of fixed length: also a pure function.
//!
//! ```text
//! input_ids   464   3290   3332    319    262
//! loss        NaN   7.21   2.05   0.88   0.31      NaN: not scored (in files: null)
//! kept          -      -      +      +      +      lowest 70 % of 4 scored tokens: round(2.8) = 3
//! ```
//!
//! NaN means "not scored": such a token is never kept and never counted. Every other number is a score, including the
//! infinities, and -0 equals 0. Each scope keeps exactly `round(ratio * scored)` tokens (halves round up), and ties
//! go to the earlier token: the result depends only on the scores and their order.
//!
//! Scores become [keys](Direction::key), keys become a [`Cut`], and the cut [marks](Marker::mark) the tokens. The cut
//! of a scope that fits in memory is computed directly ([`Cut::of`]), that of a whole corpus by counting ([`Coarse`],
//! [`Fine`]).

mod batch_scope;
mod combine;
mod cut;
mod excess;
mod histogram;
mod key;
mod pack;
mod random;
mod rank;
mod ratio;
mod rules;
mod span;
mod weights;
mod wide_rank;

pub use batch_scope::Batches;
pub use combine::Combine;
pub use cut::{Cut, Marker, RankPosition, Seen};
pub use excess::excess;
pub use histogram::{Coarse, Fine};
pub use key::{Direction, UNSCORED};
pub use pack::{DocumentPart, Packed, Row, pack};
pub use random::RandomDocument;
pub use rank::select;
pub use ratio::{KeepRatio, RatioError};
pub use rules::{Bounds, intersect, unite};
pub use span::{Share, Span};
pub use weights::{Formula, Weights};
pub use wide_rank::{WIDE_UNSCORED, WideRank};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
