//! What is written for people is true: every command line in the documents and in the help texts can be typed, the
//! reference is that of the program, and every command has its manual page.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, CommandFactory};
use kubectl_flink::cli::Cli;

#[allow(dead_code)]
#[path = "../../examples/man.rs"]
mod man;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README.md and all that is in docs.
fn documents() -> Vec<PathBuf> {
    let mut files = vec![root().join("README.md")];
    let entries = fs::read_dir(root().join("docs")).unwrap();
    files.extend(
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    files.sort();
    files
}

/// The command lines of a document's blocks: lines of a session after `$ `, and lines of scripts.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut fence, mut open) = (None, String::new());
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() {
                None
            } else {
                Some(language.to_owned())
            };
            continue;
        }
        let typed = match fence.as_deref() {
            Some("console") if !open.is_empty() => line.trim(),
            Some("console") => line.strip_prefix("$ ").unwrap_or_default(),
            Some("sh" | "bash") => line.trim(),
            // Indented blocks are scripts too.
            None => line.strip_prefix("    ").map_or("", str::trim),
            _ => "",
        };
        let typed = typed.split(" # ").next().unwrap_or_default().trim_end();
        match typed.strip_suffix('\\') {
            Some(begun) => open.push_str(begun),
            None => {
                open.push_str(typed);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// The plugin's own commands in a line, with pipes and what surrounds them taken away.
fn own_commands(line: &str) -> Vec<String> {
    let parts = line
        .split(" | ")
        .flat_map(|part| part.split(" && "))
        .flat_map(|part| part.split("; "));
    let own = parts.filter_map(|part| {
        let at = part.find("kubectl flink ")?;
        let typed = &part[at + "kubectl flink ".len()..];
        let typed = typed
            .split(" > ")
            .next()
            .unwrap_or_default()
            .split(" 2> ")
            .next()
            .unwrap_or_default();
        // Inside of $(…) and <(…).
        let inner = part[..at].ends_with('(');
        Some(if inner { typed.trim_end_matches(')') } else { typed }.to_owned())
    });
    // An ellipsis stands for whatever a reader has.
    own.filter(|typed| !typed.contains('…')).collect()
}

/// Words as a shell makes them, as far as the documents use it: quotes, and nothing is expanded.
fn words(typed: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in typed.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            Some(_) | None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Why a command line cannot be typed; `None`: it can.
fn fault(typed: &str) -> Option<String> {
    let mut words = words(typed);
    words.insert(0, "kubectl-flink".to_owned());
    match Cli::command().try_get_matches_from(words) {
        Ok(_) => None,
        // Help is asked for.
        Err(error) if !error.use_stderr() => None,
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn every_command_line_in_the_documents_can_be_typed() {
    let (mut count, mut faults) = (0, String::new());
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for typed in command_lines(&text).iter().flat_map(|line| own_commands(line)) {
            count += 1;
            if let Some(fault) = fault(&typed) {
                let _ = writeln!(faults, "{}: kubectl flink {typed}\n{fault}", path.display());
            }
        }
    }
    assert_eq!(faults, "");
    assert!(count >= 20, "only {count} command lines were found");
}

/// Scripts of the documents that need no cluster are run, one after the other, by a user who has nothing yet.
#[cfg(unix)]
#[test]
fn what_needs_no_cluster_is_run() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = crate::sandbox::Sandbox::new();
    let program = |name: &str, text: &str| {
        let path = sandbox.file(&format!("bin/{name}"), text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let own = env!("CARGO_BIN_EXE_kubectl-flink");
    program("kubectl-flink", &format!("#!/bin/sh\nexec '{own}' \"$@\"\n"));
    // What kubectl does with a word that it does not know.
    program(
        "kubectl",
        "#!/bin/sh\nplugin=kubectl-$1\nshift\nexec \"$plugin\" \"$@\"\n",
    );
    let mut count = 0;
    for name in ["configuration.md", "templates.md"] {
        let text = fs::read_to_string(root().join("docs").join(name)).unwrap();
        for script in text
            .split("```sh\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap())
        {
            let run = std::process::Command::new("bash")
                .args(["-euc", script])
                .env_clear()
                .env("HOME", sandbox.home())
                .env(
                    "PATH",
                    format!("{}:/usr/bin:/bin", sandbox.home().join("bin").display()),
                )
                .current_dir(sandbox.home())
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&run.stderr);
            assert!(
                run.status.success() && !told.contains("error:"),
                "{name}:\n{script}\n{told}"
            );
            count += 1;
        }
    }
    assert_eq!(count, 2, "scripts");
    let kept = fs::read_to_string(sandbox.home().join(".config/kubectl-flink/config.yaml")).unwrap();
    assert!(kept.contains("service-account: flink"), "{kept}");
}

#[test]
fn every_example_of_the_help_texts_can_be_typed() {
    fn check(command: &Command, faults: &mut String, count: &mut usize) {
        let help = command.get_after_help().or_else(|| command.get_after_long_help());
        let text = help.map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
        for typed in lines.iter().flat_map(|line| own_commands(line)) {
            *count += 1;
            if let Some(fault) = fault(&typed) {
                let _ = writeln!(faults, "{}: kubectl flink {typed}\n{fault}", command.get_name());
            }
        }
        command.get_subcommands().for_each(|inner| check(inner, faults, count));
    }
    let (mut faults, mut count) = (String::new(), 0);
    check(&Cli::command(), &mut faults, &mut count);
    assert_eq!(faults, "");
    assert!(count >= 20, "only {count} examples were found");
}

/// The test above sees what it shall see.
#[test]
fn command_lines_are_found_in_all_kinds_of_blocks() {
    let text = "```console\n$ kubectl flink list -A | head\nNAME\n$ kubectl flink create a \\\n    --image b\n```\n\
        text `kubectl flink nothing`\n\n    kubectl flink version  # says\n\n```sh\nx=$(kubectl flink list -o name) && true\n```\n";
    let found: Vec<String> = command_lines(text).iter().flat_map(|line| own_commands(line)).collect();
    assert_eq!(
        found,
        ["list -A", "create a --image b", "version", "list -o name"].map(str::to_owned)
    );
    assert!(fault("lsit").is_some() && fault("create --no-such").is_some() && fault("list -A").is_none());
}

// The reference.

fn flag(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("-{short}")));
    names.extend(
        arg.get_long_and_visible_aliases()
            .into_iter()
            .flatten()
            .map(|long| format!("--{long}")),
    );
    let values: Vec<String> = arg
        .get_value_names()
        .into_iter()
        .flatten()
        .map(|name| format!("<{name}>"))
        .collect();
    let takes = arg.get_action().takes_values();
    if arg.is_positional() {
        let dots = if matches!(arg.get_action(), ArgAction::Append) {
            "…"
        } else {
            ""
        };
        return format!("`{}{dots}`", values.join(" ").replace('|', "\\|"));
    }
    let value = if takes {
        format!(" {}", values.join(" "))
    } else {
        String::new()
    };
    format!("`{}{value}`", names.join("`, `")).replace('|', "\\|")
}

fn rows(command: &Command, global: bool) -> String {
    let mut text = String::new();
    for arg in command.get_arguments() {
        let own = arg.get_id() != "help" && arg.get_id() != "version" && !arg.is_hide_set();
        if !own || arg.is_global_set() != global {
            continue;
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let mut help = help.lines().collect::<Vec<_>>().join(" ");
        if arg.get_action().takes_values() {
            let shown = arg.get_possible_values();
            let shown: Vec<&str> = shown
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| value.get_name())
                .collect();
            if !shown.is_empty() {
                let _ = write!(help, "; one of {}", shown.join(", "));
            }
            let defaults: Vec<_> = arg
                .get_default_values()
                .iter()
                .map(|value| value.to_string_lossy())
                .collect();
            if !defaults.is_empty() {
                let _ = write!(help, " [default: {}]", defaults.join(", "));
            }
        }
        let _ = writeln!(text, "| {} | {} |", flag(arg), help.replace('|', "\\|"));
    }
    if text.is_empty() {
        text
    } else {
        format!("\n| | |\n|---|---|\n{text}")
    }
}

fn section(text: &mut String, command: &Command, name: &str) {
    let about = command
        .get_long_about()
        .or_else(|| command.get_about())
        .map(ToString::to_string);
    let mut usage = command.clone().bin_name(name.to_owned()).render_usage().to_string();
    usage = usage
        .trim_start_matches("Usage:")
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    let _ = write!(
        text,
        "\n## {name}\n\n{}\n\n```text\n{usage}```\n",
        about.unwrap_or_default()
    );
    if !aliases.is_empty() {
        let _ = writeln!(text, "\nAlso: {}", aliases.join(", "));
    }
    text.push_str(&rows(command, false));
    if let Some(help) = command.get_after_help() {
        let help = help.to_string();
        let examples: Vec<&str> = help
            .lines()
            .filter(|line| line.starts_with("  "))
            .map(str::trim)
            .collect();
        if !examples.is_empty() {
            let _ = write!(text, "\n```sh\n{}\n```\n", examples.join("\n"));
        }
    }
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        section(text, inner, &format!("{name} {}", inner.get_name()));
    }
}

fn reference() -> String {
    let mut command = Cli::command().term_width(0);
    command.build();
    let mut text = "# Reference\n\nEvery command and flag, written from the program itself: `UPDATE_DOCS=1 cargo test --test cli reference -- --ignored` writes it anew.\n\
        \n## Flags of all commands\n"
        .to_owned();
    text.push_str(&rows(&command, true));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        section(&mut text, inner, &format!("kubectl flink {}", inner.get_name()));
    }
    text
}

/// tests/run runs it after the others: one flag more is no reason to stop at.
#[test]
#[ignore = "tests/run has a step for it"]
fn the_reference_is_that_of_the_program() {
    let path = root().join("docs/reference.md");
    let text = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if let Some((number, (kept, now))) = kept
        .lines()
        .zip(text.lines())
        .enumerate()
        .find(|(_, (kept, now))| kept != now)
    {
        panic!(
            "docs/reference.md is old in line {}: {kept}\nnow: {now}\nUPDATE_DOCS=1 cargo test --test cli reference -- --ignored writes it anew",
            number + 1
        );
    }
    assert_eq!(
        kept.len(),
        text.len(),
        "docs/reference.md is old: UPDATE_DOCS=1 cargo test --test cli reference -- --ignored writes it anew"
    );
}

// Manual pages.

#[test]
fn every_command_has_its_manual_page() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut command = Cli::command();
    command.build();
    man::write(&command, "kubectl-flink", folder.path()).unwrap();
    let page = |name: &str| fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap_or_default();
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        let name = format!("kubectl-flink-{}", inner.get_name());
        let text = page(&name);
        assert!(
            text.contains(&format!(".TH {} 1", name.to_uppercase().replace('-', "\\-")))
                || text.contains(&format!(".TH {} 1", name.to_uppercase())),
            "{name}: {text}"
        );
        assert!(text.contains(".SH OPTIONS"), "{name}");
    }
    let create = page("kubectl-flink-create");
    assert!(
        create.contains("savepoint\\-dir") && create.contains("kubectl flink create demo"),
        "{create}"
    );
    // Read by the program that `man` uses, where there is one, without a complaint.
    let groff = std::process::Command::new("groff")
        .args(["-man", "-Tutf8", "-ww", "-z"])
        .arg(folder.path().join("kubectl-flink-create.1"))
        .output();
    if let Ok(output) = groff {
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
}
