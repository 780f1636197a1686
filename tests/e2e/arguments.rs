//! What was typed arrives: through Kubernetes' expansion and the image's shell scripts, in the program and in Flink.

use serde_json::Value;

use crate::place::Place;

/// Arguments of the program that something on the way may take for its own.
fn hostile() -> Vec<String> {
    let long = "0123456789abcdef".repeat(50 * 1024 / 16);
    let mut arguments: Vec<String> = [
        // Options of Flink, at the very front.
        "--job-id",
        "-Da=b",
        "-n",
        "--fromSavepoint",
        "--",
        "",
        "two  words ",
        "\"double\"",
        "'single'",
        "a\"b'c`id`",
        "$HOME",
        "${HOME}",
        "$(VISIBLE)",
        "$$(VISIBLE)",
        "$$$(VISIBLE)",
        "$(hostname)",
        "$$",
        "$",
        "$1",
        "$@",
        "${FLINK_IMAGE_NAME}",
        "*",
        "/*",
        "?",
        "[a-z]",
        "{a,b}",
        "~",
        ";",
        "&& exit 1",
        "|",
        ">/tmp/x",
        "#",
        "!",
        "\\",
        "\\\\n",
        "a\\ b",
        "%s",
        "é漢🦀",
        "tab\there",
        "line\nbreak",
        "\n",
        "ends with a line break\n",
        "carriage\r\nreturn",
        "yes",
        "0x1f",
        "[1, 2]",
        "key: value",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(long);
    arguments.extend(["--print-args", "/tmp/args"].map(str::to_owned));
    arguments
}

/// Settings whose values something on the way may take apart.
const SETTINGS: [(&str, &str); 20] = [
    ("e2e.space", "two  words"),
    ("e2e.double", "a \"quoted\" word"),
    ("e2e.single", "it's"),
    ("e2e.dollar", "$HOME ${HOME} $$ $"),
    ("e2e.expansion", "$(VISIBLE) $$(VISIBLE)"),
    ("e2e.hash", "a # b"),
    ("e2e.semicolon", "a;b;c"),
    ("e2e.equals", "a=b=c"),
    ("e2e.star", "*"),
    ("e2e.backslash", "a\\b\\\\c"),
    ("e2e.colon", "key: value"),
    ("e2e.unicode", "é漢🦀"),
    ("e2e.tab", "a\tb"),
    ("e2e.line", "a\nb"),
    ("e2e.padded", "  padded  "),
    ("e2e.quoted", "\"quoted\""),
    ("e2e.single-quoted", "'quoted'"),
    ("e2e.empty", ""),
    ("e2e.map", "{a: [1, 2]}"),
    ("e2e.dash", "-Dx=y"),
];

/// The arguments with which a container's process was started.
fn process_arguments(place: &Place, owner: &str) -> Vec<String> {
    let line = place.kubectl(&["exec", owner, "--", "cat", "/proc/1/cmdline"]);
    line.trim_end_matches('\0').split('\0').map(ToOwned::to_owned).collect()
}

#[test]
fn arguments_and_settings_arrive_byte_for_byte() {
    let place = Place::new("arguments");
    let hostile = hostile();
    let settings: Vec<String> = SETTINGS.iter().map(|(key, value)| format!("-D{key}={value}")).collect();
    let mut flags = vec![
        "--job-class=org.kubectlflink.jobs.CountingJob",
        "--env",
        "VISIBLE=expanded",
    ];
    flags.extend(settings.iter().map(String::as_str));
    flags.push("--");
    flags.extend(hostile.iter().map(String::as_str));
    place.create("demo", &flags).ok();
    place.runs("demo");

    let line = place.kubectl(&["exec", "job/demo-master", "--", "cat", "/tmp/args"]);
    let arrived: Vec<String> = serde_json::from_str(line.strip_prefix("ARGS ").unwrap()).unwrap();
    for (arrived, typed) in arrived.iter().zip(&hostile) {
        assert_eq!(arrived, typed);
    }
    assert_eq!(arrived.len(), hostile.len());

    let config = place.rest("demo", "jobmanager/config").expect("Flink answers");
    let config = config.as_array().unwrap();
    let task_manager = process_arguments(&place, "deployment/demo-task-manager");
    let job_manager = process_arguments(&place, "job/demo-master");
    let mut wrong = Vec::new();
    for ((key, value), setting) in SETTINGS.iter().zip(&settings) {
        let entry = config.iter().find(|entry| entry["key"] == *key);
        if entry.map(|entry| &entry["value"]) != Some(&Value::from(*value)) {
            wrong.push(format!("{setting:?} is {entry:?} in the JobManager's configuration"));
        }
        for (role, arguments) in [("JobManager", &job_manager), ("TaskManager", &task_manager)] {
            if !arguments.contains(setting) {
                wrong.push(format!("{setting:?} is no argument of the {role}'s process"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
