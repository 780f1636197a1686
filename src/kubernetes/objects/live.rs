//! The existing objects of a cluster, as they were read.

use std::fmt;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::kubernetes::api::Applied;
use crate::kubernetes::resource::{DEPLOYMENTS, Identity, JOBS, Resource, SERVICES};
use crate::model::diff::{Difference, differences};
use crate::model::flink::settings::{ConfigMaps, Settings};
use crate::model::main_container;
use crate::model::manifests::{Manifests, replicas, revision};
use crate::model::names::{ClusterName, MASTER, TASK_MANAGER};
use crate::model::ownership::{free_name, is_part, taken_name};
use crate::model::secrets::hide;
use crate::model::server_fields::strip_server_fields;

/// The usual ports of a JobManager: of its RPC, and of its REST.
const FLINK_PORTS: [u64; 2] = [6123, 8081];

/// The three objects on the API server; `None`: it does not exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveObjects {
    /// `NAME-master`.
    pub(crate) service: Option<Value>,
    /// `NAME-master`.
    pub(crate) job: Option<Value>,
    /// `NAME-task-manager`.
    pub(crate) deployment: Option<Value>,
    /// The service account, Role and RoleBinding that were created with it; `None`: they were not read.
    pub(crate) rights: Option<Vec<Identity>>,
    /// Objects that have one of the cluster's names but do not belong to it.
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) created: Vec<Identity>,
}

/// An object that has one of the cluster's names but does not belong to it.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(crate) resource: Resource,
    /// The object on the API server.
    pub(crate) object: Value,
}

impl Foreign {
    fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// Adds to an error how to free the name. An object of Flink can be a part of the cluster whose labels were changed: then `adopt`
    /// is the first hint.
    pub(super) fn with_way_on(&self, error: Error) -> Error {
        let freeing = free_name(self.resource.kind, &self.object);
        if !self.may_be_flinks() {
            return error.hint(format!("{freeing}, then repeat the command"));
        }
        let name = self.name();
        let part = |component: &str| name.strip_suffix(component)?.strip_suffix('-');
        let cluster = part(MASTER).or_else(|| part(TASK_MANAGER)).unwrap_or(name);
        error
            .hint(format!(
                "`kubectl flink adopt {cluster}` takes it over, if it is a part of cluster {cluster}"
            ))
            .hint(format!("if it is not: {freeing}, then repeat the command"))
    }

    /// Whether it looks like a part of a Flink cluster.
    fn may_be_flinks(&self) -> bool {
        if self.resource != SERVICES {
            return main_container::of(&self.object).is_some_and(main_container::is_flinks);
        }
        let ports = self.object["spec"]["ports"].as_array();
        let mut ports = ports.into_iter().flatten().map(|port| port["port"].as_u64());
        ports.any(|port| port.is_some_and(|port| FLINK_PORTS.contains(&port)))
    }
}

impl fmt::Display for Foreign {
    /// For messages: `Service redis-master does not belong to a Flink cluster: it is managed by Helm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&taken_name(self.resource.kind, &self.object))
    }
}

impl LiveObjects {
    pub(crate) fn is_empty(&self) -> bool {
        self.each() == [None; 3]
    }

    /// The Service, the Job and the Deployment, each as far as it is there.
    pub(crate) fn each(&self) -> [Option<&Value>; 3] {
        [&self.service, &self.job, &self.deployment].map(Option::as_ref)
    }

    /// The Service, the Job and the Deployment; `None`: not all of them are there.
    pub(crate) fn all(&self) -> Option<[&Value; 3]> {
        Some([self.service.as_ref()?, self.job.as_ref()?, self.deployment.as_ref()?])
    }

    /// The objects that have Pods.
    pub(crate) fn with_pods(&self) -> impl Iterator<Item = &Value> + Clone {
        self.job.iter().chain(&self.deployment)
    }

    /// The revision number in the Job.
    pub(crate) fn revision(&self) -> Option<u64> {
        self.job.as_ref().and_then(revision)
    }

    /// The Job that has the name of the cluster's, but does not belong to it.
    pub(crate) fn foreign_job(&self) -> Option<&Foreign> {
        self.foreign.iter().find(|foreign| foreign.resource == JOBS)
    }

    /// Adds one of the three objects that was read.
    pub(super) fn see(&mut self, resource: Resource, object: Value, name: &ClusterName) {
        let component = if resource == DEPLOYMENTS { TASK_MANAGER } else { MASTER };
        if !is_part(&object, name, component) {
            self.foreign.push(Foreign { resource, object });
        } else if let Some(slot) = self.slot(resource) {
            *slot = Some(object);
        }
    }

    pub(super) fn applied(&mut self, resource: Resource, applied: Applied) {
        let identity = Identity::of(resource, &applied.object).ok();
        if applied.created {
            self.created.extend(identity.clone());
        }
        match self.slot(resource) {
            Some(slot) => *slot = Some(applied.object),
            None => {
                let rights = self.rights.get_or_insert_default();
                rights.retain(|known| known.resource() != resource);
                rights.extend(identity);
            }
        }
    }

    fn slot(&mut self, resource: Resource) -> Option<&mut Option<Value>> {
        match resource {
            SERVICES => Some(&mut self.service),
            JOBS => Some(&mut self.job),
            DEPLOYMENTS => Some(&mut self.deployment),
            _ => None,
        }
    }

    pub(crate) fn identity(&self, resource: Resource) -> Result<Option<Identity>> {
        let object = match resource {
            SERVICES => &self.service,
            JOBS => &self.job,
            DEPLOYMENTS => &self.deployment,
            _ => {
                let mut rights = self.rights.iter().flatten();
                return Ok(rights.find(|known| known.resource() == resource).cloned());
            }
        };
        object.as_ref().map(|object| Identity::of(resource, object)).transpose()
    }

    /// The object that an apply of `object` would change: the one of its kind that was read, or none.
    ///
    /// # Errors
    /// Conflict when the object of that name does not belong to the cluster.
    pub(super) fn onto(&self, object: &Value) -> Result<Option<Identity>> {
        let resource = super::resource_of(object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match self
            .foreign
            .iter()
            .find(|foreign| foreign.resource == resource && foreign.name() == name)
        {
            Some(foreign) => Err(foreign.with_way_on(Error::conflict(foreign.to_string()))),
            None => self.identity(resource),
        }
    }

    /// Checks that all objects with names of the cluster belong to it.
    ///
    /// # Errors
    /// Conflict that names their owner.
    pub(crate) fn refuse_foreign(&self) -> Result<()> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        let error = self.foreign_error();
        Err(self
            .foreign
            .iter()
            .fold(error, |error, foreign| foreign.with_way_on(error)))
    }

    fn foreign_error(&self) -> Error {
        let whose: Vec<String> = self.foreign.iter().map(ToString::to_string).collect();
        Error::conflict(whose.join("; "))
    }

    /// Like [`Self::refuse_foreign`], for a command that creates the cluster `name`, and can give it another name.
    ///
    /// # Errors
    /// Conflict that names their owner.
    pub(crate) fn refuse_foreign_of_new(&self, name: &ClusterName) -> Result<()> {
        if self.foreign.is_empty() {
            return Ok(());
        }
        let is_foreign = |resource: Resource| self.foreign.iter().any(|foreign| foreign.resource == resource);
        let mut whole = self.each().into_iter().zip([SERVICES, JOBS, DEPLOYMENTS]);
        let is_whole = whole.all(|(known, resource)| known.is_some() || is_foreign(resource));
        let may_adopt = is_whole && self.foreign.iter().all(Foreign::may_be_flinks);
        if !may_adopt && !self.is_empty() {
            return self.refuse_foreign();
        }
        let mut error = self.foreign_error();
        if self.is_empty() {
            error = error.hint("choose another name for the cluster");
        }
        if may_adopt {
            error = error.hint(format!(
                "`kubectl flink adopt {name}` takes over these three objects, if they are a Flink cluster"
            ));
        }
        Err(error)
    }

    /// Takes over objects that only have the cluster's names, and returns a message for each.
    pub(crate) fn take_foreign(&mut self) -> Vec<String> {
        let foreign = std::mem::take(&mut self.foreign);
        let said = foreign.iter().map(ToString::to_string).collect();
        for Foreign { resource, object } in foreign {
            if let Some(slot) = self.slot(resource) {
                *slot = Some(object);
            }
        }
        said
    }

    /// The missing ones of the three objects, with their kinds.
    pub(crate) fn missing(&self, name: &ClusterName) -> Vec<String> {
        let texts = [
            format!("Service {}", name.master()),
            format!("Job {}", name.master()),
            format!("Deployment {}", name.task_manager()),
        ];
        let all = self.each().into_iter().zip(texts);
        all.filter_map(|(there, text)| there.is_none().then_some(text))
            .collect()
    }

    /// The changes of `wanted` to the existing objects: paths after their kinds.
    pub(crate) fn differences(&self, wanted: &Manifests) -> Vec<Difference> {
        let mut found = Vec::new();
        for (live, wanted) in self.each().into_iter().zip(wanted.in_order()) {
            let kind = wanted["kind"].as_str().unwrap_or_default();
            for mut difference in live.into_iter().flat_map(|live| differences(wanted, live)) {
                difference.path = format!("{kind} {}", difference.path);
                found.push(difference);
            }
        }
        found
    }

    /// The objects without what the server put into them.
    pub(crate) fn stripped(&self) -> Vec<Value> {
        self.each().into_iter().flatten().map(strip_server_fields).collect()
    }

    /// [`Self::differences`] for output: secrets are hidden.
    pub(crate) fn reported_differences(&self, wanted: &Manifests) -> Vec<Difference> {
        let (mut live, mut wanted) = (self.clone(), wanted.clone());
        for (live, wanted) in [
            (&mut live.service, &mut wanted.service),
            (&mut live.job, &mut wanted.job),
            (&mut live.deployment, &mut wanted.deployment),
        ] {
            if let Some(live) = live {
                hide(live, wanted);
            }
        }
        live.differences(&wanted)
    }

    /// `made` with what may be another one since it was made: the state from which its job started, and in reactive mode the
    /// number of TaskManagers, which is the parallelism of the job and which an autoscaler changes.
    pub(super) fn as_it_runs(&self, made: &Manifests) -> Manifests {
        let mut made = made.clone();
        let start = self
            .job
            .as_ref()
            .and_then(|job| Some(&main_container::of(job)?["args"]));
        if let (Some(args), Some(main)) = (start, main_container::of_mut(&mut made.job)) {
            main["args"] = args.clone();
        }
        let settings = Settings::of_object(&made.job, &ConfigMaps::new());
        let mode = settings.get("scheduler-mode").unwrap_or_default();
        let is_reactive = mode.eq_ignore_ascii_case("reactive");
        if let Some(live) = self
            .deployment
            .as_ref()
            .filter(|live| is_reactive && replicas(live) > 0)
        {
            made.deployment["spec"]["replicas"] = live["spec"]["replicas"].clone();
        }
        made
    }
}
