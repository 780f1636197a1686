//! What hints say is true: each key that one names is no key that the plugin refuses, and each flag and command exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use kubectl_flink::testing::Cli;
use kubectl_flink::testing::{owned_key, without_effect};

/// Flags of other programs that hints name.
const OTHERS: [&str; 12] = [
    "wait",
    "add-opens",
    "resource",
    "verb",
    "role",
    "serviceaccount",
    "allow-missing-template-keys",
    "overwrite",
    "from-literal",
    "docker-server",
    "docker-username",
    "grace-period",
];

/// The file whose texts are arguments of Flink's processes, and no hints.
const ARGUMENTS: &str = "process_memory.rs";

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if !name.contains("test") && !name.contains("fixtures") && name != ARGUMENTS {
            found.push(path);
        }
    }
}

/// The texts in double quotes of all sources, without comments and tests.
fn texts() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join("\n").replace("\\\"", "'");
        found.extend(code.split('"').skip(1).step_by(2).map(|text| text.replace("\\\n", " ")));
    }
    found
}

fn words<'a>(text: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    text.split(after)
        .skip(1)
        .map(move |rest| rest.split(end).next().unwrap_or_default().trim_end_matches('.'))
}

#[test]
fn keys_flags_and_commands_of_hints_exist_and_are_taken() {
    let mut command = Cli::command();
    command.build();
    let mut flags: BTreeSet<String> = OTHERS.iter().map(|flag| (*flag).to_owned()).collect();
    let mut commands = BTreeSet::new();
    let mut open: Vec<clap::Command> = vec![command];
    while let Some(command) = open.pop() {
        flags.extend(
            command
                .get_arguments()
                .filter_map(|argument| argument.get_long().map(ToOwned::to_owned)),
        );
        commands.insert(command.get_name().to_owned());
        open.extend(command.get_subcommands().cloned());
    }
    let texts = texts();
    let mut seen = 0;
    for text in &texts {
        for key in words(text, "-D ").filter(|key| key.contains('.') && !key.contains("..")) {
            assert_eq!((owned_key(key), without_effect(key)), (None, None), "{text:?}");
            assert_eq!(kubectl_flink::testing::doubt(key, None), None, "{text:?}");
            seen += 1;
        }
        // Behind two dashes are the arguments of a program.
        let lines = text
            .split("\\n")
            .map(|line| line.split(" -- ").next().unwrap_or_default());
        for flag in lines
            .flat_map(|line| words(line, " --"))
            .filter(|flag| !flag.is_empty())
        {
            assert!(flags.contains(flag), "--{flag} is no flag: {text:?}");
            seen += 1;
        }
        // In capitals it stands for any command.
        let named = |name: &&str| !name.is_empty() && *name != "COMMAND";
        for name in words(text, "kubectl flink ").filter(named) {
            assert!(commands.contains(name), "{name} is no command: {text:?}");
            seen += 1;
        }
    }
    assert!(seen > 80, "only {seen} were found in {} texts", texts.len());
}
