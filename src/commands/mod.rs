//! One file per command: its arguments, then resolve, plan, do, report.

pub mod create;
mod launch;
pub mod list;
pub mod savepoint_resume;
mod spec_args;
mod standing;
