//! `export`: a checkpoint to an ONNX reference.

use rho_graph::ExportOptions;

use super::Outcome;
use crate::{
    checkpoint,
    cli::ExportArgs,
    hub::{self, Need},
    stop::Stop,
    terminal,
};

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let options = ExportOptions {
        dtype: args.dtype.into(),
        head: args.head.into(),
        portable: args.portable,
        ..ExportOptions::default()
    };
    let checkpoint = hub::resolve(&args.checkpoint, Need::Model)?;
    let stop = Stop::at_signals()?;
    let summary = checkpoint::export(&checkpoint, &args.ignore_setting, &args.out, options, &stop)?;
    terminal::summary(&format!("wrote {}", args.out.display()), &summary);
    Ok(Outcome::Done)
}
