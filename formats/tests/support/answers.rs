//! A web server on loopback whose answers a test writes itself, for servers that are wrong or hostile.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request: its number from 1 on, and its headers by their names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Request {
    /// The first byte and the one behind the last, if a range is requested of a file of so many bytes.
    pub(crate) fn range(&self, bytes: usize) -> Option<(usize, usize)> {
        let range = self.headers.get("range")?.strip_prefix("bytes=")?;
        let (start, last) = range.split_once('-')?;
        let last = last.parse().unwrap_or(bytes - 1);
        Some((start.parse().ok()?, bytes.min(last + 1)))
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body after which the connection is closed.
    pub(crate) sent: usize,
}

impl Answer {
    pub(crate) fn new(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Self {
            status,
            headers: headers.collect(),
            body: body.to_vec(),
            sent: usize::MAX,
        }
    }

    /// What a right server answers for a file.
    pub(crate) fn file(request: &Request, file: &[u8], headers: &[(&'static str, &str)]) -> Self {
        match request.range(file.len()) {
            Some((start, end)) => {
                let range = format!("bytes {start}-{}/{}", end - 1, file.len());
                Self::new(206, headers, &file[start..end]).with("Content-Range", &range)
            }
            None => Self::new(200, headers, file).with("Accept-Ranges", "bytes"),
        }
    }

    /// With a header, in place of one of the same name.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }
}

pub(crate) struct Answering {
    /// `http://HOST:PORT`
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Answering {
    /// Serves on an address of this machine until the process ends.
    pub(crate) fn start(
        address: &str,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let server = Self {
            url,
            requests: Arc::clone(&requests),
        };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                thread::spawn(move || {
                    // A closed connection is not a fault of the server.
                    let _ = serve(stream, &requests, answer.as_ref());
                });
            }
        });
        server
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Answer + Send + Sync),
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header == "\r\n" {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
        }
        let mut words = first.split(' ').map(str::to_owned);
        let mut request = Request {
            number: 0,
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            headers,
        };
        {
            let mut requests = requests.lock().unwrap();
            request.number = requests.len() + 1;
            requests.push(request.clone());
        }
        let answer = answer(&request);
        let mut head = format!("HTTP/1.1 {} Some\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if answer
            .headers
            .iter()
            .all(|(name, _)| *name != "Content-Length")
        {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        if request.method != "HEAD" {
            stream.write_all(&answer.body[..answer.body.len().min(answer.sent)])?;
            if answer.sent < answer.body.len() {
                return Ok(());
            }
        }
    }
}
