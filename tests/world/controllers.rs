//! What Kubernetes and Flink do by themselves: Pods of Jobs and Deployments, and the ends of JobManagers.

use serde_json::{Value, json};

use super::World;
use super::flink::{CHECKPOINTS, Flink, Scheduler};

/// Time from a Pod's deletion to its end.
const ENDING_MS: i64 = 40;
const PODS: &str = "/api/v1/namespaces/default/pods";
/// The start of an image that no registry has.
const MISSING: &str = "missing:";

/// The image of the main container of a Job or Deployment.
fn image_of(owner: &Value) -> &str {
    owner["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default()
}

impl World {
    /// Lets everything happen whose time has come.
    pub fn tick(&mut self) {
        for (pod, flink) in &mut self.flinks {
            flink.tick(&mut self.disk);
            if pod.contains("/demo-") && flink.seen {
                self.work = self.work.max(flink.work);
            }
        }
        self.end_jobmanagers();
        self.end_pods();
        // Nothing follows from what has not changed, and many worlds share a small machine.
        if !self.take_changed() {
            return;
        }
        let kinds = ["Job", "Deployment", "Pod"];
        let concerned = |object: &Value| kinds.iter().any(|kind| object["kind"] == *kind);
        let concerned = self.objects.iter().filter(|(_, object)| concerned(object));
        let paths: Vec<String> = concerned.map(|(path, _)| path.clone()).collect();
        for path in paths {
            let Some(object) = self.objects.get(&path).cloned() else {
                continue;
            };
            match object["kind"].as_str() {
                Some("Job") => self.job(&path, &object),
                Some("Deployment") => self.deployment(&path, object),
                _ => self.orphan(&path, &object),
            }
        }
    }

    fn end_jobmanagers(&mut self) {
        let ended: Vec<String> = self
            .flinks
            .iter()
            .filter(|(_, flink)| flink.ends())
            .map(|(pod, _)| pod.clone())
            .collect();
        for path in ended {
            self.flinks.remove(&path);
            let Some(mut pod) = self.objects.get(&path).cloned() else {
                continue;
            };
            pod["status"]["phase"] = json!("Succeeded");
            self.store(&path, pod);
        }
    }

    /// The JobManager of `demo` ends well, and with it what it alone knew.
    pub fn lose_jobmanager(&mut self) {
        for (pod, flink) in &mut self.flinks {
            if pod.contains("/demo-") {
                flink.forget();
            }
        }
        self.tick();
        self.tick();
    }

    /// The JobManager of `demo` fails, and Kubernetes starts another one.
    pub fn restart_jobmanager(&mut self) {
        for pod in self.pods("demo", "master") {
            self.flinks.remove(&pod);
            self.remove(&pod);
        }
        self.tick();
    }

    fn end_pods(&mut self) {
        let now = k8s_openapi::jiff::Timestamp::now().as_millisecond();
        let gone: Vec<String> = self
            .objects
            .iter()
            .filter(|(_, object)| object["kind"] == "Pod" && object["test-ends"].as_i64().is_some_and(|at| at <= now))
            .map(|(path, _)| path.clone())
            .collect();
        for path in gone {
            self.flinks.remove(&path);
            self.remove(&path);
        }
    }

    fn owned(&self, owner: &Value) -> Vec<(String, Value)> {
        let uid = &owner["metadata"]["uid"];
        let is_owned =
            |object: &Value| object["kind"] == "Pod" && object["metadata"]["ownerReferences"][0]["uid"] == *uid;
        let all = self.objects.iter().filter(|(_, object)| is_owned(object));
        all.map(|(path, pod)| (path.clone(), pod.clone())).collect()
    }

    fn job(&mut self, path: &str, job: &Value) {
        if job["status"]["conditions"].is_array() {
            return;
        }
        let pods = self.owned(job);
        if job["spec"]["suspend"] == true {
            for (path, pod) in pods {
                self.send_away(&path, pod);
            }
            return;
        }
        if pods.iter().any(|(_, pod)| pod["status"]["phase"] == "Succeeded") {
            let mut job = job.clone();
            let now = k8s_openapi::jiff::Timestamp::now().to_string();
            let end = json!({"type": "Complete", "status": "True", "lastTransitionTime": now});
            job["status"] = json!({"succeeded": 1, "conditions": [end]});
            self.store(path, job);
            return;
        }
        if !pods.is_empty() || self.full {
            return;
        }
        let app = job["spec"]["template"]["metadata"]["labels"]["app"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let labels = &job["spec"]["template"]["metadata"]["labels"];
        let rehearsal = labels["component"] == "rehearsal";
        let others = self.pods(&app, labels["component"].as_str().unwrap_or_default());
        if !others.is_empty() && !rehearsal {
            let text = format!("a second JobManager of {app} starts beside {}", others.join(", "));
            self.violations.push(text);
        }
        let pod = self.start_pod(job, "Job");
        if labels["component"] == "savepoint-reader" {
            // It prints at once.
            let end =
                json!({"terminated": {"exitCode": 0, "finishedAt": k8s_openapi::jiff::Timestamp::now().to_string()}});
            let mut ended = self.objects[&pod].clone();
            ended["status"]["phase"] = json!("Succeeded");
            ended["status"]["containerStatuses"][0]["state"] = end;
            self.store(&pod, ended);
            return;
        }
        if image_of(job).starts_with(MISSING) {
            return;
        }
        let flink = self.start_job(&app, job, &self.objects[&pod]["metadata"]["uid"].clone());
        self.flinks.insert(pod, flink);
    }

    /// A job resumes from its savepoint: with what that holds, and no more. Without an ID of its own it has another one in
    /// each Pod, whose uid is given.
    fn start_job(&mut self, app: &str, job: &Value, pod: &Value) -> Flink {
        let arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let after = |flag: &str| {
            let at = arguments.iter().position(|argument| argument == flag)?;
            arguments.get(at + 1)?.as_str().map(ToOwned::to_owned)
        };
        let mut work = 0;
        let rehearsal = job["metadata"]["labels"]["component"] == "rehearsal";
        let restored = after("--fromSavepoint");
        if let Some(path) = restored.clone() {
            match self.disk.iter().find(|written| written.path == path) {
                Some(written) => work = written.work,
                // One of the job that runs.
                None if rehearsal && path.starts_with(CHECKPOINTS) => {}
                None => self
                    .violations
                    .push(format!("{app} starts from {path}, which was never written")),
            }
        }
        if app == "demo" && !rehearsal {
            if work < self.work && !self.gives_up {
                self.violations
                    .push(format!("{app} starts with {work} of {} that was done", self.work));
            }
            self.work = work;
        }
        let id = after("--job-id").unwrap_or_else(|| pod.as_str().unwrap_or_default().replace('-', ""));
        if rehearsal {
            return Flink::rehearsal(id, restored, 1);
        }
        let tasks = job["metadata"]["annotations"]["kubectl-flink/parallelism"].as_str();
        let batch = image_of(job).starts_with("batch:");
        let has = |text: &str| {
            arguments
                .iter()
                .any(|argument| argument.as_str().is_some_and(|said| said.ends_with(text)))
        };
        let scheduler = match () {
            () if has("jobmanager.scheduler=adaptive") => Scheduler::Adaptive,
            () if has("scheduler-mode=reactive") => Scheduler::Reactive,
            () => Scheduler::Default,
        };
        let tasks = tasks.and_then(|text| text.parse().ok()).unwrap_or(1);
        let mut flink = Flink::new(id, work + 1, tasks, batch, scheduler);
        flink.old = image_of(job).ends_with(":1.13.6");
        if has("security.ssl.rest.enabled=true") {
            flink.scheme = "https:";
        }
        flink
    }

    fn deployment(&mut self, path: &str, mut deployment: Value) {
        let revision = deployment["spec"]["template"].to_string();
        let (mut current, old): (Vec<_>, Vec<_>) = self
            .owned(&deployment)
            .into_iter()
            .partition(|(_, pod)| pod["test-template"] == revision.as_str());
        // Pods of a rolling update are never ready for so long, so that all old ones stay.
        let spec = &deployment["spec"];
        let held = spec["minReadySeconds"].as_u64().is_some_and(|seconds| seconds > 3600);
        let surge = spec["strategy"]["rollingUpdate"]["maxSurge"].as_u64().filter(|_| held);
        let stays = if held { old.len() } else { 0 };
        for (path, pod) in old {
            if !held {
                self.send_away(&path, pod);
            }
        }
        let wanted = usize::try_from(deployment["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(0);
        let wanted = surge.map_or(wanted, |surge| wanted.min(usize::try_from(surge).unwrap_or(0)));
        let wanted = if self.full { current.len().min(wanted) } else { wanted };
        while current.len() > wanted {
            if let Some((path, pod)) = current.pop() {
                self.send_away(&path, pod);
            }
        }
        for _ in current.len()..wanted {
            self.start_pod(&deployment, "ReplicaSet");
        }
        let wanted = wanted + stays;
        let status = json!({"replicas": wanted, "readyReplicas": wanted, "updatedReplicas": wanted,
            "availableReplicas": wanted});
        if deployment["status"] != status {
            deployment["status"] = status;
            self.store(path, deployment);
        }
    }

    fn start_pod(&mut self, owner: &Value, kind: &str) -> String {
        let template = &owner["spec"]["template"];
        let name = format!(
            "{}-{}",
            owner["metadata"]["name"].as_str().unwrap_or_default(),
            self.events.len()
        );
        let container = &template["spec"]["containers"][0]["name"];
        let mut owner_name = owner["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if kind == "ReplicaSet" {
            owner_name.push_str("-7d9c5b8f6");
        }
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let status = if image_of(owner).starts_with(MISSING) {
            json!({"phase": "Pending", "startTime": now, "conditions": [{"type": "PodScheduled", "status": "True"}],
                "containerStatuses": [{"name": container, "ready": false, "started": false, "restartCount": 0,
                    "image": MISSING, "imageID": "",
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]})
        } else {
            json!({"phase": "Running", "podIP": "10.0.0.1", "startTime": now,
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": container, "ready": true, "started": true, "restartCount": 0,
                    "image": "flink", "imageID": "flink", "state": {"running": {"startedAt": now}}}]})
        };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "test-template": template.to_string(),
            "metadata": {"name": name, "namespace": "default", "labels": template["metadata"]["labels"],
                "annotations": template["metadata"]["annotations"],
                "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": owner_name,
                    "uid": owner["metadata"]["uid"], "controller": true}]},
            "spec": template["spec"], "status": status
        });
        let path = format!("{PODS}/{name}");
        self.store(&path, pod);
        path
    }

    /// A Pod whose owner is gone goes too.
    fn orphan(&mut self, path: &str, pod: &Value) {
        let uid = &pod["metadata"]["ownerReferences"][0]["uid"];
        let is_owner = |object: &Value| object["kind"] != "Pod" && object["metadata"]["uid"] == *uid;
        if uid.is_string() && !self.objects.values().any(is_owner) {
            self.send_away(path, pod.clone());
        }
    }

    fn send_away(&mut self, path: &str, mut pod: Value) {
        if pod["metadata"]["deletionTimestamp"].is_string() {
            return;
        }
        let now = k8s_openapi::jiff::Timestamp::now();
        pod["metadata"]["deletionTimestamp"] = json!(now.to_string());
        pod["test-ends"] = json!(now.as_millisecond() + ENDING_MS);
        self.store(path, pod);
    }
}
