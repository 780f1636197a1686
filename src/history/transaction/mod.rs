//! The change of a running cluster as one transaction: its journal, and what comes next.
//!
//! The journal lies in the history. It is written before a step is taken, so that another process that finds it knows what may have
//! been done, and every step can be repeated. [`machine`] decides from the journal and from what is seen of the cluster
//! what to do next, and how the journal continues after it; it knows no client and no clock.
//!
//! What is promised: a transaction that is begun ends with the new version running or with the old one, whatever was
//! interrupted, and both resume from the savepoint that the old one was stopped with.

mod journal;
pub mod state_machine;

pub use journal::{Ending, Holder, Journal, Kind, Step, VERSION};

#[cfg(test)]
mod model_test;
