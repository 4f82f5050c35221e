//! Why a server cannot be the reference.

use std::fmt;

/// Most names of models that a message lists.
const LISTED: usize = 8;

/// A server that cannot be used, or an answer that is refused. `server` is its address without secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The client could not be set up.
    #[error("{server}: cannot set up a connection: {reason}")]
    Setup {
        /// The server.
        server: String,
        /// What the client says.
        reason: String,
    },
    /// No answer after all tries.
    #[error("{server}: expected an answer, got {last} (tries: {tries})")]
    Unanswered {
        /// The server.
        server: String,
        /// How often the request was sent.
        tries: u32,
        /// What became of the last try.
        last: String,
    },
    /// A status that no retry can mend.
    #[error("{server}: expected an answer, got status {status}{said}")]
    Refused {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// What the server says, after a colon; may be empty.
        said: String,
    },
    /// The server wants another key.
    #[error("{server}: expected a key that the server accepts, got status {status} {}", match sent { true => "for the key that was sent", false => "without a key" })]
    Key {
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// Whether a key was sent.
        sent: bool,
    },
    /// A prompt that the server says is too long.
    #[error(
        "{server}: expected log-probs of a prompt of {tokens} tokens, got status {status}{said}"
    )]
    TooLong {
        /// The server.
        server: String,
        /// Tokens of the longest prompt of the request.
        tokens: usize,
        /// The HTTP status.
        status: u16,
        /// What the server says, after a colon.
        said: String,
    },
    /// The server asks to wait for longer than is waited.
    #[error("{server}: expected a Retry-After of at most {most} seconds, got {seconds}")]
    Wait {
        /// The server.
        server: String,
        /// The bound.
        most: u64,
        /// What it asks for.
        seconds: u64,
    },
    /// The server answers with a redirect.
    #[error("{server}: expected an answer, got a redirect to {to}")]
    Redirect {
        /// The server.
        server: String,
        /// The host that it names.
        to: String,
    },
    /// An answer that is larger than the request can need.
    #[error("{server}: expected an answer of at most {most} bytes, got more")]
    Size {
        /// The server.
        server: String,
        /// The bound.
        most: usize,
    },
    /// The server does not have the model.
    #[error(
        "{server}: expected the model {name:?} among those of the server, got {}",
        listed(others)
    )]
    NoModel {
        /// The server.
        server: String,
        /// The model's name.
        name: String,
        /// The models that it has.
        others: Vec<String>,
    },
    /// An answer that is not of the protocol.
    #[error("{server}: expected {expected}, got {got}")]
    Protocol {
        /// The server.
        server: String,
        /// What the protocol says.
        expected: String,
        /// What came.
        got: String,
    },
    /// Log-probabilities that cannot be used.
    #[error("{server}: {fault}: expected {expected}, got {got}")]
    Fault {
        /// The server.
        server: String,
        /// What is wrong.
        fault: Fault,
        /// What was expected, and where.
        expected: String,
        /// What came.
        got: String,
    },
    /// The run was stopped while the server was asked.
    #[error("{server}: stopped before the answer came")]
    Stopped {
        /// The server.
        server: String,
    },
}

/// What is wrong with the log-probabilities of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none for the first token, not even null, so that all are shifted.
    FirstLeftOut,
    /// The first token, which nothing precedes, has one.
    FirstScored,
    /// Fewer than tokens were sent.
    Truncated,
    /// Another number than tokens were sent.
    Count,
    /// They are of other tokens than those that were sent.
    OtherTokens,
    /// They are of the positions after the tokens.
    Shifted,
    /// They do not depend on the tokens before them.
    NoContext,
    /// Only the most likely tokens have one.
    TopOnly,
    /// 0.0 stands for a missing one.
    ZeroForMissing,
    /// They are rounded.
    Rounded,
    /// A probability above 1.
    Positive,
    /// NaN or infinite.
    NotANumber,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FirstLeftOut => "the first token is left out of the log-probs",
            Self::FirstScored => "the first token has a log-prob",
            Self::Truncated => "the prompt is truncated",
            Self::Count => "another number of log-probs than of tokens",
            Self::OtherTokens => "the log-probs are of other tokens",
            Self::Shifted => "the log-probs are of other positions",
            Self::NoContext => "the log-probs do not depend on what precedes a token",
            Self::TopOnly => "only the most likely tokens have log-probs",
            Self::ZeroForMissing => "0.0 stands for a missing log-prob",
            Self::Rounded => "the log-probs are rounded",
            Self::Positive => "a positive log-prob",
            Self::NotANumber => "a log-prob that is not a number",
        })
    }
}

/// The names of models, the first few.
fn listed(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() > LISTED => {
            format!(
                "{} and {} more",
                names[..LISTED].join(", "),
                names.len() - LISTED
            )
        }
        names => names.join(", "),
    }
}
