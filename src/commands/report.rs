//! `report`: collects everything about a cluster for a bug report.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::kubernetes::api::Cluster;
use crate::kubernetes::clock;
use crate::kubernetes::errors::no_cluster;
use crate::kubernetes::server_version::server_version;
use crate::model::names::ClusterName;
use crate::operations::bug_report::archive::{Archive, Output};
use crate::operations::bug_report::{self, ReportPart};
use crate::operations::doctor::check::check_both;
use crate::operations::observe::observe;
use crate::operations::status::ClusterStatus;
use crate::operations::why::explain;
use crate::output::status::{ScreenStyle, status};
use crate::output::version::text;
use crate::output::why::why;
use crate::output::{findings, terminal};
use crate::progress;

/// Longest time for what `doctor` says: it asks a registry, which may not answer.
const DOCTOR: Duration = Duration::from_secs(30);

/// Collect everything about a cluster in one archive, for a bug report
///
/// The archive has objects, Events, logs, answers of Flink's REST, history, configuration, and the output of `status`,
/// `why` and `doctor`. INDEX.md lists the data that could not be read. Secrets are replaced by ****: values of
/// environment variables, program arguments, and texts that look like passwords, tokens or keys. Check it before you
/// publish it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink report demo\n  \
    kubectl flink report demo -o - | tar tz")]
pub(crate) struct ReportArgs {
    /// Name of the cluster
    name: String,
    /// File to write, which must not exist; -: standard output [default: NAME-report-TIME.tar.gz]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(context: &Context, args: ReportArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let now = clock::now();
    let folder = format!("{name}-report-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let path = args.output.unwrap_or_else(|| format!("{folder}.tar.gz").into());
    let is_stream = path.as_os_str() == "-";
    let output = if !is_stream {
        Output::file(&path)?
    } else if std::io::stdout().is_terminal() {
        return Err(Error::usage("an archive cannot be written to a terminal").hint("-o FILE writes a file"));
    } else {
        Output::Stream(Box::new(std::io::stdout()))
    };
    let step = progress::step(&format!("{name}: collecting the report"));
    // Without the API server there is nothing to report.
    let server = match server_version(&cluster).await {
        Err(error) if error.meets_all() => return Err(error),
        server => server.ok(),
    };
    let versions = text(server.as_ref(), None);
    let head = format!(
        "# Report of the Flink cluster {name} in namespace {}\n\nMade {now} by `kubectl flink report`.\n{versions}\n\
         Secrets are replaced by ****. Look through the files before you publish them.\n",
        cluster.namespace()
    );
    let mut parts = texts(&cluster, &name).await;
    parts.push(ReportPart {
        path: "version.txt",
        text: Ok(versions),
    });
    let archive = Archive::new(output, &folder, u64::try_from(now.as_second()).unwrap_or_default());
    let made = bug_report::collect(&cluster, &name, parts, &head, archive).await?;
    step.done(&format!("{name}: the report has {} files", made.files));
    let absent = no_cluster(&name, cluster.namespace()).and("nothing left of one");
    if !made.has_cluster && !made.is_absent {
        terminal::warn(&absent.message);
    }
    if let Some(note) = made.note() {
        terminal::note(&note);
    }
    if !is_stream {
        terminal::data(&format!("{}\n", path.display()))?;
    }
    if made.is_absent { Err(absent) } else { Ok(()) }
}

/// What other commands say for people.
async fn texts(cluster: &Cluster, name: &ClusterName) -> Vec<ReportPart> {
    let seen = async {
        let observation = Box::pin(observe(cluster, name)).await?;
        let now = clock::now();
        let explanation = Box::pin(explain(cluster, name, &observation, now)).await;
        let shown = ClusterStatus::new(cluster.namespace(), name, observation, now);
        let look = ScreenStyle::default();
        Ok((status(&shown, look, now), why(&explanation, look.width, now)))
    };
    let checked = async {
        let limited = tokio::time::timeout(DOCTOR, Box::pin(check_both(cluster, name)));
        let late = |_| Error::failure(format!("it took more than {} s", DOCTOR.as_secs()));
        Ok(findings(&limited.await.map_err(late)??, None))
    };
    let (seen, checked): (Result<_>, _) = futures::join!(seen, checked);
    let (status, why) = match seen {
        Ok((status, why)) => (Ok(status), Ok(why)),
        Err(error) => (Err(error.clone()), Err(error)),
    };
    let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
    let texts = [("status.txt", status), ("why.txt", why), ("doctor.txt", checked)];
    let parts = texts.map(|(path, text)| (path, text.map(plain)));
    parts.map(|(path, text)| ReportPart { path, text }).into()
}
