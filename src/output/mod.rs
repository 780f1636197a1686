//! The formats of data on stdout: tables as kubectl prints them, JSON and YAML of one and the same tree, and names.
//!
//! Everything here gives text; [`crate::output::terminal::data`] writes it.

mod block;
pub mod charts;
pub mod cluster_line;
pub(crate) mod diff;
pub(crate) mod doctor;
pub mod exceptions;
pub mod flame_graph;
pub mod image;
pub mod keys;
pub mod live;
pub mod log_lines;
pub mod picture;
mod pod_tree;
mod printer;
pub mod result;
pub(crate) mod savepoint_metadata;
pub mod settings;
pub mod status;
mod structured;
mod table;
pub mod template;
pub mod terminal;
pub mod top;
pub mod version;
pub(crate) mod why;
mod wrap;

use crate::model::keyword::Keyword;
pub use diff::diff;
pub use doctor::findings;
pub use printer::{Item, Line, Printer};
pub use result::result;
pub use structured::{document, documents, line, list, object};
pub use table::{Columns, table, table_within};

/// Format of the output.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Name,
    /// A template of kubectl's paths.
    JsonPath(&'static template::Template),
    /// A table of kubectl's paths.
    CustomColumns(&'static template::CustomColumns),
}

impl Format {
    /// Whether it is a table for people, with notes beside it.
    #[must_use]
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

impl Keyword for Format {
    const WORDS: &'static [(Self, &'static str, &'static str)] = &[
        (Self::Table, "table", "Columns, for people"),
        (Self::Wide, "wide", "More columns"),
        (Self::Json, "json", "JSON, as in docs/output.md"),
        (Self::Yaml, "yaml", "YAML, the same tree as JSON"),
        (Self::Name, "name", "Names only, one a line"),
    ];
}
