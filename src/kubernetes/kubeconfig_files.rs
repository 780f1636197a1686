//! Reads the files of a kubeconfig.

use std::path::{Path, PathBuf};

use kube::config::{Cluster, Kubeconfig};

use crate::error::{Error, Result};

/// Reads the given file, or the files in KUBECONFIG, merged, or `~/.kube/config`.
/// `None`: there is none. Missing files of the variable are skipped, as in kubectl.
pub(crate) fn read_kubeconfig(named: Option<&Path>) -> Result<Option<Kubeconfig>> {
    if let Some(path) = named {
        return read_file(path).map(Some);
    }
    let paths: Vec<PathBuf> = match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()) {
        Some(value) => std::env::split_paths(&value)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => dirs::home_dir()
            .map(|home| home.join(".kube").join("config"))
            .into_iter()
            .collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let next = read_file(path)?;
        merged = Some(match merged {
            None => next,
            Some(first) => first
                .merge(next)
                .map_err(|e| Error::usage(format!("cannot merge the kubeconfig {}: {e}", path.display())))?,
        });
    }
    // kubectl treats an empty file as no configuration.
    Ok(merged.filter(|config| !(config.contexts.is_empty() && config.clusters.is_empty())))
}

fn read_file(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map(without_empty).map_err(|e| {
        let mut cause: &dyn std::error::Error = &e;
        while let Some(next) = cause.source() {
            cause = next;
        }
        // The lines after the first are an excerpt of the file, which may contain a token.
        let text = cause.to_string();
        let first = text.lines().next().unwrap_or_default();
        let plain = first.rsplit_once("error: ").map_or(first, |(_, plain)| plain);
        Error::usage(format!("cannot read the kubeconfig {}: {plain}", path.display()))
    })
}

/// The same without empty texts, which are no values in kubectl: the first file of KUBECONFIG with a value has it, and
/// kubectl itself writes `current-context: ""` into a file without one.
fn without_empty(mut kubeconfig: Kubeconfig) -> Kubeconfig {
    let contexts = kubeconfig
        .contexts
        .iter_mut()
        .filter_map(|named| named.context.as_mut());
    let clusters = kubeconfig
        .clusters
        .iter_mut()
        .filter_map(|named| named.cluster.as_mut());
    let of_contexts = contexts.map(|context| &mut context.namespace);
    let of_clusters = clusters.flat_map(|cluster| {
        let Cluster {
            tls_server_name,
            certificate_authority_data,
            ..
        } = cluster;
        certificate_authority_data.iter_mut().for_each(join_lines);
        [tls_server_name, certificate_authority_data]
    });
    let texts = std::iter::once(&mut kubeconfig.current_context).chain(of_contexts);
    for text in texts.chain(of_clusters).filter(|text| text.as_deref() == Some("")) {
        *text = None;
    }
    kubeconfig
}

/// Joins the lines of base64. The parser of kubectl ignores line breaks in it, and `base64` writes them.
pub(super) fn join_lines(text: &mut String) {
    text.retain(|c| !matches!(c, '\n' | '\r'));
}
