//! A model on an OpenAI-compatible server as a reference: token ids go out, log-probabilities of the prompt come back.
//!
//! ```text
//! windows ─► scorer ─► client ─► POST BASE/completions {"prompt": ids, "echo": true, "logprobs": 1, ...}
//! losses  ◄─ check  ◄─ completion ◄─ {"choices": [{"logprobs": {"tokens": [...], "token_logprobs": [null, -2.1, ...]}}]}
//! ```
//!
//! * `address`: `http://host:port/v1#NAME`, taken apart. `client`: requests, retries, bounds, the key.
//! * `completion`: the JSON of requests and answers. `tokens`: our tokens as servers write them.
//! * `check`: what an answer must be to be used. `probe`: what a server does, learned once before the first document;
//!   `shift`: whether its log-probabilities belong to the tokens.
//! * `server`: a server that was asked. `scorer`: scores windows there.
//!
//! A server is not trusted: everything about an answer that could change a loss is compared with what was sent, and
//! refused by name. There is no entropy: a few log-probabilities only bound it.

mod address;
mod check;
mod client;
mod completion;
mod error;
mod probe;
mod scorer;
mod server;
mod shift;
mod tokens;

pub(crate) use address::{ServerAddress, is_server};
pub(crate) use client::ServerOptions;
pub(crate) use error::{Fault, ServerError};
pub(crate) use scorer::ServerScorer;
pub(crate) use server::{Habits, Server};
