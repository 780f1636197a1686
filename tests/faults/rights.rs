//! No command asks for more than docs/rbac.yaml lets it.

use serde_json::Value;

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

/// Group, resource and verb of a request. Source: the API server's `RequestInfoFactory`.
pub fn right(request: &str) -> (String, String, String) {
    let (method, address) = request.split_once(' ').unwrap();
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, rest) = if parts[0] == "api" {
        ("", &parts[2..])
    } else {
        (parts[1], &parts[3..])
    };
    let rest = if rest[0] == "namespaces" && rest.len() > 2 {
        &rest[2..]
    } else {
        rest
    };
    let resource = match rest.get(2) {
        Some(sub) => format!("{}/{sub}", rest[0]),
        None => rest[0].to_owned(),
    };
    let one = rest.len() > 1;
    let verb = match method {
        "GET" if query.contains("watch=true") => "watch",
        "GET" if one => "get",
        "GET" => "list",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        _ => "delete",
    };
    (group.to_owned(), resource, verb.to_owned())
}
