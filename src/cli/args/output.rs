//! Prints the objects that commands create.

use serde_json::{Value, json};

use crate::error::Result;
use crate::kubernetes::resource::{DEPLOYMENTS, JOBS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS, SERVICES};
use crate::operations::report::Report;
use crate::output::terminal;
use crate::output::{self, Format, Printer};

/// How objects are printed. To be flattened into the arguments of a command that makes some.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct OutputArgs {
    /// How to print the objects
    #[arg(long, short, value_name = "FORMAT", value_enum)]
    output: Option<Output>,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TableArgs {
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub output: Format,
    /// Leave the line with the columns' names out
    #[arg(long)]
    no_headers: bool,
}

impl TableArgs {
    /// A printer for a list of this kind.
    pub fn printer(self, kind: &'static str, headers: &[&str]) -> Printer {
        Printer::new(self.output, kind, headers, !self.no_headers)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
    Yaml,
    Name,
}

impl OutputArgs {
    /// Whether the objects are to be printed, instead of a line.
    pub const fn is_given(self) -> bool {
        self.output.is_some()
    }

    /// Prints a report: a line, or the objects if they are requested.
    pub fn print(self, report: &Report) -> Result<()> {
        match report {
            Report::Plan { text, objects } if self.is_given() && !objects.is_empty() => {
                terminal::note(text.trim_end());
                self.print_objects(objects, "")
            }
            Report::Plan { text, .. } => terminal::data(text),
            Report::Cluster { name, done, .. } if !self.is_given() => {
                terminal::data(&format!("cluster/{name} {done}\n"))
            }
            Report::Cluster { done, objects, .. } | Report::Objects { done, objects } => {
                self.print_objects(objects, done)
            }
        }
    }

    /// Prints objects, or for each a line with the action.
    fn print_objects(self, objects: &[Value], done: &str) -> Result<()> {
        terminal::data(&match self.output {
            Some(Output::Json) => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
                format!("{}\n", output::document(Format::Json, &list)?)
            }
            Some(Output::Yaml) => {
                let documents = objects.iter().map(|object| output::document(Format::Yaml, object));
                documents.collect::<Result<Vec<String>>>()?.join("---\n")
            }
            Some(Output::Name) => each(objects, |object| format!("{}\n", reference(object))),
            None => each(objects, |object| format!("{} {done}\n", reference(object))),
        })
    }
}

fn each(objects: &[Value], line: impl Fn(&Value) -> String) -> String {
    objects.iter().map(line).collect()
}

/// An object in kubectl's form: `job.batch/demo-master`.
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
