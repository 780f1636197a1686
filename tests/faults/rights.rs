//! No command asks for more than docs/rbac.yaml lets it.

use serde_json::Value;

use crate::world::rights::right;

const ROLE: &str = include_str!("../../docs/rbac.yaml");

/// The first request that the documented Role does not allow.
pub fn beyond_the_role(requests: &[String]) -> Option<String> {
    let role: Value = serde_yaml::from_str(ROLE).unwrap();
    let rules = role["rules"].as_array().unwrap();
    let has = |list: &Value, text: &str| list.as_array().unwrap().iter().any(|item| item == text);
    requests.iter().find_map(|request| {
        let (group, resource, verb) = right(request);
        // All users may ask what they may: ClusterRole system:basic-user.
        if group == "authorization.k8s.io" {
            return None;
        }
        let allowed = rules.iter().any(|rule| {
            has(&rule["apiGroups"], &group) && has(&rule["resources"], &resource) && has(&rule["verbs"], &verb)
        });
        (!allowed).then(|| format!("{verb} {resource} of group {group:?}: {request}"))
    })
}
