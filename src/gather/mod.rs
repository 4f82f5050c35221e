//! Makes a masks folder of the rows that workers scored and an engine stored: Ray, Spark or another writes them as Parquet
//! or Arrow files, and such files are no folder that `select`, `convert` or `train` can check.
//!
//! ```text
//! scores/*.parquet ── plan ──► files, one by one ──► masks/ and its rejected.jsonl
//! ```
//!
//! * `plan`: the resolved arguments. The options are those of the worker: they say what the columns mean.
//! * `run`: all files, on several threads; `file`: copies one; `summary`: the summary of the run.
//!
//! [`crate::run_folder`] records which files are done. Memory: a record batch for each thread.

mod file;
pub(crate) mod plan;
pub(crate) mod run;
mod summary;
