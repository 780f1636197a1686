//! Reads `metadata` and `spec` of a FlinkDeployment.

use std::collections::BTreeMap;

use super::fields::{Faults, Section};
use super::{POD_TEMPLATE, annotations, configuration, job_jar, overruled, resources};
use crate::model::config::{Config, JOB_NAME, PullPolicy, RoleConfig, USRLIB};
use crate::model::counted::counted;
use crate::model::flink::{self, FlinkVersion, Role, same_key};
use crate::model::jar_uri;
use crate::model::keyword::Keyword;
use crate::model::names::{self, ClusterName};
use crate::model::pod_template;

/// Metadata that a server or a client writes.
const SERVER_METADATA: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The annotation in which `kubectl apply` stores the last applied configuration.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Starts of labels and annotations by which a tool knows the objects that it applied: on the objects of a cluster, which
/// it did not apply, they say the untruth, and Argo CD would prune these.
const TRACKING: &[&str] = &[
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/tracking-id",
    "helm.toolkit.fluxcd.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
];

/// Reads a FlinkDeployment whose `apiVersion` and `kind` were taken.
pub(super) fn layer(mut root: Section, faults: &mut Faults) -> Config {
    let mut layer = Config::default();
    root.take("status");
    let notes = root
        .fields()
        .get("metadata")
        .and_then(|metadata| metadata["annotations"].as_object());
    let is_ours = notes.is_some_and(|notes| notes.keys().any(|key| key.starts_with(annotations::PREFIX)));
    if let Some(section) = root.section("metadata", faults) {
        metadata(section, &mut layer, faults);
    }
    let for_operator = faults.for_operator;
    faults.for_operator &= !is_ours;
    match root.section("spec", faults) {
        Some(section) => spec(section, &mut layer, faults),
        None if faults.has("spec") => {}
        None => faults.refuse("spec", "it is missing"),
    }
    faults.for_operator = for_operator;
    root.finish(faults);
    layer
}

fn metadata(mut section: Section, layer: &mut Config, faults: &mut Faults) {
    for key in SERVER_METADATA {
        section.take(key);
    }
    layer.name = section.text("name", faults);
    // Charts leave an empty one, which kubectl does not count either.
    let by_hand = faults.by_hand;
    let namespace = section.text("namespace", faults);
    layer.namespace = namespace.filter(|text| !by_hand || !text.trim().is_empty());
    section.refuse(
        "generateName",
        "a cluster is found by its name; use metadata.name",
        faults,
    );
    section.refuse(
        "ownerReferences",
        "the objects of a cluster have owners of their own",
        faults,
    );
    layer.labels = section.text_map("labels", faults);
    own_labels(layer, faults);
    layer.annotations = section.text_map("annotations", faults);
    layer.annotations.remove(LAST_APPLIED);
    if faults.by_hand {
        for (field, pairs) in [("labels", &mut layer.labels), ("annotations", &mut layer.annotations)] {
            leave_out_tracking(field, pairs, faults);
        }
    }
    annotations::take(layer, faults);
    section.finish(faults);
}

fn leave_out_tracking(field: &str, pairs: &mut BTreeMap<String, String>, faults: &mut Faults) {
    pairs.retain(|key, _| {
        let tracks = TRACKING.iter().any(|start| key.starts_with(start));
        if tracks {
            faults.warn(
                &format!("metadata.{field}.{key}"),
                "left out: by it another tool knows the objects that it applied, and those of the cluster are not",
            );
        }
        !tracks
    });
}

/// Labels with which the plugin finds a cluster's objects. They are ignored, since charts and other tools set them
/// automatically.
fn own_labels(layer: &mut Config, faults: &mut Faults) {
    let Ok(placeholder) = ClusterName::new("x") else { return };
    for (key, _) in names::labels(&placeholder, names::MASTER) {
        let Some(value) = layer.labels.remove(key) else {
            continue;
        };
        let same = match key {
            names::APP_LABEL | "app.kubernetes.io/instance" => Some(&value) == layer.name.as_ref(),
            "app.kubernetes.io/name" => value == "flink",
            "app.kubernetes.io/managed-by" => value == names::FIELD_MANAGER,
            _ => false,
        };
        if !same {
            faults.warn(
                &format!("metadata.labels.{key}"),
                "left out: the plugin sets this label itself, to know the objects of a cluster",
            );
        }
    }
}

fn spec(mut section: Section, layer: &mut Config, faults: &mut Faults) {
    // An empty one says nothing, as in the operator's `FlinkConfigBuilder`: charts write such values.
    let for_operator = faults.for_operator;
    let is_said = |text: &String| !for_operator || !text.trim().is_empty();
    layer.image = section.text("image", faults).filter(is_said);
    layer.service_account = section.text("serviceAccount", faults).filter(is_said);
    layer.image_pull_policy = section
        .text("imagePullPolicy", faults)
        .filter(is_said)
        .and_then(|text| faults.check("spec.imagePullPolicy", PullPolicy::parse(&text)));
    layer.flink_version = flink_version(&mut section, faults);
    if let Some(mode) = section.text("mode", faults) {
        // Both result in the same processes with the same configuration; native only lets Flink request TaskManagers.
        if mode != "native" && mode != "standalone" {
            faults.refuse(
                "spec.mode",
                format!("{mode:?} is not possible, only native and standalone"),
            );
        }
    }
    section.leave_out(
        "ingress",
        "left out: a cluster has no Ingress; make one to its Service yourself, or use kubectl flink ui",
        faults,
    );
    section.leave_out(
        "restartNonce",
        "left out: there is no controller that watches it; use kubectl flink restart",
        faults,
    );
    layer.pod_template = template(&mut section, faults);
    layer.log_configuration = section.text_map("logConfiguration", faults);
    for name in layer.log_configuration.keys() {
        let path = format!("spec.logConfiguration.{name}");
        faults.check(&path, pod_template::check_file_name(name));
    }
    let mut last_state = false;
    let job_fields = section.fields().get("job");
    let uri = job_fields.and_then(|job| job["jarURI"].as_str()).map(ToOwned::to_owned);
    match section.section("job", faults) {
        Some(job_section) => last_state = job(job_section, layer, faults),
        None if faults.has("spec.job") => {}
        None => faults.refuse(
            "spec.job",
            "without it this is a session cluster, and the plugin runs application clusters only",
        ),
    }
    let mut amounts = [Vec::new(), Vec::new()];
    if let Some(mut manager) = section.section("jobManager", faults) {
        layer.job_managers = manager.count("replicas", faults);
        (layer.job_manager, amounts[0]) = role(manager, faults);
    }
    if let Some(mut manager) = section.section("taskManager", faults) {
        layer.task_managers = manager.count("replicas", faults);
        (layer.task_manager, amounts[1]) = role(manager, faults);
    }
    // Last, because its keys must agree with the corresponding fields.
    if let Some(mut section) = section.section("flinkConfiguration", faults) {
        // Source: the operator's `FlinkConfigBuilder.applyJobOrSessionSpec`, and Flink's `ApplicationClusterEntryPoint`.
        if uri.is_some() && faults.for_operator {
            let reason =
                "left out: it has no effect beside spec.job.jarURI; pipeline.classpaths adds jars to the class path";
            section.leave_out("pipeline.jars", reason, faults);
        }
        configuration::read(section, configuration::PATH, layer, faults);
    }
    if let (Some(replicas), Some(parallelism)) = (layer.task_managers, layer.parallelism) {
        let slots = replicas.saturating_mul(layer.slots.unwrap_or(1));
        if slots < parallelism {
            faults.warn(
                "spec.taskManager.replicas",
                format!(
                    "{} with {} in all: fewer than the parallelism of {parallelism}",
                    counted(replicas, "TaskManager"),
                    counted(slots, "slot")
                ),
            );
        } else if slots > parallelism && faults.for_operator {
            faults.warn(
                "spec.job.parallelism",
                format!("it counts where no flag says another; the operator would take all {slots} slots of spec.taskManager.replicas"),
            );
        }
    }
    if faults.for_operator {
        let [job_manager, task_manager] = amounts;
        overruled::put_back(job_manager, Role::JobManager, layer, faults);
        overruled::put_back(task_manager, Role::TaskManager, layer, faults);
        overruled::take_image(layer);
        check_tag(layer, faults);
        if let Some(uri) = uri.filter(|_| !is_python(layer)) {
            job_jar::hand_over(&uri, layer, faults);
        }
        overruled::check(layer, faults);
        add_the_operators(layer, last_state);
    }
    section.finish(faults);
}

fn flink_version(section: &mut Section, faults: &mut Faults) -> Option<FlinkVersion> {
    let value = section.take("flinkVersion")?;
    let version = value.as_str().and_then(|text| {
        let version = text.parse::<FlinkVersion>().ok();
        version.filter(|version| text == format!("v{}_{}", version.major, version.minor))
    });
    if version.is_none() {
        let number = value.is_number().then(|| "a number".to_owned());
        // YAML reads 1.20 as 1.2, and in quotes it would be as wrong.
        let what = number.unwrap_or_else(|| value.to_string());
        let reason = format!("{what} is not possible, it must be like v1_20 or v2_3");
        faults.refuse("spec.flinkVersion", reason);
    }
    version
}

/// Warns of another version than that in the tag of the image, if the tag can only be Flink's.
fn check_tag(layer: &Config, faults: &mut Faults) {
    let tagged = layer.image.as_deref().and_then(FlinkVersion::of_flinks_tag);
    if let (Some(said), Some(tagged)) = (layer.flink_version, tagged)
        && said != tagged
    {
        let reason = format!("the tag of the image says Flink {tagged}, not {said}: correct the one that is wrong");
        faults.warn("spec.flinkVersion", reason);
    }
}

/// Adds the operator's additions to the configuration of a job.
///
/// Source: its `FlinkConfigBuilder.applyFlinkConfiguration` and `applyJobConfig`. Settings that keep a cluster after
/// its job has ended are not added, as only the operator would delete it.
fn add_the_operators(layer: &mut Config, last_state: bool) {
    let tagged = || layer.image.as_deref().and_then(FlinkVersion::of_image);
    let ours = layer.flink_version.or_else(tagged);
    let known = |version| ours.is_none_or(|ours| ours >= version);
    let added = [
        // The web UI's button; REST ignores this setting.
        (
            "web.cancel.enable",
            Some("false").filter(|_| known(FlinkVersion::new(1, 14))),
        ),
        (JOB_NAME, Some(layer.name.as_deref().unwrap_or_default())),
        ("execution.checkpointing.interval", last_state.then_some("5min")),
        (
            "execution.checkpointing.externalized-checkpoint-retention",
            Some("RETAIN_ON_CANCELLATION"),
        ),
    ];
    let added = added.map(|(key, value)| (key, value.map(ToOwned::to_owned)));
    for (key, value) in added {
        let said = layer.configuration.keys().any(|known| same_key(known, key));
        if let Some(value) = value.filter(|_| !said) {
            layer.configuration.insert(key.to_owned(), value);
        }
    }
}

/// A role, and the amounts of CPU and memory in its pod template, which are applied after the role's own.
fn role(mut section: Section, faults: &mut Faults) -> (RoleConfig, Vec<overruled::Amount>) {
    let mut role = RoleConfig {
        pod_template: template(&mut section, faults),
        ..RoleConfig::default()
    };
    let mut amounts = Vec::new();
    if faults.for_operator {
        amounts = overruled::take_amounts(role.pod_template.as_mut(), &section.path("podTemplate"));
    }
    resources::read(&mut section, &mut role, faults);
    section.finish(faults);
    (role, amounts)
}

fn template(section: &mut Section, faults: &mut Faults) -> Option<serde_json::Value> {
    let mut template = section.take(POD_TEMPLATE)?;
    let path = section.path(POD_TEMPLATE);
    if faults.for_operator {
        overruled::leave_out_empty(&mut template);
    }
    // The operator replaces it too: Flink's JobManager is a Deployment there.
    if let Some(pod) = template.get_mut("spec").and_then(|pod| pod.as_object_mut())
        && pod.remove("restartPolicy").is_some_and(|policy| !policy.is_null())
    {
        faults.warn(
            &format!("{path}.spec.restartPolicy"),
            "left out: the plugin sets it, as a Job and a Deployment need it; use --restart",
        );
    }
    // Flink's own deployers overwrite them too, so no Pod gets them.
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(|labels| labels.as_object_mut())
    {
        for key in [names::APP_LABEL, names::COMPONENT_LABEL] {
            if labels.remove(key).is_some() {
                faults.warn(
                    &format!("{path}.metadata.labels.{key}"),
                    "left out: the plugin finds the Pods of a cluster by this label",
                );
            }
        }
    }
    let mut found = pod_template::faults(&template);
    if faults.by_hand {
        // They were merged by earlier versions of the plugin, and run.
        found.extend(pod_template::repeated(&template));
    }
    for (below, reason) in found {
        let dot = if below.is_empty() { "" } else { "." };
        faults.refuse(&format!("{path}{dot}{below}"), reason);
    }
    if faults.by_hand {
        for (below, reason) in pod_template::unknown_fields(&template) {
            faults.warn(&format!("{path}.{below}"), reason);
        }
    }
    Some(template)
}

/// Reads the job; returns whether the operator would restart it from its last state.
fn job(mut section: Section, layer: &mut Config, faults: &mut Faults) -> bool {
    let uri = section.text("jarURI", faults);
    layer.job_class = section.text("entryClass", faults);
    layer.arguments = section.texts("args", faults);
    // The URI of a Python program is a placeholder: Flink takes its own jar. Source: its
    // `KubernetesApplicationClusterEntrypoint`.
    if let Some(uri) = uri.filter(|_| !(faults.for_operator && is_python(layer))) {
        // A revision in the history may have one that never started.
        let no_jar = no_jar(&uri).filter(|_| faults.by_hand && !faults.has("spec.job.jarURI"));
        match no_jar.map_or_else(|| jar(&uri, layer), Err) {
            Err(reason) => faults.refuse("spec.job.jarURI", reason),
            Ok(Some(_)) if layer.jars.is_some() => faults.refuse(
                "spec.job.jarURI",
                format!("metadata.annotations.{} sets it too", annotations::JARS),
            ),
            Ok(Some(jar)) => layer.jars = Some(vec![jar]),
            Ok(None) => {}
        }
    }
    layer.parallelism = section.count("parallelism", faults);
    layer.from_savepoint = section.text("initialSavepointPath", faults);
    layer.allow_non_restored_state = section.boolean("allowNonRestoredState", faults);
    match section.text("state", faults).as_deref() {
        None | Some("running") => {}
        Some("suspended") => layer.suspended = true,
        Some(other) => faults.refuse(
            "spec.job.state",
            format!("{other:?} is not possible, only running and suspended"),
        ),
    }
    // How the operator keeps the state between generations. Here each command has its own setting for this, so the
    // field is dropped.
    let mode = section.text("upgradeMode", faults);
    match mode.as_deref() {
        None | Some("stateless" | "savepoint" | "last-state") => {}
        Some(other) => faults.refuse(
            "spec.job.upgradeMode",
            format!("{other:?} is not possible, only stateless, savepoint and last-state"),
        ),
    }
    for (nonce, instead) in [
        ("savepointTriggerNonce", "use kubectl flink savepoint"),
        ("checkpointTriggerNonce", "use kubectl flink checkpoint"),
        (
            "savepointRedeployNonce",
            "use kubectl flink savepoint-resume with --from-savepoint",
        ),
        ("autoscalerResetNonce", "there is no autoscaler either"),
    ] {
        let reason = format!("left out: there is no controller that watches it; {instead}");
        section.leave_out(nonce, &reason, faults);
    }
    section.refuse(
        "initialStateReference",
        "FlinkStateSnapshots need the operator; use initialSavepointPath",
        faults,
    );
    section.finish(faults);
    mode.as_deref() == Some("last-state")
}

fn is_python(layer: &Config) -> bool {
    flink::is_python(
        layer.job_class.as_deref(),
        layer.arguments.as_deref().unwrap_or_default(),
    )
}

/// Why a `jarURI` is not that of a jar; `None`: it may be one.
fn no_jar(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("local://").unwrap_or("/opt/flink/usrlib/job.py");
    jar_uri::fault(uri).or_else(|| {
        matches!(uri.rsplit_once('.'), Some((_, "py"))).then(|| {
            format!(
                "{uri:?} is a Python program and not a jar: with entryClass: org.apache.flink.client.python.PythonDriver, \
                 job.args names it, as in [-py, {path}]"
            )
        })
    })
}

/// The jar that the entrypoint gets for a `jarURI`: none if it finds the job below `usrlib` by itself, by its class. Without
/// a class it finds the only jar with a program, and from Flink 1.19 on it takes the one that it gets.
///
/// Other paths in the image are passed on: from Flink 1.19 the entrypoint supports `local://` like `https://` and
/// `s3://`. For earlier versions such a jar is added to the class path when the objects are built. Source: Flink's
/// `DefaultPackagedProgramRetriever`.
pub(super) fn jar(uri: &str, layer: &Config) -> Result<Option<String>, String> {
    let of_image = || FlinkVersion::of_image(layer.image.as_deref()?);
    let version = layer.flink_version.or_else(of_image);
    let is_taken = layer.job_class.is_none() && version.is_some_and(FlinkVersion::takes_jars);
    if uri.starts_with(USRLIB) && !uri.contains("/../") && !is_taken {
        return Ok(None);
    }
    let scheme = uri.split_once("://").map_or("", |(scheme, _)| scheme);
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if valid {
        Ok(Some(uri.to_owned()))
    } else {
        Err(format!(
            "{uri:?} is not a URI; a jar in the image is written like {USRLIB}job.jar"
        ))
    }
}
