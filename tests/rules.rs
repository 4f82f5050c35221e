//! Every rule while scoring gives the masks that `select` gives by the same rule.

use std::fs;

use crate::references::Workspace;
use crate::support::{Ended, Run, files};

#[test]
fn every_rule_gives_the_files_of_select() {
    let place = Workspace::new(&["ref", "base"]);
    let rules: [&[&str]; 12] = [
        &["--by", "intersection", "--keep", "0.5"],
        &[
            "--by",
            "union",
            "--keep-loss",
            "0.3",
            "--keep-entropy",
            "0.4",
        ],
        &["--by", "loss", "--keep", "0.6"],
        &["--by", "entropy"],
        &["--by", "excess", "--keep", "0.6"],
        &["--by", "random", "--keep", "0.6", "--seed", "5"],
        &["--by", "threshold", "--below", "7.5"],
        &[
            "--by",
            "threshold",
            "--above",
            "0",
            "--below",
            "1",
            "--score",
            "excess",
        ],
        &[
            "--by",
            "band",
            "--drop-easiest",
            "10%",
            "--drop-hardest",
            "20%",
        ],
        &["--by", "loss", "--weights", "rank"],
        &[
            "--by",
            "excess",
            "--weights",
            "sigmoid",
            "--temperature",
            "0.5",
        ],
        &[
            "--by",
            "excess",
            "--weights",
            "clipped",
            "--min-weight",
            "0.1",
        ],
    ];
    // Scopes of 2,000 tokens end inside record batches and files.
    let scopes: [&[&str]; 2] = [&["--batch", "2000"], &["--scope", "document"]];
    for (i, rule) in rules.iter().enumerate() {
        let scopeless = rule.contains(&"threshold") || rule.contains(&"--temperature");
        let scopeless = scopeless || rule.contains(&"clipped");
        let scope = if scopeless { &[][..] } else { scopes[i % 2] };
        let stored: &[&str] = match i % 3 {
            0 => &["--score-dtype", "float16", "--keep-text"],
            1 => &["--compression", "zstd", "--shard-size", "30kB"],
            _ => &[],
        };
        let (scored, again) = (format!("scored-{i}"), format!("again-{i}"));
        let of = |ended: &Ended| -> Vec<String> {
            let kept = ended.stderr.lines().filter(|line| line.contains("  by "));
            kept.map(str::to_owned).collect()
        };
        let ended = place
            .score(&scored, &[("model", "ref"), ("base", "base")])
            .args(rule)
            .args(scope)
            .args(stored)
            .ends_with(0);
        let selected = Run::new(&["select"])
            .arg(place.at(&scored))
            .arg("--out")
            .arg(place.at(&again))
            .args(rule)
            .args(scope)
            .ends_with(0);
        assert_eq!(of(&ended), of(&selected), "{rule:?}");
        assert!(!of(&ended).is_empty(), "{}", ended.stderr);
        let (old, new) = (place.summary(&scored), place.summary(&again));
        for field in ["kept", "weights", "documents", "tokens"] {
            assert_eq!(old[field], new[field], "{rule:?} {field}");
        }
        let names = files(&place.at(&scored));
        assert_eq!(names, files(&place.at(&again)), "{rule:?}");
        for name in names.iter().filter(|name| name.ends_with(".arrow")) {
            let read = |out: &str| fs::read(place.at(out).join(name)).unwrap();
            assert!(read(&scored) == read(&again), "{rule:?} {name}");
        }
    }
}
