//! The scope "batch": as many whole documents as fit into a given number of tokens.

/// Splits a shard's documents into batches of at most `limit` tokens. A document is never split; one that is longer
/// than the limit is a batch of its own. The batches depend on the documents alone, so they are identical for any
/// number of workers and whether or not the run was interrupted.
#[derive(Debug, Clone)]
pub struct Batches {
    limit: usize,
    tokens: usize,
}

impl Batches {
    /// The paper's batch: 2^20 tokens.
    pub const PAPER: usize = 1 << 20;

    /// Starts at the beginning of a shard.
    pub fn new(limit: usize) -> Self {
        Self { limit, tokens: 0 }
    }

    /// Resumes within a shard; `tokens` is what [`tokens`](Self::tokens) returned.
    pub fn resume(limit: usize, tokens: usize) -> Self {
        Self { limit, tokens }
    }

    /// Number of tokens in the open batch.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Adds the next document. Returns true if it no longer fits and so starts another batch.
    pub fn starts_another(&mut self, tokens: usize) -> bool {
        let another = self.tokens > 0 && self.tokens + tokens > self.limit;
        self.tokens = if another {
            tokens
        } else {
            self.tokens + tokens
        };
        another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_documents() {
        let mut batches = Batches::new(10);
        let cuts: Vec<bool> = [4, 6, 0, 1, 25, 0, 9, 1]
            .map(|n| batches.starts_another(n))
            .to_vec();
        assert_eq!(cuts, [false, false, false, true, true, true, false, false]);
    }
}
