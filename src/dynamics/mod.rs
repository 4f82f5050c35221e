//! Shows how the loss of each token changed over a training run, from checkpoints of the run and a corpus that was not
//! trained on (paper, section 2.1 and appendix D): lines, categories, the tokens that fluctuate, and what each
//! checkpoint would select.
//!
//! ```text
//! checkpoints ── scored one after another, as in `score` ──► a folder of scores each
//!                                 │ shard by shard, all folders in parallel
//!                                 ▼
//! dynamics/*.arrow: loss_1 loss_2 ... slope l_start l_end change variance category       summary.json
//! ```
//!
//! * `checkpoints`: from the arguments to a list of models in order; `plan`: how they are scored; `same_tokens`: what
//!   they must have in common.
//! * `line`: the line through a token's losses, and its category.
//! * `losses`: reads the folders of scores in parallel; `cuts`: statistics of all tokens that are needed first.
//! * `counts`: the counts of a shard; `shard`: writes its file; `run`: all shards, in a folder that can be resumed.
//! * `summary`: the results; `display`: the same, human-readable; `folder`: the same, read back by `show` and `report`.
//!
//! Scoring a checkpoint resumes at the last read-ahead block, as in `score`; describing tokens resumes at the last
//! shard. Memory: one model, and one record batch of losses under all checkpoints. The scores stay on disk until
//! everything is done.

pub(crate) mod checkpoints;
mod counts;
mod cuts;
mod display;
pub(crate) mod folder;
mod line;
mod losses;
pub(crate) mod output_folder;
pub(crate) mod plan;
pub(crate) mod run;
mod same_tokens;
mod shard;
pub(crate) mod summary;

pub(crate) use line::{CATEGORIES, PAPER_SHARES};
