//! What a request needs a right for.

use serde_json::Value;

use super::request::Request;

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

/// The verb and the resource of a request, such as `delete jobs`.
pub fn named(request: &str) -> String {
    let (_, resource, verb) = right(request);
    format!("{verb} {resource}")
}

/// The verb and the resource that an access review asks for.
pub fn asked(request: &Request) -> String {
    let review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let asked = &review["spec"]["resourceAttributes"];
    let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
    let resource = match text("subresource") {
        sub if sub.is_empty() => text("resource"),
        sub => format!("{}/{sub}", text("resource")),
    };
    format!("{} {resource}", text("verb"))
}
