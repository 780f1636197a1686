//! Applies the changes of a watch to an inventory.

use std::collections::{BTreeMap, BTreeSet};

use super::{Inventory, Key, Part, Parts};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InventoryChange {
    /// A part is new or changed.
    Now(Key, Part),
    /// A part is gone, or no longer matches the selector.
    Gone(Key, Part),
    /// All Jobs: the watch lost its position, and the list was read again.
    AllJobs(Vec<(Key, Part)>),
    AllDeployments(Vec<(Key, Part)>),
}

/// Applies the change, and returns the changed clusters with their parts before. A deleted cluster stays without parts:
/// the caller removes it after reporting it.
pub(crate) fn change(inventory: &mut Inventory, change: InventoryChange) -> Vec<(Key, Parts)> {
    let edit = |inventory: &mut Inventory, key: Key, edit: &dyn Fn(&mut Parts)| {
        let parts = inventory.entry(key.clone()).or_default();
        let before = parts.clone();
        edit(parts);
        if *parts != before {
            return Some((key, before));
        }
        if parts.is_empty() {
            inventory.remove(&key);
        }
        None
    };
    let replace_all = |inventory: &mut Inventory, all: Vec<(Key, Part)>, remove: fn(&mut Parts)| {
        let known: BTreeSet<Key> = all.iter().map(|(key, _)| key.clone()).collect();
        let lost: Vec<Key> = inventory.keys().filter(|key| !known.contains(*key)).cloned().collect();
        let mut changed: BTreeMap<Key, Parts> = lost
            .into_iter()
            .filter_map(|key| edit(inventory, key, &remove))
            .collect();
        changed.extend(
            all.into_iter()
                .filter_map(|(key, part)| edit(inventory, key, &|parts| parts.put(part.clone()))),
        );
        changed.into_iter().collect()
    };
    match change {
        InventoryChange::Now(key, part) => edit(inventory, key, &|parts| parts.put(part.clone()))
            .into_iter()
            .collect(),
        InventoryChange::Gone(key, part) => edit(inventory, key, &|parts| parts.take(&part)).into_iter().collect(),
        InventoryChange::AllJobs(all) => replace_all(inventory, all, |parts| parts.job = None),
        InventoryChange::AllDeployments(all) => replace_all(inventory, all, |parts| parts.deployment = None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job_phase::JobPhase;
    use crate::model::listing::{JobManager, TaskManagers, Traits};

    fn key(name: &str) -> Key {
        Key {
            namespace: "ns".to_owned(),
            name: name.to_owned(),
        }
    }

    fn job(state: JobPhase) -> Part {
        let traits = Traits::default();
        Part::JobManager(JobManager {
            traits,
            state,
            ended_at: None,
            ready: None,
        })
    }

    fn tasks() -> Part {
        Part::TaskManagers(TaskManagers {
            traits: Traits::default(),
            ready: 1,
            desired: 1,
        })
    }

    fn names(changed: Vec<(Key, Parts)>) -> Vec<String> {
        changed.into_iter().map(|(key, _)| key.name).collect()
    }

    #[test]
    fn only_what_differs_is_reported() {
        let mut inventory = Inventory::new();
        let mut changed = |change_of| names(change(&mut inventory, change_of));
        assert_eq!(changed(InventoryChange::Now(key("a"), job(JobPhase::Running))), ["a"]);
        assert!(changed(InventoryChange::Now(key("a"), job(JobPhase::Running))).is_empty());
        assert_eq!(changed(InventoryChange::Now(key("a"), job(JobPhase::Failed))), ["a"]);
        assert_eq!(changed(InventoryChange::Now(key("a"), tasks())), ["a"]);
        assert!(changed(InventoryChange::Gone(key("b"), tasks())).is_empty());
        assert_eq!(changed(InventoryChange::Gone(key("a"), job(JobPhase::Failed))), ["a"]);
        assert_eq!(changed(InventoryChange::Gone(key("a"), tasks())), ["a"]);
        assert!(inventory[&key("a")].is_empty());
        assert_eq!(inventory.len(), 1);
    }

    #[test]
    fn a_list_that_is_read_again_reports_what_was_missed() {
        let mut inventory = Inventory::new();
        for name in ["same", "lost", "other"] {
            change(&mut inventory, InventoryChange::Now(key(name), job(JobPhase::Running)));
        }
        change(&mut inventory, InventoryChange::Now(key("tasks"), tasks()));
        let all = vec![
            (key("new"), job(JobPhase::Running)),
            (key("other"), job(JobPhase::Failed)),
            (key("same"), job(JobPhase::Running)),
        ];
        let expected = ["lost", "new", "other"];
        assert_eq!(names(change(&mut inventory, InventoryChange::AllJobs(all))), expected);
        assert_eq!(
            names(change(&mut inventory, InventoryChange::AllDeployments(Vec::new()))),
            ["tasks"]
        );
    }
}
