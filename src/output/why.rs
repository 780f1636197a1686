//! The answer of `why`.

use std::fmt::Write;

use super::status::problem;
use crate::operations::status::Problem;
use crate::output::terminal::clean;

/// The cause and what else is wrong, in lines.
#[must_use]
pub fn why(healthy: &str, problems: &[Problem]) -> String {
    let mut out = String::new();
    let mut rest = problems;
    match problems.split_first() {
        Some((first, others)) if first.severity != "notice" => {
            out.push_str(&problem(first));
            rest = others;
            if !rest.is_empty() {
                out.push_str("\nbesides:\n");
            }
        }
        _ => {
            let _ = writeln!(out, "nothing is wrong: {}", clean(healthy));
        }
    }
    for other in rest {
        out.push_str(&problem(other));
    }
    out
}
