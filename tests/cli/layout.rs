//! The layout of src, as ARCHITECTURE.md describes it: which module may import which, who prints, who knows clap.
//!
//! It reads the sources. The lists of exceptions are empty; an exception that is no longer needed would fail the test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The modules from the top to the bottom. A file may import from its own module and from those below; modules of one
/// line do not import each other. A module with `::` is a part of another one that is lower than the rest of it.
const MODULES: &[&[&str]] = &[
    &["cli"],
    &["commands"],
    &["cli::description"],
    &["cli::args", "cli::config_file"],
    &["cli::context"],
    &["output"],
    &["operations"],
    &["flink", "history", "image"],
    &["kubernetes"],
    &["model"],
    &["progress", "partial_file"],
    &["error"],
];

/// Imports that go up: the file, the module that it imports, and why that is not fixed yet.
const UPWARDS: &[(&str, &str, &str)] = &[];

/// Circles of files, each as a line of their names, and why. A folder counts as one
/// file, as its mod.rs has what its files share; those of `model::flink` count one by one.
const CIRCLES: &[(&str, &str)] = &[];

/// Files outside of `cli` and `commands` that know clap, and why.
const CLAP: &[(&str, &str)] = &[];

/// Files outside of `cli`, `commands` and `output` that print, and why.
const PRINTS: &[(&str, &str)] = &[];

/// What in `model` is not pure: the file, the word, and why.
const IMPURE: &[(&str, &str, &str)] = &[];

/// The most lines of the file of a command: its arguments, one call, one report.
const COMMAND_LINES: usize = 120;

/// The most lines of any other file.
const FILE_LINES: usize = 500;

/// Words by which a source prints, or asks on the terminal.
const PRINTING: &[&str] = &[
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "stdout()",
    "stderr()",
    "anstream::",
    "dialoguer::",
    "indicatif::",
];

/// Words that make a source depend on a runtime, a client, a clock, files or the environment.
const OUTER_WORLD: &[&str] = &[
    "tokio::",
    "futures::",
    "kube::",
    "hyper::",
    "http::",
    "tower::",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::io",
    "async fn",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
];

/// A source file without comments, texts and tests.
struct File {
    /// `operations::upgrade`, for src/operations/upgrade/mod.rs.
    module: String,
    code: String,
    /// Number of its lines, with tests and comments.
    lines: usize,
}

impl File {
    /// Its line in [`MODULES`].
    fn level(&self) -> usize {
        level(&self.module).unwrap_or_else(|| panic!("{} is in no module of MODULES", self.module))
    }
}

/// The line of [`MODULES`] that a module belongs to: the most specific one.
fn level(module: &str) -> Option<usize> {
    let belongs = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    let all = MODULES
        .iter()
        .enumerate()
        .flat_map(|(at, names)| names.iter().map(move |name| (name.len(), at, *name)));
    all.filter(|(_, _, name)| belongs(name)).max().map(|(_, at, _)| at)
}

/// The entry of [`MODULES`] that a module belongs to: those of one line are different.
fn top_module(module: &str) -> &'static str {
    let all = MODULES.iter().flat_map(|names| names.iter());
    all.filter(|name| module == **name || module.starts_with(&format!("{name}::")))
        .max_by_key(|name| name.len())
        .copied()
        .unwrap_or_default()
}

/// All files of src but those that are tests only.
fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut tests = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let relative = path.strip_prefix(&root).unwrap().with_extension("");
                let parts: Vec<&str> = relative.iter().map(|part| part.to_str().unwrap()).collect();
                let module = parts.join("::").trim_end_matches("::mod").to_owned();
                if matches!(module.as_str(), "lib" | "main") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for declared in text.split("#[cfg(test)]\nmod ").skip(1) {
                    if let Some((name, _)) = declared.split_once(';').filter(|(name, _)| !name.contains(' ')) {
                        tests.insert(format!("{module}::{name}"));
                    }
                }
                found.push(File {
                    module,
                    code: code_of(&text),
                    lines: text.lines().count(),
                });
            }
        }
    }
    found.retain(|file| !tests.contains(&file.module));
    found.sort_by(|a, b| a.module.cmp(&b.module));
    found
}

/// A source without its tests (which are at its end), its comments and its texts.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(after) = rest.strip_prefix("r#\"") {
            3 + after.find("\"#").map_or(after.len(), |end| end + 2)
        } else if let Some(after) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = after.find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            1 + end.map_or(after.len(), |end| end + 1)
        } else if rest.starts_with("'\"'") {
            3
        } else if rest.starts_with("'\\\"'") {
            4
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        rest = &rest[skipped..];
    }
    code
}

/// The paths of this crate that a source names, in full: of its `use` and anywhere else.
fn paths(file: &File) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let words: Vec<&str> = file.module.split("::").collect();
    for head in ["crate::", "super::", "self::"] {
        for (at, _) in file.code.match_indices(head) {
            let before = file.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base: Vec<&str> = if head == "crate::" { Vec::new() } else { words.clone() };
            let mut rest = &file.code[at..];
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            rest = rest.trim_start_matches("crate::").trim_start_matches("self::");
            tree(&base.join("::"), rest, &mut found);
        }
    }
    found
}

/// Reads a path, or a tree of them as `use` has it, and gives what follows it.
fn tree<'a>(base: &str, text: &'a str, found: &mut BTreeSet<String>) -> &'a str {
    let text = text.trim_start();
    let join = |name: &str| {
        if base.is_empty() {
            name.to_owned()
        } else {
            format!("{base}::{name}")
        }
    };
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            rest = tree(base, rest, found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
            if let Some(after) = rest.strip_prefix("as ") {
                rest = after.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ' ');
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
        }
    }
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() || name == "self" {
        found.insert(base.to_owned());
        return rest.strip_prefix('*').unwrap_or(rest);
    }
    match rest.strip_prefix("::") {
        Some(after) if after.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{' || c == '*') => {
            tree(&join(name), after, found)
        }
        _ => {
            found.insert(join(name));
            rest
        }
    }
}

/// What each file imports: its modules, as far down as they are files.
fn imports(files: &[File]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeSet<&str> = files.iter().map(|file| file.module.as_str()).collect();
    let of = |file: &File| {
        let mut all = BTreeSet::new();
        for path in paths(file) {
            let mut path = path.as_str();
            loop {
                if let Some(module) = modules.get(path) {
                    all.insert(*module);
                    break;
                }
                let Some((shorter, _)) = path.rsplit_once("::") else {
                    break;
                };
                path = shorter;
            }
        }
        all.remove(file.module.as_str());
        all
    };
    files.iter().map(|file| (file.module.as_str(), of(file))).collect()
}

/// Compares what was found with what is expected, and fails with both directions.
fn check(rule: &str, found: &BTreeSet<String>, exceptions: impl Iterator<Item = String>) {
    let exceptions: BTreeSet<String> = exceptions.collect();
    let new: Vec<&String> = found.difference(&exceptions).collect();
    let unneeded: Vec<&String> = exceptions.difference(found).collect();
    assert!(new.is_empty(), "{rule}:\n{new:#?}");
    assert!(
        unneeded.is_empty(),
        "no longer needed as exceptions, remove them:\n{unneeded:#?}"
    );
}

#[test]
fn imports_go_down() {
    let files = files();
    let imports = imports(&files);
    let mut found = BTreeSet::new();
    for file in &files {
        for target in &imports[file.module.as_str()] {
            let to = level(target).unwrap_or_else(|| panic!("{target} is in no module of MODULES"));
            let same = top_module(&file.module) == top_module(target);
            if !same && to <= file.level() {
                found.insert(format!("{} imports {target}", file.module));
            }
        }
    }
    let known = UPWARDS
        .iter()
        .map(|(file, target, _)| format!("{file} imports {target}"));
    check("imports that go up, or beside", &found, known);
}

#[test]
fn no_circles_of_files() {
    let files = files();
    let unit = |module: &str| {
        let depth = if module.starts_with("model::flink::") { 3 } else { 2 };
        module.split("::").take(depth).collect::<Vec<_>>().join("::")
    };
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, targets) in imports(&files) {
        let from = unit(file);
        for target in targets {
            let to = unit(target);
            // The mod.rs of a module re-exports what its files have.
            if to != from && !to.starts_with(&format!("{from}::")) {
                graph.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    let reach = |from: &String| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from];
        while let Some(at) = next.pop() {
            for to in graph.get(at).into_iter().flatten() {
                if seen.insert(to) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<&String>> = graph.keys().map(|from| (from, reach(from))).collect();
    let mut found = BTreeSet::new();
    for (from, all) in &reached {
        if all.contains(from) {
            let circle: Vec<&str> = reached
                .keys()
                .filter(|other| all.contains(**other) && reached[**other].contains(from))
                .map(|other| other.as_str())
                .collect();
            found.insert(circle.join(" "));
        }
    }
    check(
        "circles of files",
        &found,
        CIRCLES.iter().map(|(circle, _)| (*circle).to_owned()),
    );
}

#[test]
fn only_the_command_line_knows_clap() {
    let top = |module: &str| matches!(top_module(module), "cli" | "commands") || module.starts_with("cli::");
    let found = files()
        .iter()
        .filter(|file| !top(&file.module) && file.code.contains("clap::"))
        .map(|file| file.module.clone())
        .collect();
    check(
        "clap outside of cli and commands",
        &found,
        CLAP.iter().map(|(file, _)| (*file).to_owned()),
    );
}

#[test]
fn only_the_top_prints() {
    let top = |module: &str| {
        let top = top_module(module);
        top == "commands" || top == "output" || top.starts_with("cli")
    };
    let prints = |file: &&File| PRINTING.iter().any(|word| file.code.contains(word));
    let files = files();
    let found = files
        .iter()
        .filter(|file| !top(&file.module))
        .filter(prints)
        .map(|file| file.module.clone())
        .collect();
    check("prints", &found, PRINTS.iter().map(|(file, _)| (*file).to_owned()));
}

#[test]
fn commands_are_short() {
    let files = files();
    let commands = files.iter().filter(|file| top_module(&file.module) == "commands");
    let long: Vec<String> = commands
        .filter(|file| file.lines > COMMAND_LINES)
        .map(|file| format!("{} has {} lines", file.module, file.lines))
        .collect();
    assert!(long.is_empty(), "longer than {COMMAND_LINES} lines: {long:#?}");
}

#[test]
fn files_are_short() {
    let long: Vec<String> = files()
        .iter()
        .filter(|file| file.lines > FILE_LINES)
        .map(|file| format!("{} has {} lines", file.module, file.lines))
        .collect();
    assert!(long.is_empty(), "longer than {FILE_LINES} lines: {long:#?}");
}

#[test]
fn the_model_is_pure() {
    let mut found = BTreeSet::new();
    for file in files().iter().filter(|file| top_module(&file.module) == "model") {
        for word in OUTER_WORLD {
            if file.code.contains(word) {
                found.insert(format!("{} has {word}", file.module));
            }
        }
    }
    check(
        "not pure",
        &found,
        IMPURE.iter().map(|(file, word, _)| format!("{file} has {word}")),
    );
}

#[test]
fn the_map_names_files_and_items_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (src, map) = (root.join("src"), root.join("ARCHITECTURE.md"));
    let map = std::fs::read_to_string(map).unwrap();
    let (_, table) = map.split_once("## Where do I change").unwrap();
    let rows = table.lines().skip(1).take_while(|line| !line.starts_with('#'));
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (_, answer) in rows.filter_map(|line| line.rsplit_once(" | ")) {
        let parts: Vec<&str> = answer.split('`').collect();
        let (mut file, mut in_brackets) = (src.join("lib.rs"), false);
        for at in (1..parts.len()).step_by(2) {
            let (before, name) = (parts[at - 1], parts[at]);
            in_brackets = before.ends_with('(') || (in_brackets && before == ", ");
            let there = if in_brackets {
                let item = name.rsplit("::").next().unwrap_or(name);
                std::fs::read_to_string(&file).is_ok_and(|text| text.contains(item))
            } else if name.contains('/') || Path::new(name).extension().is_some() {
                // Beside the file before it, or from src or the root on.
                let places = [file.with_file_name(name), src.join(name), root.join(name)];
                let found = places.into_iter().find(|place| place.exists());
                let there = found.is_some();
                file = found.unwrap_or(file);
                there
            } else {
                continue;
            };
            count += 1;
            if !there {
                wrong.push(format!("{name} in {}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty() && count > 60, "{count} names, and wrong: {wrong:#?}");
}

#[test]
fn imports_are_read_from_a_source() {
    let file = File {
        lines: 0,
        module: "a::b".to_owned(),
        code: code_of(
            "use crate::x::{self, Y, z::{W as V, *}};\nuse super::c::D; // crate::comment\nfn f() { crate::e::g(\"crate::text\") }\n#[cfg(test)]\nmod tests { use crate::t; }",
        ),
    };
    let found: Vec<String> = paths(&file).into_iter().collect();
    assert_eq!(
        found,
        ["a::c::D", "crate::e::g"]
            .map(|path| path.trim_start_matches("crate::"))
            .into_iter()
            .chain(["x", "x::Y", "x::z", "x::z::W"])
            .collect::<Vec<_>>()
    );
}
