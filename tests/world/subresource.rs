//! What is below an object: the proxies to Flink's REST, and logs.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::reply::Reply;
use super::{Place, Request, World, missing};

impl World {
    pub(super) fn subresource(&mut self, request: &Request, place: &Place, name: &str, sub: &str) -> Reply {
        if let Some(path) = sub.strip_prefix("proxy/") {
            let (scheme, at) = match name.strip_prefix("https:") {
                Some(at) => ("https:", at),
                None => ("", name),
            };
            let service = at.split(':').next().unwrap_or_default();
            if place.collection.ends_with("/pods") {
                let reply = match self.flinks.get_mut(&format!("{}/{service}", place.collection)) {
                    Some(flink) => flink.answer(request, path, 0, &mut self.disk),
                    None => missing(service),
                };
                self.tick();
                return reply;
            }
            if !self.objects.contains_key(&format!("{}/{service}", place.collection)) {
                return missing(service);
            }
            let app = service.trim_end_matches("-master");
            let pods = self.pods(app, "master");
            // A Pod that is terminating is no endpoint any more.
            let ready = pods
                .into_iter()
                .find(|pod| !self.objects[pod]["metadata"]["deletionTimestamp"].is_string());
            // TaskManagers look for their JobManager at its port.
            let port = ready.as_ref().map(|pod| rpc_port(&self.objects[pod]));
            let task_managers = self.pods(app, "task-manager");
            let mine = |pod: &&String| Some(rpc_port(&self.objects[*pod])) == port;
            let task_managers = task_managers.iter().filter(mine).count() as u64;
            let Some(flink) = ready.and_then(|pod| self.flinks.get_mut(&pod)) else {
                let text = format!("no endpoints available for service {name:?}");
                return Reply::fault(503, "ServiceUnavailable", &text);
            };
            match (flink.scheme, scheme) {
                ("https:", "") => return Reply::Whole(301, String::new()),
                ("", "https:") => {
                    let text = "error trying to reach service: http: server gave HTTP response to HTTPS client";
                    return Reply::fault(503, "ServiceUnavailable", text);
                }
                _ => {}
            }
            let reply = flink.answer(request, path, task_managers, &mut self.disk);
            self.tick();
            return reply;
        }
        match sub {
            "log" if name.contains("-task-manager-") => Reply::Whole(
                200,
                "2026-01-01 00:00:00,000 INFO  org.apache.flink.runtime.taskexecutor.TaskExecutor [] - Connecting to ResourceManager pekko.tcp://flink@demo-master:6125/user/rpc/resourcemanager_*(00000000000000000000000000000000).\n".to_owned(),
            ),
            "log" if name.contains("-savepoint-reader-") => Reply::Whole(200, printed_savepoint()),
            "log" => Reply::Whole(
                200,
                "2026-01-01 00:00:00,000 INFO  org.apache.flink.runtime.executiongraph.ExecutionGraph [] - Job demo (0) switched from state CREATED to RUNNING.\n".to_owned(),
            ),
            _ => Reply::fault(403, "Forbidden", &format!("User \"u\" cannot use {sub} here")),
        }
    }
}

/// The port of the JobManager's RPC in the arguments of a Pod.
fn rpc_port(pod: &Value) -> Option<String> {
    let arguments = pod["spec"]["containers"][0]["args"].as_array()?;
    let mut ports = arguments
        .iter()
        .filter_map(|argument| argument.as_str()?.strip_prefix("-Djobmanager.rpc.port="));
    ports.next_back().map(ToOwned::to_owned)
}

/// What the Job that reads savepoints prints of a file.
fn printed_savepoint() -> String {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(include_bytes!("../savepoints/recorded/counting"))
        .unwrap();
    let encoded = STANDARD.encode(packed.finish().unwrap());
    format!("kubectl-flink: begin\n{encoded}\nkubectl-flink: end\nkubectl-flink: done\n")
}
