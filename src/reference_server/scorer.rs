//! Scores windows on a server. Several scorers of one server share its bound of requests at once.

use std::{panic::resume_unwind, sync::Arc};

use rho_reference::{ReferenceError, Scorer, Scores, TokenWindow, Top};
use tokio::task::JoinSet;

use super::{Server, ServerError};
use crate::stop::Stop;

/// Most prompts in a request.
const PROMPTS: usize = 32;

/// A scorer that asks a server.
pub(crate) struct ServerScorer {
    server: Arc<Server>,
    /// How many requests a batch is divided into, if it has as many windows.
    requests: usize,
    stop: Stop,
}

impl ServerScorer {
    /// A scorer. With `alone`, others score other batches at the same time; else it sends the windows of a batch in as
    /// many requests as the server takes at once.
    pub(crate) fn new(server: &Arc<Server>, alone: bool, stop: &Stop) -> Self {
        Self {
            server: Arc::clone(server),
            requests: match alone {
                true => server.client.options.concurrency,
                false => 1,
            },
            stop: stop.clone(),
        }
    }

    fn losses(&self, windows: &[TokenWindow<'_>]) -> Result<Vec<Vec<f64>>, ServerError> {
        let size = match self.server.habits().batches {
            true => windows.len().div_ceil(self.requests).clamp(1, PROMPTS),
            false => 1,
        };
        let prompts: Vec<&[u32]> = windows.iter().map(|window| window.tokens).collect();
        let parts: Vec<&[&[u32]]> = prompts.chunks(size).collect();
        let mut values: Vec<Vec<Vec<f64>>> = vec![Vec::new(); parts.len()];
        self.server.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (number, part) in parts.iter().enumerate() {
                let request = self.server.request(part)?;
                let (client, stop) = (Arc::clone(&self.server.client), self.stop.clone());
                tasks.spawn(async move { (number, request.send(&client, &stop).await) });
            }
            // At an error, the other requests are dropped.
            while let Some(ended) = tasks.join_next().await {
                let (number, answer) =
                    ended.unwrap_or_else(|error| resume_unwind(error.into_panic()));
                values[number] = self.server.read(parts[number], &answer?)?;
            }
            Ok(())
        })?;
        Ok(values.into_iter().flatten().collect())
    }
}

impl Scorer for ServerScorer {
    fn score(&mut self, windows: &[TokenWindow<'_>]) -> Result<Vec<Scores>, ReferenceError> {
        let all = self.losses(windows).map_err(|error| match error {
            ServerError::Stopped { .. } => ReferenceError::Stopped,
            error => ReferenceError::Elsewhere {
                source: Box::new(error),
            },
        })?;
        let scores = windows.iter().zip(all).map(|(window, values)| Scores {
            // The token at `i` has the value at `i - 1`. Not -value: that of 0.0 would be -0.0.
            loss: values[window.scored_from - 1..]
                .iter()
                .map(|value| (0.0 - value) as f32)
                .collect(),
            entropy: Vec::new(),
            top: Top::default(),
        });
        Ok(scores.collect())
    }
}
