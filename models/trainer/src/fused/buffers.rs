//! Memory reused from block to block and step to step: fresh pages cost more than many operations.

use std::sync::Mutex;

/// Vectors to be reused.
#[derive(Default)]
pub(super) struct Buffers {
    waiting: Mutex<Vec<Vec<f32>>>,
}

impl Buffers {
    /// A vector of `numbers` elements of any value.
    pub(super) fn take(&self, numbers: usize) -> Vec<f32> {
        let found = self.waiting.lock().ok().and_then(|mut waiting| {
            let place = waiting.iter().position(|vector| vector.len() == numbers)?;
            Some(waiting.swap_remove(place))
        });
        found.unwrap_or_else(|| vec![0.0; numbers])
    }

    /// Returns a vector for reuse.
    pub(super) fn give(&self, vector: Vec<f32>) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.push(vector);
        }
    }

    /// Frees all returned vectors, because sizes change with the batch.
    pub(super) fn clear(&self) {
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.clear();
        }
    }
}
