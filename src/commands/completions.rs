//! `completions` and `man`: what shells and `man` show about the command line, made from its definition.

use std::fs;

use anyhow::Context as _;
use clap_complete::Shell;

use super::Outcome;
use crate::{
    cli::{self, CompletionsArgs, ManArgs},
    files::write_atomic_shared,
    terminal,
};

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    terminal::data_exact(&script(args.shell)?)?;
    Ok(Outcome::Done)
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let generated = |name: &str| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut cli::command(), name, &mut script);
        String::from_utf8(script).context("the script is not UTF-8")
    };
    if shell != Shell::Bash {
        return generated("rho-mask");
    }
    // In the functions of a program with a hyphen, clap_complete 4.6 does not find the options of commands: write them
    // for a name without one, and register them for the program.
    let script = generated("rho_mask")?;
    Ok(script.replace("default rho_mask\n", "default rho-mask\n"))
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
