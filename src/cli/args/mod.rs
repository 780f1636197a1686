//! Groups of flags that several commands have, the file of `-f`, and the environment.
//!
//! Commands are made of them, so this room is below `commands`, and the rest of `cli` above it.

pub(crate) mod environment;
pub mod files;
pub(crate) mod output;
pub(crate) mod spec;
pub(crate) mod templates;
