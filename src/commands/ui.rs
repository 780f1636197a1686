//! `ui`: opens Flink's web UI in a browser.

use std::io::IsTerminal;

use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::flink::{port_forward, web_ui as web};
use crate::kubernetes::errors::no_cluster;
use crate::kubernetes::objects;
use crate::model::job_phase::end_of_job;
use crate::output::picture::browse;
use crate::output::terminal;

/// Open Flink's web UI in a browser, through a port-forward that survives a new JobManager
///
/// The port is on 127.0.0.1 only, because the UI has no authentication. It stays open until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink ui demo\n  \
    kubectl flink ui demo --port 8081 --no-browser")]
pub(crate) struct UiArgs {
    /// Name of the cluster
    name: String,
    /// Local port; 0: any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Do not open a browser
    #[arg(long)]
    no_browser: bool,
    /// Print the URL and nothing else, and open no browser
    #[arg(long)]
    print_url: bool,
}

pub(crate) async fn run(context: &Context, args: UiArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    match port_forward::running_pod(&cluster, &name).await? {
        // Checked before the browser opens, to report errors here.
        Some(pod) => drop(port_forward::open(&cluster, &pod).await?),
        None => {
            let live = objects::read(&cluster, &name).await?;
            let job = live.job.ok_or_else(|| no_cluster(&name, cluster.namespace()))?;
            if end_of_job(&job).is_some() || job["spec"]["suspend"] == true {
                return Err(
                    Error::conflict(format!("the JobManager of {name} has ended, and its web UI with it"))
                        .hint(format!("`kubectl flink resume {name}` starts it again")),
                );
            }
            terminal::note(&format!("the JobManager of {name} is not up yet"));
        }
    }
    let listener = web::listen(args.port).await?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::failure(format!("cannot listen: {e}")))?;
    let url = format!("http://{address}/");
    terminal::data(&format!("{url}\n"))?;
    if !args.no_browser && !args.print_url && std::io::stdout().is_terminal() && browse(&url).is_err() {
        terminal::note("no browser can be opened here: open the URL yourself");
    }
    let quiet = args.print_url;
    web::serve(&cluster, &name, listener, |pod| {
        if !quiet {
            terminal::note(&format!("forwarding to Pod {pod}"));
        }
    })
    .await
}
