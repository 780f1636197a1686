//! Connects to Flink's REST through the API server's proxy to a Service, or to a Pod without one: the cluster need not
//! be reachable from outside.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::{Exchange, MAX_ANSWER, ONLY_TLS, Question, REST_PORT};
use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::errors::Status;
use crate::kubernetes::resource::{PODS, SERVICES, Target};
use crate::model::flink::rest::Errors;
use crate::model::names::ClusterName;

pub(crate) async fn exchange(
    cluster: &Cluster,
    name: &ClusterName,
    pod: Option<&str>,
    question: &Question<'_>,
) -> Result<Exchange> {
    let Question {
        method,
        path,
        query,
        body,
    } = question;
    let (resource, at) = match pod {
        Some(pod) => (PODS, pod.to_owned()),
        None => (SERVICES, name.master()),
    };
    let mut scheme = "";
    let (target, status, answer) = loop {
        let at = format!("{scheme}{at}:{REST_PORT}");
        let target = Target::object(verb(method), resource, cluster.namespace(), &at);
        let target = target.subresource(format!("proxy/{path}"));
        let (status, answer) = cluster.raw(&target, method.clone(), query, *body, MAX_ANSWER).await?;
        if status != ONLY_TLS || !scheme.is_empty() {
            break (target, status, answer);
        }
        // The API server speaks TLS to Flink then, and takes any certificate.
        scheme = "https:";
    };
    if status.is_success() || Errors::message(&answer).is_some() {
        return Ok(Exchange::Answer(status, answer));
    }
    match fault(status, &answer) {
        Some(fault) => Ok(fault),
        None => Err(cluster.status_error(&target, status, &answer)),
    }
}

/// The RBAC verb of a proxy request. Source: the API server's `RequestInfoFactory`.
fn verb(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    }
}

/// Interprets an answer of the proxy itself, which is a Kubernetes Status: 503 when no Pod is ready, 404 when there is
/// no such Service, and 503, 502 or 500 with the message of its dialer when the Pod cannot be reached.
fn fault(status: StatusCode, answer: &Bytes) -> Option<Exchange> {
    let text = String::from_utf8_lossy(answer);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let reply: Status = serde_json::from_slice(answer).unwrap_or_default();
    if has(&[
        "i/o timeout",
        "no route to host",
        "network is unreachable",
        "context deadline exceeded",
    ]) {
        return Some(Exchange::Blocked(reply.message));
    }
    let unreached = matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::INTERNAL_SERVER_ERROR
    );
    if unreached && has(&["connection reset by peer"]) {
        return Some(Exchange::Reset);
    }
    match status {
        // The Service was deleted, and the JobManager may be up all the same.
        StatusCode::NOT_FOUND if reply.message.starts_with("services ") => Some(Exchange::Blocked(reply.message)),
        // The 404 is for another kind of object, such as the namespace. Without a Status it comes from a server before
        // the API server.
        StatusCode::NOT_FOUND if reply.reason == "NotFound" => Some(Exchange::Away),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Some(Exchange::Away),
        StatusCode::INTERNAL_SERVER_ERROR if has(&["error trying to reach service"]) => Some(Exchange::Away),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_is_not_up_is_distinguished_from_one_that_cannot_be_reached() {
        let fault = |code: u16, text: &str| {
            let text = text.replace("DIAL", "error trying to reach service: dial tcp 10.1.2.3:8081");
            fault(StatusCode::from_u16(code).unwrap(), &Bytes::from(text))
        };
        for (code, text, want) in [
            (503, "no endpoints available for service \"demo-master:8081\"", "away"),
            (503, "DIAL: connect: connection refused", "away"),
            (500, "error trying to reach service: EOF", "away"),
            (
                503,
                "error trying to reach service: read tcp 10.1.0.1:5->10.1.2.3:8081: read: connection reset by peer",
                "reset",
            ),
            (
                404,
                r#"{"kind": "Status", "message": "services \"demo-master\" not found", "reason": "NotFound"}"#,
                "blocked",
            ),
            (
                404,
                r#"{"kind": "Status", "message": "namespaces \"a\" not found", "reason": "NotFound"}"#,
                "away",
            ),
            (404, "not found", "error"),
            (404, "<html><body>default backend - 404</body></html>", "error"),
            (503, "DIAL: i/o timeout", "blocked"),
            (503, "DIAL: connect: no route to host", "blocked"),
            (403, "forbidden", "error"),
            (500, "boom", "error"),
        ] {
            let got = match fault(code, text) {
                Some(Exchange::Away) => "away",
                Some(Exchange::Blocked(_)) => "blocked",
                Some(Exchange::Reset) => "reset",
                _ => "error",
            };
            assert_eq!(got, want, "{code} {text}");
        }
    }
}
