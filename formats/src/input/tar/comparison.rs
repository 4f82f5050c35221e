//! Compares the members of tar files with those that the crate `webdataset` finds, and shows where that crate's parser
//! cannot take the place of ours.

use std::io::Cursor;

use tar::{Builder, EntryType, Header};
use tokio::io::BufReader;
use webdataset::shard::TarEntries;

use super::members::{Members, Next};

/// Names and contents of the members, as we read them.
fn ours(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let input = BufReader::with_capacity(700, Cursor::new(archive.to_vec()));
        let mut members = Members::new(Box::new(input));
        let mut found = Vec::new();
        loop {
            match members.next().await.map_err(|error| error.to_string())? {
                Next::Member(member) => {
                    let content = members.read(&member).await;
                    let content = content.map_err(|error| error.to_string())??;
                    assert_eq!(content.len() as u64, member.size);
                    found.push((member.name, content));
                }
                Next::Archive => {}
                Next::End => return Ok(found),
            }
        }
    })
}

/// The same, as `webdataset` reads them.
fn theirs(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    TarEntries::new(archive)
        .map(|entry| entry.map(|entry| (entry.name, entry.data)))
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn member(header: &mut Header, name: &str, kind: EntryType, bytes: &[u8]) -> Vec<u8> {
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(bytes.len() as u64);
    header.set_entry_type(kind);
    header.set_cksum();
    let mut member = [header.as_bytes(), bytes].concat();
    member.resize(member.len().next_multiple_of(512), 0);
    member
}

fn of_kind(name: &str, kind: EntryType, bytes: &[u8]) -> Vec<u8> {
    member(&mut Header::new_ustar(), name, kind, bytes)
}

const END: [u8; 1024] = [0; 1024];

#[test]
fn the_same_members_as_webdataset() {
    let folder = "folder/".repeat(20);
    let names = [
        "a.txt".to_owned(),
        format!("{folder}prefixed.txt"),
        format!("{}.json", "n".repeat(300)),
        "tr\u{e8}s long/\u{65e5}\u{672c}.txt".to_owned(),
    ];
    let contents = [0, 1, 511, 512, 513, 5000].map(|length| vec![b'x'; length]);
    let mut archives = Vec::new();
    for make in [Header::new_gnu, Header::new_ustar, Header::new_old] {
        let mut builder = Builder::new(Vec::new());
        for name in &names {
            for content in &contents {
                let mut header = make();
                header.set_size(content.len() as u64);
                builder
                    .append_data(&mut header, name, &content[..])
                    .unwrap();
            }
        }
        archives.push(builder.into_inner().unwrap());
    }
    let mut builder = Builder::new(Vec::new());
    for name in &names {
        builder
            .append_pax_extensions([("mtime", &b"1.5"[..]), ("path", name.as_bytes())])
            .unwrap();
        let mut header = Header::new_ustar();
        header.set_size(3);
        builder
            .append_data(&mut header, "short", &b"abc"[..])
            .unwrap();
    }
    archives.push(builder.into_inner().unwrap());
    let mut others = of_kind("folder/", EntryType::Directory, b"");
    others.extend(of_kind("link", EntryType::Symlink, b""));
    others.extend(of_kind("all", EntryType::XGlobalHeader, b"13 comment=a\n"));
    others.extend(of_kind("a.txt", EntryType::Continuous, b"1"));
    others.extend(END);
    archives.push(others);
    for archive in archives {
        let found = ours(&archive);
        assert!(
            found.as_ref().is_ok_and(|found| !found.is_empty()),
            "{found:?}"
        );
        assert_eq!(found, theirs(&archive));
    }
}

#[test]
fn webdataset_reads_what_nobody_wants_and_any_name() {
    let large = vec![0; 4 << 20];
    // The reader has no say: the member is in memory before its name is known.
    let unwanted = [of_kind("a.jpg", EntryType::Regular, &large), END.to_vec()].concat();
    assert_eq!(theirs(&unwanted).unwrap()[0].1.len(), large.len());
    let name = [
        of_kind("x", EntryType::GNULongName, &vec![b'n'; 4 << 20]),
        of_kind("short", EntryType::Regular, b""),
        END.to_vec(),
    ]
    .concat();
    assert_eq!(theirs(&name).unwrap()[0].0.len(), 4 << 20);
    assert_eq!(ours(&name).unwrap_err(), "a name that is too long");
}

#[test]
fn webdataset_takes_other_sizes_and_maps_for_content() {
    let records = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n25 GNU.sparse.name=a.txt\n25 GNU.sparse.realsize=3\n";
    let mut data = b"1\n1\n1\n".to_vec();
    data.resize(512, 0);
    data.push(b'x');
    let sparse = [
        of_kind("pax", EntryType::XHeader, records),
        of_kind("GNUSparseFile.0/a.txt", EntryType::Regular, &data),
        END.to_vec(),
    ]
    .concat();
    assert_eq!(
        ours(&sparse),
        Ok(vec![("a.txt".to_owned(), b"\0x\0".to_vec())])
    );
    assert_eq!(theirs(&sparse).unwrap()[0].1, data);
    // In this size there is no room for the header's own field.
    let mut content = of_kind("a.txt", EntryType::Regular, b"");
    content.extend(b"text");
    content.resize(1024, 0);
    let sized = [
        of_kind("pax", EntryType::XHeader, b"10 size=4\n"),
        content,
        END.to_vec(),
    ]
    .concat();
    assert_eq!(
        ours(&sized),
        Ok(vec![("a.txt".to_owned(), b"text".to_vec())])
    );
    assert!(theirs(&sized).is_err());
    // And it stops at the end of the first archive.
    let one = |name| [of_kind(name, EntryType::Regular, b"1"), END.to_vec()].concat();
    let joined = [one("a.txt"), one("b.txt")].concat();
    assert_eq!(ours(&joined).unwrap().len(), 2);
    assert_eq!(theirs(&joined).unwrap().len(), 1);
}
