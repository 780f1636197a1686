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

/// The command line of Flink's JVM, up to its main class: what follows is Flink's, and not the JVM's.
fn jvm_options(place: &Place, owner: &str) -> Vec<String> {
    let mut options = process_arguments(place, owner);
    let main = options.iter().position(|one| one.starts_with("org.apache.flink."));
    options.truncate(main.expect("a main class of Flink"));
    options
}

/// Keys that Flink's shell scripts read reach the JVMs, and what the image opens of Java's modules stays open.
#[test]
fn settings_of_flinks_scripts_reach_the_jvms() {
    let place = Place::new("script-keys");
    let yaml = format!(
        "apiVersion: flink.apache.org/v1beta1\nkind: FlinkDeployment\nmetadata: {{name: demo}}\nspec:\n  image: {}\n  \
         flinkConfiguration:\n    env.java.opts.all: \"--add-opens java.base/java.math=ALL-UNNAMED -De2e.all=a\"\n    \
         env: {{java: {{opts: {{taskmanager: -De2e.home=$FLINK_HOME}}}}, log: {{max: 3}}}}\n  \
         job: {{jarURI: \"local:///opt/flink/usrlib/counting-job.jar\"}}\n",
        crate::place::counting_job()
    );
    let file = place.folder().join("demo.yaml");
    std::fs::write(&file, yaml).unwrap();
    let flags = [
        "-f",
        file.to_str().unwrap(),
        "--job-class=org.kubectlflink.jobs.CountingJob",
        "-Denv.java.opts.jobmanager=-De2e.jm=1 -De2e.second",
    ];
    place.create("demo", &flags).ok();
    place.runs("demo");
    let own = [["-De2e.jm=1", "-De2e.second"].as_slice(), &["-De2e.home=/opt/flink"]];
    for (owner, own) in ["job/demo-master", "deployment/demo-task-manager"].into_iter().zip(own) {
        let options = jvm_options(&place, owner);
        let both = ["--add-opens", "java.base/java.math=ALL-UNNAMED", "-De2e.all=a"];
        // Flink's own, from the image's configuration file.
        let image = ["--add-opens=java.base/java.util=ALL-UNNAMED"];
        for want in [&both[..], &image, own].concat() {
            assert!(options.iter().any(|one| one == want), "{want} of {owner}: {options:?}");
        }
        let max = ["exec", owner, "--", "sh", "-c", "tr '\\0' '\\n' < /proc/1/environ"];
        assert!(place.kubectl(&max).lines().any(|line| line == "MAX_LOG_FILE_NUMBER=3"));
    }
}
