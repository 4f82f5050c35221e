//! Hints for servers that cannot be the reference.

use crate::reference_server::{Fault, ServerError};

/// A server, or an answer of it.
pub(super) fn server(error: &ServerError) -> Option<&'static str> {
    Some(match error {
        ServerError::Unanswered { .. } => {
            "check that the server runs and is not overloaded; the same command then resumes. --server-retries, \
             --server-timeout and --server-concurrency change how it is asked"
        }
        ServerError::Wait { .. } => "run the same command again later: it resumes",
        ServerError::Key { .. } => {
            "put the key that the server accepts into the environment variable RHO_MASK_SERVER_KEY"
        }
        ServerError::TooLong { .. } => {
            "set --context to what the server allows, less one token if it must generate one"
        }
        ServerError::Redirect { .. } => {
            "name the server itself: redirects are not followed, so that the key goes nowhere else"
        }
        ServerError::NoModel { .. } => "name one of these after the #",
        ServerError::Refused { status: 404, .. } => {
            "name the URL before /completions, which most often ends with /v1"
        }
        ServerError::Refused { .. } | ServerError::Protocol { .. } => {
            "use a server that returns the log-probs of prompts of token ids (`echo` and `logprobs` of /v1/completions), \
             such as vLLM or `rho-mask serve`"
        }
        ServerError::Size { .. } => "check that the URL is that of a server of models",
        ServerError::Fault { fault, .. } => fault_hint(*fault),
        ServerError::Setup { .. } | ServerError::Stopped { .. } => return None,
    })
}

fn fault_hint(fault: Fault) -> &'static str {
    match fault {
        Fault::Truncated => "set --context to what the server takes without truncation",
        Fault::OtherTokens => {
            "name the tokenizer of the server's model with --tokenizer, and check that the server takes token ids"
        }
        Fault::Shifted
        | Fault::NoContext
        | Fault::TopOnly
        | Fault::Rounded
        | Fault::ZeroForMissing => {
            "use a server that returns the exact log-prob of every token of a prompt, such as vLLM or `rho-mask serve`"
        }
        Fault::FirstLeftOut | Fault::FirstScored | Fault::Count => {
            "check that the server adds no tokens to a prompt of token ids and leaves none out"
        }
        Fault::Positive | Fault::NotANumber => {
            "check the server's model and its precision: such losses cannot be ranked"
        }
    }
}
