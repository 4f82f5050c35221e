//! Memory that each thread keeps for its next call: fresh memory costs more than a small matmul.

use std::cell::RefCell;

use crate::Aligned;

thread_local! {
    static KEPT: RefCell<Vec<Aligned>> = const { RefCell::new(Vec::new()) };
}

/// How many allocations a thread keeps.
const PIECES: usize = 4;

/// At least `numbers` numbers of any value. The allocation is taken, not borrowed: a thread that waits for others may
/// be given more work that takes memory as well.
pub fn take(numbers: usize) -> Aligned {
    let kept = KEPT.with_borrow_mut(|kept| {
        let fits = (0..kept.len())
            .filter(|&i| kept[i].as_slice().len() >= numbers)
            .min_by_key(|&i| kept[i].as_slice().len());
        // If none fits and all slots are used, drop one to make room for a larger one.
        match fits {
            Some(i) => Some(kept.swap_remove(i)),
            None if kept.len() == PIECES => {
                kept.pop();
                None
            }
            None => None,
        }
    });
    kept.unwrap_or_else(|| Aligned::zeroed(numbers))
}

/// Returns what [`take`] gave, on any thread.
pub fn give(piece: Aligned) {
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < PIECES {
            kept.push(piece);
        }
    });
}
