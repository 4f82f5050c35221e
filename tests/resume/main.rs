//! The program itself, interrupted in every way: the folder it leaves in the end is that of an uninterrupted run.
//!
//! With the bundled demonstration model, and batches so small that even a small corpus has many look-aheads.

#[cfg(unix)]
#[cfg(test)]
mod converted;
#[cfg(unix)]
#[cfg(test)]
mod interrupted;
#[cfg(unix)]
#[cfg(test)]
mod selected;
#[cfg(unix)]
#[cfg(test)]
mod stored;
#[cfg(unix)]
#[cfg(test)]
mod support;
