//! `--version --verbose`: what this program is and which ONNX Runtime it would use.

use rho_runtime::LibraryOptions;

use crate::{hinted_error, program, terminal, terminal_text::safe};

/// Prints it.
///
/// # Errors
///
/// If standard output does not take it.
pub fn version() -> anyhow::Result<()> {
    let say = |name: &str, text: &str| terminal::data(&format!("{name:<14}{}", safe(text)));
    terminal::data(&format!("rho-mask {}", program::VERSION))?;
    say("commit", program::commit().unwrap_or("unknown"))?;
    say("target", program::TARGET)?;
    say(
        "features",
        &match program::features() {
            none if none.is_empty() => "none".to_owned(),
            features => features.join(", "),
        },
    )?;
    let mut options = LibraryOptions::from_environment();
    // The same order as `score --device auto`: a library with CUDA comes first.
    options.cuda = true;
    let mut found = rho_runtime::find(&options).1;
    if found.is_err() {
        options.cuda = false;
        found = rho_runtime::find(&options).1;
    }
    match found {
        Ok(library) => {
            let path = library.path.display();
            say("ONNX Runtime", &format!("{} at {path}", library.version))?;
        }
        Err(error) => say(
            "ONNX Runtime",
            &format!("none: {}", hinted_error::chain_of(&error)),
        )?,
    }
    Ok(())
}
