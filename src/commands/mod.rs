//! One file per command: its arguments, then resolve, plan, do, report.

pub mod cancel;
pub mod checkpoint;
pub mod config;
pub mod create;
pub mod delete;
mod delete_plan;
pub mod exceptions;
mod halt;
mod launch;
pub mod list;
pub mod logs;
pub mod manifests;
pub mod resume;
pub mod run;
pub mod savepoint;
mod savepoint_dispose;
mod savepoint_list;
pub mod savepoint_resume;
mod spec_args;
mod standing;
pub mod status;
pub mod stop;
pub mod suspend;
pub mod ui;
pub mod wait;
pub mod why;
mod writing;
