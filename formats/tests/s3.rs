//! Corpora in an object store: an S3-compatible server on loopback.

use std::fs;
use std::process::Command;

use rho_formats::{Compression, ReadOptions, find_shards};

use crate::support::bucket::Bucket;
use crate::support::python::python;
use crate::support::{compress, read_all};

const CHILD: &str = "RHO_FORMATS_TEST_READS_S3";

/// Not a test of its own: the next one runs it as a child process, because the environment names the store.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let names = |url: &str| {
        let found = find_shards(&[url.into()]).unwrap();
        assert!(found.ignored.len() <= 1, "{:?}", found.ignored);
        let shards = found.shards.into_iter();
        shards.map(|shard| shard.name).collect::<Vec<_>>()
    };
    let all = ["a b/1+é.jsonl", "a b/2.jsonl.gz", "a b/3.parquet", "z.txt"];
    let found = find_shards(&["s3://corpus".into()]).unwrap();
    assert_eq!(
        found.passed_over.to_string(),
        "1 folder that rho-mask wrote (/s3/corpus/masks), 2 names that start with . or _ (such as \
         /s3/corpus/.hidden), 2 descriptions \
         and cached results of the datasets library (such as /s3/corpus/set/cache-0a1b.arrow)"
    );
    assert_eq!(names("s3://corpus"), all);
    assert_eq!(names("s3://corpus/"), all);
    assert_eq!(
        names("s3://corpus/a%20b/"),
        ["1+é.jsonl", "2.jsonl.gz", "3.parquet"]
    );
    assert_eq!(
        names("s3://corpus/a%20b"),
        ["1+é.jsonl", "2.jsonl.gz", "3.parquet"]
    );
    assert_eq!(names("s3://corpus/z.txt"), ["z.txt"]);
    for gone in ["s3://corpus/gone/", "s3://corpus/gone", "s3://nothing/"] {
        assert!(find_shards(&[gone.into()]).is_err(), "{gone}");
    }
    let expected = [(0, Ok("one")), (1, Ok("two"))];
    for shard in find_shards(&["s3://corpus/a%20b/".into()]).unwrap().shards {
        let outcome = read_all(&shard, &ReadOptions::default());
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(outcome.told(), expected, "{}", shard.name);
    }
}

#[test]
fn a_bucket_is_read_like_a_folder() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("a b")).unwrap();
    fs::create_dir(at(".hidden")).unwrap();
    let lines = b"{\"text\":\"one\"}\n{\"text\":\"two\"}\n";
    fs::write(at("a b/1+é.jsonl"), lines).unwrap();
    fs::write(at("a b/2.jsonl.gz"), compress(lines, Compression::Gzip)).unwrap();
    fs::write(at(".hidden/x.jsonl"), lines).unwrap();
    // Passed over as in a folder: masks with their records, a hidden name, a cached result beside its dataset.
    for (name, bytes) in [
        ("_temporary/0.jsonl", &lines[..]),
        ("masks/1.jsonl.arrow", b""),
        ("masks/.rho-mask/plan.json", b"{}"),
        ("set/dataset_info.json", b"{}"),
        ("set/cache-0a1b.arrow", b""),
    ] {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), bytes).unwrap();
    }
    fs::write(at("readme.md"), "").unwrap();
    fs::write(at("z.txt"), "").unwrap();
    let parquet = "import pyarrow as pa, pyarrow.parquet as pq, sys; pq.write_table(pa.table({'text': ['one', 'two']}), sys.argv[1])";
    let written = Command::new(&python)
        .args(["-c", parquet])
        .arg(at("a b/3.parquet"))
        .status();
    assert!(written.unwrap().success());

    let bucket = Bucket::start(&python, folder.path());
    let child = |address: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "s3::child", "--nocapture"])
            .env(CHILD, "1")
            .envs(Bucket::environment(address))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    let (success, said) = child(&format!("http://{}", bucket.address));
    assert!(success, "{said}");
    let (_, said) = child("not an address");
    assert!(
        said.contains("expected an address in AWS_ENDPOINT_URL"),
        "{said}"
    );
}
