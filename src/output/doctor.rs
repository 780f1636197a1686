//! The screen of `doctor`.

use std::fmt::Write;

use super::place::with_place;
use super::wrap::wrapped;
use crate::operations::doctor::Finding;
use crate::output::terminal::{HINT, clean, severity_style};

/// Columns before the messages.
const MARGIN: usize = 31;
/// A narrower terminal has no room for the margin beside the rest of a message.
const ROOMY: usize = 80;

/// One line for each finding, and one below those with the same hint, broken between their words into so many columns.
pub(crate) fn findings(findings: &[Finding], width: Option<usize>) -> String {
    let margin = if width.is_some_and(|width| width < ROOMY) {
        4
    } else {
        MARGIN
    };
    let mut out = String::new();
    let mut left = findings.iter().peekable();
    while let Some(finding) = left.next() {
        let style = severity_style(finding.severity);
        let line = format!(
            "{style}{:<8}{style:#}   {:<17}   {}",
            finding.severity,
            finding.check,
            clean(&finding.message)
        );
        let _ = writeln!(out, "{}", wrapped(&line, width, margin));
        // A hint of several findings is below the last of them.
        let next = left.peek().and_then(|next| next.hint.as_ref());
        if let Some(hint) = finding.hint.as_ref().filter(|hint| next != Some(*hint)) {
            let line = format!("{:margin$}{HINT}hint:{HINT:#} {}", "", clean(&with_place(hint)));
            let _ = writeln!(out, "{}", wrapped(&line, width, margin));
        }
    }
    out
}
