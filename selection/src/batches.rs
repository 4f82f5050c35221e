//! The scope "batch": whole documents, as many as fit into a number of tokens.

/// Cuts a shard's documents into batches of at most `limit` tokens. A document is never divided; one that is longer
/// than the limit is a batch of its own. The cut depends on the documents alone, so it is the same at any number of
/// workers and after any interruption.
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

    /// Goes on where [`tokens`](Self::tokens) was asked for.
    pub fn resume(limit: usize, tokens: usize) -> Self {
        Self { limit, tokens }
    }

    /// Tokens in the open batch.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Takes in the next document; true if it does not fit any more and so starts another batch.
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
