//! What is written for people is true: every command line in the documents and in the help texts can be typed, and is run
//! by a test, or says why it is not.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::{Command, CommandFactory};
use kubectl_flink::testing::Cli;

use crate::lines::{LEFT_OUT, is_run, lines, root, text};

/// README.md and all that is in docs, by their names from the root.
fn documents() -> Vec<String> {
    let entries = fs::read_dir(root().join("docs")).unwrap();
    let pages = entries.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = pages
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(root().join("README.md"));
    pages.sort();
    let name = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    pages.iter().map(name).collect()
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
    // An ellipsis is the reader's own value.
    own.filter(|typed| !typed.contains('…')).collect()
}

/// The complete command lines between backticks in a sentence.
fn inline(text: &str) -> Vec<String> {
    let sentences = text
        .lines()
        .filter(|line| !line.starts_with("    ") && !line.starts_with("$ ") && !line.starts_with('#'));
    let code = sentences.flat_map(|line| line.split('`').skip(1).step_by(2));
    let own = code.filter_map(|code| code.strip_prefix("kubectl flink "));
    // A word alone names a command, whatever else that needs.
    own.filter(|typed| typed.contains(' ') && !typed.contains('…') && !typed.contains("COMMAND"))
        .map(ToOwned::to_owned)
        .collect()
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
    for document in documents() {
        let text = text(&document);
        let blocks = lines(&text);
        let blocks = blocks.iter().flat_map(|line| own_commands(&line.typed));
        for typed in blocks.chain(inline(&text)) {
            count += 1;
            if let Some(fault) = fault(&typed) {
                let _ = writeln!(faults, "{document}: kubectl flink {typed}\n{fault}");
            }
        }
    }
    assert_eq!(faults, "");
    assert!(count >= 20, "only {count} command lines were found");
}

/// Documents whose lines need no cluster: what is run here. All others are run on the test cluster.
const WITHOUT_A_CLUSTER: [&str; 2] = ["docs/configuration.md", "docs/templates.md"];

/// One after the other, by a user who has nothing yet. The lines of a document are one script: what it exports stays.
#[cfg(unix)]
#[test]
fn documents_that_need_no_cluster_are_run() {
    let sandbox = crate::sandbox::Sandbox::new();
    let program = |name: &str, text: &str| sandbox.program(&format!("bin/{name}"), text);
    let own = env!("CARGO_BIN_EXE_kubectl-flink");
    program("kubectl-flink", &format!("#!/bin/sh\nexec '{own}' \"$@\"\n"));
    // What kubectl does with a word that it does not know.
    program(
        "kubectl",
        "#!/bin/sh\nplugin=kubectl-$1\nshift\nexec \"$plugin\" \"$@\"\n",
    );
    for document in WITHOUT_A_CLUSTER {
        let read = lines(&text(document));
        assert!(!read.is_empty() && read.iter().all(|line| line.exit == 0 && is_run(document, line)));
        let script: String = read.iter().map(|line| format!("{}\n", line.typed)).collect();
        let path = format!("{}:/usr/bin:/bin", sandbox.home().join("bin").display());
        let run = std::process::Command::new("bash")
            .args(["-euc", &script])
            .env_clear()
            .env("HOME", sandbox.home())
            .env("PATH", path)
            .current_dir(sandbox.home())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert!(
            run.status.success() && !stderr.contains("error:"),
            "{document}:\n{script}\n{stderr}"
        );
    }
    let kept = fs::read_to_string(sandbox.home().join(".config/kubectl-flink/config.yaml")).unwrap();
    assert!(kept.contains("service-account: flink"), "{kept}");
}

/// Each document is run, or is listed with the reason why not.
#[test]
fn every_document_is_run_or_says_why_not() {
    let bed = include_str!("../e2e/long/documents.rs").to_owned() + include_str!("../e2e/shipped.rs");
    for document in documents() {
        let some = lines(&text(&document)).iter().any(|line| is_run(&document, line));
        let runs = WITHOUT_A_CLUSTER.contains(&&*document) || bed.contains(&format!("\"{document}\""));
        assert_eq!(
            some, runs,
            "{document}: whether it has lines, and whether a test runs them"
        );
    }
    for (document, start, _) in LEFT_OUT {
        let there = lines(&text(document)).iter().any(|line| line.typed.starts_with(start));
        assert!(there, "{document} has no line {start}: it need not be left out");
    }
}

/// The heading of a page as GitHub names it in an address.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
        .collect()
}

#[test]
fn no_link_is_dead() {
    let mut dead = String::new();
    let others = ["ARCHITECTURE.md", "CONTRIBUTING.md", "tests/bed/README.md"].map(str::to_owned);
    for document in documents().into_iter().chain(others) {
        let text = text(&document);
        let folder = root().join(&document).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let (page, section) = link.split_once('#').unwrap_or((link, ""));
            let path = if page.is_empty() {
                root().join(&document)
            } else {
                folder.join(page)
            };
            let there = link.contains("://")
                || path.exists()
                    && (section.is_empty() || {
                        let page = fs::read_to_string(&path).unwrap();
                        page.lines()
                            .any(|line| line.starts_with('#') && anchor(line) == section)
                    });
            if !there {
                let _ = writeln!(dead, "{document}: {link}");
            }
        }
    }
    assert_eq!(dead, "");
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

/// The test above sees what it should see.
#[test]
fn command_lines_are_found_in_all_kinds_of_blocks() {
    let text = "```console\n$ kubectl flink list -A | head\nNAME\n$ kubectl flink create a \\\n    --image b\n```\n\
        text `kubectl flink nothing`\n\n    kubectl flink version  # says\n\n```sh\nx=$(kubectl flink list -o name) && true\n```\n";
    let read = lines(text);
    let found: Vec<String> = read.iter().flat_map(|line| own_commands(&line.typed)).collect();
    assert_eq!(
        found,
        ["list -A", "create a --image b", "version", "list -o name"].map(str::to_owned)
    );
    let text = "```console\n$ kubectl flink why a\ncritical\n$ echo $?\n6\n$ kubectl flink list\n```\n";
    let ends: Vec<i32> = lines(text).iter().map(|line| line.exit).collect();
    assert_eq!(ends, [6, 0]);
    assert_eq!(
        inline("see `kubectl flink why demo`, `kubectl flink list` and `x`"),
        ["why demo"]
    );
    assert!(fault("lsit").is_some() && fault("create --no-such").is_some() && fault("list -A").is_none());
}
