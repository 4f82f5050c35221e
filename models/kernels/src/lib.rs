//! SIMD vectors, packed tiles and f32 matmuls on the CPU, shared by the reference's head and attention and the trainer.
//!
//! * [`lanes`]: vectors of AVX-512, AVX2 and plain Rust behind one trait, with exp and tanh.
//! * [`Instructions`]: which of them this CPU has.
//! * [`Aligned`]: storage aligned to cache lines.
//! * [`matmul_tile`], [`sums`]: one tile of a matmul, the innermost loop of everything else.
//! * [`softmax`]: softmax over tiles of scores, and the weighted sums of values.
//! * [`matrix`]: whole matmuls with any strides; [`transpose`] packs for it.
//! * [`scratch`]: memory that each thread reuses.
//!
//! Does not know models or tensors.

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
pub use tile::{Strides, accumulate, matmul_tile, sums};
pub use transpose::transpose;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
