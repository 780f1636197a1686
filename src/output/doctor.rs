//! The screen of `doctor`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::wrap::wrapped;
use crate::model::diagnosis::Severity;
use crate::operations::doctor::Finding;
use crate::output::terminal::clean;

/// Columns before the messages.
const MARGIN: usize = 31;
/// A narrower terminal has no room for the margin beside the rest of a message.
const ROOMY: usize = 80;

/// One line for each finding, and one below it with what to do, broken between their words into so many columns.
pub(crate) fn findings(findings: &[Finding], width: Option<usize>) -> String {
    let margin = if width.is_some_and(|width| width < ROOMY) {
        4
    } else {
        MARGIN
    };
    let mut out = String::new();
    for finding in findings {
        let style = match finding.severity {
            Severity::Critical => AnsiColor::Red.on_default().bold(),
            Severity::Warning => AnsiColor::Yellow.on_default().bold(),
            Severity::Notice => Style::new().dimmed(),
            Severity::Ok => AnsiColor::Green.on_default(),
        };
        let line = format!(
            "{style}{:<8}{style:#}   {:<17}   {}",
            finding.severity,
            finding.check,
            clean(&finding.message)
        );
        let _ = writeln!(out, "{}", wrapped(&line, width, margin));
        if let Some(mend) = &finding.mend {
            let style = AnsiColor::Cyan.on_default();
            let line = format!("{:margin$}{style}hint:{style:#} {}", "", clean(mend));
            let _ = writeln!(out, "{}", wrapped(&line, width, margin));
        }
    }
    out
}
