//! The Job of a rehearsal: only the JobManager of a new version.

use serde_json::{Value, json};

use super::short_job::{self, Frame};
use super::{build, main_arguments, main_container, map, remove_settings};
use crate::error::Result;
use crate::model::config::{Config, JobId};
use crate::model::flink::FlinkVersion;
use crate::model::main_container::PROBES;
use crate::model::names::REHEARSAL;
use crate::model::spec::Spec;
use crate::model::template::Templates;

/// Settings that the running cluster and its high availability use, or that would wait for TaskManagers. Source:
/// Flink's `HighAvailabilityOptions`, `JobManagerOptions`.
const LEFT_OUT: [&str; 7] = [
    "high-availability",
    "high-availability.type",
    "high-availability.cluster-id",
    "kubernetes.cluster-id",
    "jobmanager.rpc.address",
    "jobmanager.scheduler",
    "scheduler-mode",
];

/// Fields of a cluster's Job that a rehearsal's Job does not have: it runs once, and ends with its only Pod.
const OF_A_CLUSTER: [&str; 10] = [
    "completionMode",
    "completions",
    "manualSelector",
    "parallelism",
    "podFailurePolicy",
    "podReplacementPolicy",
    "selector",
    "successPolicy",
    "suspend",
    "backoffLimitPerIndex",
];

/// Fields of a Pod that say which Pods it may preempt. Those of the new version may preempt running ones, and a rehearsal must
/// not; `preemptionPolicy: Never` is refused unless the class has it. Source: Kubernetes' `admission/priority`.
const PRIORITY: [&str; 3] = ["preemptionPolicy", "priority", "priorityClassName"];

/// The PriorityClass with which a rehearsal preempts no TaskManager of a running cluster: theirs, or none if its JobManager has
/// none either.
pub(crate) fn priority_class<'a>(job: Option<&Value>, deployment: Option<&'a Value>) -> Option<&'a str> {
    let of = |object: &Value| object["spec"]["template"]["spec"]["priorityClassName"].is_string();
    let deployment = deployment.filter(|_| job.is_some_and(of))?;
    deployment["spec"]["template"]["spec"]["priorityClassName"].as_str()
}

/// The Job that rehearses the version `layer`, which starts from `path`, with a PriorityClass.
pub(crate) fn job(
    layer: &Config,
    templates: &Templates,
    namespace: &str,
    path: Option<&str>,
    priority_class: Option<&str>,
    frame: &Frame,
) -> Result<Value> {
    let mut layer = Config {
        // The same for all rehearsals of a cluster: Flink creates a directory of that name in the checkpoint directory.
        job_id: Some(JobId::Seed(format!(
            "{namespace}/{}/{REHEARSAL}",
            layer.name.as_deref().unwrap_or_default()
        ))),
        from_savepoint: path.map(ToOwned::to_owned),
        ttl_after_finished: None,
        restart: None,
        suspended: false,
        nonce: None,
        rpc_port: None,
        ..layer.clone().without_high_availability()
    };
    layer.configuration.retain(|key, _| !LEFT_OUT.contains(&key.as_str()));
    let spec = Spec::resolve(layer)?;
    let mut job = build(&spec, templates, namespace, 0)?.job;
    settings(&mut job, spec.flink_version)?;
    let main = main_container(&mut job)?;
    // Without a Service its readiness is not used, and it runs too briefly to need probes.
    for probe in PROBES {
        main.remove(probe);
    }
    let body = map(&mut job, &["spec"])?;
    body.retain(|key, _| !OF_A_CLUSTER.contains(&key.as_str()));
    let pod = map(&mut job, &["spec", "template", "spec"])?;
    pod.retain(|key, _| !PRIORITY.contains(&key.as_str()));
    if let Some(class) = priority_class {
        pod.insert("priorityClassName".to_owned(), json!(class));
    }
    short_job::frame(&mut job, &spec.name, REHEARSAL, frame)?;
    Ok(job)
}

/// The JobManager leads alone, and maps the state to the operators before it has a slot: the default scheduler does so,
/// but the adaptive one first waits for TaskManagers.
fn settings(job: &mut Value, version: Option<FlinkVersion>) -> Result<()> {
    let is_before = |minor| version.is_some_and(|version| version < FlinkVersion::new(1, minor));
    let arguments = main_arguments(job)?;
    remove_settings(arguments, |key| LEFT_OUT.contains(&key));
    let mut own = vec!["-Djobmanager.rpc.address=localhost"];
    if !is_before(17) {
        own.push("-Dhigh-availability.type=NONE");
    }
    // A file in a ConfigMap may turn it on, and the rehearsal must not become a leader of the running cluster.
    if version.is_none() || is_before(17) {
        own.push("-Dhigh-availability=NONE");
    }
    // Before 1.17 it is the default, with another name.
    if !is_before(17) {
        own.push("-Djobmanager.scheduler=default");
    }
    // After the entrypoint's argument: nothing may follow the program's arguments.
    let at = arguments.len().min(1);
    arguments.splice(at..at, own.into_iter().map(|setting| json!(setting)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::{APP_LABEL, COMPONENT_LABEL};

    fn rehearsal(layer: Config) -> Value {
        rehearsal_with(layer, None)
    }

    fn rehearsal_with(layer: Config, class: Option<&str>) -> Value {
        let layer = Config {
            name: Some("demo".into()),
            image: Some("job:2.3.0".into()),
            ..layer
        };
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "demo-history", "uid": "u"});
        let templates = Templates::built_in().unwrap();
        let frame = Frame {
            deadline: 660,
            holder: "{}".to_owned(),
            owner: Some(owner),
        };
        job(&layer, &templates, "ns", Some("s3://b/sp-1"), class, &frame).unwrap()
    }

    fn arguments(job: &Value) -> Vec<&str> {
        let list = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
        list.unwrap()
            .iter()
            .map(|argument| argument.as_str().unwrap())
            .collect()
    }

    #[test]
    fn it_is_no_part_of_the_cluster_and_ends_by_itself() {
        let job = rehearsal(Config::default());
        assert_eq!(job["metadata"]["name"], "demo-rehearsal");
        assert_eq!(job["metadata"]["annotations"], json!({ short_job::HOLDER: "{}" }));
        assert_eq!(job["metadata"]["ownerReferences"][0]["uid"], "u");
        for labels in [
            &job["metadata"]["labels"],
            &job["spec"]["template"]["metadata"]["labels"],
        ] {
            assert_eq!(labels[APP_LABEL], "demo");
            assert_eq!(labels[COMPONENT_LABEL], "rehearsal");
            assert_eq!(labels["app.kubernetes.io/component"], "rehearsal");
        }
        let spec = job["spec"].as_object().unwrap();
        let keys: Vec<&str> = spec.keys().map(String::as_str).collect();
        assert_eq!(
            keys.iter().filter(|key| OF_A_CLUSTER.contains(*key)).count(),
            0,
            "{keys:?}"
        );
        assert_eq!(spec["backoffLimit"], 0);
        assert_eq!(spec["activeDeadlineSeconds"], 660);
        assert_eq!(spec["ttlSecondsAfterFinished"], 120);
        assert_eq!(spec["template"]["spec"]["restartPolicy"], "Never");
        let container = &spec["template"]["spec"]["containers"][0];
        assert!(container["livenessProbe"].is_null(), "{container}");
        assert_eq!(container["image"], "job:2.3.0");
    }

    #[test]
    fn its_jobmanager_starts_from_the_savepoint_with_the_default_scheduler() {
        let layer = Config {
            configuration: [
                ("jobmanager.scheduler", "adaptive"),
                ("scheduler-mode", "reactive"),
                ("high-availability", "zookeeper"),
                ("pipeline.max-parallelism", "64"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            arguments: Some(vec!["--rate".into(), "5".into()]),
            flink_version: Some(FlinkVersion::new(2, 3)),
            allow_non_restored_state: Some(true),
            ..Config::default()
        };
        let job = rehearsal(layer);
        let arguments = arguments(&job);
        assert_eq!(arguments[0], "standalone-job");
        let own = [
            "-Djobmanager.rpc.address=localhost",
            "-Dhigh-availability.type=NONE",
            "-Djobmanager.scheduler=default",
        ];
        assert_eq!(arguments[1..4], own);
        let count = |word: &str| arguments.iter().filter(|argument| argument.contains(word)).count();
        assert_eq!(count("jobmanager.rpc.address"), 1, "{arguments:?}");
        assert_eq!(count("scheduler"), 1, "{arguments:?}");
        assert_eq!(count("high-availability"), 1, "{arguments:?}");
        for word in "--fromSavepoint s3://b/sp-1 --allowNonRestoredState -Dpipeline.max-parallelism=64".split(' ') {
            assert_eq!(count(word), 1, "{word} in {arguments:?}");
        }
        assert_eq!(arguments[arguments.len() - 2..], ["--rate", "5"]);
    }

    #[test]
    fn high_availability_of_the_version_is_left_out() {
        let job = rehearsal(Config {
            ha: Some("s3://b/ha".into()),
            ha_create_rbac: Some(true),
            job_managers: Some(2),
            ttl_after_finished: Some(5),
            suspended: true,
            ..Config::default()
        });
        let text = job.to_string();
        for word in ["s3://b/ha", "POD_IP", "cluster-id", "demo-high-availability", "suspend"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
        assert_eq!(job["spec"]["ttlSecondsAfterFinished"], 120);
    }

    /// On a full node it would end running Pods, whose job restarts.
    #[test]
    fn a_rehearsal_preempts_no_taskmanager() {
        let layer = || {
            let mut layer =
                Config::default().with(|it| it.pod_template = Some(json!({"spec": {"priorityClassName": "low"}})));
            let own = json!({"spec": {"priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority"}});
            layer.job_manager.pod_template = Some(own);
            layer
        };
        let pod = |class| rehearsal_with(layer(), class)["spec"]["template"]["spec"].clone();
        assert_eq!(pod(None)["priorityClassName"], Value::Null);
        assert_eq!(pod(None)["preemptionPolicy"], Value::Null);
        assert_eq!(pod(Some("low"))["priorityClassName"], "low");
        let of = |class: Value| json!({"spec": {"template": {"spec": {"priorityClassName": class}}}});
        let (high, low, none) = (of(json!("high")), of(json!("low")), of(Value::Null));
        assert_eq!(priority_class(Some(&high), Some(&low)), Some("low"));
        assert_eq!(priority_class(Some(&high), Some(&none)), None);
        assert_eq!(priority_class(Some(&none), Some(&high)), None);
        assert_eq!(priority_class(None, None), None);
    }

    #[test]
    fn a_direct_start_is_rehearsed_as_one() {
        let job = rehearsal(Config::default().with(|it| it.direct_start = Some(true)));
        let command = &job["spec"]["template"]["spec"]["containers"][0]["command"];
        assert!(command[4].as_str().unwrap().starts_with("-Xmx"), "{command}");
    }

    #[test]
    fn a_release_before_1_17_has_the_words_that_it_knows() {
        let job = rehearsal(Config {
            image: Some("job:1.15.4".into()),
            flink_version: Some(FlinkVersion::new(1, 15)),
            ..Config::default()
        });
        let arguments = arguments(&job);
        assert!(arguments.contains(&"-Dhigh-availability=NONE"), "{arguments:?}");
        assert!(!job.to_string().contains("scheduler"), "{arguments:?}");
    }

    #[test]
    fn an_unknown_release_has_the_words_of_all() {
        let job = rehearsal(Config::default().with(|it| it.image = Some("job:latest".into())));
        for word in ["-Dhigh-availability.type=NONE", "-Dhigh-availability=NONE"] {
            assert!(arguments(&job).contains(&word), "{job}");
        }
    }
}
