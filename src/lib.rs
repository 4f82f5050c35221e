//! rho-mask: which tokens of a corpus are worth training on.
//!
//! One word per thing, here and in every crate of the workspace:
//!
//! | word | meaning |
//! |---|---|
//! | document | one text (or one list of token ids) of the corpus, with its origin: shard and row |
//! | shard | one file of the corpus, or of the masks |
//! | reference | the frozen model that scores; several, or one beside a base |
//! | base | the model that is to be trained, scored beside the reference for the excess loss over it |
//! | loss | `-ln P(token i given the tokens before it)` under the reference, in nats |
//! | entropy | of the distribution that predicts token i, in nats |
//! | excess loss | the base's loss minus the reference's |
//! | score | what a selection ranks by: loss, entropy, excess loss |
//! | keep ratio | the share of scored tokens that a selection keeps |
//! | scope | among which tokens a selection ranks: document, batch, corpus |
//! | mask | one bit per token: train on it as a *target* or not |
//! | piece | a stretch of tokens scored alone: a document, or a window of a long one |
//! | look-ahead | the documents of a shard that are batched together; the unit of going on after an interruption |
//! | checkpoint | a model as it was after some steps of training |
//! | category | what a token's loss did over the checkpoints of a run: fell, stayed low, stayed high, rose |
//! | rank | one of several runs that share the shards of a corpus |
//!
//! Everything is token-aligned: `loss[i]`, `entropy[i]`, `mask[i]` speak of token `i` as a target.
//!
//! A command reads [`cli`] arguments, resolves them into a [`plan`] without open ends, and runs it: [`commands`]. Models
//! that are named as on the Hugging Face Hub are found in `hub`; what a checkpoint means is read by `rho_checkpoint`, for
//! exporter, trainer and reference alike, and `checkpoint` exports one into the cache where a reference is wanted.
//! The scoring itself is the [`pipeline`]; selecting again from scores is in `select`, masks for other trainers
//! are in `convert`, training is in `train`, comparing ways to train in `experiment`; how tokens are selected is in `selections`; masks are read
//! in `masks` and looked at in `show`, `stats` and `report`, at models in `eval`, at their numbers in `verify`, at how tokens changed over a run in `dynamics`.

pub mod advised;
mod checkpoint;
pub mod cli;
pub mod commands;
mod convert;
mod demo;
mod document;
mod dynamics;
mod eval;
#[cfg(feature = "train")]
mod experiment;
mod files;
pub mod hint;
mod hub;
mod join;
mod masks;
mod metadata;
mod numbers;
pub mod outcome;
pub mod pipeline;
pub mod plan;
mod progress;
mod ranks;
mod report;
mod results;
mod run_folder;
mod screen;
mod select;
mod selections;
mod show;
mod stats;
pub mod stop;
mod table;
pub mod terminal;
mod threads;
pub mod tokenization;
#[cfg(feature = "train")]
mod train;
mod verify;
