//! The server: scores of a model over HTTP.
//!
//! ```text
//! connections ─► app ─► admission ─► completions, score_stream ── rows of tokens ──► queue ─► models (one thread)
//!                                    tokenize                     ◄─── scores ──────
//! ```
//!
//! | module | what it does |
//! |---|---|
//! | `connections` | accepts connections; clients that read or write nothing are dropped; the end of the server |
//! | `app` | the routes; `key`: who may use them; `metrics`: what is counted |
//! | `admission` | bounds open requests and the memory of their bodies; `body`: answers hold the place of their request |
//! | `fields` | the fields of a JSON object, refused by name |
//! | `completions`, `tokenize`, `score_stream` | the routes that use the models or the tokenizer |
//! | `queue` | rows of several requests in one batch |
//! | `service` | what all requests share |
//! | `error` | errors in OpenAI's form |

mod admission;
mod app;
mod body;
mod completions;
mod connections;
mod error;
mod fields;
mod key;
mod metrics;
mod queue;
mod score_stream;
mod service;
mod tokenize;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::{
    cli::ProgressKind,
    pipeline::{LoadedModels, store::schema, tokenize::pool},
    plan::{Plan, Prepared},
    progress::Progress,
    stop::Stop,
};
use admission::Admission;
use key::ApiKey;
use queue::Queue;
use service::Service;

/// How a server serves.
pub(crate) struct ServerOptions {
    /// The names of the model, at least one.
    pub(crate) names: Vec<String>,
    /// The key that requests must carry.
    pub(crate) key: Option<String>,
    /// How long a request waits for others.
    pub(crate) max_wait: Duration,
    /// Most open requests.
    pub(crate) max_queue: usize,
    /// Largest body of a request, in bytes.
    pub(crate) max_body: u64,
    /// Whether prompts longer than the context are scored in windows.
    pub(crate) windows: bool,
    /// Whether `/score` gives the most likely tokens.
    pub(crate) with_top: bool,
}

/// Serves until a stop is requested and all open requests are answered. `ready` is called once connections are served.
///
/// # Errors
/// If the listener or the threads of the server fail.
pub(crate) fn run(
    options: ServerOptions,
    prepared: Prepared,
    mut loaded: LoadedModels,
    listener: TcpListener,
    stop: Stop,
    ready: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let plan = prepared.plan;
    let columns = schema(&match options.with_top {
        true => plan.clone(),
        false => Plan {
            top: None,
            ..plan.clone()
        },
    });
    let service = Arc::new(Service {
        pool: pool(plan.threads)?,
        plan,
        shards: prepared.shards,
        tokenization: prepared.tokenization,
        conversations: prepared.conversations,
        progress: Progress::of(vec![0], 1, ProgressKind::None),
        scoring_stop: Stop::never(),
        names: options.names,
        created: now.map_or(0, |since| since.as_secs()),
        windows: options.windows,
        columns,
        admission: Admission::new(options.max_queue, options.max_body),
        queue: Queue::new(options.max_wait),
        metrics: metrics::Metrics::default(),
        key: options.key.map(|key| ApiKey::of(key.as_bytes())),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("serve")
        .enable_all()
        .build()
        .context("cannot start the threads of the server")?;
    listener
        .set_nonblocking(true)
        .context("cannot listen without blocking")?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener).context("cannot listen")?
    };
    let router = app::router(Arc::clone(&service));
    let serving = runtime.spawn(async move { connections::serve(listener, router, &stop).await });
    let shared = Arc::clone(&service);
    let served = runtime.spawn(async move {
        let served = serving.await;
        // The models end when nothing can ask them any more, also after a panic.
        shared.queue.close();
        served
    });
    ready()?;
    let mut scorers = loaded.panels();
    let queue = &service.queue;
    queue.run(&service.work(), &mut scorers, &service.metrics);
    runtime
        .block_on(served)
        .and_then(|served| served)
        .context("the server failed")
}
