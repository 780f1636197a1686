//! CPU and memory usage of Pods, from metrics.k8s.io.

use std::collections::BTreeMap;

use serde_json::Value;

use super::names::APP_LABEL;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Thousandths of a core.
    pub(crate) cpu_millis: u64,
    pub(crate) memory_bytes: u64,
}

/// By namespace, cluster and Pod.
pub(crate) type Usages = BTreeMap<(String, String, String), Usage>;

pub(crate) fn usages(list: &Value) -> Usages {
    let items = list["items"].as_array().into_iter().flatten();
    items
        .filter_map(|item| {
            let meta = &item["metadata"];
            let app = meta["labels"][APP_LABEL].as_str()?;
            let key = (
                meta["namespace"].as_str()?.to_owned(),
                app.to_owned(),
                meta["name"].as_str()?.to_owned(),
            );
            let containers = item["containers"].as_array().into_iter().flatten();
            let sum = containers.fold(Usage::default(), |sum, container| {
                let usage = &container["usage"];
                Usage {
                    cpu_millis: sum.cpu_millis + cpu(usage["cpu"].as_str().unwrap_or_default()),
                    memory_bytes: sum.memory_bytes + memory(usage["memory"].as_str().unwrap_or_default()),
                }
            });
            Some((key, sum))
        })
        .collect()
}

/// The sum of a cluster's Pods; `None` if no usage is known.
pub(crate) fn of_cluster(usages: &Usages, namespace: &str, name: &str) -> Option<Usage> {
    let mut own = usages
        .iter()
        .filter(|((its_namespace, app, _), _)| its_namespace == namespace && app == name)
        .map(|(_, usage)| *usage)
        .peekable();
    own.peek()?;
    Some(own.fold(Usage::default(), |sum, usage| Usage {
        cpu_millis: sum.cpu_millis + usage.cpu_millis,
        memory_bytes: sum.memory_bytes + usage.memory_bytes,
    }))
}

/// Thousandths of a core: `1`, `250m`, `1234567n`.
fn cpu(text: &str) -> u64 {
    let digits = text.trim_end_matches(['n', 'u', 'm']);
    let number: u64 = digits.parse().unwrap_or(0);
    match &text[digits.len()..] {
        "n" => number.div_ceil(1_000_000),
        "u" => number.div_ceil(1000),
        "m" => number,
        _ => number.saturating_mul(1000),
    }
}

fn memory(text: &str) -> u64 {
    super::quantity::memory_kubernetes(text).map_or(0, super::quantity::Memory::bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn usage_is_summed_over_containers_and_pods() {
        let pod = |name: &str, cpu: &str| {
            json!({"metadata": {"name": name, "namespace": "ns", "labels": {"app": "demo"}},
                "containers": [{"usage": {"cpu": cpu, "memory": "100Ki"}}, {"usage": {"cpu": "250m", "memory": "1Mi"}}]})
        };
        let all = usages(
            &json!({"items": [pod("a", "1500000n"), pod("b", "2"), {"metadata": {"name": "c", "namespace": "ns"}}]}),
        );
        assert_eq!(all.len(), 2);
        let sum = of_cluster(&all, "ns", "demo").unwrap();
        assert_eq!(sum.cpu_millis, 2 + 250 + 2000 + 250);
        assert_eq!(sum.memory_bytes, 2 * (100 * 1024 + (1 << 20)));
        assert_eq!(of_cluster(&all, "ns", "other"), None);
    }
}
