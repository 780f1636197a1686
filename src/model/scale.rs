//! Plans how a running job is scaled: the method, the limits, and when it is complete.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::flink::FlinkVersion;
use super::flink::live::{JobDetail, Vertex};
use super::flink::overview::JobState;
use crate::error::{Error, Result};
use crate::model::counted::counted;

/// Reply of `GET /jobs/:id/resource-requirements` (Flink 1.18+): bounds of each vertex.
pub(crate) type Requirements = BTreeMap<String, Requirement>;

/// Bounds of one vertex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Requirement {
    pub(crate) parallelism: Bounds,
}

/// Minimum and maximum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Bounds {
    /// The job does not run with less.
    pub(crate) lower_bound: u32,
    /// The job uses no more.
    pub(crate) upper_bound: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ScaleInput {
    pub(crate) job: JobDetail,
    /// The requirements of its vertices, if the scheduler supports them.
    pub(crate) requirements: Requirements,
    /// `jobmanager.scheduler` and `scheduler-mode` of the running JobManager, in lower case.
    pub(crate) scheduler: String,
    /// See [`Self::scheduler`].
    pub(crate) mode: String,
    pub(crate) version: Option<FlinkVersion>,
    /// The recorded parallelism of the job.
    pub(crate) present: u32,
    pub(crate) wanted: u32,
    /// Slots of a TaskManager.
    pub(crate) slots: u32,
    /// The new number of slots per TaskManager, if it changes.
    pub(crate) new_slots: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScaleMethod {
    /// With the adaptive scheduler: the job restarts from its last checkpoint in the same JobManager.
    InPlace,
    /// The job uses all slots: only TaskManagers are added or removed.
    Reactive,
    /// Through a savepoint, with a new JobManager and new TaskManagers.
    Redeploy,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScalePlan {
    pub(crate) way: ScaleMethod,
    pub(crate) why: String,
    /// Final parallelism of each vertex; empty for [`ScaleMethod::Redeploy`], where the program decides.
    pub(crate) targets: BTreeMap<String, u32>,
    pub(crate) task_managers: u32,
    pub(crate) slots: u32,
}

/// Chooses the method.
///
/// # Errors
/// Usage error for a parallelism that the job cannot have, and in reactive mode for one that TaskManagers cannot
/// provide.
pub(crate) fn plan(known: &ScaleInput) -> Result<ScalePlan> {
    let wanted = known.wanted;
    check_limit(known)?;
    let followers = followers(known);
    let slots = slots(known);
    let redeploy = |why: String| ScalePlan {
        way: ScaleMethod::Redeploy,
        why,
        targets: BTreeMap::new(),
        task_managers: slots.div_ceil(known.new_slots.unwrap_or(known.slots).max(1)),
        slots,
    };
    if let Some(slots) = known.new_slots.filter(|slots| *slots != known.slots) {
        return Ok(redeploy(format!(
            "TaskManagers with {} are new TaskManagers",
            counted(slots, "slot")
        )));
    }
    if known.mode == "reactive" {
        return reactive(known);
    }
    if known.scheduler != "adaptive" {
        return Ok(redeploy(
            "the running JobManager does not use the adaptive scheduler (jobmanager.scheduler=adaptive)".to_owned(),
        ));
    }
    let since = FlinkVersion::new(1, 18);
    if let Some(version) = known.version.filter(|version| *version < since) {
        return Ok(redeploy(format!(
            "Flink {version} cannot change a running job's parallelism, that came with {since}"
        )));
    }
    if followers.is_empty() || (bound_of_followers(known) == 1 && wanted > 1) {
        // A source or sink that its program sets to one task looks the same, and more tasks of it would be wrong.
        return Ok(redeploy(
            "each vertex has one task now, and only the program knows which of them may have more".to_owned(),
        ));
    }
    let targets = targets(known, &followers);
    let slots = slots_for(&known.job, &targets);
    Ok(ScalePlan {
        way: ScaleMethod::InPlace,
        why: "its scheduler is the adaptive one".to_owned(),
        task_managers: slots.div_ceil(known.slots.max(1)),
        slots,
        targets,
    })
}

/// The parallelism of each vertex if `followers` get the wanted one.
fn targets(known: &ScaleInput, followers: &[&str]) -> BTreeMap<String, u32> {
    let target = |vertex: &Vertex| {
        if followers.contains(&vertex.id.as_str()) {
            known.wanted
        } else {
            bound(known, vertex)
        }
    };
    let vertices = known.job.vertices.iter();
    vertices.map(|vertex| (vertex.id.clone(), target(vertex))).collect()
}

/// Slots that the job needs when it is started again with the wanted parallelism, as far as its present vertices show.
pub(crate) fn slots(known: &ScaleInput) -> u32 {
    let targets = targets(known, &followers(known));
    slots_for(&known.job, &targets).max(known.wanted)
}

fn reactive(known: &ScaleInput) -> Result<ScalePlan> {
    let (wanted, slots) = (known.wanted, known.slots.max(1));
    if wanted % slots != 0 {
        let below = wanted - wanted % slots;
        return Err(Error::usage(format!(
            "in reactive mode the job takes all slots, and TaskManagers have {slots} each: a parallelism of {wanted} cannot be made of them"
        ))
        .hint(format!("{} and {} can", below.max(slots), below + slots)));
    }
    let targets = known.job.vertices.iter().map(|vertex| {
        let most = u32::try_from(vertex.max_parallelism).ok().filter(|most| *most > 0);
        (vertex.id.clone(), most.map_or(wanted, |most| wanted.min(most)))
    });
    Ok(ScalePlan {
        way: ScaleMethod::Reactive,
        why: "its scheduler is in reactive mode, so that it takes all slots there are".to_owned(),
        targets: targets.collect(),
        task_managers: wanted / slots,
        slots: wanted,
    })
}

/// The upper bound of a vertex; its parallelism, if there are no requirements.
fn bound(known: &ScaleInput, vertex: &Vertex) -> u32 {
    known
        .requirements
        .get(&vertex.id)
        .map_or(vertex.parallelism, |requirement| requirement.parallelism.upper_bound)
}

/// The parallelism that identifies vertices with the job's parallelism.
fn bound_of_followers(known: &ScaleInput) -> u32 {
    let bounds: Vec<u32> = known.job.vertices.iter().map(|vertex| bound(known, vertex)).collect();
    if bounds.contains(&known.present) {
        known.present
    } else {
        bounds.into_iter().max().unwrap_or(known.present)
    }
}

/// The vertices with the job's parallelism; the program set the parallelism of the others.
fn followers(known: &ScaleInput) -> Vec<&str> {
    let theirs = bound_of_followers(known);
    let vertices = known.job.vertices.iter();
    vertices
        .filter(|vertex| bound(known, vertex) == theirs && (theirs > 1 || vertex.max_parallelism != 1))
        .map(|vertex| vertex.id.as_str())
        .collect()
}

/// Checks that the state of the job can be divided among as many tasks as are wanted. A job that is started from that state
/// with more fails. Source: `StateAssignmentOperation.checkParallelismPreconditions`.
///
/// # Errors
/// Usage error, with the number of tasks that are possible.
pub(crate) fn check_limit(known: &ScaleInput) -> Result<()> {
    let followers = followers(known);
    let limits = known
        .job
        .vertices
        .iter()
        // In reactive mode each vertex uses its maximum.
        .filter(|vertex| followers.contains(&vertex.id.as_str()) && vertex.max_parallelism > 0);
    let (tightest, widest) = (
        limits.clone().min_by_key(|vertex| vertex.max_parallelism),
        limits.max_by_key(|vertex| vertex.max_parallelism),
    );
    let limit = if known.mode == "reactive" { widest } else { tightest };
    let Some(vertex) = limit.filter(|vertex| i64::from(known.wanted) > vertex.max_parallelism) else {
        return Ok(());
    };
    let most = vertex.max_parallelism;
    Err(Error::usage(format!(
        "the job's state can be divided among {most} tasks at most (its max parallelism, of vertex {}), and {} are wanted",
        vertex.name.chars().take(80).collect::<String>(),
        known.wanted
    ))
    .hint("the max parallelism is fixed by the first start of a job; a job without state can be started again with another"))
}

/// Slots for the targets: a group of vertices that share slots needs as many as its largest vertex has tasks.
fn slots_for(job: &JobDetail, targets: &BTreeMap<String, u32>) -> u32 {
    let mut groups: BTreeMap<&str, u32> = BTreeMap::new();
    for vertex in &job.vertices {
        let target = targets.get(&vertex.id).copied().unwrap_or(vertex.parallelism);
        let most = groups.entry(&vertex.slot_sharing_group_id).or_default();
        *most = target.max(*most);
    }
    groups.values().sum()
}

impl ScalePlan {
    /// The body of `PUT /jobs/:id/resource-requirements`: it must contain every vertex.
    pub(crate) fn requirements(&self, known: &Requirements) -> Value {
        let vertices = self.targets.iter().map(|(id, target)| {
            let lower = known
                .get(id)
                .map_or(1, |known| known.parallelism.lower_bound.clamp(1, *target));
            let bounds = json!({ "lowerBound": lower, "upperBound": target });
            (id.clone(), json!({ "parallelism": bounds }))
        });
        Value::Object(vertices.collect())
    }

    /// Whether the job's requirements already have the target values.
    pub(crate) fn is_required(&self, known: &Requirements) -> bool {
        self.targets.iter().all(|(id, target)| {
            known
                .get(id)
                .is_some_and(|known| known.parallelism.upper_bound == *target)
        })
    }

    /// Whether all vertices run with the target number of tasks.
    pub(crate) fn is_reached(&self, job: &JobDetail) -> bool {
        !job.vertices.is_empty()
            && job.state == Some(JobState::Running)
            && job.vertices.iter().all(|vertex| {
                let target = self.targets.get(&vertex.id).copied().unwrap_or(vertex.parallelism);
                let count = |state: &str| vertex.tasks.get(state).copied().unwrap_or(0);
                // Tasks of a bounded source end before the others.
                vertex.parallelism == target && count("RUNNING") + count("FINISHED") == target
            })
    }
}

/// The progress of the job, such as `2 tasks of keys, 1 of total`.
pub(crate) fn progress(job: &JobDetail) -> String {
    let parts: Vec<String> = job
        .vertices
        .iter()
        .map(|vertex| {
            let running = vertex.tasks.get("RUNNING").copied().unwrap_or(0);
            let name: String = vertex.name.chars().take(40).collect();
            format!("{running} of {} {name}", vertex.parallelism)
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change of what is known, and why the job is redeployed then.
    type Case = (fn(&mut ScaleInput), &'static str);

    fn vertex(id: &str, parallelism: u32, max_parallelism: i64) -> Vertex {
        Vertex {
            id: id.into(),
            name: id.into(),
            parallelism,
            max_parallelism,
            tasks: [("RUNNING".to_owned(), parallelism)].into(),
            ..Vertex::default()
        }
    }

    fn known(vertices: Vec<Vertex>, wanted: u32) -> ScaleInput {
        ScaleInput {
            job: JobDetail {
                state: Some(JobState::Running),
                vertices,
                ..JobDetail::default()
            },
            scheduler: "adaptive".into(),
            version: Some(FlinkVersion::new(2, 3)),
            present: 2,
            wanted,
            slots: 2,
            ..ScaleInput::default()
        }
    }

    fn counting() -> Vec<Vertex> {
        [("source", 1), ("keys", 2), ("total", 1)]
            .map(|(id, tasks)| vertex(id, tasks, 128))
            .into()
    }

    fn bounds(lower_bound: u32, upper_bound: u32) -> Requirement {
        let parallelism = Bounds {
            lower_bound,
            upper_bound,
        };
        Requirement { parallelism }
    }

    #[test]
    fn only_what_has_the_jobs_parallelism_follows_it() {
        let made = plan(&known(counting(), 3)).unwrap();
        assert_eq!(made.way, ScaleMethod::InPlace);
        let targets: Vec<_> = made.targets.iter().map(|(id, n)| (id.as_str(), *n)).collect();
        assert_eq!(targets, [("keys", 3), ("source", 1), ("total", 1)]);
        assert_eq!((made.slots, made.task_managers), (3, 2));
        let lower = Requirements::from([("keys".to_owned(), bounds(2, 2))]);
        let expected = json!({"parallelism": {"lowerBound": 2, "upperBound": 3}});
        assert_eq!(made.requirements(&lower)["keys"], expected);
        assert!(!made.is_required(&lower));
        let mut job = known(counting(), 3).job;
        assert!(!made.is_reached(&job));
        job.vertices[1] = vertex("keys", 3, 128);
        assert!(made.is_reached(&job));
        job.vertices[1].tasks = [("RUNNING".to_owned(), 2), ("DEPLOYING".to_owned(), 1)].into();
        assert!(!made.is_reached(&job));
    }

    /// What a vertex asks for counts, not what it got of too few slots.
    #[test]
    fn requirements_are_what_vertices_are_known_by() {
        let mut known = known(vec![vertex("source", 1, 128), vertex("keys", 1, 128)], 3);
        for (id, upper_bound) in [("source", 1), ("keys", 2)] {
            known.requirements.insert(id.to_owned(), bounds(1, upper_bound));
        }
        let made = plan(&known).unwrap();
        let expected = (ScaleMethod::InPlace, 1, 3);
        assert_eq!((made.way, made.targets["source"], made.targets["keys"]), expected);
    }

    #[test]
    fn groups_that_do_not_share_slots_need_slots_of_their_own() {
        let mut vertices = counting();
        vertices[1].slot_sharing_group_id = "b".into();
        assert_eq!(plan(&known(vertices.clone(), 3)).unwrap().slots, 4);
        let default = ScaleInput {
            scheduler: "default".into(),
            ..known(vertices, 4)
        };
        let made = plan(&default).unwrap();
        assert_eq!(
            (made.way, made.slots, made.task_managers),
            (ScaleMethod::Redeploy, 5, 3)
        );
    }

    #[test]
    fn everything_else_goes_through_a_savepoint_and_says_why() {
        let base = || known(counting(), 3);
        let cases: [Case; 4] = [
            (
                |it| it.scheduler = "default".into(),
                "does not use the adaptive scheduler",
            ),
            (|it| it.version = Some(FlinkVersion::new(1, 17)), "came with 1.18"),
            (|it| it.new_slots = Some(4), "with 4 slots"),
            (
                |it| (it.present, it.job.vertices) = (1, vec![vertex("a", 1, 128), vertex("b", 1, 128)]),
                "only the program knows",
            ),
        ];
        for (change, why) in cases {
            let mut known = base();
            change(&mut known);
            let made = plan(&known).unwrap();
            assert_eq!(made.way, ScaleMethod::Redeploy);
            assert!(made.why.contains(why), "{}", made.why);
        }
        // The same number of slots is no change.
        let same = ScaleInput {
            new_slots: Some(2),
            ..base()
        };
        assert_eq!(plan(&same).unwrap().way, ScaleMethod::InPlace);
    }

    #[test]
    fn more_than_the_state_can_be_divided_by_is_refused_with_the_number() {
        for scheduler in ["adaptive", "default"] {
            let known = ScaleInput {
                scheduler: scheduler.into(),
                ..known(counting(), 129)
            };
            let error = plan(&known).unwrap_err();
            assert!(error.message.contains("among 128 tasks at most"), "{error}");
        }
        // A vertex with a parallelism of its own does not limit the others.
        let vertices = vec![vertex("source", 1, 1), vertex("keys", 2, 128)];
        assert_eq!(plan(&known(vertices, 100)).unwrap().targets["source"], 1);
    }

    #[test]
    fn reactive_mode_takes_all_slots() {
        let reactive = |wanted| ScaleInput {
            mode: "reactive".into(),
            ..known(vec![vertex("source", 1, 1), vertex("keys", 2, 128)], wanted)
        };
        let made = plan(&reactive(4)).unwrap();
        assert_eq!((made.way, made.task_managers), (ScaleMethod::Reactive, 2));
        assert_eq!((made.targets["source"], made.targets["keys"]), (1, 4));
        let error = plan(&reactive(3)).unwrap_err();
        assert!(error.hints[0].contains("2 and 4 can"), "{error:?}");
    }
}
