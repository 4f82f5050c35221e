//! Tests of the whole program: they run the real binary, and check its exit code, its messages and its files. Tests of
//! single parts are beside their code.
//!
//! To add a subject, add a module and a line here.

// The program without optional arguments: the bundled reference on the bundled corpus, and what the user sees.
#[cfg(test)]
mod demo;
// The rooms of the program use each other downwards only, without cycles.
#[cfg(test)]
mod rooms;
// The map, the tables of files to touch, and links: what they name exists.
#[cfg(test)]
mod documents;
// The Dockerfile, and the images where there is Docker.
#[cfg(test)]
mod docker;
// Masks in the formats of other trainers.
#[cfg(test)]
mod convert;
// Chat templates and targets, against the real Transformers.
#[cfg(test)]
mod conversations;
// Whole documents, selected by their scores, and without those that came before.
#[cfg(test)]
mod document_selection;
// Scores of other programs.
#[cfg(test)]
mod join;
// How far two masks agree.
#[cfg(test)]
mod diff;
// The masks of parts of a corpus as one.
#[cfg(test)]
mod merge;
// The losses of tokens over a training run.
#[cfg(feature = "train")]
#[cfg(test)]
mod dynamics;
// How well models predict held-out text.
#[cfg(feature = "train")]
#[cfg(test)]
mod eval;
// Base, reference, scores and arms from one file.
#[cfg(feature = "train")]
#[cfg(test)]
mod experiment;
// Each setting of each family, against the real Transformers.
#[cfg(test)]
mod every_setting;
// Exporter, trainer and reference read the same checkpoint.
#[cfg(feature = "train")]
#[cfg(test)]
mod every_user;
// Checkpoints: `export`, and `score` of a checkpoint itself.
#[cfg(test)]
mod export;
// Masks as Arrow streams, Arrow files and Parquet.
#[cfg(test)]
mod file_formats;
// Documents that are dropped before tokens are ranked.
#[cfg(test)]
mod filter;
// Rows that workers scored, from files of engines.
#[cfg(test)]
mod gather;
// Ways to write an ONNX file: inputs, heads, types, external data, graphs that are refused.
#[cfg(test)]
mod graphs;
// The cache: damaged exports and libraries, `cache list`, `cache clean`.
#[cfg(test)]
mod cached;
// Run folders, masks and datasets that a stranger filled.
#[cfg(test)]
mod hostile_folders;
// Python in a folder of a stranger.
#[cfg(test)]
mod hostile_python;
// Models by their names on the Hub.
#[cfg(test)]
mod hub;
// What the program prints: safe, complete, and as `--progress`, `--quiet` and `--log-file` say.
#[cfg(test)]
mod messages;
// Rejected rows, other plans, and what created masks.
#[cfg(test)]
mod outcomes;
// Completions, man pages, the version, and options from a file.
#[cfg(test)]
mod command_line;
// Corpora on the Hub, from a server and from the cache.
#[cfg(test)]
mod hub_datasets;
// The output of `--help` and `--show-plan`.
#[cfg(test)]
mod help;
// Models, tokenizers and masks that are made to break the program.
#[cfg(test)]
mod hostile_models;
// Options that take a number, at its extremes.
#[cfg(test)]
mod numeric_options;
// Keep ratios of single sources.
#[cfg(test)]
mod keep_by;
// Which ONNX Runtime is used, and the error if none can be.
#[cfg(test)]
mod library;
// Memory, disks and folders under a run.
#[cfg(test)]
mod machine;
// Loss and entropy of real exports against independent numbers.
#[cfg(test)]
mod parity;
// What a run left out, at each start.
#[cfg(test)]
mod left_out;
// Corpora in object stores, on web servers, and from standard input.
#[cfg(test)]
mod remote;
// A model on a server as the reference, and servers that are wrong or hostile.
#[cfg(test)]
mod reference_server;
// Servers that are wrong or hostile: versions, logins, redirects.
#[cfg(test)]
mod remote_servers;
// The curves of training runs, in one HTML file.
#[cfg(feature = "train")]
#[cfg(test)]
mod curves;
// Matmuls below f32: deviation from f32, and refusals.
#[cfg(test)]
mod precision;
// The masks in other programs; the Python package and its wheel.
#[cfg(test)]
mod python;
// Folders of a corpus in which results of earlier runs lie.
#[cfg(test)]
mod corpus_folders;
// Scoring and ranking a whole corpus in one command.
#[cfg(test)]
mod corpus_scope;
// Several models in one pass.
#[cfg(test)]
mod references;
// Documents and shards that cannot be scored, among others that can.
#[cfg(test)]
mod rejected;
// Ranks from schedulers, and the examples for SLURM and Kubernetes.
#[cfg(test)]
mod schedulers;
// The report of masks, in one HTML file.
#[cfg(test)]
mod report;
// Reports of numbers without extent.
#[cfg(test)]
mod extent;
// The most likely tokens of each position.
#[cfg(test)]
mod top;
// Every rule while scoring.
#[cfg(test)]
mod rules;
// Things that must not change the masks: batches, threads, containers, another run.
#[cfg(test)]
mod same;
// Other masks from the same scores.
#[cfg(test)]
mod select;
// Scores over HTTP.
#[cfg(test)]
mod serve;
// Settings that stop a run before it starts.
#[cfg(test)]
mod settings;
// Documents in the terminal, and the tokenizer that masks carry.
#[cfg(test)]
mod show;
// Many small files, which share masks files.
#[cfg(test)]
mod small_files;
// Statistics of masks.
#[cfg(test)]
mod stats;
// The files of a tokenizer, and tokens outside the model's vocabulary.
#[cfg(test)]
mod tokenizers;
// The first documents of a corpus, and samples of it.
#[cfg(test)]
mod subset;
// Documents scored also after a text that stands before them.
#[cfg(test)]
mod after_text;
// Context tokens: scored, but never ranked, counted or kept.
#[cfg(test)]
mod targets;
// Training on masks.
#[cfg(feature = "train")]
#[cfg(test)]
mod train;
// What the first steps train on, as a file.
#[cfg(feature = "train")]
#[cfg(test)]
mod train_batches;
// FIFOs and pointers in the place of files, long names, large windows.
#[cfg(test)]
mod unusual_files;
// Numbers compared with those of Transformers.
#[cfg(test)]
mod verify;
// Documents longer than the context.
#[cfg(test)]
mod windows;
// Record batches from pipes, answered row by row.
#[cfg(test)]
mod worker;
// Token ids of documents, against the tokenizers crate.
#[cfg(test)]
mod words;

#[cfg(test)]
mod support;
