//! What commands print of the objects that they made.

use serde_json::{Value, json};

use crate::error::Result;
use crate::kubernetes::resource::{DEPLOYMENTS, JOBS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS, SERVICES};
use crate::model::names::ClusterName;
use crate::output::terminal;
use crate::output::{self, Format};

/// How objects are printed. To be flattened into the arguments of a command that makes some.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// How to print the objects
    #[arg(long, short, value_name = "FORMAT", value_enum)]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
    Yaml,
    Name,
}

impl OutputArgs {
    /// Whether the objects are asked for, instead of a line.
    pub const fn is_given(self) -> bool {
        self.output.is_some()
    }

    /// Prints what was done to a cluster with these objects: a line, where they are not asked for.
    pub fn told<'a>(self, name: &ClusterName, done: &str, objects: impl IntoIterator<Item = &'a Value>) -> Result<()> {
        if self.is_given() {
            self.print(objects, done)
        } else {
            terminal::data(&format!("cluster/{name} {done}\n"))
        }
    }

    /// Prints objects, or for each a line that says what was done to it.
    pub fn print<'a>(self, objects: impl IntoIterator<Item = &'a Value>, done: &str) -> Result<()> {
        let objects: Vec<&Value> = objects.into_iter().collect();
        match self.output {
            Some(Output::Json) => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
                terminal::data(&format!("{}\n", output::document(Format::Json, &list)?))
            }
            Some(Output::Yaml) => {
                let documents: Vec<String> = objects
                    .into_iter()
                    .map(|object| output::document(Format::Yaml, object))
                    .collect::<Result<_>>()?;
                terminal::data(&documents.join("---\n"))
            }
            Some(Output::Name) => terminal::data(&each(&objects, |object| format!("{}\n", reference(object)))),
            None => terminal::data(&each(&objects, |object| format!("{} {done}\n", reference(object)))),
        }
    }
}

fn each(objects: &[&Value], line: impl Fn(&Value) -> String) -> String {
    objects.iter().map(|object| line(object)).collect()
}

/// An object as kubectl names it: `job.batch/demo-master`.
fn reference(object: &Value) -> String {
    let kind = [SERVICES, JOBS, DEPLOYMENTS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS]
        .into_iter()
        .find(|resource| object["kind"] == resource.kind);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!(
        "{}/{name}",
        kind.map(|resource| resource.kubectl_name()).unwrap_or_default()
    )
}
