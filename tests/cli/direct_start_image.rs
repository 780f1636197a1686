//! The command of a direct start, run on this machine with an image in a folder. It is written for Linux, and for the bash
//! of Flink's images.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::direct_start::{containers, words};
use crate::sandbox::Sandbox;

/// An image in a folder, and the command of a container on it.
struct Image {
    sandbox: Sandbox,
    command: Vec<String>,
}

impl Image {
    /// Its java prints its arguments, and its entrypoint asks java what it is asked itself.
    fn new(container: &Value) -> Self {
        let sandbox = Sandbox::bare();
        let home = sandbox.home().display().to_string();
        sandbox.file("flink/bin/config.sh", "");
        sandbox.file("flink/lib/flink-dist.jar", "");
        sandbox.file("java/release", "IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"17.0.15\"\n");
        sandbox.program(
            "java/bin/java",
            "#!/bin/bash\necho \"JVM: $0 $* JAVA_HOME=$JAVA_HOME JAVA_RUN=$JAVA_RUN\"\n",
        );
        sandbox.program(
            "entrypoint.sh",
            "#!/bin/bash\nexport JAVA_RUN=$JAVA_HOME/bin/java\nexec \"$JAVA_RUN\" \"$@\"\n",
        );
        let command = words(&container["command"]).into_iter();
        let command = command.map(|word| {
            let word = word.replace("/docker-entrypoint.sh", &format!("{home}/entrypoint.sh"));
            // As Kubernetes does it.
            word.replace("$$(", "$(")
        });
        let command = command.collect();
        Self { sandbox, command }
    }

    /// The container's output with these arguments, and its exit code.
    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (String, Option<i32>) {
        let home = self.sandbox.home();
        let output = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("FLINK_HOME", home.join("flink"))
            .env("JAVA_HOME", home.join("java"))
            .env("TMPDIR", home)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        (text.replace(&home.display().to_string(), "HOME"), output.status.code())
    }

    /// The answer to a question of Flink's scripts about the folder `conf`.
    fn ask(&self, question: &str, arguments: &[&str]) -> String {
        let conf = self.sandbox.home().join("conf").display().to_string();
        let helper = "org.apache.flink.runtime.util.bash.BashJavaUtils";
        let asked = ["-classpath", "x.jar", helper, question, "--configDir", &conf];
        self.run(&[&asked[..], arguments].concat(), &[]).0
    }

    fn conf(&self, name: &str, text: &str) {
        self.sandbox.file(&format!("conf/{name}"), text);
    }
}

/// Whether the image's own java was asked.
fn is_left(answer: &str) -> bool {
    answer.contains("JVM: HOME/java/bin/java -classpath x.jar")
}

#[test]
fn flink_itself_is_run_by_the_images_java_in_the_images_environment() {
    let [master, _] = containers(&["--image=flink:2.3.0"]);
    let image = Image::new(&master);
    let run = image.run(&["-Xmx1g", "a.Main", "a b", "$HOME"], &[]);
    let expected = "JVM: HOME/java/bin/java -Xmx1g a.Main a b $HOME JAVA_HOME=HOME/java JAVA_RUN=HOME/java/bin/java\n";
    assert_eq!(run, (expected.to_owned(), Some(0)));
    let version = image.run(&["-XshowSettings:properties"], &[]);
    assert_eq!(version, ("    java.specification.version = 17\n".to_owned(), Some(0)));

    // Where it cannot be: in an image that is not like Flink's, and where programs cannot be written.
    let (text, code) = image.run(&[], &[("FLINK_HOME", "/nonexistent")]);
    assert!(
        text.contains("this image cannot be started directly") && code == Some(1),
        "{text}"
    );
    let (text, code) = image.run(&["-Xmx1g"], &[("TMPDIR", "/proc/nonexistent")]);
    assert!(
        text.contains("so Flink's own helpers are started\n") && code == Some(0),
        "{text}"
    );
    assert!(
        text.contains("JVM: HOME/java/bin/java -Xmx1g JAVA_HOME=HOME/java"),
        "{text}"
    );
}

/// The answers are those of BashJavaUtils of 2.3.0 to the same questions.
#[test]
fn configuration_files_are_read_as_flinks_helper_reads_them() {
    let [master, _] = containers(&["--image=flink:2.3.0"]);
    let image = Image::new(&master);
    let file = "# Flink's own\nenv:\n  java:\n    opts:\n      all: --add-opens=a/b=ALL -Dx=1  # both\n      \
        jobmanager: '-Da=1 -Db'\n      taskmanager: \"-Dc\"\n  log:\n    max: 5\n    level: 'true'\nrest.port: 8081\n";
    image.conf("config.yaml", file);
    let question = "UPDATE_AND_GET_FLINK_CONFIGURATION";
    let lines = |answer: &str| {
        let lines = answer
            .lines()
            .map(|line| line.strip_prefix("BASH_JAVA_UTILS_EXEC_RESULT:").unwrap());
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let flat = [
        "env.java.opts.all: --add-opens=a/b=ALL -Dx=1",
        "env.java.opts.jobmanager: -Da=1 -Db",
        "env.java.opts.taskmanager: -Dc",
        "env.log.max: 5",
        "env.log.level: 'true'",
        "rest.port: 8081",
    ];
    assert_eq!(lines(&image.ask(question, &["-flatten"])), flat);
    let changed = image.ask(question, &["-Drest.port=80", "-D", "text=it's # a: b"]);
    assert_eq!(lines(&changed)[5..], ["rest.port: '80'", "text: 'it''s # a: b'"]);

    for (file, arguments) in [
        ("a: [b]\n", &[][..]),
        ("a:\n- b\n", &[]),
        ("a: |\n  b\n", &[]),
        ("a: 'b''c'\n", &[]),
        ("a: b\na: c\n", &[]),
        ("a:\n  b: c\n d: e\n", &[]),
        ("a:\nb: c\n", &[]),
        ("a: b\n  c\n", &[]),
        ("a: ~\n", &[]),
        ("env.log.max: 0x1F\n", &["-flatten"]),
        ("env.java.opts.all: '-Da: b'\n", &["-flatten"]),
        ("a: b\n", &["-rmKV", "a=b"]),
        ("a: b\n", &["-Da.c=d"]),
    ] {
        image.conf("config.yaml", file);
        assert!(is_left(&image.ask(question, arguments)), "{file}");
    }
    image.conf("config.yaml", "a: b\n");
    image.conf("flink-conf.yaml", "a: b\n");
    assert!(is_left(&image.ask(question, &[])), "the old file wins in 1.20");
}

#[test]
fn memory_is_answered_unless_a_file_says_what_the_plugin_did_not_see() {
    let [master, task_managers] = containers(&["--image=flink:2.3.0"]);
    let image = Image::new(&task_managers);
    let arguments = words(&task_managers["args"])[1..].to_vec();
    let question = "GET_TM_RESOURCE_PARAMS";
    let usual =
        "taskmanager.memory.process.size: 1g\ntaskmanager.numberOfTaskSlots: 1\njobmanager.memory.heap.size: 1g\n";
    for name in ["flink-conf.yaml", "config.yaml"] {
        image.conf(name, usual);
        let answer = image.ask(question, &arguments);
        let lines: Vec<&str> = answer.lines().collect();
        assert_eq!(lines.len(), 2, "{answer}");
        assert!(
            lines[0].starts_with("BASH_JAVA_UTILS_EXEC_RESULT:-Xmx536870902 -Xms536870902 "),
            "{answer}"
        );
        assert!(
            lines[1].starts_with("BASH_JAVA_UTILS_EXEC_RESULT:-D taskmanager.memory.network.min="),
            "{answer}"
        );
        for more in [
            "taskmanager.memory.network.min: 80m\n",
            "taskmanager.network.numberOfBuffers: 9\n",
            "external-resources: gpu\n",
            "taskmanager.numberOfTaskSlots: 2\n",
            "taskmanager.cpu.cores: 3\n",
        ] {
            image.conf(name, &usual.replace("taskmanager.numberOfTaskSlots: 1\n", more));
            assert!(is_left(&image.ask(question, &arguments)), "{more}");
        }
        fs::remove_file(image.sandbox.home().join("conf").join(name)).unwrap();
    }
    // Of the other role.
    let image = Image::new(&master);
    image.conf(
        "config.yaml",
        "jobmanager:\n  memory:\n    process:\n      size: 1g\ntaskmanager.memory.network.min: 80m\n",
    );
    let answer = image.ask("GET_JM_RESOURCE_PARAMS", &words(&master["args"])[1..]);
    assert!(
        answer.starts_with("BASH_JAVA_UTILS_EXEC_RESULT:-Xmx1073741824 "),
        "{answer}"
    );
}

/// What the plugin does not compute, Flink's helper does.
#[test]
fn settings_that_are_not_understood_are_left_to_flinks_helper() {
    for (flags, role) in [
        (&["-D", "jobmanager.memory.off-heap.size=1x"][..], 0),
        (&["-D", "jobmanager.heap.size=1g"], 0),
        (&["--", "-Djobmanager.memory.heap.size=9g"], 0),
        (&["-D", "external-resources=gpu"], 1),
        (&["-D", "taskmanager.network.numberOfBuffers=2048"], 1),
        (&["-D", "taskmanager.memory.network.fraction=1e-1"], 1),
    ] {
        let flags = [&["--image=flink:1.20.5"], flags].concat();
        let container = &containers(&flags)[role];
        assert_eq!(container["command"][4], "", "{flags:?}");
        assert!(
            is_left(&Image::new(container).ask("GET_JM_RESOURCE_PARAMS", &[])),
            "{flags:?}"
        );
    }
}
