//! Sums over rows in an order that does not depend on the number of threads, and matrices written by several threads.
#![expect(
    unsafe_code,
    reason = "columns of the same rows written by several threads"
)]

use std::marker::PhantomData;

use rayon::prelude::*;

/// Rows per partial sum: fixed, so that the order of additions is fixed.
pub(super) const CHUNK: usize = 64;

/// `sums += Σ rows`; rows are as wide as `sums`.
pub(super) fn column_sums(rows: &[f32], sums: &mut [f32]) {
    let width = sums.len();
    let parts = rows.par_chunks(width * CHUNK).map(|rows| {
        let mut part = vec![0.0f32; width];
        for row in rows.chunks_exact(width) {
            part.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        part
    });
    add_parts(&parts.collect::<Vec<_>>(), sums);
}

/// `sums += Σ parts`, in their order.
pub(super) fn add_parts(parts: &[Vec<f32>], sums: &mut [f32]) {
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
}

/// A matrix that several threads write, each its own columns.
pub(super) struct Shared<'a> {
    numbers: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: the contract of `part`: no element is handed out twice at the same time.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(numbers: &'a mut [f32]) -> Self {
        Self {
            numbers: numbers.as_mut_ptr(),
            length: numbers.len(),
            lifetime: PhantomData,
        }
    }

    /// The `count` elements starting at `from`.
    ///
    /// # Safety
    /// No other reference to any of them exists while the slice lives.
    #[expect(
        clippy::mut_from_ref,
        reason = "the promise is the caller's, see above"
    )]
    #[inline(always)]
    pub(super) unsafe fn part(&self, from: usize, count: usize) -> &mut [f32] {
        assert!(from + count <= self.length, "within the matrix");
        // SAFETY: within the matrix, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.numbers.add(from), count) }
    }
}
