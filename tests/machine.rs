//! The machine under a run: memory that does not grow with the corpus, full or read-only disks, folders that vanish.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{
    Ended, Random, Run, beside, random_tokens, rows, skipped,
    tiny::{tiny, tiny_of},
    token_lines, write,
};

/// A corpus of this many shards with 1.3 million tokens each: more than one scope.
fn corpus(folder: &Path, shards: usize) -> PathBuf {
    let mut random = Random(11);
    let mut document = || -> String {
        let word = |_| ["some ", "many ", "apples, ", "plums. "][random.next() as usize % 4];
        let text: String = (0..2000).map(word).collect();
        format!("{}\n", serde_json::json!({"text": text}))
    };
    let lines: String = (0..300).map(|_| document()).collect();
    for shard in 0..shards {
        write(&folder.join(format!("{shard:02}.jsonl")), &lines);
    }
    folder.to_owned()
}

/// Runs, and returns the peak memory in kilobytes.
#[cfg(target_os = "linux")]
fn peak(mut run: Run) -> u64 {
    let quiet = run.0.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        // The kernel's peak so far: only the last moment can be missed.
        let status = fs::read_to_string(&status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        if let Some(line) = line {
            let number = line.trim().trim_end_matches(" kB");
            peak = peak.max(number.parse().unwrap());
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return peak;
        }
        sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
#[track_caller]
fn is_flat(place: &Path, once: &Path, more: &Path) {
    let model = tiny(&place.join("model"));
    let more_corpus = more;
    // How full the queues get depends on the other work of the machine: the smaller corpus has two tries.
    let runs = [(once, "masks-0"), (once, "masks-1"), (more, "masks-2")];
    let [first, second, more] = runs.map(|(corpus, out)| {
        let run = Run::score(corpus, &place.join(out)).arg("--model");
        peak(run.arg(&model).args(&["--progress", "none"]))
    });
    let once = first.max(second);
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("peak of {once} kB once, of {more} kB for more\n").as_bytes(),
    );
    let plan = Run::score(more_corpus, &place.join("masks-3")).arg("--model");
    let plan = plan.arg(&model).args(&["--show-plan"]).ends_with(0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let bound = plan["memory"]["sum"].as_u64().unwrap();
    // Plus the model, the tokenizer and ONNX Runtime.
    assert!(
        more * 1024 < bound + (100 << 20),
        "{more} kB, {bound} bytes"
    );
    assert!(more * 10 <= once * 11, "{once} kB once, {more} kB for more");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_corpus() {
    let place = tempfile::tempdir().unwrap();
    let once = corpus(&place.path().join("once"), 2);
    let more = corpus(&place.path().join("more"), 5);
    is_flat(place.path(), &once, &more);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes a quarter of an hour; run it with --ignored"]
fn memory_does_not_grow_from_one_noisy_corpus_to_ten() {
    let Some(noisy) = beside("data/corpus_noisy.jsonl.zst") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let ten = place.path().join("ten");
    fs::create_dir(&ten).unwrap();
    for copy in 0..10 {
        fs::copy(&noisy, ten.join(format!("{copy}.jsonl.zst"))).unwrap();
    }
    is_flat(place.path(), &noisy, &ten);
}

/// A batch of 4,096 tokens of this vocabulary has logits of 2.4 GB, which are never in memory at once.
#[cfg(target_os = "linux")]
#[test]
fn the_logits_of_a_batch_are_never_in_memory() {
    const VOCABULARY: usize = 151_936;
    let place = tempfile::tempdir().unwrap();
    let model = tiny_of(&place.path().join("model"), VOCABULARY);
    let ids = place.path().join("ids.jsonl");
    let document = |seed| random_tokens(400, VOCABULARY as u32, seed);
    write(
        &ids,
        token_lines(&(1..12).map(document).collect::<Vec<_>>()),
    );
    let run = Run::score_tokens(&ids, &model, &place.path().join("masks"));
    let peak = peak(run.args(&["--batch-tokens", "4096", "--progress", "none"]));
    assert!(peak < 400 << 10, "{peak} kB");
}

/// Runs in a mount namespace of its own, where `mount` mounts a file system at the folder `disk`. `None` if the system
/// does not allow it.
#[cfg(target_os = "linux")]
fn with_disk(place: &Path, options: &str) -> Option<Ended> {
    let disk = place.join("disk");
    fs::create_dir_all(&disk).unwrap();
    let model = tiny(&place.join("model"));
    let inside = Run::score(&corpus(&place.join("once"), 1), &disk.join("masks"))
        .arg("--model")
        .arg(model);
    let mut run = Run(Command::new("unshare"));
    run.0
        .args(["--map-root-user", "--mount", "sh", "-c"])
        .arg(r#"mount -t tmpfs -o "$0" tmpfs "$1" || exit 77; shift; exec "$@""#)
        .args([options, disk.to_str().unwrap()])
        .arg(inside.0.get_program())
        .args(inside.0.get_args())
        .stdin(Stdio::null());
    let can = Command::new("unshare")
        .args([
            "--map-root-user",
            "--mount",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
        ])
        .arg(&disk)
        .output();
    if !can.is_ok_and(|output| output.status.success()) {
        skipped("no file system can be mounted here");
        return None;
    }
    Some(run.end())
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_one_that_may_not_be_written_to() {
    let place = tempfile::tempdir().unwrap();
    let Some(full) = with_disk(place.path(), "size=4m") else {
        return;
    };
    assert_eq!(full.code, Some(2), "{}", full.stderr);
    for words in ["disk/masks", "No space left on device", "make room"] {
        assert!(full.stderr.contains(words), "{}", full.stderr);
    }
    let fixed = with_disk(place.path(), "ro").unwrap();
    assert_eq!(fixed.code, Some(2), "{}", fixed.stderr);
    for words in ["disk/masks", "Read-only file system", "hint: "] {
        assert!(fixed.stderr.contains(words), "{}", fixed.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_without_room() {
    let place = tempfile::tempdir().unwrap();
    let model = tiny(&place.path().join("model"));
    let mut run = Run::score(&corpus(place.path(), 1), Path::new("-")).arg("--model");
    run = run.arg(model);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = run.0.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn a_folder_that_is_taken_away_and_an_input_that_grows() {
    let place = tempfile::tempdir().unwrap();
    let (corpus, model) = (
        corpus(&place.path().join("once"), 3),
        place.path().join("model"),
    );
    tiny(&model);
    let out = place.path().join("masks");
    let score = || Run::score(&corpus, &out).arg("--model").arg(&model);
    let begun = |out: &Path| {
        let record = out.join(".rho-mask/shards/00.jsonl.json");
        while !fs::read_to_string(&record).is_ok_and(|text| text.contains("\"hash\"")) {
            sleep(Duration::from_millis(2));
        }
    };

    let mut run = score();
    let quiet = run.0.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = quiet.spawn().unwrap();
    begun(&out);
    fs::rename(&out, place.path().join("elsewhere")).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("masks"), "{said}");

    // The finished part is still valid: moved back, the run is resumed.
    fs::rename(place.path().join("elsewhere"), &out).unwrap();
    let mut run = score();
    let quiet = run.0.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = quiet.spawn().unwrap();
    let last = corpus.join("02.jsonl");
    let record = out.join(".rho-mask/shards/02.jsonl.json");
    while !record.exists() {
        sleep(Duration::from_millis(2));
    }
    let more = fs::read_to_string(&last).unwrap() + "{\"text\": \"one more\"}\n";
    write(&last, more);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(
        said.contains("the file changed while it was read"),
        "{said}"
    );
    score().ends_with(0);
    assert_eq!(rows(&out, "02.jsonl").len(), 301);
}
