//! How commands print what they did: in words, as a result for programs, and in a dry run as objects.

use serde_json::{Value, json};

use crate::cli::args::values;
use crate::error::{Error, Kind, Result};
use crate::kubernetes::resource::Resource;
use crate::operations::report::{OperationResult, Outcome, Report};
use crate::output::{self, Format, Item, Printer, terminal};

/// How the result of a command is printed that changes a cluster. To be flattened into its arguments.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct OutputArgs {
    /// Format of the result
    #[arg(long, short, value_name = "FORMAT", value_parser = values::one_of(["json", "yaml", "name"]))]
    output: Option<Format>,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct TableArgs {
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
    /// Do not print the header line
    #[arg(long)]
    no_headers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ObjectFormat {
    /// A screen, for people
    Table,
    /// JSON, as in docs/output.md
    Json,
    /// YAML, the same tree as JSON
    Yaml,
}

impl ObjectFormat {
    /// The format of a document; `None`: text for people.
    pub(crate) const fn document(self) -> Option<Format> {
        match self {
            Self::Table => None,
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
        }
    }
}

impl TableArgs {
    pub(crate) fn print<T: Item>(self, kind: &'static str, headers: &[&str], lines: &[T]) -> Result<()> {
        self.printer(kind, headers).list(lines.iter(), false, terminal::data)
    }

    pub(crate) fn printer(self, kind: &'static str, headers: &[&str]) -> Printer {
        Printer::new(self.output, kind, headers, !self.no_headers)
    }
}

impl OutputArgs {
    /// Whether the result is for programs, instead of a line.
    pub(crate) const fn is_given(self) -> bool {
        self.output.is_some()
    }

    pub(crate) fn print(self, report: &Report) -> Result<()> {
        match report {
            Report::Plan { text, objects } if self.is_given() && !objects.is_empty() => {
                terminal::note(text.trim_end());
                self.print_objects(objects, "")
            }
            Report::Plan { text, .. } => terminal::sentences(text),
            Report::Cluster { result, objects } if self.is_given() && !objects.is_empty() => {
                self.print_objects(objects, &result.outcome.to_string())
            }
            Report::Cluster { result, .. } => {
                self.done(result)?;
                // What is being created is waited for first.
                let is_first = matches!(
                    result.outcome,
                    Outcome::Created | Outcome::Cloned | Outcome::Adopted | Outcome::Unchanged
                );
                if !self.is_given() && !is_first {
                    look_at(&result.cluster);
                }
                Ok(())
            }
            Report::Objects { done, objects } => self.print_objects(objects, done),
        }
    }

    /// Prints a result: the action on the cluster in words, or what is requested.
    pub(crate) fn done(self, result: &OperationResult) -> Result<()> {
        let is_tried = result.dry_run && result.outcome != Outcome::Unchanged;
        let dry_run = if is_tried { " (server dry run)" } else { "" };
        let text = format!("cluster/{} {}{dry_run}\n", result.cluster, result.outcome);
        self.result(&text, result)
    }

    /// Prints what a dry run would do with a cluster; `place` is where it was tried, and a space.
    pub(crate) fn tried(self, place: &str, result: OperationResult) -> Result<()> {
        let text = format!("cluster/{} {} ({place}dry run)\n", result.cluster, result.outcome);
        self.result(
            &text,
            &OperationResult {
                dry_run: true,
                ..result
            },
        )
    }

    /// Prints a result: `text`, or what is requested.
    pub(crate) fn result(self, text: &str, result: &OperationResult) -> Result<()> {
        match self.output {
            None => terminal::data(text),
            Some(format) => terminal::data(&output::result(format, result)?),
        }
    }

    /// Prints objects, or for each a line with the action.
    fn print_objects(self, objects: &[Value], done: &str) -> Result<()> {
        terminal::data(&match self.output {
            Some(Format::Json) => {
                let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
                format!("{}\n", output::document(Format::Json, &list)?)
            }
            Some(Format::Yaml) => output::documents(Format::Yaml, objects)?,
            Some(_) => each(objects, |object| format!("{}\n", reference(object))),
            None => each(objects, |object| format!("{} {done}\n", reference(object))),
        })
    }
}

/// The result of a command with the exit codes of diff: whether something differs.
pub(crate) fn as_diff(differs: Result<bool>) -> Result<()> {
    match differs {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::new(Kind::Differs, "")),
        Err(error) if error.kind == Kind::Failure => Err(Error {
            kind: Kind::NotCompared,
            ..error
        }),
        Err(error) => Err(error),
    }
}

/// Names the commands that show a cluster which runs now.
pub(crate) fn look_at(name: &str) {
    terminal::next_steps(&["status", "ui", "logs -f"].map(|command| format!("kubectl flink {command} {name}")));
}

fn each(objects: &[Value], line: impl Fn(&Value) -> String) -> String {
    objects.iter().map(line).collect()
}

/// An object in kubectl's form: `job.batch/demo-master`.
fn reference(object: &Value) -> String {
    let kind = Resource::of_object(object).map(Resource::kubectl_name);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", kind.unwrap_or_default())
}
