//! `report`: masks, training runs, token dynamics or the results of an experiment, in one HTML file.

use std::path::Path;

use super::Outcome;
use crate::{
    cli::ReportArgs,
    files::write_atomic_shared,
    hinted_error::HintedError,
    masks::{files::Masks, kind::is_dynamics},
    report::{
        dynamics, experiment,
        masks::{Request, report},
        training,
    },
    terminal, threads,
};

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Outcome> {
    let to_stdout = args.out.as_os_str() == "-";
    if !to_stdout {
        check(&args.out, args.force)?;
    }
    let html = html(args)?;
    if to_stdout {
        terminal::data_exact(&html)?;
        return Ok(Outcome::Done);
    }
    // Another process may have written there in the meantime.
    check(&args.out, args.force)?;
    write_atomic_shared(&args.out, &html)?;
    let kilobytes = html.len().div_ceil(1000);
    terminal::line(&format!("wrote {} ({kilobytes} kB)", args.out.display()));
    Ok(Outcome::Done)
}

/// The page: of training runs, dynamics, an experiment or masks, by what the paths contain.
fn html(args: &ReportArgs) -> anyhow::Result<String> {
    let runs = args.paths.iter().filter(|path| training::is_run(path));
    if runs.count() == args.paths.len() {
        no_masks_options(args, "a training run")?;
        return training::report(&args.paths);
    }
    if args.paths.iter().any(|path| is_dynamics(path)) {
        return of_dynamics(args);
    }
    if let [path] = args.paths.as_slice()
        && experiment::is_experiment(path)
    {
        no_masks_options(args, "the results of an experiment")?;
        return experiment::report(path);
    }
    for path in args.paths.iter().filter(|path| !training::is_run(path)) {
        must_be_masks(path)?;
    }
    let [masks] = args.paths.as_slice() else {
        return Err(HintedError::error(
            "expected one masks folder or only training runs, got several paths that include masks",
            "name one masks folder, or training runs that `rho-mask train` wrote",
        ));
    };
    let threads = threads::count(args.threads)?;
    report(&Request {
        masks,
        tokenizer: args.tokenizer.as_deref(),
        mask: args.mask.as_deref(),
        documents: args.documents.unwrap_or(20).into(),
        seed: args.seed.unwrap_or(0),
        threads,
    })
}

/// The page of a folder that `dynamics` wrote.
fn of_dynamics(args: &ReportArgs) -> anyhow::Result<String> {
    let [folder] = args.paths.as_slice() else {
        return Err(HintedError::error(
            format!(
                "expected one folder of dynamics, got {} paths",
                args.paths.len()
            ),
            "name one: each run has its own page",
        ));
    };
    let given = [
        ("--mask", args.mask.is_some()),
        ("--threads", args.threads.threads.is_some()),
    ];
    refuse(&given, "the dynamics of tokens")?;
    dynamics::report(&dynamics::Request {
        folder,
        tokenizer: args.tokenizer.as_deref(),
        documents: args.documents.unwrap_or(20).into(),
        seed: args.seed.unwrap_or(0),
    })
}

/// Refuses options that apply only to masks.
fn no_masks_options(args: &ReportArgs, got: &str) -> anyhow::Result<()> {
    let given = [
        ("--mask", args.mask.is_some()),
        ("--documents", args.documents.is_some()),
        ("--seed", args.seed.is_some()),
        ("--tokenizer", args.tokenizer.is_some()),
        ("--threads", args.threads.threads.is_some()),
    ];
    refuse(&given, got)
}

fn refuse(options: &[(&str, bool)], got: &str) -> anyhow::Result<()> {
    match options.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(HintedError::error(
            format!("{option}: expected masks to report, got {got}"),
            format!("omit {option}"),
        )),
    }
}

/// Refuses a path without masks; unfinished masks of `score` are accepted.
fn must_be_masks(path: &Path) -> anyhow::Result<()> {
    let begun = path.join("state.json").exists() || path.join(".rho-mask").exists();
    if begun || path.is_file() || Masks::open(path).is_ok() {
        return Ok(());
    }
    let got = if path.exists() { "neither" } else { "nothing" };
    Err(HintedError::error(
        format!(
            "{}: expected masks (.arrow files), a training run (metrics.jsonl), token dynamics or an experiment \
             (results.json), got {got}",
            path.display()
        ),
        "name a folder that `rho-mask score`, `select`, `train`, `dynamics` or `experiment` writes",
    ))
}

/// Checks that the file may be written. Runs before the report is computed.
fn check(out: &Path, force: bool) -> anyhow::Result<()> {
    let shown = out.display();
    if out.is_dir() {
        return Err(HintedError::error(
            format!("--out {shown}: expected a file, got a folder"),
            "name a file in it, such as report.html",
        ));
    }
    if !force && out.symlink_metadata().is_ok() {
        return Err(HintedError::error(
            format!("--out {shown}: expected a new file, got one that exists"),
            "replace it with --force",
        ));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(HintedError::error(
            format!(
                "--out {shown}: expected a folder {}, got none",
                folder.display()
            ),
            "create the folder first",
        )),
        _ => Ok(()),
    }
}
