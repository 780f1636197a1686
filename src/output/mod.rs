//! The formats of data on stdout: tables as kubectl prints them, JSON and YAML of one and the same tree, and names.
//!
//! Everything here gives text; [`crate::output::terminal::data`] writes it.

mod block;
pub(crate) mod charts;
pub(crate) mod config;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod exceptions;
pub(crate) mod flame_graph;
pub(crate) mod image;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod log_lines;
pub(crate) mod picture;
pub(crate) mod place;
mod pod_tree;
mod printer;
pub(crate) mod result;
pub(crate) mod savepoint_metadata;
pub(crate) mod status;
mod structured;
mod table;
pub(crate) mod template;
pub(crate) mod terminal;
pub(crate) mod top;
pub(crate) mod version;
pub(crate) mod why;
mod wrap;

use crate::model::keyword::Keyword;
pub(crate) use diff::diff;
pub(crate) use doctor::findings;
pub(crate) use printer::{Item, Line, Printer};
pub(crate) use result::result;
pub(crate) use structured::{document, documents, line, list, object};
pub(crate) use table::{Columns, table_within};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
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
    pub(crate) const fn is_for_people(self) -> bool {
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
