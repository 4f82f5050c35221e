//! A server on loopback that speaks the Hub's protocol, and a second one for the bytes of large files, which the Hub
//! serves from another host; with the faults of both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// A commit for each digit.
pub(crate) fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Whether it went to the server of the bytes.
    pub(crate) elsewhere: bool,
    /// The headers, with lower-case names.
    pub(crate) headers: BTreeMap<String, String>,
}

/// The content and the faults of the servers. Tests may change it while they serve.
#[derive(Default)]
pub(crate) struct State {
    /// The files of each commit.
    pub(crate) files: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Branches and tags.
    pub(crate) revisions: BTreeMap<String, String>,
    /// Requests without this token are refused.
    pub(crate) token: Option<String>,
    /// All other requests are refused with this status and these headers.
    pub(crate) refuse: Option<(u16, String)>,
    /// The raw answer to every request that is not refused.
    pub(crate) answer: Option<Vec<u8>>,
    /// Headers that replace the right ones in answers about files, by their names.
    pub(crate) headers: BTreeMap<String, String>,
    /// The next answers with bytes break off after these numbers of bytes, one after the other.
    pub(crate) cuts: Vec<usize>,
    /// This many answers are "unavailable".
    pub(crate) unavailable: usize,
    /// The server of the bytes answers every range with the whole file.
    pub(crate) no_ranges: bool,
    /// The server of the bytes sends wrong bytes, equally many.
    pub(crate) corrupted: bool,
    /// A pause before each thousand bytes of a large file.
    pub(crate) slowly: Duration,
    requests: Vec<Request>,
}

pub(crate) struct Hub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Serves `org/model`, whose `main` is the first commit, with these files.
    pub(crate) fn start(files: &[(&str, Vec<u8>)]) -> Self {
        let listen = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            (listener, port)
        };
        let ((here, port), (there, other)) = (listen(), listen());
        // Another name for the same host, which clients take for another host.
        let (url, elsewhere) = (
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{other}"),
        );
        let hub = Self {
            url,
            state: Arc::default(),
        };
        hub.put(&commit('1'), files);
        hub.state().revisions.insert("main".to_owned(), commit('1'));
        for (listener, is_elsewhere) in [(here, false), (there, true)] {
            let (state, elsewhere) = (Arc::clone(&hub.state), elsewhere.clone());
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (state, elsewhere) = (Arc::clone(&state), elsewhere.clone());
                    // A closed connection is not a fault of the server.
                    thread::spawn(move || drop(serve(stream, &state, &elsewhere, is_elsewhere)));
                }
            });
        }
        hub
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a commit.
    pub(crate) fn put(&self, commit: &str, files: &[(&str, Vec<u8>)]) {
        let files = files
            .iter()
            .map(|(name, bytes)| ((*name).to_owned(), bytes.clone()));
        self.state()
            .files
            .insert(commit.to_owned(), files.collect());
    }

    /// The requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the server of the bytes has the file.
fn is_large(name: &str) -> bool {
    [".safetensors", ".onnx", ".onnx_data"]
        .iter()
        .any(|end| name.ends_with(end))
}

fn serve(
    mut stream: TcpStream,
    state: &Mutex<State>,
    elsewhere: &str,
    is_elsewhere: bool,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ');
        let mut request = Request {
            method: words.next().unwrap().to_owned(),
            path: words.next().unwrap().to_owned(),
            elsewhere: is_elsewhere,
            headers: BTreeMap::new(),
        };
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header == "\r\n" {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                let name = name.to_ascii_lowercase();
                request.headers.insert(name, value.trim().to_owned());
            }
        }
        let mut now = state.lock().unwrap();
        now.requests.push(request.clone());
        let answer = match is_elsewhere {
            true => bytes(&mut now, &request),
            false => answer(&mut now, &request, elsewhere),
        };
        let (slowly, head) = (now.slowly, request.method == "HEAD");
        drop(now);
        stream.write_all(&answer.head)?;
        if !head {
            let body = &answer.body[..answer.sent.min(answer.body.len())];
            for part in body.chunks(if is_elsewhere {
                1000
            } else {
                body.len().max(1)
            }) {
                if is_elsewhere {
                    thread::sleep(slowly);
                }
                stream.write_all(part)?;
            }
            if answer.sent < answer.body.len() {
                return Ok(());
            }
        }
        if answer.ends {
            return Ok(());
        }
    }
}

struct Answer {
    head: Vec<u8>,
    body: Vec<u8>,
    /// Bytes sent before the connection breaks.
    sent: usize,
    /// Whether the connection is closed afterwards.
    ends: bool,
}

impl Answer {
    fn new(status: &str, headers: &str, body: Vec<u8>) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
        Self {
            head: head.into_bytes(),
            body,
            sent: usize::MAX,
            ends: false,
        }
    }

    fn not_found(code: &str) -> Self {
        Self::new(
            "404 Not Found",
            &format!("X-Error-Code: {code}\r\n"),
            Vec::new(),
        )
    }
}

fn answer(state: &mut State, request: &Request, elsewhere: &str) -> Answer {
    let sent = request.headers.get("authorization");
    let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && sent != wanted.as_ref() {
        // Like a server that reveals too much.
        let headers = format!(
            "X-Error-Message: not for {}\r\n",
            sent.map_or("you", String::as_str)
        );
        return Answer::new("401 Unauthorized", &headers, Vec::new());
    }
    if let Some((status, headers)) = &state.refuse {
        return Answer::new(&format!("{status} No"), headers, b"no".to_vec());
    }
    if state.unavailable > 0 {
        state.unavailable -= 1;
        return Answer::new("503 Service Unavailable", "", Vec::new());
    }
    if let Some(answer) = &state.answer {
        return Answer {
            head: answer.clone(),
            body: Vec::new(),
            sent: usize::MAX,
            ends: true,
        };
    }
    if let Some(rest) = request.path.strip_prefix("/api/models/org/model/revision/") {
        let revision = rest.replace("%2F", "/");
        let commit = state.revisions.get(&revision).cloned().unwrap_or(revision);
        let Some(files) = state.files.get(&commit) else {
            return Answer::not_found("RevisionNotFound");
        };
        let siblings: Vec<_> = files
            .keys()
            .map(|name| serde_json::json!({"rfilename": name}))
            .collect();
        let json = serde_json::json!({"id": "org/model", "sha": commit, "siblings": siblings});
        return Answer::new(
            "200 OK",
            "Content-Type: application/json\r\n",
            json.to_string().into_bytes(),
        );
    }
    // Like the Hub, for models that were renamed.
    if let Some(rest) = request.path.strip_prefix("/api/models/old/name/") {
        let headers = format!("Location: /api/models/org/model/{rest}\r\n");
        return Answer::new("307 Temporary Redirect", &headers, Vec::new());
    }
    if let Some(rest) = request.path.strip_prefix("/old/name/") {
        let headers = format!("Location: /org/model/{rest}\r\n");
        return Answer::new("307 Temporary Redirect", &headers, Vec::new());
    }
    let Some((commit, name)) = request
        .path
        .strip_prefix("/org/model/resolve/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return Answer::not_found("RepoNotFound");
    };
    let commit = state.revisions.get(commit).map_or(commit, String::as_str);
    let Some(bytes) = state
        .files
        .get(commit)
        .and_then(|files| files.get(name))
        .cloned()
    else {
        return Answer::not_found("EntryNotFound");
    };
    let hash = hex(&Sha256::digest(&bytes));
    let mut headers = BTreeMap::from([("X-Repo-Commit".to_owned(), commit.to_owned())]);
    let large = is_large(name);
    if large {
        headers.insert("X-Linked-Etag".to_owned(), format!("\"{hash}\""));
        headers.insert("X-Linked-Size".to_owned(), bytes.len().to_string());
        headers.insert(
            "Location".to_owned(),
            format!("{elsewhere}/{commit}/{name}?signature=abc"),
        );
    } else {
        headers.insert("ETag".to_owned(), format!("\"{}\"", &hash[..40]));
    }
    headers.extend(state.headers.clone());
    let mut text = String::new();
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    match large {
        true => Answer::new("302 Found", &text, b"elsewhere".to_vec()),
        false => cut(state, request, Answer::new("200 OK", &text, bytes)),
    }
}

fn bytes(state: &mut State, request: &Request) -> Answer {
    let path = request.path.trim_start_matches('/');
    let path = path.split('?').next().unwrap();
    let file = path
        .split_once('/')
        .and_then(|(commit, name)| state.files.get(commit)?.get(name));
    let Some(mut file) = file.cloned() else {
        return Answer::not_found("");
    };
    if state.corrupted {
        let middle = file.len() / 2;
        file[middle] ^= 0x55;
    }
    let range = request.headers.get("range").filter(|_| !state.no_ranges);
    let from = range.map(|range| {
        let from = range
            .strip_prefix("bytes=")
            .unwrap()
            .strip_suffix('-')
            .unwrap();
        from.parse::<usize>().unwrap()
    });
    let answer = match from {
        Some(from) if from >= file.len() => {
            Answer::new("416 Range Not Satisfiable", "", Vec::new())
        }
        Some(from) => {
            let (last, whole) = (file.len() - 1, file.len());
            let header = format!("Content-Range: bytes {from}-{last}/{whole}\r\n");
            Answer::new("206 Partial Content", &header, file[from..].to_vec())
        }
        None => Answer::new("200 OK", "ETag: \"of the bytes\"\r\n", file),
    };
    cut(state, request, answer)
}

fn cut(state: &mut State, request: &Request, mut answer: Answer) -> Answer {
    if request.method == "GET" && !state.cuts.is_empty() {
        answer.sent = state.cuts.remove(0);
    }
    answer
}
