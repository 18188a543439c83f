//! The house keeps its floors: a folder imports only from folders below it, and two folders of one
//! floor do not import each other (ARCHITECTURE.md).

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up; rooms of one entry share a floor.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["wire"],
    &["crypto"],
    &["session"],
    &["transport"],
    &["forwarding", "congestion"],
    &["conference"],
];

/// Rooms of `session/` that know nothing of each other.
const SESSIONS: &[&str] = &["dtls", "ice", "srtp"];

/// Beside the house: imports from the ground floor alone, and no floor imports it.
const BESIDE: &str = "sim";

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&folder))
}

/// Whether files of the folder `from` may say `crate::to`.
fn may_import(from: &str, to: &str) -> bool {
    match (floor_of(from), floor_of(to)) {
        _ if from == to => true,
        (None, floor) => floor == Some(0),
        (Some(_), None) => to != BESIDE,
        (Some(own), Some(floor)) => floor < own,
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable folder").map(|entry| entry.expect("entry").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The paths named by `crate::…` anywhere in a file, comments and grouped imports included.
fn imports(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            found.extend(group.split(',').map(|path| split(path.trim())));
        } else {
            found.push(split(rest));
        }
    }
    found
}

fn split(path: &str) -> Vec<String> {
    let end = path.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(path.len());
    path[..end].split("::").map(str::to_owned).collect()
}

#[test]
fn no_floor_imports_from_a_floor_above_or_beside() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    let mut checked = 0;
    for file in files {
        let inside = file.strip_prefix(&src).expect("below src");
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if floor_of(&parts[0]).is_none() && parts[0] != BESIDE {
            continue;
        }
        // What links in documentation name is for the reader, not for the compiler.
        let text = fs::read_to_string(&file).expect("readable file");
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(|line| format!("{line}\n"))
            .collect();
        for import in imports(&code) {
            checked += usize::from(floor_of(&import[0]).is_some());
            if !may_import(&parts[0], &import[0]) {
                wrong.push(format!("{} imports crate::{}", inside.display(), import.join("::")));
            }
            let room = parts.get(1).map(|room| room.trim_end_matches(".rs"));
            let sessions = parts[0] == "session" && import[0] == "session";
            if let (true, Some(room), Some(other)) = (sessions, room, import.get(1))
                && SESSIONS.contains(&room)
                && SESSIONS.contains(&other.as_str())
                && room != other
            {
                wrong.push(format!("{} knows the session {other}", inside.display()));
            }
        }
    }
    assert!(checked > 50, "the imports were not found: {checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_upward_import_would_be_found() {
    let found = imports("use crate::{conference::Engine, base::time};\nlet x = crate::wire::mux::kind_of;");
    assert_eq!(found[0][0], "conference");
    assert_eq!(found[1], ["base", "time"]);
    assert_eq!(found[2], ["wire", "mux", "kind_of"]);
    assert!(may_import("conference", "base") && !may_import("base", "conference"));
    assert!(!may_import("forwarding", "congestion"));
    assert!(may_import("sim", "base") && !may_import("sim", "wire") && !may_import("congestion", "sim"));
}
