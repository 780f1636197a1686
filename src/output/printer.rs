//! One way to print a list, and what changes after it, in every format.

use serde::Serialize;

use super::{Columns, Format, document, line, list, terminal};
use crate::error::Result;
use crate::model::API_VERSION;

/// What can be printed. Its serialized form is the item in JSON and YAML.
pub(crate) trait Item: Serialize {
    /// For [`Format::Name`].
    fn name(&self) -> &str;
    /// For [`Format::Table`] and [`Format::Wide`], where people see a table of it.
    fn row(&self) -> Vec<String> {
        Vec::new()
    }
}

#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Line<T> {
    item: T,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    row: Vec<String>,
}

impl<T> Line<T> {
    pub(crate) fn new(item: T, name: impl Into<String>, row: Vec<String>) -> Self {
        let name = name.into();
        Self { item, name, row }
    }
}

impl<T: Serialize> Item for Line<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn row(&self) -> Vec<String> {
        self.row.clone()
    }
}

/// Columns that go where a terminal is too narrow for all, the least important first.
fn optional(kind: &str) -> &'static [&'static str] {
    match kind {
        "ClusterList" => &[
            "DEPLOYMENT",
            "JOB",
            "FLINK",
            "IMAGE",
            "REVISION",
            "RESTARTS",
            "PARALLELISM",
            "LAST CHECKPOINT",
            "AGE",
            "TASKMANAGERS",
        ],
        "RevisionList" => &["FAILURE", "FROM", "FLINK", "BY", "PARALLELISM", "IMAGE", "AGE"],
        "SavepointList" => &[
            "FAILURE", "IMAGE", "JOB", "FLINK", "FORMAT", "REVISION", "SIZE", "TAKEN BY",
        ],
        "DeletedClusterList" => &["IMAGE", "PARALLELISM", "REVISION", "SAVEPOINT AGE"],
        "EventList" => &["SOURCE", "FIRST SEEN", "COUNT", "REASON"],
        "ExceptionList" => &["CONCURRENT", "TASKMANAGER", "LOCATION", "CLASS"],
        _ => &[],
    }
}

/// Rows of a table that are made at a time.
const ROWS: usize = 250;

impl<T: Item> Item for &T {
    fn name(&self) -> &str {
        (*self).name()
    }

    fn row(&self) -> Vec<String> {
        (*self).row()
    }
}

/// Prints a list once, and then single items as they change.
pub(crate) struct Printer {
    format: Format,
    kind: &'static str,
    columns: Columns,
    /// Whether the line with the columns' names is still to be printed.
    headers: bool,
    /// Whether it prints an object, not a list of such.
    is_single: bool,
}

impl Printer {
    /// A printer of lists of `kind`, such as `ClusterList`.
    pub(crate) fn new(format: Format, kind: &'static str, headers: &[&str], with_headers: bool) -> Self {
        let custom: Vec<&str> = match format {
            Format::CustomColumns(columns) => columns.headers().collect(),
            _ => headers.to_vec(),
        };
        let headers = &custom[..];
        // Columns that were requested are all shown, as in kubectl.
        let width = terminal::width().filter(|_| !matches!(format, Format::CustomColumns(_) | Format::Wide));
        Self {
            format,
            kind,
            columns: Columns::new(headers).within(width, optional(kind)),
            headers: with_headers,
            is_single: false,
        }
    }

    /// A printer of one object, as kubectl prints what is asked for by its name.
    pub(crate) fn of_object(format: Format) -> Self {
        Self::new(format, "", &[], true).single(true)
    }

    /// The same, for an object instead of a list if `is_single`.
    #[must_use]
    pub(crate) fn single(self, is_single: bool) -> Self {
        Self { is_single, ..self }
    }

    /// Gives a list to `write`. With `more` to come, JSON and YAML are streams of items instead of one document.
    /// Tables go through the items twice, because the widest is known at the end only, and hold few rows at a time.
    pub(crate) fn list<T: Item>(
        &mut self,
        mut items: impl Iterator<Item = T> + Clone,
        more: bool,
        mut write: impl FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        match self.format {
            Format::Table | Format::Wide => {
                for item in items.clone() {
                    self.columns.widen(&item.row());
                }
                let mut rows = items.map(|item| item.row()).peekable();
                while rows.peek().is_some() {
                    let headers = std::mem::take(&mut self.headers);
                    write(&self.columns.print(rows.by_ref().take(ROWS), headers))?;
                }
                Ok(())
            }
            Format::CustomColumns(paths) => {
                let row = |item: T| paths.row(&serde_json::to_value(item).unwrap_or_default());
                let rows: Vec<Vec<String>> = items.map(row).collect();
                let headers = std::mem::take(&mut self.headers);
                write(&self.columns.print(rows, headers))
            }
            Format::JsonPath(template) if more || self.is_single => {
                items.try_for_each(|item| write(&template.fill(&serde_json::to_value(item).unwrap_or_default())))
            }
            Format::JsonPath(template) => {
                let items: Vec<T> = items.collect();
                let list = serde_json::json!({ "apiVersion": API_VERSION, "kind": self.kind, "items": items });
                write(&template.fill(&list))
            }
            Format::Name => write(&items.map(|item| format!("{}\n", item.name())).collect::<String>()),
            Format::Json | Format::Yaml if more => items.try_for_each(|item| write(&line(self.format, &item)?)),
            Format::Json | Format::Yaml if self.is_single => {
                items.try_for_each(|item| write(&document(self.format, &item)?))
            }
            Format::Json | Format::Yaml => list(self.format, self.kind, items, write),
        }
    }

    /// Gives an item that is new or different to `write`.
    pub(crate) fn one<T: Item>(&mut self, item: &T, write: impl FnMut(&str) -> Result<()>) -> Result<()> {
        self.list(std::iter::once(item), true, write)
    }
}
