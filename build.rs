//! Tells the program its commit and target. A build outside of git knows no commit; that is no error.

use std::{
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let given = env::var("RHO_MASK_COMMIT").ok().filter(|c| !c.is_empty());
    let commit = given.or_else(|| of_repository(&root));
    let target = env::var("TARGET").unwrap_or_default();
    writeln!(
        out,
        "cargo:rustc-env=RHO_MASK_COMMIT={}",
        commit.filter(|c| is_commit(c)).unwrap_or_default()
    )?;
    writeln!(out, "cargo:rustc-env=RHO_MASK_TARGET={target}")?;
    writeln!(out, "cargo:rerun-if-env-changed=RHO_MASK_COMMIT")?;
    for path in watched(&root) {
        writeln!(out, "cargo:rerun-if-changed={}", path.display())?;
    }
    Ok(())
}

/// The commit of the repository whose top this package is, with `-dirty` if tracked files differ. A package inside
/// somebody else's repository has no commit of its own.
fn of_repository(root: &Path) -> Option<String> {
    let top = PathBuf::from(git(root, &["rev-parse", "--show-toplevel"])?);
    if fs::canonicalize(top).ok()? != fs::canonicalize(root).ok()? {
        return None;
    }
    let commit = git(root, &["rev-parse", "HEAD"])?;
    // Without locks: a build changes nothing in the repository.
    let status = [
        "--no-optional-locks",
        "status",
        "--porcelain",
        "--untracked-files=no",
    ];
    let changes = git(root, &status)?;
    Some(match changes.is_empty() {
        true => commit,
        false => commit + "-dirty",
    })
}

/// The files that change with the commit, and the sources, which make it dirty.
fn watched(root: &Path) -> Vec<PathBuf> {
    let names = ["HEAD", "logs/HEAD", "index"];
    let of_git = names.iter().filter_map(|name| {
        let path = root.join(git(root, &["rev-parse", "--git-path", name])?);
        path.exists().then_some(path)
    });
    let sources = [
        "build.rs",
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "formats",
        "models",
        "selection",
    ];
    let sources = sources.iter().map(|name| root.join(name));
    of_git.chain(sources).collect()
}

/// What git prints; none if there is no git or it fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Whether it may stand in a line for cargo and in the files that name it.
fn is_commit(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.len() <= 80 && text.chars().all(known)
}
