//! `setup`: installs ONNX Runtime and reports what it did.

use rho_runtime::{LibraryOptions, install};

use super::Outcome;
use crate::{cli::SetupArgs, plan, terminal};

pub(super) fn run(args: &SetupArgs) -> anyhow::Result<Outcome> {
    let library = install(
        &LibraryOptions::from_environment(),
        args.cuda,
        &mut plan::say,
    )?;
    terminal::data(&format!(
        "ONNX Runtime {} at {}",
        library.version,
        library.path.display()
    ))?;
    Ok(Outcome::Done)
}
