//! `why`: explains why a cluster does not run or is unhealthy.

use crate::cli::context::Context;
use crate::error::{Error, Result};
use crate::kubernetes::clock;
use crate::operations::observe::observe;
use crate::operations::why::explain;
use crate::output::why::{WhyDocument, why};
use crate::output::{Format, Printer, terminal};

/// Explain why a cluster is not running or is unhealthy
///
/// Prints the most urgent cause with its evidence and hints. It reads the Job, its Pods and their Events, Flink's
/// exceptions and the log of the container that failed. The exit code is 6 if there is a critical problem or a warning,
/// else 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl flink why demo\n\n\
    All causes are in docs/causes.md.")]
pub(crate) struct WhyArgs {
    /// Name of the cluster
    name: String,
    /// Format of the output
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

pub(crate) async fn run(context: &Context, args: &WhyArgs) -> Result<()> {
    let (cluster, name) = context.named(&args.name)?;
    let observation = Box::pin(observe(&cluster, &name)).await?;
    let now = clock::now();
    let explanation = explain(&cluster, &name, &observation, now).await;
    if args.output.is_for_people() {
        terminal::data(&why(&explanation, terminal::width(), now))?;
        observation.remarks.iter().for_each(|remark| terminal::warn(remark));
    } else {
        let document = WhyDocument::new(cluster.namespace(), &name, &explanation, &observation.remarks, now);
        Printer::of_object(args.output).list(std::iter::once(&document), false, terminal::data)?;
    }
    if explanation.is_wrong {
        // Everything is reported; the error only sets the exit code.
        return Err(Error::job_failed(""));
    }
    Ok(())
}
