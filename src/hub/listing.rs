//! The lists of the Hub's protocol: the commit of a revision, and the files of a commit. Takes the answers of
//! [`Client`], checks every name, tag and size in them, and follows lists of several pages on the same server.

use std::collections::BTreeSet;

use anyhow::anyhow;
use reqwest::{
    Method,
    header::{HeaderMap, LINK},
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    client::{Client, Failure, Remote, add, is_tag, text},
    datasets::is_inside,
    files::is_plain,
    id::is_commit,
};

/// Most bytes of a list of files; larger ones are refused.
const LARGEST_LIST: usize = 64 << 20;
/// Most pages of a list of files; the Hub puts a thousand files on each.
const MOST_PAGES: usize = 2_000;

/// A revision's files.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) names: Vec<String>,
}

/// An entry of a list of files.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Large>,
}

/// What the list says of a large file.
#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl Client<'_> {
    /// The commit of a revision, and its files.
    pub(super) async fn listing(&self, revision: &str) -> Result<Listing, Failure> {
        let url = self.api(["revision", revision]);
        let (text, _) = self.retried(async || self.text(&url).await).await?;
        let wrong = |got: &str| self.wrong("a commit and its files", got);
        let json: Value =
            serde_json::from_slice(&text).map_err(|_| wrong("an answer that is not JSON"))?;
        let commit = json["sha"].as_str().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| wrong("no commit"))?.to_owned();
        if is_commit(revision) && revision != commit {
            return Err(wrong("another commit"));
        }
        let siblings = json["siblings"]
            .as_array()
            .ok_or_else(|| wrong("no files"))?;
        let names = siblings
            .iter()
            .filter_map(|file| file["rfilename"].as_str());
        // Files with unsafe names are ignored.
        let names = names
            .filter(|name| is_plain(name))
            .map(str::to_owned)
            .collect();
        Ok(Listing { commit, names })
    }

    /// The commit of a revision.
    pub(super) async fn commit(&self, revision: &str) -> Result<String, Failure> {
        match is_commit(revision) {
            true => Ok(revision.to_owned()),
            false => Ok(self.listing(revision).await?.commit),
        }
    }

    /// All files in a folder of a commit and below it.
    pub(super) async fn tree(&self, commit: &str, folder: &str) -> Result<Vec<Remote>, Failure> {
        let parts = ["tree", commit].into_iter().chain(folder.split('/'));
        let mut url = self.api(parts.filter(|part| !part.is_empty()));
        url.set_query(Some("recursive=true"));
        let (mut files, mut seen) = (Vec::new(), BTreeSet::from([url.clone()]));
        for _ in 0..MOST_PAGES {
            let (text, headers) = self.retried(async || self.text(&url).await).await?;
            let page: Vec<Entry> = serde_json::from_slice(&text)
                .map_err(|error| self.wrong("a list of files", &error.to_string()))?;
            for entry in page.into_iter().filter(|entry| entry.kind == "file") {
                files.push(self.listed(entry, folder)?);
            }
            let Some(next) = next_page(&headers) else {
                return Ok(files);
            };
            let next = url
                .join(&next)
                .ok()
                .filter(|next| next.origin() == self.endpoint.origin());
            url = next.ok_or_else(|| self.wrong("a next page of the same server", "another"))?;
            if !seen.insert(url.clone()) {
                return Err(self.wrong("another next page", "one that was there before"));
            }
        }
        Err(self.wrong(&format!("a list of at most {MOST_PAGES} pages"), "more"))
    }

    /// A file of a list.
    fn listed(&self, entry: Entry, folder: &str) -> Result<Remote, Failure> {
        let (etag, bytes) = match entry.lfs {
            Some(large) => (large.oid, large.size),
            None => (entry.oid, entry.size),
        };
        let is_below = folder.is_empty()
            || entry
                .path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with('/'));
        if !is_below || !is_inside(&entry.path) {
            let got = self.clean(&format!("{:?}", entry.path));
            return Err(self.wrong("paths of files in the folder", &got));
        }
        if !is_tag(&etag) {
            let got = self.clean(&format!("{etag:?}"));
            return Err(self.wrong("a tag (oid) of letters and digits", &got));
        }
        Ok(Remote {
            name: entry.path,
            etag,
            bytes,
        })
    }

    /// An address below `/api/models/org/name`, or `/api/datasets/org/name`.
    fn api<'b>(&self, parts: impl IntoIterator<Item = &'b str>) -> Url {
        let mut url = self.endpoint.clone();
        add(&mut url, ["api", self.id.kind.prefix().unwrap_or("models")]);
        add(&mut url, self.id.name.split('/'));
        add(&mut url, parts);
        url
    }

    /// The body of an answer, and its headers.
    async fn text(&self, url: &Url) -> Result<(Vec<u8>, HeaderMap), Failure> {
        let (mut response, _) = self.send(Method::GET, url, 0, true).await?;
        let mut text = Vec::new();
        while let Some(part) = self
            .chunk(&mut response, &self.shown(), &self.host())
            .await?
        {
            if text.len() + part.len() > LARGEST_LIST {
                let error = anyhow!(
                    "{}: expected a list of files, got more than {LARGEST_LIST} bytes",
                    self.shown()
                );
                return Err(error.into());
            }
            text.extend_from_slice(&part);
        }
        Ok((text, response.headers().clone()))
    }
}

/// The address of the next page of a list (RFC 8288).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = text(headers, LINK.as_str())?;
    let mut links = links.split(',').filter_map(|link| link.split_once('>'));
    let (next, _) = links.find(|(_, about)| about.contains("rel=\"next\""))?;
    Some(next.trim_start().strip_prefix('<')?.to_owned())
}
