//! The invariants of the architecture, checked on the sources themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of the core: pure, and seeing nothing but each other.
const CORE: [&str; 10] =
    ["vocabulary", "registry", "policy", "budget", "admission", "runs", "attention", "state", "decide", "audit"];

fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    assert!(found.len() > 100, "the walk finds the sources");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Code lines: no comments, nothing behind the tests' beginning, no files of tests.
fn code(name: &str, text: &str) -> Vec<(usize, String)> {
    if name.ends_with("tests.rs") || name.contains("/tests/") {
        return Vec::new();
    }
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).map(|(n, line)| (n + 1, line.to_owned())).collect()
}

/// Every code line of a file that `wanted` picks which holds one of `words`.
fn uses(wanted: impl Fn(&str) -> bool, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| wanted(name)) {
        for (n, line) in code(name, text) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}:{n}: {}", line.trim()));
            }
        }
    }
    found
}

fn in_core(name: &str) -> bool {
    name.split('/').next().is_some_and(|room| CORE.contains(&room))
}

#[test]
fn the_core_is_pure() {
    let words = [
        "async fn",
        ".await",
        "tokio",
        "tracing::",
        "metrics::",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
        "println!",
        "eprintln!",
    ];
    assert_eq!(uses(in_core, &words), Vec::<String>::new());
}

#[test]
fn the_core_sees_nothing_outside_itself() {
    let mut strays = Vec::new();
    for (name, text) in sources().iter().filter(|(name, _)| in_core(name)) {
        for (n, line) in code(name, text) {
            for (at, _) in line.match_indices("crate::") {
                let room: String = line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !CORE.contains(&room.as_str()) && !line.contains("macro") {
                    strays.push(format!("{name}:{n}: {}", line.trim()));
                }
            }
        }
    }
    assert_eq!(strays, Vec::<String>::new());
}

#[test]
fn the_rooms_of_the_core_are_in_order() {
    // room, rooms that it may see
    let order: [(&str, &[&str]); 10] = [
        ("vocabulary", &[]),
        ("registry", &["vocabulary"]),
        ("policy", &["vocabulary"]),
        ("audit", &["vocabulary"]),
        ("budget", &["vocabulary"]),
        ("admission", &["vocabulary", "registry", "policy", "budget"]),
        ("runs", &["vocabulary", "registry", "budget"]),
        ("attention", &["vocabulary", "registry", "budget", "admission", "runs"]),
        ("state", &["vocabulary", "registry", "budget", "admission", "runs", "attention"]),
        ("decide", &["vocabulary", "registry", "policy", "budget", "admission", "runs", "attention", "state"]),
    ];
    for (room, seen) in order {
        let own = format!("{room}/");
        for other in CORE.iter().filter(|other| **other != room && !seen.contains(other)) {
            let found = uses(|name| name.starts_with(&own), &[&format!("crate::{other}::")]);
            assert_eq!(found, Vec::<String>::new(), "{room} must not see {other}");
        }
    }
}

#[test]
fn each_foreign_thing_is_named_in_its_room_alone() {
    let outside = |rooms: &'static [&'static str]| move |name: &str| !rooms.iter().any(|room| name.starts_with(room));
    assert_eq!(uses(outside(&["policy/"]), &["regorus"]), Vec::<String>::new());
    let sled = ["use sled", " sled::Db", "(sled::", "&sled::", "<sled::", " ::sled"];
    assert_eq!(uses(outside(&["store/sled/"]), &sled), Vec::<String>::new());
    let actix = ["use actix", "actix_web::", "actix_http::", "actix_rt::"];
    assert_eq!(uses(outside(&["http/", "console/", "server/"]), &actix), Vec::<String>::new());
    assert_eq!(
        uses(outside(&["clock.rs"]), &["Timestamp::now", "Instant::now", "SystemTime::now"]),
        Vec::<String>::new()
    );
    assert!(!uses(|name| name.starts_with("policy/"), &["regorus"]).is_empty(), "the check can see");
    assert!(!uses(|name| name.starts_with("store/sled/"), &sled).is_empty(), "the check can see");
}

#[test]
fn a_mod_rs_is_a_door() {
    for (name, text) in sources().iter().filter(|(name, _)| name.ends_with("mod.rs")) {
        assert!(text.lines().count() < 60, "{name} has {} lines", text.lines().count());
        let inside = uses(|other| other == name, &["fn ", "struct ", "enum ", "impl "]);
        assert_eq!(inside, Vec::<String>::new());
    }
}

#[test]
fn every_file_says_what_lives_there() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} begins with what lives there");
        assert!(!text.contains("#[allow("), "{name}: #[expect(…, reason)] instead of allow");
    }
}

/// `docs/faults.md` names tests by file and function.
#[test]
fn every_fault_that_is_written_down_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let named: Vec<(&str, &str)> = text
        .split('`')
        .filter_map(|part| part.split_once("::"))
        .filter(|(file, _)| Path::new(file).extension().is_some_and(|ending| ending == "rs"))
        .collect();
    assert!(named.len() > 60, "the check can see: {}", named.len());
    for (file, name) in named {
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let begins = format!("fn {name}(");
        let at = source.find(&begins).unwrap_or_else(|| panic!("{file} has no {name}"));
        let before = source[..at].lines().rev().skip_while(|line| line.trim().is_empty());
        let is_test = before.take_while(|line| !line.trim().is_empty()).any(|line| line.contains("#[test]"));
        assert!(is_test, "{name} in {file} is no test");
    }
    for file in ["README.md", "docs/operating.md"] {
        assert!(fs::read_to_string(root.join(file)).unwrap().contains("faults.md"), "{file} leads there");
    }
}
