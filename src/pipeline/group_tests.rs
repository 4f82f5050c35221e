//! Tests small shards that share a masks file: interrupted, in ranks, with some of them broken.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rho_formats::{Shard, find_shards, read_masks};

use super::{
    finish::FolderState,
    record::ShardRecord,
    resume_tests::{Fake, assert_same, files, finished, start, visible},
    testing::plan,
};
use crate::{masks::files::Masks, plan::Plan, selections::rule::Scope, stats::gather};

/// 90 small shards, some of them without a row, in folders; two that break off, and a large one among them.
fn corpus(folder: &Path) -> Vec<Shard> {
    let mut state = 2404_07965u64;
    let mut random = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for shard in 0..90 {
        let mut lines = String::new();
        for row in 0..random(5) {
            let length = match random(8) {
                0 => random(2),
                1 => 100 + random(150),
                _ => random(40),
            };
            let ids: Vec<u64> = (0..length).map(|_| 20 + random(4000)).collect();
            lines += &match random(9) {
                0 => "no json\n".to_owned(),
                1 => "\n".to_owned(),
                2 => format!("{{\"ids\":[7,{row},13]}}\n"),
                _ => format!("{{\"ids\":{ids:?}}}\n"),
            };
        }
        write(
            &folder.join(format!("{}/{shard:02}.jsonl", shard / 20)),
            lines,
        );
    }
    let large = "{\"ids\":[1,2,3],\"more\":\"".to_owned() + &"x".repeat(70_000) + "\"}\n";
    write(&folder.join("2/44b.jsonl"), large);
    for (name, rows) in [("0/07", 40), ("4/89", 3)] {
        fs::remove_file(folder.join(format!("{name}.jsonl"))).unwrap();
        let rows: String = (0..rows)
            .map(|row| format!("{{\"ids\":[1,{row},3]}}\n"))
            .collect();
        let whole = zstd::encode_all(rows.as_bytes(), 1).unwrap();
        let cut = &whole[..whole.len() - 2];
        write(&folder.join(format!("{name}.jsonl.zst")), cut);
    }
    find_shards(&[folder.to_owned()]).unwrap().shards
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The documents of some mask files by shard, each with its row, id and tokens.
fn documents(out: &Path, names: &[&str]) -> BTreeMap<String, Vec<(i64, String, Vec<u32>)>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for name in names {
        let mut masks = read_masks(out.join(name)).unwrap();
        while let Some(row) = masks.next() {
            let (shard, row) = (masks.shard().to_owned(), row.unwrap());
            let of_shard = found.entry(shard).or_default();
            of_shard.push((row.row, row.id, row.input_ids));
        }
    }
    found
}

/// What a shard alone would give: read with serde, row by row.
fn expected(shard: &Shard) -> Vec<(i64, String, Vec<u32>)> {
    let bytes = fs::read(&shard.path).unwrap();
    let text = match shard.name.ends_with("zst") {
        true => {
            let mut text = Vec::new();
            let mut stream = zstd::Decoder::new(&bytes[..]).unwrap();
            let _ = std::io::copy(&mut stream, &mut text);
            String::from_utf8(text).unwrap()
        }
        false => String::from_utf8(bytes).unwrap(),
    };
    let mut documents = Vec::new();
    for (row, line) in (0..).zip(text.lines()) {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else {
            continue;
        };
        let ids: Vec<u32> = serde_json::from_value(line["ids"].clone()).unwrap();
        // The fake has no score for 13.
        if !ids.contains(&13) {
            documents.push((row, format!("{}#{row}", shard.name), ids));
        }
    }
    documents
}

const GROUPS: [&str; 3] = [
    "0/00.jsonl.45-files.arrow",
    "2/44b.jsonl.arrow",
    "2/45.jsonl.45-files.arrow",
];

#[test]
fn documents_keep_their_shards_and_a_broken_one_is_alone() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    assert_eq!(shards.len(), 91);
    let plan = plan(&place.path().join("masks"), &shards);
    let mut fake = Fake::default();
    let totals = start(&plan, &shards, &mut fake).unwrap().totals;
    assert_eq!((totals.shards, totals.broken_shards), (91, 2));
    let masks: Vec<String> = visible(&plan.out)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let masks: Vec<&str> = masks.iter().map(String::as_str).collect();
    let masks: Vec<&str> = masks.into_iter().filter(|n| n.ends_with("arrow")).collect();
    assert_eq!(masks, GROUPS);
    let got = documents(&plan.out, &GROUPS);
    for shard in &shards {
        let expected = expected(shard);
        let got = got.get(&shard.name).cloned().unwrap_or_default();
        assert_eq!(got, expected, "{}", shard.name);
    }
    let rejected = fs::read_to_string(plan.out.join("rejected.jsonl")).unwrap();
    let early: Vec<&str> = rejected
        .lines()
        .filter(|l| l.contains("ends early"))
        .collect();
    assert_eq!(early.len(), 2, "{rejected}");
    assert!(early[0].contains("\"0/07.jsonl.zst\"") && early[1].contains("\"4/89.jsonl.zst\""));

    // Tried again with the same result; mended, as a new run.
    let before = files(&plan.out);
    let totals = start(&plan, &shards, &mut Fake::default()).unwrap().totals;
    assert_eq!((totals.shards, totals.broken_shards), (91, 2));
    assert_same(&files(&plan.out), &before, "tried again");
    for (name, rows) in [("0/07", 40), ("4/89", 3)] {
        let rows: String = (0..rows)
            .map(|row| format!("{{\"ids\":[1,{row},3]}}\n"))
            .collect();
        let whole = zstd::encode_all(rows.as_bytes(), 1).unwrap();
        write(
            &place.path().join(format!("corpus/{name}.jsonl.zst")),
            whole,
        );
    }
    let totals = start(&plan, &shards, &mut Fake::default()).unwrap().totals;
    assert_eq!((totals.shards, totals.broken_shards), (91, 0));
    let anew = Plan {
        out: place.path().join("anew"),
        ..plan.clone()
    };
    finished(&anew, &shards);
    assert_same(&visible(&plan.out), &visible(&anew.out), "mended");
    let mut fake = Fake::default();
    start(&plan, &shards, &mut fake).unwrap();
    assert_eq!(fake.batches, 0);
}

#[test]
fn stopped_anywhere_in_a_group_comes_to_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    for (name, scope, shard_bytes) in [
        ("batch", Scope::Batch(700), 1 << 30),
        ("document", Scope::Document, 1 << 30),
        ("split", Scope::Batch(2000), 12_000),
    ] {
        let with = |out: String| Plan {
            scope,
            shard_bytes,
            ..plan(&place.path().join(out), &shards)
        };
        let (expected, batches) = finished(&with(format!("{name}-whole")), &shards);
        assert!(batches > 40, "{batches}");
        let split = expected
            .iter()
            .any(|(n, _)| n == "0/00.jsonl.45-files.00001.arrow");
        assert_eq!(split, name == "split");
        for at in [1, 2, 3, 5, 8, 13, 21, 34] {
            let plan = with(format!("{name}-{at}"));
            for more in 0.. {
                assert!(more < 200, "no end at {at}");
                // A run that never completes a block makes no progress, so each run goes a little further.
                let mut fake = Fake {
                    stop_after: Some(at + more),
                    ..Fake::default()
                };
                start(&plan, &shards, &mut fake).unwrap();
                if !fake.stop.requested() {
                    break;
                }
            }
            // Broken shards were tried again by the last run; nothing differs.
            assert_same(&files(&plan.out), &expected, &format!("{name}, {at}"));
        }
    }
}

#[test]
fn ranks_share_whole_groups() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let whole = plan(&place.path().join("one"), &shards);
    finished(&whole, &shards);
    let expected = visible(&whole.out);
    for world_size in [2, 5] {
        let out = place.path().join(world_size.to_string());
        for rank in (0..world_size).rev() {
            let ranked = Plan {
                rank,
                world_size,
                ..plan(&out, &shards)
            };
            start(&ranked, &shards, &mut Fake::default()).unwrap();
        }
        assert_same(&visible(&out), &expected, "ranks");
    }
}

#[test]
fn what_is_missing_is_told_shard_by_shard() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let plan = plan(&place.path().join("masks"), &shards);
    let mut fake = Fake {
        stop_after: Some(24),
        ..Fake::default()
    };
    start(&plan, &shards, &mut fake).unwrap();
    let masks = Masks::open(&plan.out).unwrap();
    assert!(masks.missing.len() > 60, "{:?}", masks.missing);
    assert!(
        masks
            .missing
            .contains(&"4/88.jsonl (not started)".to_owned())
    );
    let counted = gather(&masks, 3).unwrap().total.documents;
    assert!(counted > 0);
    // One of the other shards of its group changed.
    let path = place.path().join("corpus/1/30.jsonl");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [&bytes[..], b"{}\n"].concat()).unwrap();
    let error = start(&plan, &shards, &mut Fake::default()).unwrap_err();
    let said = format!("{}: expected the file that the masks", path.display());
    assert!(error.to_string().starts_with(&said), "{error}");
    // The recorded groups stay, whatever the sizes are now.
    fs::write(&path, &bytes).unwrap();
    let folder = rho_formats::MasksFolder::existing(&plan.out);
    let before = FolderState::look(&folder).unwrap().unwrap();
    let names = |state: &FolderState| -> Vec<String> {
        state.records().map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(names(&before)[0], "0/00.jsonl.45-files");
}

#[test]
fn a_record_of_other_shards_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let shards = corpus(&place.path().join("corpus"));
    let plan = plan(&place.path().join("masks"), &shards);
    finished(&plan, &shards);
    let path: PathBuf = plan.out.join(".rho-mask/shards/0/00.jsonl.45-files.json");
    let mut record: ShardRecord = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(record.inputs().count(), 45);
    record.other_inputs.pop();
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    let error = start(&plan, &shards, &mut Fake::default()).unwrap_err();
    assert!(
        error.to_string().contains("of 45 shards, got one of 44"),
        "{error}"
    );
}
