//! An OpenAI-compatible server on loopback whose model is the tiny one, computed here in f64; a test changes its answers.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::tiny::logits_after;

/// The vocabulary of the tokenizer of the demonstration.
pub(crate) const VOCABULARY: usize = 2048;
/// The name of the model on the server.
pub(crate) const NAME: &str = "org/tiny";

/// A request, and the right answer to it.
pub(crate) struct Asked {
    /// How many came before it, of those with prompts.
    pub(crate) number: usize,
    pub(crate) path: String,
    /// By lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
    pub(crate) right: Value,
}

/// What the server sends.
pub(crate) enum Reply {
    Json(Value),
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Bytes of a body that has this length.
    Cut(Vec<u8>, usize),
    /// A byte of a body each 50 ms, without end.
    Drip,
    /// Nothing, until the client goes.
    Hang,
}

/// The headers and the body of a request.
type Sent = (BTreeMap<String, String>, Value);
type Behave = dyn Fn(Asked) -> Reply + Send + Sync;

pub(crate) struct Completions {
    pub(crate) url: String,
    /// The requests with prompts.
    pub(crate) asked: Arc<Mutex<Vec<Sent>>>,
    /// The most requests that were answered at the same time.
    pub(crate) at_once: Arc<AtomicUsize>,
}

impl Completions {
    /// Serves until the process ends.
    pub(crate) fn start(behave: impl Fn(Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let at_once = Arc::new(AtomicUsize::new(0));
        let server = Self {
            url,
            asked: Arc::clone(&asked),
            at_once: Arc::clone(&at_once),
        };
        let behave: Arc<Behave> = Arc::new(behave);
        let now = Arc::new(AtomicUsize::new(0));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behave, asked) = (Arc::clone(&behave), Arc::clone(&asked));
                let (now, at_once) = (Arc::clone(&now), Arc::clone(&at_once));
                thread::spawn(move || {
                    // A closed connection is not a fault of the server.
                    let _ = serve(stream, &*behave, &asked, &now, &at_once);
                });
            }
        });
        server
    }

    /// A server that answers as it should.
    pub(crate) fn right() -> Self {
        Self::start(|asked| Reply::Json(asked.right))
    }

    /// What `--model` takes.
    pub(crate) fn model(&self) -> String {
        format!("{}#{NAME}", self.url)
    }

    /// The numbers of prompts of the requests so far.
    pub(crate) fn prompts(&self) -> Vec<usize> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, body)| prompts(body).len()).collect()
    }
}

fn serve(
    stream: TcpStream,
    behave: &Behave,
    asked: &Mutex<Vec<Sent>>,
    now: &AtomicUsize,
    at_once: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut number = 0;
        if path.ends_with("/completions") {
            let mut asked = asked.lock().unwrap();
            number = asked.len();
            asked.push((headers.clone(), body.clone()));
        }
        at_once.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let reply = behave(Asked {
            number,
            right: right(&path, &body),
            path,
            headers,
            body,
        });
        now.fetch_sub(1, Ordering::SeqCst);
        let mut send = |status: u16, more: &[(&str, String)], body: &[u8], length: usize| {
            let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n");
            for (name, value) in more {
                head += &format!("{name}: {value}\r\n");
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            stream.write_all(body)?;
            stream.flush()
        };
        match reply {
            Reply::Json(value) => {
                let body = value.to_string();
                send(200, &[], body.as_bytes(), body.len())?;
            }
            Reply::Status(status, more, body) => send(status, &more, body.as_bytes(), body.len())?,
            Reply::Cut(body, length) => {
                send(200, &[], &body, length)?;
                if body.len() < length {
                    return Ok(());
                }
            }
            Reply::Drip => {
                send(200, &[], b"{", 1000)?;
                loop {
                    thread::sleep(Duration::from_millis(50));
                    stream.write_all(b" ")?;
                }
            }
            Reply::Hang => thread::sleep(Duration::from_secs(60)),
        }
    }
}

/// The prompts of a request: one, or several.
pub(crate) fn prompts(body: &Value) -> Vec<Vec<u32>> {
    let ids = |prompt: &Value| -> Option<Vec<u32>> {
        let ids = prompt.as_array()?.iter();
        ids.map(|id| Some(id.as_u64()? as u32)).collect()
    };
    match ids(&body["prompt"]) {
        Some(one) => vec![one],
        None => body["prompt"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(ids)
            .collect(),
    }
}

/// The right answer.
fn right(path: &str, body: &Value) -> Value {
    if path.ends_with("/models") {
        return json!({"object": "list", "data": [
            {"id": "another", "object": "model"},
            {"id": NAME, "object": "model", "max_model_len": 512},
        ]});
    }
    let prompts = prompts(body);
    let generated = body["max_tokens"].as_u64().unwrap_or(16) as usize;
    let choice = |(index, ids): (usize, &Vec<u32>)| {
        let pairs = ids.windows(2).map(|pair| json!(logprob(pair[0], pair[1])));
        let mut logprobs: Vec<Value> = std::iter::once(Value::Null).chain(pairs).collect();
        let last = ids.last().copied().unwrap_or_default();
        let mut tokens: Vec<String> = ids.iter().map(|id| format!("token_id:{id}")).collect();
        for _ in 0..generated {
            let likely = most_likely(last);
            logprobs.push(json!(logprob(last, likely)));
            tokens.push(format!("token_id:{likely}"));
        }
        json!({"index": index, "text": "", "finish_reason": "length", "logprobs": {
            "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": null, "text_offset": null,
        }})
    };
    let choices: Vec<Value> = prompts.iter().enumerate().map(choice).collect();
    let sent: usize = prompts.iter().map(Vec::len).sum();
    json!({"id": "cmpl-1", "object": "text_completion", "model": NAME, "choices": choices,
           "usage": {"prompt_tokens": sent, "completion_tokens": generated * prompts.len()}})
}

/// `ln P(token | the one before it)`.
pub(crate) fn logprob(before: u32, token: u32) -> f64 {
    logprobs_after(before)[token as usize]
}

fn most_likely(before: u32) -> u32 {
    let all = logprobs_after(before);
    let best = (0..)
        .zip(all.iter())
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.unwrap().0
}

fn logprobs_after(before: u32) -> Arc<Vec<f64>> {
    static KNOWN: OnceLock<Mutex<HashMap<u32, Arc<Vec<f64>>>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let of_token = known.lock().unwrap().get(&before).cloned();
    of_token.unwrap_or_else(|| {
        let logits = logits_after(before, VOCABULARY);
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
        let all = logits.iter().map(|logit| logit - max - sum.ln()).collect();
        let all = Arc::new(all);
        known.lock().unwrap().insert(before, Arc::clone(&all));
        all
    })
}
