//! The screen of `doctor`.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::operations::doctor::Finding;
use crate::output::terminal::clean;

/// One line for each finding, and one below it with what to do.
pub(crate) fn findings(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let style = match finding.severity.as_str() {
            "critical" => AnsiColor::Red.on_default().bold(),
            "warning" => AnsiColor::Yellow.on_default().bold(),
            "ok" => AnsiColor::Green.on_default(),
            _ => Style::new().dimmed(),
        };
        let _ = writeln!(
            out,
            "{style}{:<8}{style:#}   {:<17}   {}",
            finding.severity,
            finding.check,
            clean(&finding.message)
        );
        if let Some(mend) = &finding.mend {
            let style = AnsiColor::Cyan.on_default();
            let _ = writeln!(out, "{:<8}   {:<17}   {style}hint:{style:#} {}", "", "", clean(mend));
        }
    }
    out
}
