//! Dependencies point one way: `main → cli → daemon, web → git, store, secrets, ansible → core`.
//!
//! This reads the sources, because the compiler does not know the direction.

#![expect(clippy::expect_used, reason = "what fails here is the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each module may use of the crate besides itself.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("clock", &[]),
    ("crash_point", &[]),
    ("process", &[]),
    ("git", &["core", "process", "clock"]),
    ("store", &["core", "crash_point"]),
    ("secrets", &["core", "store", "process"]),
    ("ansible", &["core", "process", "clock"]),
    (
        "daemon",
        &[
            "core", "git", "store", "secrets", "ansible", "clock", "process",
        ],
    ),
    ("web", &["core", "store", "secrets", "clock"]),
    (
        "cli",
        &[
            "core", "git", "store", "secrets", "ansible", "daemon", "web", "clock", "process",
        ],
    ),
];

/// Crates that have one home each: the paths below `src` that may name them.
const HOMES: &[(&str, &str)] = &[
    ("rusqlite", "store/sql.rs"),
    ("rusqlite", "store/sqlite"),
    ("clap", "cli"),
    ("git2", "git"),
    ("command_fds", "ansible"),
    ("indicatif", "cli"),
    ("axum", "web"),
    ("tokio", "web"),
    ("hyper", "web"),
    ("argon2", "web"),
    ("ureq", "daemon"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The top-level module of each source file, with the lines of code in it.
fn files() -> Vec<(String, PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("below src");
            let first = relative.components().next().expect("a name");
            let module = first
                .as_os_str()
                .to_string_lossy()
                .trim_end_matches(".rs")
                .to_owned();
            let text = std::fs::read_to_string(&path).expect("a source file");
            let code = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or("").to_owned())
                .collect();
            (module, path, code)
        })
        .collect()
}

/// The modules that follow `crate::` in a line.
fn uses(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| {
            let rest = rest.trim_start_matches('{');
            rest.split(['{', ',', '}'])
                .take(if line.contains("crate::{") { 20 } else { 1 })
                .map(|part| {
                    part.trim()
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect()
                })
                .collect::<Vec<String>>()
        })
        .collect()
}

#[test]
fn modules_use_only_what_is_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        let Some(may_use) = allowed.get(module.as_str()) else {
            assert!(
                matches!(module.as_str(), "lib" | "main"),
                "`{module}` has no rule here"
            );
            continue;
        };
        for line in code {
            for used in uses(&line) {
                let known = allowed.contains_key(used.as_str());
                if known && used != module && !may_use.contains(&used.as_str()) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "against the direction:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn each_of_these_crates_stays_in_its_home() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (_, path, code) in files() {
        let place = path.strip_prefix(&root).expect("below src");
        let is_home = |name: &str| {
            let mut homes = HOMES.iter().filter(|(of, _)| *of == name);
            homes.any(|(_, home)| place.starts_with(home))
        };
        for line in code {
            for (name, _) in HOMES {
                if line.contains(&format!("{name}::")) && !is_home(name) {
                    wrong.push(format!("{}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "outside of its home:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_core_does_no_io() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::process",
        "std::env",
        "std::thread",
        "rand::",
    ];
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        if module != "core" || path.ends_with("tests.rs") {
            continue;
        }
        // Tests in the same file come last and may read fixtures.
        for line in code.iter().take_while(|line| !line.contains("mod tests {")) {
            if forbidden.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "IO in the core:\n{}", wrong.join("\n"));
}

#[test]
fn marks_of_other_systems_are_taken_off_in_one_place() {
    for (_, path, code) in files() {
        let takes = |line: &String| line.contains("strip_prefix('\\u{FEFF}')");
        let is_home = path.ends_with("core/plain_text.rs");
        assert!(
            is_home || !code.iter().any(takes),
            "{}: use `core::plain_text`",
            path.display()
        );
    }
}

/// Files that need each other, in small groups that are read together. There are to be no more of them.
const CIRCLES: &[&[&str]] = &[
    // Errors name addresses, and addresses are refused with errors.
    &["git::error", "git::format", "git::url"],
    &["git::objects", "git::snapshot"],
    &["git::fetch", "git::transfer"],
    &["secrets::cipher", "secrets::identity"],
    &["ansible::warm", "ansible::warm_job"],
    // The chain is verified through its closed segments, and closing one is an entry of it.
    &["store::audit", "store::history::close"],
    &["store::record::fact", "store::record::machine"],
    &[
        "core::document::read::check",
        "core::document::read::check::walk",
    ],
    &[
        "core::tree::engine",
        "core::tree::request",
        "core::tree::templates",
    ],
    &[
        "daemon::plan::prepared",
        "daemon::plan::saved_plan",
        "daemon::plan::saved_plan::lines",
    ],
    &[
        "daemon::sources",
        "daemon::sources::beneath",
        "daemon::sources::verified",
    ],
    // One struct with its functions by what they are for.
    &[
        "daemon::run::attempt",
        "daemon::run::attempt::inputs",
        "daemon::run::attempt::play",
        "daemon::run::attempt::work",
    ],
    &["web::access", "web::guard", "web::routes"],
    // What a request is answered with holds what answers.
    &[
        "web::api::jobs",
        "web::api::page",
        "web::auth",
        "web::events",
        "web::events::feed",
        "web::pages",
        "web::state",
    ],
    &[
        "core::document::environment",
        "core::document::fleet",
        "core::document::node",
        "core::document::scalar::secret",
        "core::document::scalar::value",
        "core::secret_owner",
    ],
    &[
        "core::document::read",
        "core::document::read::locate",
        "core::document::read::split",
        "core::document::read::syntax",
        "core::document::read::tree",
        "core::document::read::yaml",
    ],
];

/// The code of each file by the path of its module, without tests.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    files()
        .into_iter()
        .map(|(_, path, code)| {
            let relative = path
                .strip_prefix(&root)
                .expect("below src")
                .with_extension("");
            let parts = relative
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned());
            let mut parts: Vec<String> = parts.collect();
            parts.pop_if(|last| last == "mod");
            let code = code.join("\n");
            let code = code
                .split("#[cfg(test)]")
                .next()
                .unwrap_or_default()
                .to_owned();
            (parts.join("::"), code)
        })
        .collect()
}

/// The paths of a `use`, without its braces.
fn expanded(prefix: &str, text: &str, found: &mut Vec<String>) {
    let text = text.trim();
    let Some((before, inner)) = text.split_once('{') else {
        let path = text.split(" as ").next().unwrap_or_default();
        found.push(format!("{prefix}{}", path.trim()));
        return;
    };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let mut depth = 0;
    for part in inner.split(|c| {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    }) {
        if !part.trim().is_empty() {
            expanded(&format!("{prefix}{before}"), part, found);
        }
    }
}

/// The paths that a file names: those of each `use`, told apart by whether it exports them, and the others.
fn paths(code: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut rest = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        let after = match trimmed.strip_prefix("pub") {
            Some(exported) => exported.trim_start_matches(|c| c != ' ').trim_start(),
            None => trimmed,
        };
        let Some(mut text) = after.strip_prefix("use ").map(str::to_owned) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        while !text.contains(';') {
            let Some(more) = lines.next() else { break };
            text.push_str(more);
        }
        let mut own = Vec::new();
        expanded("", text.trim_end().trim_end_matches(';'), &mut own);
        let is_exported = trimmed.starts_with("pub");
        found.extend(own.into_iter().map(|path| (is_exported, path)));
    }
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for word in rest.split(|c| !is_path(c)) {
        let of_crate = word.starts_with("crate::") || word.starts_with("super::");
        if of_crate {
            found.push((false, word.trim_end_matches(':').to_owned()));
        }
    }
    found
}

/// The module that a path leads to, and what it names there.
fn resolve(modules: &BTreeMap<String, String>, from: &str, path: &str) -> Option<(String, String)> {
    let mut at: Vec<&str> = from.split("::").collect();
    let mut parts = path.split("::").peekable();
    match *parts.peek()? {
        "crate" => at.clear(),
        "self" | "super" => {}
        first if modules.contains_key(&format!("{from}::{first}")) => {}
        _ => return None,
    }
    parts.next_if(|part| matches!(*part, "crate" | "self"));
    while parts.next_if_eq(&"super").is_some() {
        at.pop();
    }
    at.extend(parts);
    let lengths = (1..=at.len()).rev();
    let mut known = lengths.map(|length| (at[..length].join("::"), length));
    let (module, length) = known.find(|(module, _)| modules.contains_key(module))?;
    Some((
        module,
        at.get(length).copied().unwrap_or_default().to_owned(),
    ))
}

#[test]
fn no_files_of_a_module_need_each_other_in_a_circle() {
    let modules = modules();
    let mut exports: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut named: Vec<(&str, (String, String))> = Vec::new();
    for (from, code) in &modules {
        for (is_exported, path) in paths(code) {
            let Some((module, item)) = resolve(&modules, from, &path) else {
                continue;
            };
            if is_exported {
                exports.insert((from.clone(), item), module);
            } else {
                named.push((from, (module, item)));
            }
        }
    }
    let mut needs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (from, (mut module, item)) in named {
        // What a module only passes on is needed where it comes from.
        for _ in 0..4 {
            match exports.get(&(module.clone(), item.clone())) {
                Some(origin) => module.clone_from(origin),
                None => break,
            }
        }
        let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
        if module != from && top(&module) == top(from) {
            needs.entry(from).or_default().insert(module);
        }
    }
    let reach = |from: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = next.pop() {
            for need in needs.get(at.as_str()).into_iter().flatten() {
                if seen.insert(need.clone()) {
                    next.push(need.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = modules
        .keys()
        .map(|module| (module.as_str(), reach(module)))
        .collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(module, own)| own.contains(**module))
        .map(|(module, own)| {
            let back = own
                .iter()
                .filter(|other| reached[other.as_str()].contains(*module));
            back.map(String::as_str).collect()
        })
        .collect();
    let known: BTreeSet<Vec<&str>> = CIRCLES.iter().map(|circle| circle.to_vec()).collect();
    let new: Vec<_> = circles.difference(&known).collect();
    assert!(new.is_empty(), "new circles: {new:#?}");
    let gone: Vec<_> = known.difference(&circles).collect();
    assert!(
        gone.is_empty(),
        "no circles any more, take them out of the list: {gone:#?}"
    );
}
