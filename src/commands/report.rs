//! `report`: what masks look like, in one HTML file.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;

use super::Outcome;
use crate::{
    cli::ReportArgs,
    hint::Advised,
    report::masks::{Request, report},
    terminal,
};

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Outcome> {
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout {
        check(&args.out, args.force)?;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let html = report(&Request {
        masks: &args.masks,
        tokenizer: args.tokenizer.as_deref(),
        mask: args.mask.as_deref(),
        documents: args.documents.into(),
        seed: args.seed,
        threads: args.threads.map_or(cores, usize::from),
    })?;
    if to_stdout {
        terminal::data(html.trim_end());
        return Ok(Outcome::Done);
    }
    // Counting may have taken long enough for somebody else to write there.
    check(&args.out, args.force)?;
    write(&args.out, &html)?;
    let kilobytes = html.len().div_ceil(1000);
    terminal::line(&format!("wrote {} ({kilobytes} kB)", args.out.display()));
    Ok(Outcome::Done)
}

/// Whether the file may be written: looked at before anything is counted.
fn check(out: &Path, force: bool) -> anyhow::Result<()> {
    let shown = out.display();
    if out.is_dir() {
        return Err(Advised::error(
            format!("--out {shown}: expected a file, got a folder"),
            "name a file in it, such as report.html",
        ));
    }
    if !force && out.symlink_metadata().is_ok() {
        return Err(Advised::error(
            format!("--out {shown}: expected a new file, got one that exists"),
            "replace it with --force",
        ));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Advised::error(
            format!(
                "--out {shown}: expected a folder {}, got none",
                folder.display()
            ),
            "make the folder first",
        )),
        _ => Ok(()),
    }
}

/// Writes the file as a whole: nobody sees a part of it, and what was there stays until then.
fn write(out: &Path, html: &str) -> anyhow::Result<()> {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = out.with_file_name(name);
    let written = || -> std::io::Result<()> {
        let mut file = fs::File::create_new(&part)?;
        file.write_all(html.as_bytes())?;
        drop(file);
        fs::rename(&part, out)
    }();
    if written.is_err() {
        // What went wrong is told below; that there is nothing to remove is no news.
        let _ = fs::remove_file(&part);
    }
    written.with_context(|| format!("{}: cannot be written", out.display()))
}
