//! The answer of `why`.

use std::fmt::Write;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::Item;
use super::status::{operation_lines, problem};
use super::wrap::wrapped;
use crate::model::API_VERSION;
use crate::model::diagnosis::Severity;
use crate::model::listing::Metadata;
use crate::model::names::ClusterName;
use crate::operations::problem::{OperationPart, Problem};
use crate::operations::why::Explanation;
use crate::output::terminal::clean;

/// The operation under way, the cause and what else is wrong, in lines.
pub(crate) fn why(explanation: &Explanation, width: Option<usize>, now: Timestamp) -> String {
    let (healthy, problems) = (&explanation.healthy, &explanation.problems[..]);
    let operation = explanation.operation.as_ref();
    let mut out = operation.map_or_else(String::new, |operation| operation_lines(operation, width, now));
    let mut rest = problems;
    // That it is starting, and how far it has come, is a notice too.
    let is_notice = problems
        .iter()
        .any(|problem| problem.message.ends_with(healthy.as_str()));
    match problems.split_first() {
        Some((first, others)) if first.severity != Severity::Notice => {
            out.push_str(&problem(first, width));
            rest = others;
            if !rest.is_empty() {
                out.push_str("\nbesides:\n");
            }
        }
        _ if is_notice => {}
        // What is being changed is not well yet.
        _ if operation.is_some() => {
            let _ = writeln!(out, "{}", wrapped(&clean(healthy), width, 2));
        }
        _ => {
            let text = format!("nothing is wrong: {}", clean(healthy));
            let _ = writeln!(out, "{}", wrapped(&text, width, 2));
        }
    }
    for other in rest {
        out.push_str(&problem(other, width));
    }
    out
}

/// See docs/output.md.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhyDocument<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<&'a str>,
    namespace: &'a str,
    name: &'a str,
    observed_at: Timestamp,
    healthy: bool,
    operation: Option<&'a OperationPart>,
    summary: &'a str,
    cause: Option<&'a Problem>,
    other_problems: &'a [Problem],
    remarks: &'a [String],
}

impl Item for WhyDocument<'_> {
    fn name(&self) -> &str {
        self.name
    }
}

impl<'a> WhyDocument<'a> {
    pub(crate) fn new(
        namespace: &'a str,
        name: &'a ClusterName,
        explanation: &'a Explanation,
        remarks: &'a [String],
        now: Timestamp,
    ) -> Self {
        let (cause, other_problems) = match explanation.problems.split_first() {
            Some((first, rest)) if explanation.is_wrong => (Some(first), rest),
            _ => (None, &explanation.problems[..]),
        };
        let name = name.as_str();
        Self {
            api_version: API_VERSION,
            kind: "ClusterExplanation",
            metadata: Metadata { name, namespace },
            namespace,
            name,
            observed_at: now,
            healthy: !explanation.is_wrong,
            operation: explanation.operation.as_ref(),
            summary: cause.map_or(&explanation.healthy, |cause| &cause.message),
            cause,
            other_problems,
            remarks,
        }
    }
}
