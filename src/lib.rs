//! rho-mask: which tokens of a corpus are worth training on.
//!
//! One word per thing, here and in every crate of the workspace:
//!
//! | word | meaning |
//! |---|---|
//! | document | one text (or one list of token ids) of the corpus, with its origin: shard and row |
//! | shard | one file of the corpus, or of the masks |
//! | reference | the frozen model that scores; there may be several, or one with a base |
//! | base | the model to train; it scores the same tokens as the reference, for the excess loss |
//! | loss | `-ln P(token i given the tokens before it)` under the reference, in nats |
//! | entropy | the entropy of the distribution that predicts token i, in nats |
//! | excess loss | the base's loss minus the reference's |
//! | score | the number that a selection ranks by: loss, entropy, excess loss |
//! | keep ratio | the share of scored tokens that a selection keeps |
//! | scope | the tokens that a selection ranks together: document, batch, corpus |
//! | mask | one bit per token: whether to train on it as a *target* |
//! | window | the tokens that a model sees at once: a document, or a part of a long one (in code, `TokenWindow`) |
//! | read-ahead block | documents of a shard that are batched together; the unit of resuming (in code, `LookAhead`) |
//! | checkpoint | a model after some training steps |
//! | category | how a token's loss changed over the checkpoints of a run: fell, stayed low, stayed high, rose |
//! | rank | one of several runs that share the shards of a corpus |
//!
//! Everything is token-aligned: `loss[i]`, `entropy[i]` and `mask[i]` are about token `i` as a target.
//!
//! A command ([`commands`]) reads [`cli`] arguments, resolves them into a [`plan`] with no defaults left open, and runs
//! it.
//!
//! * Models: `hub` finds models by their names on the Hugging Face Hub. `rho_checkpoint` reads checkpoints for export,
//!   training and scoring. `checkpoint` exports a checkpoint into the cache if a reference is needed.
//!   `reference_server` scores with a model on a server.
//! * Masks: the [`pipeline`] scores and masks a corpus. `selections` selects tokens. `select` selects again from stored
//!   scores. `masks` reads masks; `show`, `stats` and `report` display them; `convert` writes them for other trainers; `merge`
//!   joins the masks of parts of a corpus; `diff` compares two.
//! * Targets: [`targets`] says which tokens of a document may be targets, if a part of it is context.
//! * Training: `train` trains a model; `experiment` compares ways to train.
//! * Analyses: `eval` measures models, `verify` checks their scores, `dynamics` follows the tokens over a training run.

mod cache;
mod checkpoint;
pub mod cli;
pub mod commands;
mod content;
pub mod conversations;
mod convert;
mod corpus;
mod demo;
mod diff;
mod document;
mod dynamics;
mod eval;
#[cfg(feature = "train")]
mod experiment;
mod files;
mod gather;
mod groups;
pub mod hint;
pub mod hinted_error;
mod hub;
mod left_out;
mod masks;
mod masks_by_tokens;
#[cfg(feature = "train")]
mod memory;
mod merge;
mod metadata;
mod numbers;
mod on_disk;
pub mod outcome;
mod parent;
pub mod pipeline;
pub mod plan;
mod program;
mod progress;
mod ranks;
mod reference_server;
mod report;
mod results;
mod run_folder;
mod select;
mod selections;
mod serve;
mod shards;
mod show;
mod stats;
pub mod stop;
mod table;
pub mod targets;
pub mod terminal;
mod terminal_text;
mod threads;
pub mod tokenization;
#[cfg(feature = "train")]
mod train;
mod verify;
