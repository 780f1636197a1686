//! Finds the source of an error in the merged configuration: file, document and path, instead of a flag that was not
//! used.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::model::config::Config;
use crate::model::names::ClusterName;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SpecSource {
    /// File and document.
    pub(super) name: String,
    /// Paths for the settings of these flags, if they differ from those in [`FIELDS`].
    pub(super) written: BTreeMap<&'static str, String>,
}

impl SpecSource {
    fn path<'a>(&'a self, (path, flag, _): &(&'a str, &'static str, Take)) -> &'a str {
        self.written.get(flag).map_or(path, String::as_str)
    }
}

impl fmt::Display for SpecSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Takes a field out of a layer; false: the layer does not have it.
type Take = fn(&mut Config) -> bool;

/// Rows of a field of a file, its flag, and the field of a layer.
macro_rules! fields {
    ($($path:literal $flag:literal $($field:ident).+;)+) => {
        &[$(($path, $flag, |layer| std::mem::take(&mut layer.$($field).+) != Default::default())),+]
    };
}

/// Fields of a file that may be invalid in combination with others, their flags, and functions that take them out.
const FIELDS: &[(&str, &str, Take)] = fields! {
    "spec.jobManager.resource.memory" "--jobmanager-memory" job_manager.memory;
    "spec.taskManager.resource.memory" "--taskmanager-memory" task_manager.memory;
    "spec.jobManager.resource.cpu" "--jobmanager-cpu" job_manager.cpu;
    "spec.taskManager.resource.cpu" "--taskmanager-cpu" task_manager.cpu;
    "spec.job.parallelism" "--parallelism" parallelism;
    "spec.flinkConfiguration.taskmanager.numberOfTaskSlots" "--slots" slots;
    "spec.taskManager.replicas" "--task-managers" task_managers;
    "spec.jobManager.replicas" "--jobmanager-replicas" job_managers;
    "spec.job.jarURI" "--jar" jars;
    "spec.flinkVersion" "--flink-version" flink_version;
    "spec.job.entryClass" "--job-class" job_class;
    "metadata.annotations.kubectl-flink/sql" "--sql" sql;
    "spec.job.args" "--" arguments;
    "spec.job.initialSavepointPath" "--from-savepoint" from_savepoint;
    "spec.flinkConfiguration.high-availability.zookeeper.path.root" "--ha-zookeeper-root" zookeeper_root;
    "spec.flinkConfiguration.high-availability.zookeeper.quorum" "--ha-zookeeper" zookeeper;
    "spec.flinkConfiguration.high-availability.storageDir" "--ha" ha;
    "spec.flinkConfiguration.execution.checkpointing.savepoint-dir" "--savepoint-dir" savepoint_dir;
    "spec.flinkConfiguration.execution.checkpointing.dir" "--checkpoint-dir" checkpoint_dir;
    "spec.flinkConfiguration" "-D" configuration;
    "spec.podTemplate.spec.containers.env" "--env" env;
};

/// The field of a file with the setting of `flag`, or of the other words that messages have for it.
pub(super) fn field_of(flag: &str) -> Option<&'static str> {
    const OTHERS: [(&str, &str); 4] = [
        ("--allow-non-restored-state", "spec.job.allowNonRestoredState"),
        ("--job-id", "metadata.annotations.kubectl-flink/job-id"),
        ("--namespace", "metadata.namespace"),
        ("the arguments after --", "spec.job.args"),
    ];
    let fields = FIELDS.iter().map(|(path, known, _)| (*known, *path));
    let mut all = fields.chain(OTHERS);
    all.find(|(known, _)| *known == flag).map(|(_, path)| path)
}

/// `error`, with its position in `source`: the field of `file` without which `attempt` succeeds, or fails for another
/// reason. Other errors stay unchanged.
pub(crate) fn located<T>(
    error: Error,
    file: &Config,
    source: &SpecSource,
    attempt: impl Fn(Config) -> Result<T>,
) -> Error {
    let named = file.name.as_deref().is_some_and(|name| ClusterName::new(name).is_err());
    let other = |layer: Config| attempt(layer).err().is_none_or(|other| other.message != error.message);
    let without_name = Config {
        name: Some("x".to_owned()),
        ..file.clone()
    };
    if named && other(without_name) {
        return at(error, source, "metadata.name");
    }
    let image = Config {
        image: Some("flink".to_owned()),
        ..file.clone()
    };
    if file.image.is_some() && other(image) {
        return at(error, source, "spec.image");
    }
    let found = FIELDS.iter().find(|(_, _, take)| {
        let mut without = file.clone();
        take(&mut without) && other(without)
    });
    match found {
        Some(field) => at(error, source, source.path(field)),
        None => error,
    }
}

fn at(mut error: Error, source: &SpecSource, path: &str) -> Error {
    let words = error.message.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| matches!(c, '(' | ')' | ',' | ';' | ':'));
        match FIELDS.iter().find(|(_, flag, _)| *flag == bare && bare != "--") {
            Some(field) => word.replacen(field.1, source.path(field), 1),
            None => word.to_owned(),
        }
    });
    let message = words.collect::<Vec<_>>().join(" ");
    error.message = if message.contains(path) {
        format!("{source}: {message}")
    } else {
        format!("{source}: {path}: {message}")
    };
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::flink_deployment::read_all;
    use crate::model::spec::Spec;

    fn fault(spec: &str, flags: &Config) -> String {
        let text = format!("{{apiVersion: flink.apache.org/v1beta1, kind: FlinkDeployment, {spec}}}");
        let mut found = read_all(&text, "a.yaml: document 2").unwrap();
        let (file, source) = (found.layers.remove(0), found.sources.remove(0));
        let attempt = |file: Config| Spec::resolve(flags.clone().merged_over(file));
        let error = attempt(file.clone()).unwrap_err();
        located(error, &file, &source, attempt).message
    }

    #[test]
    fn a_fault_of_a_file_names_its_place_and_no_flag() {
        let job = "image: flink, job: {}";
        for (name, spec, path) in [
            ("A_b", job, "metadata.name"),
            ("a", "image: \"a b\", job: {}", "spec.image"),
            ("a", "image: flink, job: {parallelism: 99999}", "spec.job.parallelism"),
            (
                "a",
                "image: \"flink:1.15\", job: {jarURI: \"https://x/a.jar\"}",
                "spec.image",
            ),
            ("a", "image: flink, job: {entryClass: \"\"}", "spec.job.entryClass"),
            (
                "a",
                &format!("{job}, jobManager: {{replicas: 2}}"),
                "spec.jobManager.replicas",
            ),
            (
                "a",
                &format!("{job}, jobManager: {{resource: {{memory: 1m}}}}"),
                "spec.jobManager.resource.memory",
            ),
            (
                "a",
                &format!("{job}, taskManager: {{resource: {{memory: 1m}}}}"),
                "spec.taskManager.resource.memory",
            ),
            (
                "a",
                &format!("{job}, jobManager: {{resources: {{requests: {{memory: 1m}}}}}}"),
                "spec.jobManager.resources.requests.memory",
            ),
            (
                "a",
                &format!("{job}, flinkConfiguration: {{jobmanager.memory.process.size: 1m}}"),
                "spec.flinkConfiguration.jobmanager.memory.process.size",
            ),
            (
                "a",
                &format!("{job}, flinkConfiguration: {{state.backend.fs.checkpointdir: \"\"}}"),
                "spec.flinkConfiguration.state.backend.fs.checkpointdir",
            ),
            (
                "a",
                &format!(
                    "{job}, flinkConfiguration: {{high-availability.type: zookeeper, high-availability.storageDir: \"s3://a/b\", high-availability.zookeeper.quorum: \"a:b\"}}"
                ),
                "spec.flinkConfiguration.high-availability.zookeeper.quorum",
            ),
        ] {
            let spec = &format!("metadata: {{name: {name}}}, spec: {{{spec}}}");
            let said = fault(spec, &Config::default());
            assert!(
                said.starts_with("a.yaml: document 2: ") && said.contains(path),
                "{spec}: {said}"
            );
            assert!(!said.contains(" --"), "{said}");
        }
    }

    #[test]
    fn a_fault_of_the_command_line_names_no_file() {
        let flags = Config::default().with(|it| it.parallelism = Some(99_999));
        let said = fault(
            "metadata: {name: a}, spec: {image: flink, job: {parallelism: 2}}",
            &flags,
        );
        assert!(said.starts_with("invalid parallelism"), "{said}");
    }
}
