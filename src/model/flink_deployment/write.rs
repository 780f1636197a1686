//! Writes a layer as a FlinkDeployment.

use serde_json::{Map, Number, Value, json};

use super::configuration::{HA_NAME, QUORUM, ZOOKEEPER, ZOOKEEPER_ROOT};
use super::{API_VERSION, KIND, annotations, read};
use crate::model::config::{Config, PullPolicy, RoleConfig};
use crate::model::flink::{FlinkVersion, KUBERNETES_HA_FACTORY};
use crate::model::keyword::Keyword;
use crate::model::quantity::{Cpu, Memory};

/// Writes `layer` as a FlinkDeployment that [`super::read`] reads back as the same layer.
///
/// This holds for layers whose maps have none of the plugin's own keys: labels of [`crate::model::names::labels`],
/// annotations below `kubectl-flink/`, configuration keys in [`crate::model::flink::owned_key`] or
/// [`crate::model::flink::without_effect`]. These are rejected wherever a layer is created.
#[must_use]
pub fn write(layer: &Config) -> Value {
    // One jar has a field in the format, unless that field would be read as a jar in the image.
    let uri = match layer.jars.as_deref() {
        Some([jar]) if read::jar(jar, layer).is_ok_and(|jar| jar.is_some()) => Some(jar.clone()),
        _ => None,
    };
    let jars = layer.jars.as_ref().filter(|_| uri.is_none());

    let mut notes = layer.annotations.clone();
    notes.extend(annotations::of(layer, jars));
    let mut metadata = Fields::default();
    metadata.say("name", layer.name.as_ref());
    metadata.say("namespace", layer.namespace.as_ref());
    metadata.map("labels", &layer.labels);
    metadata.map("annotations", &notes);

    let mut job = Fields::default();
    job.say("jarURI", uri);
    job.say("entryClass", layer.job_class.as_ref());
    job.say("args", layer.arguments.as_ref());
    job.say("parallelism", layer.parallelism);
    job.say("initialSavepointPath", layer.from_savepoint.as_ref());
    job.say("allowNonRestoredState", layer.allow_non_restored_state);
    // With the operator's default each change loses the state, but not with the plugin's commands. It requires a
    // directory.
    job.say("upgradeMode", layer.savepoint_dir.as_ref().map(|_| "savepoint"));

    let mut job_manager = role(&layer.job_manager);
    job_manager.say("replicas", layer.job_managers);
    let mut task_manager = role(&layer.task_manager);
    task_manager.say("replicas", layer.task_managers);

    let mut spec = Fields::default();
    spec.say("image", layer.image.as_ref());
    spec.say("imagePullPolicy", layer.image_pull_policy.map(PullPolicy::as_str));
    let version = layer.flink_version;
    spec.say(
        "flinkVersion",
        version.map(|version| format!("v{}_{}", version.major, version.minor)),
    );
    spec.say("serviceAccount", layer.service_account.as_ref());
    spec.map("flinkConfiguration", &configuration(layer));
    spec.say("podTemplate", layer.pod_template.as_ref());
    spec.fields("jobManager", job_manager);
    spec.fields("taskManager", task_manager);
    spec.map("logConfiguration", &layer.log_configuration);
    // Always written: a FlinkDeployment without a job is a session cluster.
    spec.say("job", Some(job.0));

    json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata.0, "spec": spec.0})
}

fn configuration(layer: &Config) -> std::collections::BTreeMap<String, String> {
    let mut all = layer.configuration.clone();
    let mut say = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    };
    say("taskmanager.numberOfTaskSlots", layer.slots.map(|n| n.to_string()));
    // The old names: every release reads them, including 2.3, and so does every operator.
    say("state.savepoints.dir", layer.savepoint_dir.clone());
    say("state.checkpoints.dir", layer.checkpoint_dir.clone());
    if layer.ha.is_some() {
        let old = layer
            .flink_version
            .is_some_and(|version| version < FlinkVersion::new(1, 17));
        let kind = match (layer.zookeeper.is_some(), old) {
            (true, _) => ZOOKEEPER,
            (false, true) => KUBERNETES_HA_FACTORY,
            (false, false) => HA_NAME,
        };
        let key = if old {
            "high-availability"
        } else {
            "high-availability.type"
        };
        say(key, Some(kind.to_owned()));
        say(QUORUM, layer.zookeeper.clone());
        say(ZOOKEEPER_ROOT, layer.zookeeper_root.clone());
        say("high-availability.storageDir", layer.ha.clone());
    }
    all
}

fn role(role: &RoleConfig) -> Fields {
    let mut resource = Fields::default();
    resource.say("memory", role.memory.map(Memory::to_flink));
    resource.say("cpu", role.cpu.map(cores));
    let mut fields = Fields::default();
    fields.fields("resource", resource);
    fields.say("podTemplate", role.pod_template.as_ref());
    fields
}

/// CPU in cores: the format has a number there.
fn cores(cpu: Cpu) -> Value {
    let (whole, millis) = (cpu.millis() / 1000, cpu.millis() % 1000);
    if millis == 0 {
        return whole.into();
    }
    let number = format!("{whole}.{millis:03}").parse().ok().and_then(Number::from_f64);
    number.map_or_else(|| Value::String(cpu.to_string()), Value::Number)
}

/// A map that omits absent values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn say(&mut self, key: &str, value: Option<impl serde::Serialize>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), json!(value));
        }
    }

    fn map(&mut self, key: &str, map: &std::collections::BTreeMap<String, String>) {
        self.say(key, Some(map).filter(|map| !map.is_empty()));
    }

    fn fields(&mut self, key: &str, fields: Self) {
        self.say(key, Some(fields.0).filter(|map| !map.is_empty()));
    }
}
