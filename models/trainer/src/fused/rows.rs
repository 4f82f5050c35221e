//! Sums over rows in an order that does not depend on the number of threads, and rows shared among threads.
#![expect(
    unsafe_code,
    reason = "columns of the same rows written by several threads"
)]

use std::marker::PhantomData;

use rayon::prelude::*;

/// Rows that are summed by one thread before anything else is added: fixed, so that the order of additions is.
pub(super) const CHUNK: usize = 64;

/// `sums += Σ rows`, rows as wide as `sums`.
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

/// A matrix whose columns are written by several threads, each its own.
pub(super) struct Shared<'a> {
    numbers: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: `row` promises that no number is handed out twice at the same time.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub(super) fn new(numbers: &'a mut [f32]) -> Self {
        Self {
            numbers: numbers.as_mut_ptr(),
            length: numbers.len(),
            lifetime: PhantomData,
        }
    }

    /// `count` numbers from `from` on.
    ///
    /// # Safety
    /// Nobody else has any of them while the slice lives.
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
