//! The modules of `src/` ("rooms") import only modules of lower layers, in the order of ARCHITECTURE.md. So there are
//! no import cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::root;

/// The rooms that each room uses, with one file as an example.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Adds the rooms that the Rust files of a folder use. A room is a folder or a file at the top of `src/`.
fn gather(folder: &Path, room: Option<&str>, uses: &mut Uses) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let room = room.unwrap_or(&name);
        if path.is_dir() {
            gather(&path, Some(room), uses);
            continue;
        }
        let outside = ["lib", "main"].contains(&room) || path.extension().is_none_or(|e| e != "rs");
        if outside || name == "tests" || name.ends_with("_tests") || name == "testing" {
            continue;
        }
        let used = uses.entry(room.to_owned()).or_default();
        for other in rooms_used(&fs::read_to_string(&path).unwrap()) {
            if other != room {
                used.entry(other)
                    .or_insert_with(|| path.display().to_string());
            }
        }
    }
}

/// The rooms that some code names as `crate::room` or in `use crate::{...}`. Ignores comments and the tests at its end.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let code: Vec<&str> = code
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .take_while(|line| !(line.starts_with("mod ") && line.ends_with("tests {")))
        .collect();
    let code = code.join("\n");
    let mut rooms = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let named = &code[at + found.len()..];
        let word = |text: &str| -> String {
            let word = text.trim_start().chars();
            word.take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        let Some(list) = named.strip_prefix('{') else {
            rooms.insert(word(named));
            continue;
        };
        // The first word of each item of the list, without nested lists.
        rooms.insert(word(list));
        let mut open = 1;
        for (i, c) in list.char_indices() {
            match c {
                '{' => open += 1,
                '}' => open -= 1,
                ',' if open == 1 => {
                    rooms.insert(word(&list[i + 1..]));
                }
                _ => {}
            }
            if open == 0 {
                break;
            }
        }
    }
    rooms.retain(|room| room.chars().next().is_some_and(char::is_lowercase));
    rooms
}

/// The imports that do not lead to a lower layer, and the rooms that are in no layer or in several.
fn wrong(layers: &[Vec<String>], uses: &Uses) -> Vec<String> {
    let layer = |room: &str| {
        layers
            .iter()
            .position(|layer| layer.iter().any(|r| r == room))
    };
    let mut wrong = Vec::new();
    let mut listed: Vec<&String> = layers.iter().flatten().collect();
    listed.sort();
    for twice in listed.windows(2).filter(|pair| pair[0] == pair[1]) {
        wrong.push(format!("{} is in two layers", twice[0]));
    }
    for (room, used) in uses {
        let Some(own) = layer(room) else {
            wrong.push(format!("{room} is in no layer"));
            continue;
        };
        for (other, file) in used {
            if layer(other).is_none_or(|other| other <= own) {
                wrong.push(format!("{room} uses {other}, in {file}"));
            }
        }
    }
    wrong
}

/// The layers in ARCHITECTURE.md, the highest first.
fn layers() -> Vec<Vec<String>> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let drawn = map.split("<!-- layers -->").nth(1).unwrap();
    let lines = drawn.lines().filter(|line| !line.starts_with("```"));
    lines
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .filter(|layer: &Vec<String>| !layer.is_empty())
        .collect()
}

#[test]
fn rooms_use_lower_ones_only() {
    let mut uses = Uses::new();
    gather(&root().join("src"), None, &mut uses);
    let arrows: usize = uses.values().map(BTreeMap::len).sum();
    assert!(
        arrows > 100,
        "expected more than 100 imports, found {arrows}"
    );
    let wrong = wrong(&layers(), &uses);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rooms_on_the_map_are_there() {
    for room in layers().concat() {
        let folder = root().join("src").join(&room);
        let file = folder.with_extension("rs");
        assert!(folder.is_dir() || file.is_file(), "src/{room}");
    }
}

#[test]
fn an_arrow_upwards_a_circle_and_a_stranger_are_found() {
    let layers = [vec!["top".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
    let arrow = |from: &str, to: &str| {
        let used = BTreeMap::from([(to.to_owned(), "x.rs".to_owned())]);
        (from.to_owned(), used)
    };
    let found = |uses: &[(String, BTreeMap<String, String>)]| {
        wrong(&layers, &uses.iter().cloned().collect())
    };
    assert!(found(&[arrow("top", "a"), arrow("top", "b")]).is_empty());
    assert_eq!(found(&[arrow("a", "top")]), ["a uses top, in x.rs"]);
    let circle = found(&[arrow("a", "b"), arrow("b", "a")]);
    assert_eq!(circle, ["a uses b, in x.rs", "b uses a, in x.rs"]);
    assert_eq!(found(&[arrow("new", "a")]), ["new is in no layer"]);
}

#[test]
fn all_ways_to_name_a_room_are_read() {
    let code = "use crate::{\n    a::{self, no},\n    b,\n    c::D,\n};\nuse crate::d::E;\n// crate::no\nlet x = crate::e::f();\n\
                use crate::Type;\n#[cfg(test)]\nmod tests {\n    use crate::no;\n}\n";
    let rooms = rooms_used(code);
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    assert_eq!(rooms, ["a", "b", "c", "d", "e"]);
}
