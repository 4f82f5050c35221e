//! How a server is asked that is the reference.

use clap::Args;

/// The options about servers.
#[derive(Debug, Clone, Copy, Args)]
pub struct ServerArgs {
    /// Most requests at once to a server that is the reference, 1 to 1024.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(1..=1024),
        help_heading = "Server"
    )]
    pub server_concurrency: u16,

    /// How often a request is sent again that the server did not answer, refused for load or failed on.
    ///
    /// The pauses double from a quarter of a second to 30 seconds; a Retry-After of up to 10 minutes is waited. Then the
    /// run stops; the same command resumes it.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u16).range(0..=1000),
        help_heading = "Server"
    )]
    pub server_retries: u16,

    /// Seconds for one answer of a server, from the request to its last byte, 1 to 86400.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
        help_heading = "Server"
    )]
    pub server_timeout: u32,
}

impl Default for ServerArgs {
    fn default() -> Self {
        Self {
            server_concurrency: 8,
            server_retries: 8,
            server_timeout: 300,
        }
    }
}
