//! The screen of `image inspect`.

use std::fmt::Write;

use serde::Serialize;

use crate::image::digest::Digest;
use crate::image::facts::Facts;
use crate::model::bytes::human;
use crate::model::counted::counted;
use crate::output::terminal::clean;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageReport {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) image: String,
    /// Digest of the image that the name refers to.
    pub(crate) digest: Digest,
    pub(crate) platforms: Vec<String>,
    pub(crate) platform: String,
    /// Bytes of its layers.
    pub(crate) size: u64,
    pub(crate) layers: usize,
    /// Bytes of layers that were not looked at.
    pub(crate) unread: u64,
    #[serde(flatten)]
    pub(crate) facts: Facts,
}

/// One line for each thing that is known; what is not is `unknown`.
pub(crate) fn image(report: &ImageReport) -> String {
    let facts = &report.facts;
    let unknown = || "unknown".to_owned();
    let names = |list: &Option<Vec<String>>| match list {
        None => unknown(),
        Some(names) if names.is_empty() => "none".to_owned(),
        Some(names) => names.join(", "),
    };
    let mut out = String::new();
    let mut row = |title: &str, text: &str| {
        let _ = writeln!(out, "{title:<12} {}", clean(text));
    };
    row("Image:", &report.image);
    row("Digest:", report.digest.as_str());
    row("Platforms:", &report.platforms.join(", "));
    let several = if report.platforms.len() > 1 {
        format!(" for {}", report.platform)
    } else {
        String::new()
    };
    row(
        "Size:",
        &format!("{} in {}{several}", human(report.size), counted(report.layers, "layer")),
    );
    row("Flink:", &facts.flink_version.clone().unwrap_or_else(unknown));
    row(
        "Java:",
        &facts.java_version.map_or_else(unknown, |version| version.to_string()),
    );
    row("Entrypoint:", facts.entrypoint.unwrap_or("unknown"));
    row("User:", facts.user.as_deref().unwrap_or("not set"));
    match &facts.jars {
        None => row("Jars:", &unknown()),
        Some(jars) if jars.is_empty() => row("Jars:", "none"),
        Some(jars) => {
            for (number, jar) in jars.iter().enumerate() {
                let class = jar.entry_class.as_deref().unwrap_or("no entry class");
                let title = if number == 0 { "Jars:" } else { "" };
                row(title, &format!("{} ({}, {class})", jar.name, human(jar.size)));
            }
        }
    }
    row("Plugins:", &names(&facts.plugins));
    out
}
