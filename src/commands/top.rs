//! `top`: shows live metrics of all clusters, or of one.

use std::time::Duration;

use crate::cli::context::Context;
use crate::error::Result;
use crate::kubernetes::{clock, usage};
use crate::model::listing::{Key, check_name};
use crate::model::names::ClusterName;
use crate::model::usage::Usages;
use crate::operations::top::look;
use crate::output::keys::{self, Keys};
use crate::output::terminal;
use crate::output::top::{self, TopView};

/// Show live metrics of jobs
///
/// Shows job states, checkpoints and rates from Flink, and CPU and memory if the Kubernetes cluster has metrics.k8s.io.
/// In a pipe they are printed once. Keys: q quits, s sorts by the next column, / filters by name, arrows and Enter show
/// the vertices of a cluster, Esc goes back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink top\n  \
    kubectl flink top demo")]
pub(crate) struct TopArgs {
    /// One cluster, with its vertices and Pods
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces", value_parser = check_name)]
    name: Option<String>,
    /// Clusters of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Time between two updates
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = crate::cli::args::values::interval)]
    interval: Duration,
    /// Show it once, on a terminal too
    #[arg(long)]
    once: bool,
}

pub(crate) async fn run(context: &Context, args: &TopArgs) -> Result<()> {
    let cluster = context.connect()?;
    let name = args.name.as_deref().map(ClusterName::new).transpose()?;
    let mut screen = terminal::Screen::new(!args.once);
    let mut keys = screen.is_in_place().then(Keys::open).flatten();
    let opened = name.map(|name| Key {
        namespace: cluster.namespace().to_owned(),
        name: name.to_string(),
    });
    let mut view = TopView::of(opened, args.all_namespaces);
    let at = cluster.at();
    let context = at.context.as_deref().unwrap_or(&at.server);
    let head = screen.is_in_place().then_some((context, args.interval));
    // Where the first look finds no metrics, they are not requested again. Later one look may fail.
    let (mut asks, mut measured) = (true, false);
    loop {
        let used = async {
            if asks {
                usage::read(&cluster, args.all_namespaces).await
            } else {
                None
            }
        };
        let opened = view.opened.clone();
        let look = Box::pin(look(&cluster, opened.as_ref(), args.all_namespaces));
        let (look, used) = futures::join!(look, used);
        measured |= used.is_some();
        asks = measured;
        // The columns stay, so that nothing jumps.
        let used = used.or_else(|| measured.then(Usages::new));
        let look = match look {
            Ok(look) => {
                screen.show(&top::screen(&look, used.as_ref(), &mut view, head, clock::now()))?;
                Some(look)
            }
            Err(error) => {
                screen.keep(error)?;
                None
            }
        };
        if !screen.is_in_place() {
            return Ok(());
        }
        let pause = tokio::time::sleep(args.interval);
        tokio::pin!(pause);
        // Keys act at once, on what was read; only another cluster is read before the time.
        loop {
            let Some(keys) = &mut keys else {
                pause.await;
                break;
            };
            let key = tokio::select! {
                () = &mut pause => break,
                key = keys.next() => key,
            };
            if !view.press(key) {
                return Ok(());
            }
            // The shell has written over the page.
            if view.opened != opened || key == keys::Key::Continued {
                break;
            }
            if let Some(look) = &look {
                screen.show(&top::screen(look, used.as_ref(), &mut view, head, clock::now()))?;
            }
        }
    }
}
