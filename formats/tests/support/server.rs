//! A small web server on loopback, with the faults of real servers and networks.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The faults of the server.
#[derive(Default)]
pub(crate) struct Faults {
    /// Answer every request with the whole file.
    pub(crate) no_ranges: bool,
    /// Cut every n-th answer in the middle; 0 for never.
    pub(crate) cut_every: usize,
    /// Answer this many requests, from the third on, with "service unavailable".
    pub(crate) unavailable: usize,
    /// Files vanish after this many requests; 0 for never.
    pub(crate) gone_after: usize,
    /// The delay before each answer.
    pub(crate) delay: Duration,
}

/// The files by their paths.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

pub(crate) struct Server {
    pub(crate) url: String,
    /// Tests may change it while it serves.
    pub(crate) files: Files,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `files` until the process ends.
    pub(crate) fn start(files: HashMap<String, Vec<u8>>, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let files = Arc::new(Mutex::new(files));
        let server = Self {
            url,
            files: Arc::clone(&files),
            requests: Arc::clone(&requests),
        };
        let shared = Arc::new((files, faults, AtomicUsize::new(0), requests));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (files, faults, count, requests) = &*shared;
                    // A closed connection is not a fault of the server.
                    let _ = serve(stream, files, faults, count, requests);
                });
            }
        });
        server
    }

    /// The ranges requested so far.
    pub(crate) fn ranges(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    files: &Mutex<HashMap<String, Vec<u8>>>,
    faults: &Faults,
    count: &AtomicUsize,
    requests: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let (mut range, mut version) = (None, None);
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header == "\r\n" {
                break;
            }
            let Some((name, value)) = header.split_once(':') else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "range" => range = Some(value.trim().to_owned()),
                "if-match" => version = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        thread::sleep(faults.delay);
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut words = request.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let gone = faults.gone_after > 0 && number > faults.gone_after;
        let path = path.trim_start_matches('/').replace("%20", " ");
        let file = files.lock().unwrap().get(&path).cloned();
        let Some(file) = file.filter(|_| !gone) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        if number > 2 && number <= 2 + faults.unavailable {
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let mut etag = DefaultHasher::new();
        file.hash(&mut etag);
        let etag = format!("\"{:x}\"", etag.finish());
        if version.is_some_and(|version| version != etag) {
            stream.write_all(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let whole = file.len();
        let (status, body, content_range) = match range.filter(|_| !faults.no_ranges) {
            Some(range) => {
                requests.lock().unwrap().push(range.clone());
                let (from, to) = range
                    .strip_prefix("bytes=")
                    .unwrap()
                    .split_once('-')
                    .unwrap();
                let from: usize = from.parse().unwrap();
                let to = to.parse::<usize>().unwrap().min(whole - 1);
                let header = format!("Content-Range: bytes {from}-{to}/{whole}\r\n");
                ("206 Partial Content", &file[from..=to], header)
            }
            None => ("200 OK", &file[..], String::new()),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: {etag}\r\nContent-Length: {length}\r\n{content_range}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        if method == "HEAD" {
            continue;
        }
        if faults.cut_every > 0 && number.is_multiple_of(faults.cut_every) {
            stream.write_all(&body[..length / 2])?;
            return Ok(());
        }
        stream.write_all(body)?;
    }
}
