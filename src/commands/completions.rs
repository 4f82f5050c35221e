//! `completions` and `man`: what shells and `man` show about the command line, made from its definition.

use std::fs;

use anyhow::Context as _;

use super::Outcome;
use crate::{
    cli::{self, CompletionsArgs, ManArgs},
    files::write_atomic_shared,
    terminal,
};

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "rho-mask", &mut script);
    let script = String::from_utf8(script).context("the script is not UTF-8")?;
    terminal::data_exact(&script)?;
    Ok(Outcome::Done)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Outcome> {
    let folder = &args.out;
    fs::create_dir_all(folder)
        .with_context(|| format!("--out {}: cannot be created", folder.display()))?;
    let mut command = cli::command();
    command.build();
    let inner = command.get_subcommands();
    let inner = inner.filter(|inner| !inner.is_hide_set() && inner.get_name() != "help");
    let mut count = 0;
    for command in std::iter::once(&command).chain(inner) {
        let man = clap_mangen::Man::new(command.clone());
        let mut page = Vec::new();
        man.render(&mut page).context("cannot write a page")?;
        let page = String::from_utf8(page).context("a page is not UTF-8")?;
        write_atomic_shared(&folder.join(man.get_filename()), &page)?;
        count += 1;
    }
    terminal::line(&format!("wrote {count} pages to {}", folder.display()));
    Ok(Outcome::Done)
}
