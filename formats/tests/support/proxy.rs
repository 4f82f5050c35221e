//! Stands between a client and a server, and does to what the server says what bad networks do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An answer's bytes at once from here on are taken for the content of a file, not for headers.
const CONTENT: usize = 4096;

/// What happens on the way.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    /// Before each handful of bytes.
    pub(crate) delay: Duration,
    /// Every so many handfuls of content are cut in the middle, and the connection with them; 0 for none.
    pub(crate) cut_every: usize,
    /// In so many handfuls of content a byte is changed.
    pub(crate) corrupted: usize,
}

pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    handfuls: Arc<AtomicUsize>,
}

impl Proxy {
    /// Passes everything on to `server` (host and port) until the process ends.
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
                // Whoever goes away, it is no fault of the proxy.
                thread::spawn(move || asked(from, to));
                thread::spawn(move || answered(server, client, &faults, &count));
            }
        });
        Self { url, handfuls }
    }

    /// How many handfuls of content came by.
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
