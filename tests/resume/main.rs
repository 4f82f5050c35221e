//! The program itself, interrupted in every way: the final folder is identical to that of an uninterrupted run.
//!
//! Uses the bundled demonstration model, and batches so small that even a small corpus has many read-ahead blocks.

#[cfg(unix)]
#[cfg(test)]
mod converted;
#[cfg(unix)]
#[cfg(test)]
mod formats;
#[cfg(unix)]
#[cfg(test)]
mod gathered;
#[cfg(unix)]
#[cfg(test)]
mod interrupted;
#[cfg(unix)]
#[cfg(test)]
mod merged;
#[cfg(unix)]
#[cfg(test)]
mod selected;
#[cfg(unix)]
#[cfg(test)]
mod stored;
#[cfg(unix)]
#[cfg(test)]
mod support;
