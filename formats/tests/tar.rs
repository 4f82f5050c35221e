//! Unusual and hostile tar files.

use rho_formats::{Compression, Document, ReadOptions, Record, ShardError};
use tar::{Builder, EntryType, Header};

use crate::support::{compress, read_bytes};

/// A header with any name and size.
fn header(name: &[u8], size: u64, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

fn member(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    kind_of_member(name, bytes, EntryType::Regular)
}

fn kind_of_member(name: &[u8], bytes: &[u8], kind: EntryType) -> Vec<u8> {
    let mut member = header(name, bytes.len() as u64, kind).as_bytes().to_vec();
    member.extend_from_slice(bytes);
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

const END: [u8; 1024] = [0; 1024];

fn ids(records: &[Record]) -> Vec<&str> {
    let id = |record| match record {
        &Record::Document(Document { ref id, .. }) => id.as_str(),
        Record::Rejected(rejection, _) => rejection.reason.as_str(),
    };
    records.iter().map(id).collect()
}

#[test]
fn samples_are_grouped_by_key() {
    let file = [
        member(b"a/b.c/one.seg.txt", b"not the text"),
        member(b"a/b.c/one.txt", b"1"),
        kind_of_member(b"a", b"", EntryType::Directory),
        kind_of_member(b"a/b.c/link.txt", b"", EntryType::Symlink),
        member(b"a/b.c/one.json", b"{\"id\":\"own\",\"text\":\"not this\"}"),
        member(b"../../up.TXT", b"2"),
        member(b"/etc/absolute.txt", b""),
        member(b".hidden", b"no key"),
        member(b"without", b"no ending"),
        member(b"picture.jpg", b"no text"),
        member(b"object.json", b"{\"text\":\"3\"}"),
        member(b"broken.json", b"{"),
        member(b"bytes.txt", b"\xff"),
        member(b"marked.txt", b"\xef\xbb\xbf4"),
        END.to_vec(),
    ];
    let outcome = read_bytes("a.tar", &file.concat(), &ReadOptions::default());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let not_json =
        "not JSON: EOF while parsing an object at column 1 (expected one object per line)";
    assert_eq!(
        outcome.told(),
        [
            (0, Ok("1")),
            (1, Ok("2")),
            (2, Ok("")),
            (
                3,
                Err("sample \"picture\": expected a member .txt or .json, got .jpg")
            ),
            (4, Ok("3")),
            (5, Err(not_json)),
            (6, Err("invalid UTF-8 at byte 0 of the member")),
            (7, Ok("4")),
        ]
    );
    let ids = ids(&outcome.records);
    assert_eq!(ids[..3], ["own", "../../up", "/etc/absolute"]);
    assert_eq!([ids[4], ids[7]], ["object", "marked"]);
}

#[test]
fn long_names_of_both_kinds() {
    let name = format!("{}/key.txt", "folder/".repeat(50));
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(1);
    builder.append_data(&mut header, &name, &b"1"[..]).unwrap();
    let second = name.replace("key", "second");
    let pax = [("path", second.as_bytes()), ("size", b"1")];
    builder.append_pax_extensions(pax).unwrap();
    let mut short = Header::new_ustar();
    short.set_path("short.txt").unwrap();
    // A size that does not fit into the header is in the extended header.
    short.set_size(0);
    short.set_cksum();
    builder.append(&short, &b""[..]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(bytes.len() - END.len());
    bytes.push(b'2');
    bytes.resize(bytes.len() + 511, 0);
    bytes.extend(member(b"last.txt", b"3"));
    bytes.extend(END);
    let outcome = read_bytes("unlike.tar", &bytes, &ReadOptions::default());
    let key = |name: &str| name.strip_suffix(".txt").unwrap().to_owned();
    assert_eq!(
        ids(&outcome.records),
        [&*key(&name), &*key(&second), "last"]
    );
    assert_eq!(outcome.told(), [(0, Ok("1")), (1, Ok("2")), (2, Ok("3"))]);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
}

#[test]
fn what_is_too_large_is_passed_over() {
    let options = ReadOptions {
        max_document_bytes: 1 << 16,
        ..ReadOptions::default()
    };
    let zeros = vec![0; 64 << 20];
    let file = [
        member(b"a.txt", b"1"),
        member(b"b.txt", &zeros),
        member(b"c.jpg", &zeros),
        member(b"c.txt", b"3"),
        END.to_vec(),
    ];
    let bytes = compress(&file.concat(), Compression::Zstd);
    assert!(bytes.len() < 1 << 16);
    let outcome = read_bytes("a.tar.zst", &bytes, &options);
    let reason = "expected a member of at most 65536 bytes, got a larger one";
    assert!(outcome.error.is_none());
    assert_eq!(
        outcome.told(),
        [(0, Ok("1")), (1, Err(reason)), (2, Ok("3"))]
    );
    // A name of that size is refused.
    let long = kind_of_member(b"x", &zeros, EntryType::GNULongName);
    let outcome = read_bytes("a.tar", &[member(b"a.txt", b"1"), long].concat(), &options);
    assert!(matches!(
        outcome.error,
        Some(ShardError::Damaged { row: 0, .. })
    ));
    // A member that claims a terabyte.
    let claim = header(b"b.txt", 1 << 40, EntryType::Regular);
    let file = [member(b"a.txt", b"1"), claim.as_bytes().to_vec()].concat();
    for options in [
        options,
        ReadOptions {
            max_document_bytes: usize::MAX,
            ..ReadOptions::default()
        },
    ] {
        let outcome = read_bytes("a.tar", &file, &options);
        assert_eq!(outcome.told(), [(0, Ok("1"))]);
        assert!(
            matches!(outcome.error, Some(ShardError::Damaged { row: 1, .. })),
            "{:?}",
            outcome.error
        );
    }
}

#[test]
fn the_content_has_the_first_word() {
    let bytes = [member(b"a.txt", b"1"), END.to_vec()].concat();
    for name in ["a.txt", "a.json.gz", "a.tar", "a.tgz", "a.parquet"] {
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        assert_eq!(ids(&outcome.records), ["a"], "{name}");
    }
    let bytes = compress(&bytes, Compression::Gzip);
    for name in ["a.tgz", "a.tar.gz", "a.tar"] {
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        assert_eq!(ids(&outcome.records), ["a"], "{name}");
    }
}

#[test]
fn two_members_of_one_name_in_a_row_are_no_sample() {
    let file = [
        member(b"a.txt", b"1"),
        member(b"a.txt", b"2"),
        member(b"b.txt", b"3"),
        member(b"b.jpg", b""),
        member(b"b.jpg", b""),
        member(b"c.json", b"{\"text\":\"4\"}"),
        member(b"c.JSON", b"{\"text\":\"5\"}"),
        member(b"a.txt", b"6"),
        member(b"__meta__/x.txt", b"of the shard"),
        END.to_vec(),
    ];
    let outcome = read_bytes("unlike.tar", &file.concat(), &ReadOptions::default());
    let twice = |name: &str, ending: &str| {
        format!("sample {name:?}: expected one member .{ending}, got two of that name in a row")
    };
    let (a, c) = (twice("a", "txt"), twice("c", "json"));
    assert_eq!(
        outcome.told(),
        [(0, Err(&*a)), (1, Ok("3")), (2, Err(&*c)), (3, Ok("6"))]
    );
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
}

#[test]
fn joined_archives_are_read_on() {
    let one = |key: &[u8], text: &[u8]| [member(key, text), END.to_vec(), vec![0; 9216]].concat();
    // The same key in two archives is two samples.
    let joined = [
        one(b"a.txt", b"1"),
        one(b"a.txt", b"2"),
        one(b"b.txt", b"3"),
    ]
    .concat();
    for (name, bytes) in [
        ("unlike.tar", joined.clone()),
        ("unlike.tar.gz", compress(&joined, Compression::Gzip)),
    ] {
        let outcome = read_bytes(name, &bytes, &ReadOptions::default());
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        assert_eq!(
            outcome.told(),
            [(0, Ok("1")), (1, Ok("2")), (2, Ok("3"))],
            "{name}"
        );
    }
    for (rest, said) in [
        (vec![7; 512], "no tar file"),
        (b"rubbish".to_vec(), "no tar file"),
        (member(b"b.txt", b"2")[..600].to_vec(), "inside a member"),
    ] {
        let outcome = read_bytes(
            "unlike.tar",
            &[one(b"a.txt", b"1"), rest].concat(),
            &ReadOptions::default(),
        );
        assert_eq!(outcome.told(), [(0, Ok("1"))]);
        let Some(ShardError::Damaged { row: 1, source, .. }) = outcome.error else {
            panic!("{:?}", outcome.error);
        };
        assert!(source.to_string().contains(said), "{source}");
    }
}

#[test]
fn sparse_members_are_bounded_and_checked() {
    let options = ReadOptions {
        max_document_bytes: 1 << 16,
        ..ReadOptions::default()
    };
    let records = |size: u64, map: &str| {
        let size = format!("GNU.sparse.size={size}\n");
        let map = format!("GNU.sparse.map={map}\n");
        let record = |text: &str| format!("{} {text}", text.len() + 3);
        kind_of_member(
            b"pax",
            [record(&size), record(&map)].concat().as_bytes(),
            EntryType::XHeader,
        )
    };
    let file = [
        records(3, "1,1"),
        member(b"a.txt", b"x"),
        // Larger than a document may be, without a byte of data.
        records(1 << 50, "0,0"),
        member(b"b.txt", b""),
        // Beyond the size, overlapping, and with more data than the map has.
        records(3, "3,1"),
        member(b"c.txt", b"x"),
        records(9, "0,2,1,1"),
        member(b"d.txt", b"xyz"),
        records(9, "0,2"),
        member(b"e.txt", b"xyz"),
        // Nobody wants this one.
        records(9, "7,7"),
        member(b"f.jpg", b"xyz"),
        member(b"f.txt", b"6"),
        END.to_vec(),
    ];
    let outcome = read_bytes("unlike.tar", &file.concat(), &options);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let map = |size: u64| {
        format!("expected a sparse member whose map lies in its {size} bytes, got another map")
    };
    let (three, nine) = (map(3), map(9));
    assert_eq!(
        outcome.told(),
        [
            (0, Ok("\0x\0")),
            (
                1,
                Err("expected a member of at most 65536 bytes, got a larger one")
            ),
            (2, Err(&*three)),
            (3, Err(&*nine)),
            (4, Err(&*nine)),
            (5, Ok("6")),
        ]
    );
}
