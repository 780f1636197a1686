//! What is generated from the program is current: the reference, the table of causes, and the manual pages.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, ArgAction, Command, CommandFactory};
use kubectl_flink::testing::CauseKind;
use kubectl_flink::testing::Cli;

use crate::lines::root;

#[allow(dead_code)]
#[path = "../../examples/man.rs"]
mod man;

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
    let value = match values.join(" ") {
        _ if !takes => String::new(),
        // As in the help: the value follows an equals sign, and may be absent.
        value if arg.is_require_equals_set() => format!("[={value}]"),
        value => format!(" {value}"),
    };
    format!("`{}{value}`", names.join("`, `")).replace('|', "\\|")
}

/// A flag or an argument.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    /// The first of its names, or its value.
    name: String,
    flag: String,
    help: String,
    /// Its heading in the help.
    heading: String,
}

fn row(arg: &Arg) -> Row {
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
        if !defaults.is_empty() && !arg.is_hide_default_value_set() {
            let _ = write!(help, " [default: {}]", defaults.join(", "));
        }
    }
    let long = arg.get_long().map(|long| format!("`--{long}`"));
    Row {
        name: long.unwrap_or_else(|| flag(arg)),
        flag: flag(arg),
        help: help.replace('|', "\\|"),
        heading: arg.get_help_heading().unwrap_or("Options").to_owned(),
    }
}

/// What a command has for itself: its arguments, and then its flags.
fn own_rows(command: &Command) -> Vec<Row> {
    let own = command.get_arguments().filter(|arg| man::is_own(arg));
    let (arguments, flags): (Vec<&Arg>, Vec<&Arg>) = own.partition(|arg| arg.is_positional());
    arguments.into_iter().chain(flags).map(row).collect()
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let lines = rows.into_iter().map(|row| format!("| {} | {} |\n", row.flag, row.help));
    let lines: String = lines.collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n| | |\n|---|---|\n{lines}")
    }
}

fn section(text: &mut String, command: &Command, name: &str, shared: &[Row]) {
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
    let (common, own): (Vec<Row>, Vec<Row>) = own_rows(command).into_iter().partition(|row| shared.contains(row));
    // The words and the examples behind the help. As there, examples come right after the usage.
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let indented = help.lines().filter(|line| line.starts_with("  ")).map(str::trim);
    let (examples, words): (Vec<&str>, Vec<&str>) = indented.partition(|line| line.contains("kubectl flink "));
    let block = |language: &str, lines: &[&str]| match lines {
        [] => String::new(),
        lines => format!("\n```{language}\n{}\n```\n", lines.join("\n")),
    };
    text.push_str(&block("sh", &examples));
    text.push_str(&table(&own));
    if !common.is_empty() {
        let names: Vec<&str> = common.iter().map(|row| row.name.as_str()).collect();
        let _ = write!(
            text,
            "\nOf the [flags of several commands](#flags-of-several-commands): {}.\n",
            names.join(", ")
        );
    }
    text.push_str(&block("text", &words));
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        section(text, inner, &format!("{name} {}", inner.get_name()), shared);
    }
}

fn reference() -> String {
    let mut command = Cli::command().term_width(0);
    command.build();
    let mut text = "# Reference\n\nEvery command and flag, written from the program itself: `UPDATE_DOCS=1 cargo test --test cli reference -- --ignored` writes it again.\n\
        \n## Flags of all commands\n"
        .to_owned();
    let of_all = command
        .get_arguments()
        .filter(|arg| arg.is_global_set() && !arg.is_hide_set());
    text.push_str(&table(&of_all.map(row).collect::<Vec<_>>()));
    text.push_str("\n## Flags of several commands\n\nThe section of a command names those of them that it has.\n");
    let shared: Vec<Row> = man::shared(&command).iter().map(row).collect();
    let mut headings: Vec<&str> = Vec::new();
    for row in &shared {
        if !headings.contains(&row.heading.as_str()) {
            headings.push(&row.heading);
        }
    }
    for heading in headings {
        let _ = write!(text, "\n### {heading}\n");
        text.push_str(&table(shared.iter().filter(|row| row.heading == heading)));
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        section(
            &mut text,
            inner,
            &format!("kubectl flink {}", inner.get_name()),
            &shared,
        );
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
            "docs/reference.md is old in line {}: {kept}\nnow: {now}\nUPDATE_DOCS=1 cargo test --test cli reference -- --ignored writes it again",
            number + 1
        );
    }
    assert_eq!(
        kept.len(),
        text.len(),
        "docs/reference.md is old: UPDATE_DOCS=1 cargo test --test cli reference -- --ignored writes it again"
    );
}

// The table of causes.

fn causes() -> String {
    let mut kinds: Vec<_> = CauseKind::ALL.iter().collect();
    // Stable: within one severity in the order of the code.
    kinds.sort_by_key(|kind| kind.severity());
    let rows = kinds.into_iter().map(|kind| {
        format!(
            "| `{kind}` | {} | {} | {} |\n",
            kind.severity(),
            kind.meaning(),
            kind.remedy()
        )
    });
    format!(
        "| cause | severity | meaning | remedy |\n|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn the_documented_causes_are_those_of_the_program() {
    let path = root().join("docs/causes.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- causes -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(
            path,
            format!("{before}<!-- causes -->\n{}<!-- end -->{after}", causes()),
        )
        .unwrap();
    } else {
        assert_eq!(found, causes());
    }
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
    // What many commands have is described once, and named where it belongs to a command.
    let options = page("kubectl-flink-options");
    let pages = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let pages: Vec<String> = pages.collect();
    for help in [
        "Path of the kubeconfig file to use",
        "Folder in which savepoints are written",
        "Do not print the header line",
    ] {
        assert_eq!(pages.iter().filter(|page| page.contains(help)).count(), 1, "{help}");
        assert!(options.contains(help), "{help} in {options}");
    }
    for page in &pages {
        let others = page.split_once(".SH \"SEE ALSO\"\n").unwrap().1;
        assert!(others.contains(".BR kubectl\\-flink"), "{others}");
    }
    let create = page("kubectl-flink-create");
    assert!(!create.contains("Folder in which"), "{create}");
    assert!(
        create.contains("savepoint\\-dir") && create.contains("kubectl flink create demo"),
        "{create}"
    );
    // As in help, examples come right after the usage.
    let list = page("kubectl-flink-list");
    let sections = [
        ".SH SYNOPSIS",
        ".SH EXAMPLES",
        "kubectl flink list \\-A",
        ".SH OPTIONS",
        ".SH NOTES",
        "\\fBDegraded",
    ];
    let places = sections.map(|text| list.find(text).unwrap_or_else(|| panic!("no {text} in {list}")));
    assert!(places.is_sorted(), "{list}");
    assert!(pages.iter().all(|page| !page.contains(".SH EXTRA")));
    // Read by the program that `man` uses, where there is one, without a complaint.
    for name in ["create", "options"] {
        let groff = std::process::Command::new("groff")
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(folder.path().join(format!("kubectl-flink-{name}.1")))
            .output();
        if let Ok(output) = groff {
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        }
    }
}
