//! The arguments of `cache`.

use std::time::Duration;

use clap::{Args, Subcommand};

/// What `cache --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  What lies in the cache, how large it is, and when it was used last:
      rho-mask cache list

  Remove what was not used for a month:
      rho-mask cache clean --older-than 30d

  Remove one export, by the start of its name:
      rho-mask cache clean exported/3f9a

Everything in the cache is made again when it is needed: exports from their checkpoints, ONNX Runtime by a download. What
a running process uses is never removed, nor what rho-mask did not write.";

/// Arguments of `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What `cache` does.
#[derive(Debug, Subcommand)]
pub enum CacheAction {
    /// List what lies in the cache, with sizes and the times of the last use.
    List(CacheListArgs),
    /// Remove entries by their names or ages, or all of them.
    Clean(CacheCleanArgs),
}

/// Arguments of `cache list`.
#[derive(Debug, Args)]
pub struct CacheListArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `cache clean`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["names", "older_than", "all"]))]
pub struct CacheCleanArgs {
    /// Entries to remove: names as `cache list` prints them, or starts of names that only one entry has.
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub names: Vec<String>,

    /// Remove entries that were not used for this time: 12h, 30d, 8w. With names: those of them.
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub older_than: Option<Duration>,

    /// Remove all entries.
    #[arg(long, conflicts_with = "older_than")]
    pub all: bool,

    /// Only print what would be removed.
    #[arg(long)]
    pub dry_run: bool,
}

/// A number of hours, days or weeks.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected hours, days or weeks, such as 12h, 30d or 8w, got {text:?}");
    let (number, hours) = match text.char_indices().next_back() {
        Some((end, 'h')) => (&text[..end], 1),
        Some((end, 'd')) => (&text[..end], 24),
        Some((end, 'w')) => (&text[..end], 7 * 24),
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<u32>().ok();
    let seconds = seconds.map(|number| u64::from(number) * hours * 3600);
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(age("12h"), Ok(Duration::from_secs(12 * 3600)));
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("0w"), Ok(Duration::ZERO));
        for wrong in ["", "d", "30", "-1d", "1.5d", "1m", "99999999999d", "3é"] {
            assert!(age(wrong).is_err(), "{wrong}");
        }
    }
}
