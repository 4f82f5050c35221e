//! The arguments of `serve`.

use std::net::IpAddr;

use clap::{Arg, Args, value_parser};

use super::row_scoring::{RowScoringArgs, without_corpus};
use super::values::size;

/// What `serve --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  rho-mask serve --model ref/ --port 8080
  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' \\
    -d '{\"prompt\": \"What is 3 plus 4? It is 7.\", \"echo\": true, \"logprobs\": 1, \"max_tokens\": 0}'

Routes: /v1/completions, /v1/models, /tokenize, /score (an Arrow stream in, an Arrow stream out), /health, /metrics.
Without --top, the 5 most likely tokens of each position can be requested.

Exit codes: 0 after SIGINT or SIGTERM, when all open requests are answered; 130 at a second signal; 2 stopped by an error.";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(mut_args(without_servers))]
pub struct ServeArgs {
    /// What is scored.
    #[command(flatten)]
    pub scoring: RowScoringArgs,

    /// Address to listen on; the default is reached from this machine alone.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1",
        help_heading = "HTTP"
    )]
    pub host: IpAddr,

    /// Port to listen on; 0 takes a free one, which the line on standard output names.
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 8080,
        help_heading = "HTTP"
    )]
    pub port: u16,

    /// Name of the model in requests and answers [default: its folder, or its name on the Hub].
    #[arg(long, value_name = "NAME", help_heading = "HTTP")]
    pub served_name: Option<String>,

    /// Key that every request but /health must carry, as `Authorization: Bearer KEY`.
    ///
    /// Other users of this machine can see it in the list of processes: the environment variable hides it from them.
    #[arg(
        long,
        value_name = "KEY",
        env = "RHO_MASK_API_KEY",
        hide_env_values = true,
        help_heading = "HTTP"
    )]
    pub api_key: Option<String>,

    /// Milliseconds that a request waits for others, to be scored in the same batches.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 5,
        value_parser = value_parser!(u64).range(..=60_000),
        help_heading = "HTTP"
    )]
    pub max_wait_ms: u64,

    /// Most requests at once; more are answered with 429 and a time to come back.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 256,
        value_parser = value_parser!(u64).range(1..=65_536),
        help_heading = "HTTP"
    )]
    pub max_queue: u64,

    /// Largest body of a request (16MiB, 500MB, ...); a larger one is answered with 413.
    ///
    /// The bodies of all open requests together may be 16 times as large.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = size,
        help_heading = "HTTP"
    )]
    pub max_body: u64,
}

/// Hides also what only describes a server that is the reference.
fn without_servers(argument: Arg) -> Arg {
    let of_servers = argument.get_id().as_str().starts_with("server_");
    without_corpus(match of_servers {
        true => argument.hide(true),
        false => argument,
    })
}
