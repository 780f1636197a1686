//! A cluster `demo`: in a world ([`running`]), or as tests script it: its addresses, what `create demo` leaves, and the
//! reads with which commands begin.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json as tree};

use crate::sandbox::{Outcome, Sandbox};
use crate::server::{Server, get, json};
use crate::world::World;
use crate::world::flink::Flink;

pub const SERVICE: &str = "/api/v1/namespaces/default/services/demo-master";
pub const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
pub const JOB: &str = "/apis/batch/v1/namespaces/default/jobs/demo-master";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/demo-task-manager";
pub const HISTORY: &str = "/api/v1/namespaces/default/configmaps/demo-history";
pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const FLINK: &str = "/api/v1/namespaces/default/services/demo-master:8081/proxy";
pub const ID: &str = "00000000000000000000000000000001";

/// The job that does not exist, whose savepoint keeps a JobManager up until the path of its last one is written down.
pub const NO_JOB: &str = "ffffffffffffffffffffffffffffffff";

/// A world in which the cluster `demo` runs.
pub fn running() -> Sandbox {
    running_with(&[])
}

/// The same with more flags of `create`.
pub fn running_with(flags: &[&str]) -> Sandbox {
    static WORLDS: Mutex<BTreeMap<String, World>> = Mutex::new(BTreeMap::new());
    let mut worlds = WORLDS.lock().unwrap();
    let world = worlds.entry(flags.join(" ")).or_insert_with(|| {
        let sandbox = empty();
        let create = ["create", "demo", "--image", "flink:2.3.0", "--no-wait"];
        let outcome = sandbox.run(&[&create, flags].concat());
        assert_eq!(outcome.code, Some(0), "{outcome}");
        sandbox.with_flink(|flink| ID.clone_into(&mut flink.job_id));
        sandbox.world().clone()
    });
    let sandbox = Sandbox::new();
    sandbox.server.live_in(world.clone());
    sandbox
}

/// A world without a cluster.
pub fn empty() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.server.live_in(World::default());
    sandbox
}

impl Sandbox {
    /// The world of [`running`].
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.server.world().unwrap()
    }

    /// An object of the world; null: there is none.
    pub fn object(&self, path: &str) -> Value {
        self.world().objects.get(path).cloned().unwrap_or_default()
    }

    /// Changes an object of the world, as another client does.
    pub fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.object(path);
        edit(&mut object);
        let mut world = self.world();
        world.store(path, object);
        world.tick();
    }

    /// An entry of the history; null: there is none.
    pub fn entry(&self, key: &str) -> Value {
        let history = self.object(HISTORY);
        serde_json::from_str(history["data"][key].as_str().unwrap_or("null")).unwrap()
    }

    /// Writes an entry of the history.
    pub fn put_entry(&self, key: &str, entry: &Value) {
        self.edit(HISTORY, |history| history["data"][key] = tree!(entry.to_string()));
    }

    /// Changes an entry of the history.
    pub fn edit_entry(&self, key: &str, edit: impl FnOnce(&mut Value)) {
        let mut entry = self.entry(key);
        edit(&mut entry);
        self.put_entry(key, &entry);
    }

    /// The JobManager does not answer, as while it starts.
    pub fn silence(&self) {
        self.world().flinks.clear();
    }

    /// Its job has ended at this time, and the JobManager with it; the Job is `Complete` or `Failed`.
    pub fn end(&self, condition: &str, at: &str) {
        let pod = self.world().pods("demo", "master").remove(0);
        self.silence();
        let end = tree!([{"type": condition, "status": "True", "lastTransitionTime": at}]);
        self.edit(JOB, |job| job["status"] = tree!({ "conditions": end }));
        let phase = if condition == "Complete" {
            "Succeeded"
        } else {
            condition
        };
        self.edit(&pod, |pod| pod["status"] = tree!({ "phase": phase }));
    }

    /// Deletes the three objects of `demo`, and what they have made: its history is left.
    pub fn delete_objects(&self) {
        let mut world = self.world();
        for path in [JOB, DEPLOYMENT, SERVICE] {
            world.remove(path);
        }
        for pod in [world.pods("demo", "master"), world.pods("demo", "task-manager")].concat() {
            world.flinks.remove(&pod);
            world.remove(&pod);
        }
    }

    /// Does something with the JobManager of `demo`.
    pub fn with_flink<T>(&self, then: impl FnOnce(&mut Flink) -> T) -> T {
        then(self.world().flinks.values_mut().next().unwrap())
    }
}

/// The objects that `create demo` with these flags makes: its Service, Job and Deployment.
pub fn rendered(flags: &[&str]) -> [Value; 3] {
    static RENDERED: Mutex<BTreeMap<String, [Value; 3]>> = Mutex::new(BTreeMap::new());
    let mut rendered = RENDERED.lock().unwrap();
    let objects = rendered.entry(flags.join(" ")).or_insert_with(|| {
        let outcome = client_run(&[&["-o", "json"], flags].concat());
        let list: Value = serde_json::from_str(&outcome.stdout).unwrap();
        [0, 1, 2].map(|at| list["items"][at].clone())
    });
    objects.clone()
}

/// A dry run of `create demo` with these flags that asks no server.
pub fn client_run(flags: &[&str]) -> Outcome {
    let create = ["create", "demo", "--image", "flink:2.3.0", "--dry-run=client"];
    let outcome = Sandbox::bare().run(&[&create, flags].concat());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    outcome
}

/// The objects and the history that `create demo` leaves.
pub struct Made {
    pub service: Value,
    pub job: Value,
    pub deployment: Value,
    pub history: Value,
}

/// With this parallelism, and savepoints in the history.
pub fn made(parallelism: u32, savepoints: &Value) -> Made {
    let [service, job, deployment] = rendered(&[&format!("-p={parallelism}")]);
    let revision = revision(1, "flink:2.3.0", parallelism);
    Made {
        service,
        job,
        deployment,
        history: tree!({
            "metadata": {"name": "demo-history", "resourceVersion": "5"},
            "data": {"format": "1", "revision.1": revision.to_string(), "savepoints": savepoints.to_string()},
        }),
    }
}

/// A revision as the history has it.
pub fn revision(number: u64, image: &str, parallelism: u32) -> Value {
    let spec = tree!({
        "apiVersion": "flink.apache.org/v1beta1", "kind": "FlinkDeployment", "metadata": {"name": "demo"},
        "spec": {"image": image, "job": {"parallelism": parallelism}},
    });
    tree!({"number": number, "createdAt": "2026-01-01T00:00:00Z", "command": "create", "spec": spec})
}

/// Answers the reads with which every change begins.
pub fn reads(server: &Server, made: &Made) {
    let objects = [&made.service, &made.job, &made.deployment, &made.history];
    for (path, object) in [SERVICE, JOB, DEPLOYMENT, HISTORY].into_iter().zip(objects) {
        server.expect(get(path)).answer(json(object));
    }
}

/// The position of the first request with this start that is no dry run.
pub fn position(outcome: &Outcome, start: &str) -> usize {
    let real = |request: &String| request.starts_with(start) && !request.contains("dryRun");
    let found = outcome.requests.iter().position(real);
    found.unwrap_or_else(|| panic!("no {start} in {:#?}", outcome.requests))
}
