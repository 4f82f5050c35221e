//! `export`: a checkpoint to an ONNX reference.

use rho_graph::{ExportError, ExportOptions};

use super::Outcome;
use crate::{checkpoint, cli::ExportArgs, stop::Stop, terminal};

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let options = ExportOptions {
        dtype: args.dtype.into(),
        head: args.head.into(),
        portable: args.portable,
        ..ExportOptions::default()
    };
    let stop = Stop::at_signals()?;
    match checkpoint::export(&args.checkpoint, &args.out, options, &stop) {
        Ok(summary) => {
            terminal::line(&format!("wrote {}\n{summary}", args.out.display()));
            Ok(Outcome::Done)
        }
        Err(error @ ExportError::Stopped { .. }) => {
            terminal::line(&error.to_string());
            Ok(Outcome::Interrupted)
        }
        Err(error) => Err(error.into()),
    }
}
