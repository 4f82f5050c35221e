//! `serve`: the scores of a model over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::Outcome;
use crate::{
    cli::ServeArgs,
    hinted_error::HintedError,
    pipeline::LoadedModels,
    plan::{self, Plan, ScoringRequest},
    reference_server::is_server,
    serve::{self, ServerOptions},
    stop::Stop,
    terminal,
};

/// How many of the most likely tokens are computed unless --top says otherwise: as many as OpenAI's interface gives.
const TOP: usize = 5;
/// Largest value of --max-body.
const MOST_BODY: u64 = 64 << 30;

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Outcome> {
    let mut request = ScoringRequest::of_rows(&args.scoring)?;
    let mut models = request.references.iter().chain(&request.base);
    if models.any(|model| is_server(model)) {
        return Err(HintedError::error(
            "serve: expected models in files, got one on a server",
            "ask that server itself",
        ));
    }
    // Those of several references cannot be combined.
    if request.references.len() <= 1 {
        request.files.top.get_or_insert(TOP);
    }
    let options = options(args)?;
    let listener = listen(SocketAddr::new(args.host, args.port))?;
    let prepared = plan::resolve(&request)?;
    let loaded = LoadedModels::of(&prepared, usize::MAX)?;
    let options = ServerOptions {
        names: names(args, &prepared.plan),
        ..options
    };
    let address = listener
        .local_addr()
        .context("the listener has no address")?;
    let shown = format!(
        "serving {} at http://{address}, {} on {}",
        options.names[0], prepared.plan.precision, prepared.plan.device
    );
    if !address.ip().is_loopback() && options.key.is_none() {
        terminal::line(&format!(
            "note: {address} can be reached from other machines, and no key is needed (--api-key)"
        ));
    }
    let stop = Stop::at_signals()?;
    serve::run(options, prepared, loaded, listener, stop, || {
        let url = format!("http://{address}");
        terminal::line(&shown);
        terminal::data_json(
            &json!({"listening": {"url": url, "host": address.ip(), "port": address.port()}}),
            false,
        )
    })?;
    terminal::line("stopped: all requests are answered");
    Ok(Outcome::Done)
}

/// The options of the server, without the names of the model.
fn options(args: &ServeArgs) -> anyhow::Result<ServerOptions> {
    let key = args.api_key.as_ref();
    let is_plain =
        |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.is_some_and(|key| !is_plain(key)) {
        return Err(HintedError::error(
            "--api-key: expected visible ASCII characters without spaces, got others",
            "choose another key: it stands in a header",
        ));
    }
    if args.max_body > MOST_BODY {
        return Err(HintedError::error(
            format!(
                "--max-body: expected at most {MOST_BODY} bytes, got {}",
                args.max_body
            ),
            "the bodies are held in memory",
        ));
    }
    Ok(ServerOptions {
        names: Vec::new(),
        key: key.cloned(),
        max_wait: Duration::from_millis(args.max_wait_ms),
        max_queue: args.max_queue as usize,
        max_body: args.max_body,
        windows: args.scoring.model_args.overlap.is_some(),
        with_top: args.scoring.top.is_some(),
    })
}

/// The names of the model: the one that was given, or its own and its path, as vLLM takes them.
fn names(args: &ServeArgs, plan: &Plan) -> Vec<String> {
    if let Some(name) = &args.served_name {
        return vec![name.clone()];
    }
    let model = &plan.references[0];
    let mut names = vec![model.name.clone()];
    names.extend(model.typed.clone().filter(|typed| *typed != model.name));
    names
}

/// Listens before the models are loaded: an address that is in use costs no time.
fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        HintedError::error(
            format!("{address}: cannot listen: {error}"),
            "choose another --port, or --port 0 for a free one",
        )
    })
}
