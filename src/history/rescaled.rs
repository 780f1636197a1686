//! Records that a running job was scaled: its revision describes the new state.

use serde_json::{Value, json};

use super::History;

impl History {
    /// Records that the job of revision `number` was scaled while it ran: a resume or a change starts from it, also where a
    /// later revision was dropped.
    pub(crate) fn rescale(&mut self, number: u64, parallelism: u32, task_managers: u32) {
        let Some(revision) = self.revisions.iter_mut().find(|revision| revision.number == number) else {
            return;
        };
        let spec = &mut revision.spec["spec"];
        spec["job"]["parallelism"] = json!(parallelism);
        let slots = spec["flinkConfiguration"]["taskmanager.numberOfTaskSlots"].as_str();
        let slots = slots
            .and_then(|slots| slots.parse().ok())
            .filter(|slots| *slots > 0)
            .unwrap_or(1);
        if parallelism.div_ceil(slots) == task_managers {
            // The default: as many as the parallelism needs.
            if let Some(role) = spec["taskManager"].as_object_mut() {
                role.remove("replicas");
            }
        } else {
            spec["taskManager"]["replicas"] = json!(task_managers);
        }
        prune_nulls(spec);
    }
}

/// Removes the nulls that reading missing fields creates.
fn prune_nulls(spec: &mut Value) {
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    if let Some(configuration) = spec.get_mut("flinkConfiguration").and_then(Value::as_object_mut) {
        configuration.retain(|_, value| !value.is_null());
    }
}
