//! One way to print a list, and what changes after it, in every format.

use serde::Serialize;

use super::{Columns, Format, line, list};
use crate::error::Result;

/// What can be printed. Its serialized form is the item in JSON and YAML.
pub trait Item: Serialize {
    /// For [`Format::Name`].
    fn name(&self) -> &str;
    /// For [`Format::Table`] and [`Format::Wide`].
    fn row(&self) -> Vec<String>;
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
pub struct Printer {
    format: Format,
    kind: &'static str,
    columns: Columns,
    /// Whether the line with the columns' names is still to be printed.
    headers: bool,
}

impl Printer {
    /// A printer of lists of `kind`, such as `ClusterList`.
    #[must_use]
    pub fn new(format: Format, kind: &'static str, headers: &[&str], with_headers: bool) -> Self {
        Self {
            format,
            kind,
            columns: Columns::new(headers),
            headers: with_headers,
        }
    }

    /// Gives a list to `write`. With `more` to come, JSON and YAML are streams of items instead of one document.
    /// Tables go through the items twice, because the widest is known at the end only, and hold few rows at a time.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn list<T: Item>(
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
            Format::Name => write(&items.map(|item| format!("{}\n", item.name())).collect::<String>()),
            Format::Json | Format::Yaml if more => items.try_for_each(|item| write(&line(self.format, &item)?)),
            Format::Json | Format::Yaml => list(self.format, self.kind, items, write),
        }
    }

    /// Gives an item that is new or different to `write`.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn one<T: Item>(&mut self, item: &T, write: impl FnMut(&str) -> Result<()>) -> Result<()> {
        self.list(std::iter::once(item), true, write)
    }
}
