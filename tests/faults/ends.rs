//! How the commands of the list end, and what is true after them.

use crate::commands::{Command, DEPLOYMENT, HISTORY, JOB, SERVICE, Then};
use crate::run::Run;
use crate::world::World;

impl Command {
    pub fn name(&self) -> String {
        format!("{:?}: {}", self.given, self.arguments.join(" "))
    }

    /// Whether the world is as the command leaves it, given how it was before.
    pub fn done(&self, world: &World, before: &World) -> Result<(), String> {
        let there = |path: &str| world.objects.contains_key(path);
        let all = [JOB, DEPLOYMENT, SERVICE];
        let missing: Vec<_> = all.into_iter().filter(|path| !there(path)).collect();
        let expect = |is: bool, text: &str| if is { Ok(()) } else { Err(text.to_owned()) };
        let runs = !world.pods("demo", "master").is_empty();
        match self.then {
            Then::Runs => {
                expect(missing.is_empty(), "an object is missing")?;
                expect(there(HISTORY), "there is no history")?;
                expect(runs, "no JobManager runs")
            }
            Then::Deleted | Then::Purged => {
                expect(missing.len() == all.len(), "an object is left")?;
                expect(world.pods("demo", "task-manager").is_empty() && !runs, "a Pod is left")?;
                expect(
                    there(HISTORY) == (self.then == Then::Deleted),
                    "the history is not as it should be",
                )
            }
            Then::Stopped | Then::Suspended => {
                expect(missing.is_empty(), "an object is missing")?;
                expect(!runs, "a JobManager runs")?;
                let none = world.pods("demo", "task-manager").is_empty();
                expect(
                    none == (self.then == Then::Suspended),
                    "the TaskManagers are not as they should be",
                )
            }
            Then::Scaled => {
                expect(missing.is_empty(), "an object is missing")?;
                expect(runs, "no JobManager runs")?;
                let tasks = world.flinks.iter().find(|(pod, _)| pod.contains("/demo-"));
                expect(
                    tasks.is_some_and(|(_, flink)| flink.tasks == 3) && world.pods("demo", "task-manager").len() == 3,
                    "the job has not its parallelism",
                )?;
                let journal = world
                    .objects
                    .get(HISTORY)
                    .map(|history| history["data"]["journal"].to_string());
                expect(
                    journal.is_some_and(|journal| journal.contains("done")),
                    "the operation is unfinished",
                )
            }
            Then::Cloned => {
                expect(missing.is_empty() && runs, "the first cluster does not run any more")?;
                expect(!world.pods("copy", "master").is_empty(), "the clone does not run")
            }
            Then::Unchanged => expect(world.objects == before.objects, "an object was changed"),
        }
    }

    /// The exit code of a run without a fault: a version that was given up did not come up.
    pub fn success(&self) -> i32 {
        if self.arguments.contains(&"--abort") { 6 } else { 0 }
    }

    /// Whether it finishes an unfinished operation, which it can do once.
    pub fn continues(&self) -> bool {
        self.arguments
            .iter()
            .any(|said| ["--continue", "--abort"].contains(said))
    }

    /// Whether the repetition found, or made, everything as it should be.
    pub fn converged(&self, again: &Run, world: &World) -> bool {
        let gone = matches!(self.then, Then::Deleted | Then::Purged) && again.code == Some(3);
        // There is one by now, and it is left alone.
        let cloned = self.then == Then::Cloned
            && again.stderr.contains("cluster copy already exists")
            && !world.pods("copy", "master").is_empty();
        // The operation has ended.
        let over =
            self.continues() && again.code == Some(3) && again.stderr.contains("demo has no unfinished operation");
        // Its job has ended, and is not run again.
        let ran = self.arguments[0] == "run"
            && again.code == Some(8)
            && again.stderr.contains("the job of demo had ended before this command");
        again.code == Some(self.success()) || gone || cloned || over || ran
    }
}
