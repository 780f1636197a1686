//! The change of a running cluster as one transaction: its journal, and the next step.
//!
//! The journal is stored in the history. It is written before each step, so that another process that finds it knows
//! which actions may have been carried out. Every step can be repeated. [`machine`] decides the next step from the
//! journal and the observed cluster, and the next journal from its result; it uses no client and no clock.
//!
//! The guarantee: a started transaction ends with the new version or the old one running, whatever was interrupted, and
//! both resume from the savepoint with which the old one was stopped.

mod journal;
pub(crate) mod state_machine;

pub(crate) use journal::{Ending, Holder, Journal, Kind, Step, VERSION, is_same_place};

#[cfg(test)]
mod model_test;
#[cfg(test)]
mod transition_tests;
