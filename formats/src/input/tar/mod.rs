//! Takes a tar file in WebDataset format, yields a document per sample. A sample is a run of members with the same key:
//! the path up to the first dot of its last part. `.txt` holds the text; `.json` holds an object with all other fields,
//! the text if there is no `.txt`, and the document's own id if it differs from the key. Other members are skipped.
//!
//! The crate `webdataset` says which members are a sample, with its [`Grouper`]. Its parser of headers stays out, and
//! [`members`] is in its place, for it reads every member whole before it can be refused, even unwanted ones and names,
//! so a small compressed file can take any amount of memory; it takes the map of a sparse member for its content, and
//! knows no sizes in extended headers (`comparison` has a test of each). The archive reader of `tar` does the first to
//! names as well, and blocks; of that crate only the header formats are used.

#[cfg(test)]
mod comparison;
mod extended;
mod members;
mod sparse;

use std::io;

use bytes::Bytes;
use webdataset::core::handlers::reraise_exception;
use webdataset::core::utils::is_shard_metadata;
use webdataset::core::{Error, Sample, Value, base_plus_ext};
use webdataset::shard::reader::{FileEvent, Grouped, Grouper, TarFile};

use super::compression::Plain;
use super::fields::{Place, with_object};
use super::lines::BYTE_ORDER_MARK;
use super::{Content, ReadOptions, Record, Said};
pub(super) use members::begins;
use members::{Member, Members, Next};

/// How many other members of a sample a message lists.
const LISTED: usize = 4;

/// The documents of a tar file.
pub(super) struct Samples {
    shard: String,
    options: ReadOptions,
    members: Members,
    grouper: Grouper,
    /// About the sample that is being collected; `None` before the first one.
    current: Option<Current>,
    /// The error after a row that is yielded first.
    error: Option<io::Error>,
    rows: i64,
    ended: bool,
}

/// What the grouper does not hold of a sample.
#[derive(Default)]
struct Current {
    key: String,
    /// Why members of it were not read: the ending and the reason.
    refused: Vec<(String, String)>,
    /// The number of other members.
    others: usize,
}

/// The fields of an object.
struct Fields {
    said: Said,
    /// With the text before the document.
    content: Result<(Content, Option<String>), String>,
}

impl Samples {
    pub(super) fn new(shard: String, options: ReadOptions, input: Plain) -> Self {
        Self {
            shard,
            options,
            members: Members::new(input),
            grouper: Grouper::new(reraise_exception()),
            current: None,
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
            let finished = match self.members.next().await? {
                Next::Member(member) => self.add(&member).await?,
                // No sample is in two archives.
                Next::Archive => self.finish(),
                Next::End => {
                    self.ended = true;
                    self.finish()
                }
            };
            if finished.is_some() {
                return Ok(finished);
            }
        }
        Ok(None)
    }

    /// Adds a member, and reads it if it is `.txt` or `.json`. Yields the sample that it ends.
    async fn add(&mut self, member: &Member) -> io::Result<Option<Record>> {
        let Some((key, ending)) = base_plus_ext(&member.name) else {
            return Ok(None);
        };
        if is_shard_metadata(&member.name) {
            return Ok(None);
        }
        let mut finished = None;
        if self
            .current
            .as_ref()
            .is_none_or(|current| current.key != key)
        {
            finished = self.finish();
            let key = key.to_owned();
            self.current = Some(Current {
                key,
                ..Current::default()
            });
        }
        let ending = ending.to_ascii_lowercase();
        let mut data = Vec::new();
        let mut reason = None;
        if ending != "txt" && ending != "json" {
            let others = self.current.as_mut().map(|current| &mut current.others);
            // A name like __bad__ means something to the grouper.
            match others.filter(|others| **others < LISTED && !ending.starts_with('_')) {
                Some(others) => *others += 1,
                None => return Ok(finished),
            }
        } else if member.size > self.options.max_document_bytes as u64 {
            reason = Some(self.options.too_large("a member"));
        } else {
            match self.members.read(member).await {
                Ok(Ok(read)) => data = read,
                Ok(Err(why)) => reason = Some(why),
                Err(error) if finished.is_none() => return Err(error),
                Err(error) => {
                    self.error = Some(error);
                    return Ok(finished);
                }
            }
        }
        let file = TarFile {
            name: member.name.clone(),
            data: Bytes::from(data),
            url: None,
            local_path: None,
        };
        if let Grouped::Failed(error) = self.grouper.push(FileEvent::File(file)) {
            reason = Some(match error {
                Error::DuplicateKey { .. } => format!(
                    "sample {key:?}: expected one member .{ending}, got two of that name in a row"
                ),
                error => error.to_string(),
            });
        }
        if let (Some(reason), Some(current)) = (reason, &mut self.current) {
            // Of each ending only the last reason is reported.
            current.refused.retain(|(of, _)| *of != ending);
            current.refused.push((ending, reason));
        }
        Ok(finished)
    }

    /// The record of the sample that is being collected.
    fn finish(&mut self) -> Option<Record> {
        let current = self.current.take()?;
        let sample = match self.grouper.push(FileEvent::EndOfShard) {
            Grouped::Sample(sample) => sample,
            // All its members were left out.
            _ => Sample::with_key(&*current.key),
        };
        let row = self.rows;
        self.rows += 1;
        let document = document(sample, current, &self.options);
        Some(Record::of(&self.shard, row, document))
    }
}

/// The own id of a sample, else its key, and its content; or the reason why there is none.
fn document(
    mut sample: Sample,
    mut current: Current,
    options: &ReadOptions,
) -> Result<(Said, Content), String> {
    let mut member = |ending: &str| {
        let bytes = sample.remove(ending);
        let refused = current.refused.iter().position(|(of, _)| of == ending);
        match (refused, bytes) {
            (Some(refused), _) => Some(Err(current.refused.swap_remove(refused).1)),
            (None, Some(Value::Bytes(bytes))) => Some(utf8(bytes.into())),
            (None, _) => None,
        }
    };
    let mut text = member("txt");
    let json = member("json");
    let has_text = text.is_some();
    // Whether a text alone is a document.
    let is_text = options.no_fields_in_text().is_none();
    let beside = text.take_if(|_| !is_text);
    let read = json.map(|json| json.and_then(|json| fields(&json, beside, options)));
    let (mut said, content) = match read {
        Some(Ok(Fields { said, content })) => (said, Some(content)),
        Some(Err(reason)) => (Said::default(), Some(Err(reason))),
        None => (Said::default(), None),
    };
    let (content, wanted) = match is_text {
        true => {
            let text = text.map(|text| Ok((Content::Text(text?), None)));
            (text.or(content), "a member .txt or .json")
        }
        false => (content, "a member .json"),
    };
    let (content, context) = content.unwrap_or_else(|| {
        let others = sample.keys().filter(|name| !name.starts_with('_'));
        let mut got: Vec<_> = others.map(|name| format!(".{name}")).collect();
        if has_text {
            got.insert(0, ".txt".to_owned());
        }
        let got = match got.is_empty() {
            true => "others".to_owned(),
            false => got.join(", "),
        };
        let key = &current.key;
        Err(format!("sample {key:?}: expected {wanted}, got {got}"))
    })?;
    said.id.get_or_insert(current.key);
    said.context = context;
    Ok((said, content))
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

/// The fields of the member .json; the `text` of the member .txt takes precedence over that in it.
fn fields(
    json: &str,
    text: Option<Result<String, String>>,
    options: &ReadOptions,
) -> Result<Fields, String> {
    with_object(json, Place::Line, |object| {
        Ok(Fields {
            said: object.said(options),
            content: object.content(options, text),
        })
    })
}
