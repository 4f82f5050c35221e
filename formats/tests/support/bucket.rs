//! An S3 bucket: a server from PyPI that speaks the S3 protocol, on loopback.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SERVE: &str = include_str!("bucket.py");

/// Serves until it is dropped.
pub(crate) struct Bucket {
    /// Host and port.
    pub(crate) address: String,
    server: Child,
}

impl Bucket {
    /// The files of `folder` as the bucket `corpus`.
    pub(crate) fn start(python: &Path, folder: &Path) -> Self {
        let mut server = Command::new(python)
            .args(["-c", SERVE])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "no server");
            if let Some(address) = line.trim().strip_prefix("http://") {
                break address.to_owned();
            }
        };
        Self { address, server }
    }

    /// Environment variables that point a command to a bucket behind `endpoint`.
    pub(crate) fn environment(endpoint: &str) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", endpoint.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        // It ends with its input; its exit status does not matter.
        let _ = self.server.wait();
    }
}
