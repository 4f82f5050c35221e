//! Vectors, packed tiles and matrix products in f32 on the processor: what the reference's head and attention share with
//! the trainer.
//!
//! * [`lanes`]: vectors of AVX-512, AVX2 and plain Rust behind one trait, with exp and tanh.
//! * [`Instructions`]: which of them this processor has.
//! * [`Aligned`]: storage on boundaries of cache lines.
//! * [`product`], [`sums`]: a tile of a product, the innermost loop of everything else.
//! * [`softmax`]: of tiles of scores, and the sums of values that they weigh.
//! * [`matrix`]: whole products with any strides; [`transpose`] packs for it.
//! * [`scratch`]: memory that threads keep.
//!
//! Knows no models and no tensors.

mod aligned;
mod instructions;
pub mod lanes;
pub mod matrix;
pub mod scratch;
pub mod softmax;
mod tile;
mod transpose;

pub use aligned::Aligned;
pub use instructions::{Instructions, OnLanes};
pub use tile::{Strides, accumulate, product, sums};
pub use transpose::transpose;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
