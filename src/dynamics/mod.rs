//! Takes checkpoints of a training run and a corpus that was not trained on, yields how the loss of each token changed
//! (paper, section 2.1 and appendix D): lines, categories, the tokens that fluctuate, and what each checkpoint would
//! select.
//!
//! ```text
//! checkpoints ── the scorer of `score`, one after the other ──► a folder of scores each
//!                                 │ shard by shard, all of them side by side
//!                                 ▼
//! dynamics/*.arrow: loss_1 loss_2 ... slope l_start l_end change variance category       summary.json
//! ```
//!
//! * `checkpoints`: what was typed to a list of models in order; `plan`: what all of them are scored by; `same_tokens`: what they
//!   must have in common.
//! * `line`: the line through a token's losses, and its category.
//! * `losses`: the folders of scores, side by side; `cuts`: what must be counted over all tokens first.
//! * `counts`: what is counted of a shard; `shard`: its file; `run`: all of them, in a folder that can be gone on with.
//! * `summary`: what came of it; `display`: the same for people; `folder`: the same, read back by `show` and `report`.
//!
//! The scores of a checkpoint are gone on with look-ahead by look-ahead, as `score` does it; the files that come of them
//! shard by shard. Memory: one model, and of one record batch its losses under all checkpoints. The scores lie on the disk
//! beside what is made of them until all is done.

pub(crate) mod checkpoints;
mod counts;
mod cuts;
mod display;
pub(crate) mod folder;
mod line;
mod losses;
pub(crate) mod plan;
pub(crate) mod run;
mod same_tokens;
mod shard;
pub(crate) mod summary;

pub(crate) use line::{CATEGORIES, PAPER_SHARES};
