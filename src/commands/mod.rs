//! One file per command: its arguments, then resolve, plan, do, report.

pub mod create;
pub mod delete;
mod delete_plan;
pub mod doctor;
mod launch;
pub mod list;
pub mod logs;
pub mod manifests;
pub mod savepoint_resume;
mod spec_args;
mod standing;
pub mod status;
pub mod top;
pub mod why;
