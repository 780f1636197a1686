//! One file per command: its arguments, then resolve, plan, do, report.

pub mod create;
mod launch;
pub mod list;
mod spec_args;
