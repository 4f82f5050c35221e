//! Takes a tar file in WebDataset format, yields a document per sample. A sample is a run of members with the same key:
//! the path up to the first dot of its last part. `.txt` holds the text; `.json` holds an object with the fields: the
//! text if there is no `.txt`, the token ids, and the document's own id if it differs from the key. Other members are
//! skipped.
//!
//! Why no crate does this: `webdataset` (0.0.1) reads every member whole, even unwanted ones and long names, before it
//! can be refused, so a small compressed file can take any amount of memory. The archive reader of `tar` does the same
//! to long names, and blocks; of that crate only the header formats are used.

mod members;

use std::io;

use super::compression::Plain;
use super::fields::Object;
use super::lines::BYTE_ORDER_MARK;
use super::{Content, ReadOptions, Record, Said};
pub(super) use members::begins;
use members::{Member, Members};

/// The documents of a tar file.
pub(super) struct Samples {
    shard: String,
    options: ReadOptions,
    members: Members,
    sample: Option<Sample>,
    /// The error after a row that is yielded first.
    error: Option<io::Error>,
    rows: i64,
    ended: bool,
}

/// The members of a sample so far. Of two members with the same ending the last one counts.
#[derive(Default)]
struct Sample {
    key: String,
    /// The text of `.txt`, or the reason why there is none.
    text: Option<Result<String, String>>,
    /// The fields of `.json`, or the reason why it is not an object.
    fields: Option<Result<Fields, String>>,
    /// Endings of other members, for a message.
    others: Vec<String>,
}

/// The fields of an object.
struct Fields {
    said: Said,
    content: Result<Content, String>,
}

impl Samples {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        Self {
            shard,
            options,
            members: Members::new(input),
            sample: None,
            error: None,
            rows: 0,
            ended: false,
        }
    }

    /// The number of complete rows so far.
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }

    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        while !self.ended {
            // A sample that an error cuts in two is not yielded.
            let Some(member) = self.members.next().await? else {
                self.ended = true;
                break;
            };
            let Some((key, ending)) = split(&member.name) else {
                continue;
            };
            let mut finished = None;
            if self.sample.as_ref().is_some_and(|sample| sample.key != key) {
                let sample = self.sample.take();
                finished = sample.map(|sample| self.record(sample));
            }
            let sample = self.sample.get_or_insert_with(|| Sample {
                key: key.to_owned(),
                ..Sample::default()
            });
            let ending = ending.to_lowercase();
            let read = sample.add(&mut self.members, &member, ending, &self.options);
            match (read.await, finished) {
                (Ok(()), None) => {}
                (Ok(()), finished) => return Ok(finished),
                (Err(error), None) => return Err(error),
                (Err(error), finished) => {
                    self.error = Some(error);
                    return Ok(finished);
                }
            }
        }
        let sample = self.sample.take();
        Ok(sample.map(|sample| self.record(sample)))
    }

    fn record(&mut self, sample: Sample) -> Record {
        let row = self.rows;
        self.rows += 1;
        Record::of(&self.shard, row, sample.document(&self.options))
    }
}

impl Sample {
    /// Reads a member if it is `.txt` or `.json`.
    async fn add(
        &mut self,
        members: &mut Members,
        member: &Member,
        ending: String,
        options: &ReadOptions,
    ) -> io::Result<()> {
        let is_json = ending == "json";
        if !is_json && ending != "txt" {
            // Enough for a message.
            if self.others.len() < 4 {
                self.others.push(format!(".{ending}"));
            }
            return Ok(());
        }
        let text = match member.size > options.max_document_bytes as u64 {
            true => Err(options.too_large("a member")),
            false => utf8(members.read().await?),
        };
        match is_json {
            true => self.fields = Some(text.and_then(|text| fields(&text, options))),
            false => self.text = Some(text),
        }
        Ok(())
    }

    /// Its own id, else its key, and its content; or the reason why there is none.
    fn document(self, options: &ReadOptions) -> Result<(Said, Content), String> {
        let (mut said, content) = match self.fields {
            Some(Ok(Fields { said, content })) => (said, Some(content)),
            Some(Err(reason)) => (Said::default(), Some(Err(reason))),
            None => (Said::default(), None),
        };
        let text = self.text.map(|text| text.map(Content::Text));
        let (content, wanted) = match options.tokens_field {
            Some(_) => (content, "a member .json"),
            None => (text.or(content), "a member .txt or .json"),
        };
        let content = content.unwrap_or_else(|| {
            let got = match self.others.is_empty() {
                true => ".txt".to_owned(),
                false => self.others.join(", "),
            };
            Err(format!(
                "sample {:?}: expected {wanted}, got {got}",
                self.key
            ))
        })?;
        said.id.get_or_insert(self.key);
        Ok((said, content))
    }
}

fn utf8(mut bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    String::from_utf8(bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        format!("invalid UTF-8 at byte {byte} of the member")
    })
}

fn fields(text: &str, options: &ReadOptions) -> Result<Fields, String> {
    let object = Object::parse(text)?;
    Ok(Fields {
        said: object.said(options),
        content: match &options.tokens_field {
            Some(field) => object.tokens(field, options.names).map(Content::Tokens),
            None => object
                .text(&options.text_field, options.names)
                .map(Content::Text),
        },
    })
}

/// Key and ending of a member; `None` if it lacks one of them.
fn split(path: &str) -> Option<(&str, &str)> {
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = last + path[last..].find('.')?;
    (dot > last).then(|| (&path[..dot], &path[dot + 1..]))
}
