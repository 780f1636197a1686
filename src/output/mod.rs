//! The formats of data on stdout: tables as kubectl prints them, JSON and YAML of one and the same tree, and names.
//!
//! Everything here gives text; [`crate::output::terminal::data`] writes it.

pub mod charts;
pub(crate) mod diff;
pub(crate) mod doctor;
pub mod image;
mod printer;
pub mod status;
mod structured;
mod table;
pub mod terminal;
pub mod top;
pub(crate) mod why;

use crate::model::keyword::Keyword;
pub use diff::diff;
pub use doctor::findings;
pub use printer::{Item, Printer};
pub use structured::{document, line, list};
pub use table::{Columns, table};
pub use why::why;

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
