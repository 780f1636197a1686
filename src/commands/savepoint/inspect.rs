//! `savepoint inspect` and `savepoint diff`: show the content of the file `_metadata`.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::commands::status::StatusFormat;
use crate::error::{Error, Result};
use crate::model::bytes::human;
use crate::model::flink::savepoint_metadata::{self, Metadata, Operator, OperatorChange};

use crate::output::{document, table, terminal};

/// Show what is in a savepoint: operators, parallelism, sizes and files
///
/// Reads its file _metadata, of Flink 1.13 to 2.3, without Flink and without a cluster. Names and uids of operators are in
/// savepoints of Flink 2.1 and later.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint inspect /mnt/savepoints/savepoint-1\n  \
    aws s3 cp s3://bucket/savepoint-1/_metadata - | kubectl flink savepoint inspect -\n  \
    kubectl flink savepoint inspect savepoint-1/_metadata -o json")]
pub struct InspectArgs {
    /// Its folder, or the file _metadata; - is standard input
    #[arg(value_name = "PATH|FILE|-")]
    path: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StatusFormat,
}

/// Show which operators differ between two savepoints
///
/// Operators that were added or removed, and those whose parallelism, states or sizes changed, by their operator IDs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink savepoint diff savepoint-1 savepoint-2\n  \
    aws s3 cp s3://bucket/savepoint-2/_metadata - | kubectl flink savepoint diff savepoint-1 -")]
pub struct DiffArgs {
    /// The first one; - is standard input
    #[arg(value_name = "PATH|FILE|-")]
    before: String,
    /// The second one; - is standard input
    #[arg(value_name = "PATH|FILE|-")]
    after: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: StatusFormat,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    content: T,
}

impl<T: Serialize> Document<T> {
    const fn new(kind: &'static str, content: T) -> Self {
        Self {
            api_version: crate::model::API_VERSION,
            kind,
            content,
        }
    }
}

#[derive(Serialize)]
struct Changes {
    operators: Vec<OperatorChange>,
}

/// Runs `savepoint inspect`.
pub fn inspect(args: &InspectArgs) -> Result<()> {
    let metadata = read(&args.path)?;
    match args.output.document() {
        Some(format) => terminal::data(&document(format, &Document::new("SavepointMetadata", metadata))?),
        None => terminal::data(&screen(&metadata)),
    }
}

/// Runs `savepoint diff`.
pub fn diff(args: &DiffArgs) -> Result<()> {
    if args.before == "-" && args.after == "-" {
        return Err(Error::usage("standard input can be one of the two only"));
    }
    let operators = savepoint_metadata::diff(&read(&args.before)?, &read(&args.after)?);
    if let Some(format) = args.output.document() {
        return terminal::data(&document(
            format,
            &Document::new("SavepointDiff", Changes { operators }),
        )?);
    }
    if operators.is_empty() {
        terminal::note("the two have the same operators with the same state");
        return Ok(());
    }
    terminal::data(&changes(&operators))
}

/// Reads and parses the file of `path`.
fn read(path: &str) -> Result<Metadata> {
    let bytes = bytes(path)?;
    Metadata::read(&bytes).map_err(|error| {
        let what = if path == "-" { "standard input" } else { path };
        Error::usage(format!("{what}: {}", error.message))
    })
}

fn bytes(path: &str) -> Result<Vec<u8>> {
    if path == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        return match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(Error::usage(format!("cannot read standard input: {error}"))),
        };
    }
    let local = local(path)?;
    let file = if local.is_dir() { local.join("_metadata") } else { local };
    std::fs::read(&file).map_err(|error| {
        let error = Error::usage(format!("cannot read {}: {error}", file.display()));
        if path.starts_with("file:") {
            error.hint(format!(
                "a path in a Pod: kubectl exec POD -- cat {}/_metadata | kubectl flink savepoint inspect -",
                file.display()
            ))
        } else {
            error
        }
    })
}

/// The path in the local file system; a directory in an object store is rejected with the command to download it.
fn local(path: &str) -> Result<PathBuf> {
    let Some((scheme, rest)) = path.split_once(':').filter(|(scheme, rest)| {
        // C:\… is a path.
        scheme.len() > 1 && rest.starts_with('/') && !Path::new(path).exists()
    }) else {
        return Ok(PathBuf::from(path));
    };
    if scheme == "file" {
        return Ok(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest)));
    }
    let file = format!(
        "{}/_metadata",
        path.trim_end_matches("/_metadata").trim_end_matches('/')
    );
    let command = match scheme {
        "s3" | "s3a" | "s3p" => format!("aws s3 cp s3:{} -", &file[scheme.len() + 1..]),
        "gs" => format!("gcloud storage cat {file}"),
        "oss" => format!("ossutil cat {file}"),
        _ => format!("hdfs dfs -cat {file}"),
    };
    Err(Error::usage(format!(
        "{path} is not on this machine, and only files and standard input are read"
    ))
    .hint(format!("{command} | kubectl flink savepoint inspect -")))
}

fn screen(metadata: &Metadata) -> String {
    let relative = metadata.files.iter().filter(|file| file.relative).count();
    let files = match (metadata.files.len(), relative) {
        (0, _) => "in the file itself".to_owned(),
        (all, relative) if all == relative => format!("in {all} files of its folder, which can be moved"),
        (all, 0) => format!("in {all} files with absolute paths: the folder cannot be moved"),
        (all, relative) => format!("in {all} files, {relative} of them in its folder: the folder cannot be moved"),
    };
    let mut text = format!(
        "Kind:         {}\nCheckpoint:   {}\nFormat:       version {}\nState:        {} {files}\n",
        metadata.kind.as_str(),
        metadata.checkpoint_id,
        metadata.version,
        human(metadata.bytes()),
    );
    if !metadata.master_states.is_empty() {
        text.push_str("JobManager:   ");
        text.push_str(&terminal::clean(&metadata.master_states.join(", ")));
        text.push('\n');
    }
    text.push('\n');
    let headers = [
        "OPERATOR",
        "UID",
        "ID",
        "PARALLELISM",
        "MAX",
        "KEYED",
        "OPERATOR STATE",
        "IN FLIGHT",
        "STATES",
    ];
    text + &table(&headers, metadata.operators.iter().map(row))
}

fn row(operator: &Operator) -> Vec<String> {
    let states: Vec<&str> = operator.states.iter().map(String::as_str).collect();
    let finished = match operator.finished {
        0 => String::new(),
        finished => format!(" ({finished} finished)"),
    };
    vec![
        operator.name.clone().unwrap_or_default(),
        operator.uid.clone().unwrap_or_default(),
        operator.id.clone(),
        format!("{}{finished}", operator.parallelism),
        operator.max_parallelism.to_string(),
        human(operator.keyed_bytes),
        human(operator.operator_bytes.saturating_add(operator.coordinator_bytes)),
        human(operator.in_flight_bytes),
        states.join(", "),
    ]
}

fn changes(operators: &[OperatorChange]) -> String {
    let rows = operators.iter().filter_map(|change| {
        let operator = change.after.as_ref().or(change.before.as_ref())?;
        let both = |show: &dyn Fn(&Operator) -> String| match (&change.before, &change.after) {
            (Some(before), Some(after)) if show(before) != show(after) => {
                format!("{} → {}", show(before), show(after))
            }
            _ => show(operator),
        };
        Some(vec![
            change.change.as_str().to_owned(),
            operator.title().to_owned(),
            operator.id.clone(),
            both(&|operator| operator.parallelism.to_string()),
            both(&|operator| operator.max_parallelism.to_string()),
            both(&|operator| human(operator.bytes())),
        ])
    });
    table(&["CHANGE", "OPERATOR", "ID", "PARALLELISM", "MAX", "STATE"], rows)
}
