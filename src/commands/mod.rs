//! One file per command: its arguments, then resolve, plan, do, report.

pub mod list;
