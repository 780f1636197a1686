//! `kubectl-flink`, the program: see the library.

fn main() {}
