//! What is read of strangers, and must end with a value or an error whatever it is.
//!
//! The targets of cargo-fuzz call these, and so does tests/cli/fuzz.rs, for a moment with every run of the tests.

use std::ffi::OsString;
use std::sync::LazyLock;

use clap::CommandFactory;
use kube::config::Kubeconfig;
use kubectl_flink::testing::{
    Checkpoints, Cli, ClusterName, ConnectionOptions, Errors, Exceptions, History, JobsOverview, Metadata,
    OperationReply, Overview, Spec, Stamps, Templates, Typed, build_manifests, clean, configure, cpu, diff_metadata,
    effective_config_of_log, job_outcome_of_log, last_line, memory_flink, memory_kubernetes, mentions_job,
    read_flink_deployments, root_cause, split_arguments, write_flink_deployment,
};

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("kubeconfig", kubeconfig),
    ("flink_deployment", flink_deployment_file),
    ("template", template),
    ("history", history),
    ("flink_rest", flink_rest),
    ("savepoint_metadata", savepoint_metadata),
    ("log", log),
    ("words", words),
];

/// A kubeconfig: what its current context says. No certificate is loaded, no program is run, and nothing is asked.
pub fn kubeconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(kubeconfig) = Kubeconfig::from_yaml(text) {
        let mut flags = ConnectionOptions::default();
        flags.token = Some("t".to_owned());
        flags.server = Some("127.0.0.1:1".to_owned());
        let _ = configure(Some(kubeconfig.clone()), &flags);
        let _ = configure(Some(kubeconfig), &ConnectionOptions::default());
    }
}

/// A file of FlinkDeployments: what is read can be resolved, built and written again.
pub fn flink_deployment_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(layers) = read_flink_deployments(text, "file") else {
        return;
    };
    for layer in layers {
        let _ = write_flink_deployment(&layer);
        if let (Ok(spec), Ok(templates)) = (Spec::resolve(layer), Templates::built_in()) {
            let _ = build_manifests(&spec, &templates, "default", 1);
        }
    }
}

/// Templates of a user's own.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Templates::from_files([("file", text)]);
}

/// The history ConfigMap: what is read is read again as the same after it was written.
pub fn history(data: &[u8]) {
    let Ok(object) = serde_json::from_slice(data) else {
        return;
    };
    let Ok(history) = History::from_config_map(&object) else {
        return;
    };
    let _ = (
        history.last_savepoint(),
        history.lost_savepoint(),
        history.next_revision(),
    );
    if let Ok(name) = ClusterName::new("demo")
        && let Ok(object) = history.to_config_map(&name, "default", 0)
    {
        assert!(History::from_config_map(&object).is_ok(), "{object}");
    }
}

/// Replies of Flink's REST.
pub fn flink_rest(data: &[u8]) {
    let _ = Errors::message(data);
    if let Ok(jobs) = serde_json::from_slice::<JobsOverview>(data) {
        let _ = jobs.main_job();
    }
    let _ = serde_json::from_slice::<Overview>(data);
    if let Ok(checkpoints) = serde_json::from_slice::<Checkpoints>(data) {
        let _ = (checkpoints.savepoint_in_progress(), checkpoints.savepoint_at("x"));
    }
    if let Ok(exceptions) = serde_json::from_slice::<Exceptions>(data) {
        let _ = exceptions.newest();
    }
    for of in [
        |reply: OperationReply| drop(reply.savepoint()),
        |reply: OperationReply| drop(reply.status()),
    ] {
        if let Ok(reply) = serde_json::from_slice(data) {
            of(reply);
        }
    }
}

/// The `_metadata` file of a savepoint.
pub fn savepoint_metadata(data: &[u8]) {
    if let Ok(read) = Metadata::read(data, "") {
        let titles: usize = read.operators.iter().map(|operator| operator.title().len()).sum();
        let _ = (read.bytes(), titles, diff_metadata(&read, &read));
    }
}

/// Logs, and their lines: none brings a control character to the terminal.
pub fn log(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (
        root_cause(&text),
        last_line(&text),
        mentions_job(&text),
        job_outcome_of_log(&text),
        effective_config_of_log(&text),
    );
    let mut stamps = Stamps::default();
    for raw in text.lines() {
        let line = stamps.parse(raw, None);
        // What was read of the lines before makes no difference.
        assert_eq!(line, Stamps::default().parse(raw, None));
        let shown = clean(line.text);
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
    }
}

/// Quantities, names, the arguments of the variables of Flink's templates, and the words that kubectl wants completed.
pub fn words(data: &[u8]) {
    static COMMAND: LazyLock<clap::Command> = LazyLock::new(|| {
        let mut command = Cli::command();
        command.build();
        command
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    let typed: Vec<OsString> = text.split([' ', '\n']).map(OsString::from).collect();
    let _ = Typed::of(&COMMAND, &typed);
    let _ = (ClusterName::new(text), split_arguments(text), cpu(text));
    for memory in [memory_flink(text), memory_kubernetes(text)].into_iter().flatten() {
        let _ = (memory.to_flink(), memory.to_kubernetes());
    }
}
