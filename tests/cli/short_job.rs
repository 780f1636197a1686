//! A server that shows a Job beside a cluster, such as a rehearsal's, and its Pods.

use serde_json::{Value, json as tree};

use crate::demo::{JOBS, PODS};
use crate::server::{Server, get, json, watch};

const EVENTS: &str = "/api/v1/namespaces/default/events";

/// The Job `demo-COMPONENT` is listed with its Pods, once each, and nothing changes after that.
pub fn watched(server: &Server, component: &str, job: &Value, pods: &Value) {
    let list = |items: &Value| json(&tree!({"metadata": {"resourceVersion": "9"}, "items": items}));
    server
        .expect(
            get(JOBS)
                .query("fieldSelector", &format!("metadata.name=demo-{component}"))
                .no_query("watch"),
        )
        .answer(list(&tree!([job])));
    server
        .expect(
            get(PODS)
                .query("labelSelector", &format!("app=demo,component={component}"))
                .no_query("watch"),
        )
        .answer(list(pods));
    server
        .expect(get(EVENTS).no_query("watch"))
        .times(2)
        .answer(list(&tree!([])));
    for path in [JOBS, PODS, EVENTS] {
        server
            .expect(get(path).query("watch", "true"))
            .often()
            .answer(watch([]).held());
    }
}
