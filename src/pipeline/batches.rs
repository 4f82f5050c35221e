//! Groups the windows of a read-ahead block into batches. The windows are sorted by length, so that the rows of a batch
//! have similar lengths and little padding.

/// Groups windows of these lengths into batches of at most `budget` tokens, padding included; a longer window is a
/// batch by itself. Returns indices. Windows of equal length keep their order, so the result depends only on the
/// lengths.
pub(super) fn batches(lengths: &[usize], budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // Longest first: the largest buffers are allocated once, at the start.
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for i in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * lengths[batch[0]] <= budget => batch.push(i),
            _ => batches.push(vec![i]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_to_the_budget_with_like_lengths() {
        let batches = batches(&[3, 10, 3, 9, 4, 30], 20);
        assert_eq!(batches, [vec![5], vec![1, 3], vec![4, 0, 2]]);
    }
}
