//! A terminal for the program, and what a terminal would obey.

use std::process::Command;

use super::{Ended, Run};

/// Runs with standard output and standard error on one terminal; what it says there is in `stdout`.
pub(crate) fn on_a_terminal(run: &Run) -> Ended {
    const SPAWN: &str =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut python = Command::new("python3");
    python.args(["-I", "-c", SPAWN]).arg(run.0.get_program());
    python.args(run.0.get_args()).env("TERM", "xterm");
    for (name, value) in run.0.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(folder) = run.0.get_current_dir() {
        python.current_dir(folder);
    }
    python.stdin(std::process::Stdio::null());
    let mut ended = Run(python).end();
    ended.stdout = ended.stdout.replace("\r\n", "\n");
    ended
}

/// Text that a terminal obeys: clears the screen, sets its title, makes a link, turns the text around, goes to the start
/// of the line; each as a sequence of ASCII or as one character.
pub(crate) const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}\u{1b}]8;;http://x\u{1b}\\b\u{9b}3J\u{9d}0;t\u{9c}\u{202e}\u{2066}\u{e0041}\u{7f}\rc";

/// Whether a terminal would do more with a character than to show it. An independent list: general categories Cc and
/// Cf of Unicode, and the line and paragraph separators; but for tabs, line ends and joiners.
pub(crate) fn is_obeyed(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// Checks that a terminal would only show a text.
#[track_caller]
pub(crate) fn is_only_shown(what: &str, text: &str) {
    if let Some(at) = text.find(is_obeyed) {
        let around: String = text[at..].chars().take(60).collect();
        panic!("{what}: a terminal obeys {around:?} in {text:?}");
    }
}
