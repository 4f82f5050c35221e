//! `doctor`: shows what would be used, and why. Installs nothing.

use std::path::Path;

use rho_reference::{
    ReferenceError, device::probe_cuda, head::kernel::Instructions, matmul::Multiplier,
};
use rho_runtime::{LibraryOptions, PINNED_VERSION, REQUIRED_VERSION};

use super::Outcome;
use crate::{
    cli::DoctorArgs, hint, hinted_error, plan, program, terminal, terminal_text::safe, threads,
};

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<Outcome> {
    let mut options = LibraryOptions::from_environment();
    options.path = args.ort_lib.clone();
    let say = |name: &str, text: &str| terminal::data(&format!("{name:<12}{}", safe(text)));
    say("rho-mask", &program::named())?;
    let cores = threads::cores();
    say(
        "processor",
        &format!("{cores} cores, head kernel: {:?}", Instructions::detect()).to_lowercase(),
    )?;
    let multipliers = Multiplier::available().into_iter();
    let best = multipliers.fold(Vec::<Multiplier>::new(), |mut best, next| {
        if best.iter().all(|m| m.precision() != next.precision()) {
            best.push(next);
        }
        best
    });
    let kernels = best.iter().map(|m| format!("{m:?}").to_lowercase());
    say("below f32", &kernels.collect::<Vec<_>>().join(", "))?;
    say("cache", &shown(&options.cache))?;
    say(
        "downloads",
        if options.offline {
            "off (RHO_MASK_OFFLINE)"
        } else {
            "allowed"
        },
    )?;

    let mut asked = Outcome::Done;
    if let (Some(model), Some(tokenizer)) = (&args.model, &args.tokenizer) {
        terminal::data("\nthe server:")?;
        match plan::ask_server(model, tokenizer, args.server) {
            Ok(facts) => {
                for (name, fact) in facts {
                    say(name, &fact)?;
                }
            }
            Err(error) => {
                say("refused", &hinted_error::chain(&error))?;
                say("", &hint::of(&error).unwrap_or_default())?;
                asked = Outcome::Incomplete;
            }
        }
    }

    // The same order as `score --device auto`: a library with CUDA comes first.
    options.cuda = true;
    let (mut looked, mut found) = rho_runtime::find(&options);
    if found.is_err() {
        options.cuda = false;
        (looked, found) = rho_runtime::find(&options);
    }
    terminal::data("\nONNX Runtime, in the order of the search:")?;
    for place in &looked {
        terminal::data(&format!("  {}", safe(&place.to_string())))?;
    }
    let library = match found {
        Ok(library) => library,
        Err(error) => {
            let error = anyhow::Error::from(error);
            terminal::data("")?;
            say("use", &format!("none: {}", hinted_error::chain(&error)))?;
            say(
                "",
                &format!("`rho-mask setup` installs {PINNED_VERSION}; `score` does so by itself"),
            )?;
            return Ok(Outcome::Incomplete);
        }
    };
    terminal::data("")?;
    say("use", &shown(&library.path))?;
    say(
        "version",
        &format!("{} (needed: {REQUIRED_VERSION})", library.version),
    )?;
    say("from", &library.origin.to_string())?;
    if let Some(overwritten) = rho_runtime::overwritten(&library) {
        say("not CUDA's", &overwritten.to_string())?;
        say("", &hint::runtime(&overwritten).unwrap_or_default())?;
    }
    if let Err(error) = rho_runtime::verify(&library) {
        say("damaged", &hinted_error::chain(&error.into()))?;
        return Ok(Outcome::Incomplete);
    }
    let environment = rho_runtime::load(&library)?;
    for preloaded in rho_runtime::preloaded() {
        say("preloaded", &format!("{preloaded:?}"))?;
    }
    let cuda = rho_runtime::has_cuda_provider(&environment)?;
    say("providers", if cuda { "CUDA, CPU" } else { "CPU" })?;
    match probe_cuda(&environment, 0) {
        Ok(()) => say("device", "cuda:0 (computed a matmul there)")?,
        Err(ReferenceError::NoCuda { reason, source, .. }) => {
            let words = source.map_or(String::new(), |source| format!(" ({source})"));
            say("device", &format!("cpu; not CUDA: {reason}{words}"))?;
        }
        Err(error) => say(
            "device",
            &format!("cpu; not CUDA: {}", hinted_error::chain(&error.into())),
        )?,
    }
    Ok(asked)
}

fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        "none: no home directory in the environment".to_owned()
    } else {
        path.display().to_string()
    }
}
