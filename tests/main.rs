//! Tests of the whole program: the real binary is run, and its exit code, its words and its files are looked at. What
//! one part does by itself is tested beside its code.
//!
//! To add a subject, add a module and a line here.

// The program without arguments of its own: the bundled reference on the bundled corpus, and what a person sees.
#[cfg(test)]
mod demo;
// Which rooms of the program use which: downwards, in no circle.
#[cfg(test)]
mod rooms;
// The map, the tables of what to touch, and links: they name what is there.
#[cfg(test)]
mod documents;
// Masks in the formats of other trainers.
#[cfg(test)]
mod convert;
// What the losses of tokens did over a training run.
#[cfg(feature = "train")]
#[cfg(test)]
mod dynamics;
// How well models predict text that was held out.
#[cfg(feature = "train")]
#[cfg(test)]
mod eval;
// Base, reference, scores and arms by one file.
#[cfg(feature = "train")]
#[cfg(test)]
mod experiment;
// Each setting of each family, against the real Transformers.
#[cfg(test)]
mod every_setting;
// What exporter, trainer and reference take from one checkpoint.
#[cfg(feature = "train")]
#[cfg(test)]
mod every_user;
// Checkpoints: `export`, and `score` of a checkpoint as it is.
#[cfg(test)]
mod export;
// Whatever is a matter of how an ONNX file is written: inputs, heads, types, external data, graphs that are refused.
#[cfg(test)]
mod graphs;
// Models by their names on the Hub.
#[cfg(test)]
mod hub;
// What `--help` and `--show-plan` say.
#[cfg(test)]
mod help;
// Which ONNX Runtime is used, and what is said where there is none that can be.
#[cfg(test)]
mod library;
// Memory, disks and folders under a run.
#[cfg(test)]
mod machine;
// Loss and entropy of real exports against numbers from elsewhere.
#[cfg(test)]
mod parity;
// Corpora in object stores, on web servers, and from standard input.
#[cfg(test)]
mod places;
// The curves of training runs, in one HTML file.
#[cfg(feature = "train")]
#[cfg(test)]
mod curves;
// Products below f32: nearness to f32, and what is refused.
#[cfg(test)]
mod precision;
// The masks in the programs of others; the Python package and its wheel.
#[cfg(test)]
mod python;
// Scoring and ranking a whole corpus in one command.
#[cfg(test)]
mod corpus_scope;
// Several models in one pass.
#[cfg(test)]
mod references;
// Documents and shards that cannot be scored, beside others that can.
#[cfg(test)]
mod rejected;
// What masks look like, in one HTML file.
#[cfg(test)]
mod report;
// Every rule while scoring.
#[cfg(test)]
mod rules;
// What must not change the masks: batches, threads, containers, another run.
#[cfg(test)]
mod same;
// Other masks from the same scores.
#[cfg(test)]
mod select;
// Settings that stop a run before it begins.
#[cfg(test)]
mod settings;
// Documents in the terminal, and the tokenizer that masks carry.
#[cfg(test)]
mod show;
// Tables of what masks look like.
#[cfg(test)]
mod stats;
// The files of a tokenizer, and tokens that the model has no row for.
#[cfg(test)]
mod tokenizers;
// Training on masks.
#[cfg(feature = "train")]
#[cfg(test)]
mod train;
// Numbers beside those of Transformers.
#[cfg(test)]
mod verify;
// Documents longer than the context.
#[cfg(test)]
mod windows;
// Token ids of documents, against the tokenizers crate.
#[cfg(test)]
mod words;

#[cfg(test)]
mod support;
