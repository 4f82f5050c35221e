//! A proxy between a client and a server that injects the faults of bad networks into the answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Reads of at least this many bytes are taken for file content, not headers.
const CONTENT: usize = 4096;

/// The injected faults.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// The delay before each read of bytes is passed on.
    pub(crate) delay: Duration,
    /// Cut every n-th read of content in the middle, and close the connection; 0 for never.
    pub(crate) cut_every: usize,
    /// Change a byte in each of the first reads of content, up to this number.
    pub(crate) corrupted: usize,
}

pub(crate) struct Proxy {
    /// The address it listens on.
    pub(crate) url: String,
    handfuls: Arc<AtomicUsize>,
}

impl Proxy {
    /// Forwards to `server` (host and port) until the process ends.
    pub(crate) fn start(server: &str, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handfuls = Arc::new(AtomicUsize::new(0));
        let (server, count) = (server.to_owned(), Arc::clone(&handfuls));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else {
                    continue;
                };
                let (faults, count) = (faults.clone(), Arc::clone(&count));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                // A closed connection is not a fault of the proxy.
                thread::spawn(move || asked(from, to));
                thread::spawn(move || answered(server, client, &faults, &count));
            }
        });
        Self { url, handfuls }
    }

    /// The number of reads of content so far.
    pub(crate) fn handfuls(&self) -> usize {
        self.handfuls.load(Ordering::Relaxed)
    }
}

fn asked(mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

fn answered(
    mut server: TcpStream,
    mut client: TcpStream,
    faults: &Faults,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let length = server.read(&mut bytes)?;
        if length == 0 {
            return client.shutdown(Shutdown::Write);
        }
        thread::sleep(faults.delay);
        if length >= CONTENT {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            if faults.cut_every > 0 && number.is_multiple_of(faults.cut_every) {
                client.write_all(&bytes[..length / 2])?;
                client.shutdown(Shutdown::Both)?;
                return server.shutdown(Shutdown::Both);
            }
            if number <= faults.corrupted {
                bytes[length / 2] ^= 0x55;
            }
        }
        client.write_all(&bytes[..length])?;
    }
}
