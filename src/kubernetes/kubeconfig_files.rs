//! Reads the files of a kubeconfig, and their values as kubectl reads them.

use std::path::{Path, PathBuf};

use kube::config::{AuthInfo, Cluster, Kubeconfig};
use serde_json::{Value, json};

use super::errors::innermost;
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
    let read = Kubeconfig::read_from(path).map(|kubeconfig| without_empty(kubeconfig, path));
    read.map_err(|e| {
        // The lines after the first are an excerpt of the file, which may contain a token.
        let text = innermost(&e).to_string();
        let first = text.lines().next().unwrap_or_default();
        let plain = first.rsplit_once("error: ").map_or(first, |(_, plain)| plain);
        Error::usage(format!("cannot read the kubeconfig {}: {plain}", path.display()))
    })
}

/// The same without empty texts, which are no values in kubectl: the first file of KUBECONFIG with a value has it, and
/// kubectl itself writes `current-context: ""` into a file without one.
fn without_empty(mut kubeconfig: Kubeconfig, file: &Path) -> Kubeconfig {
    // kube makes each path absolute, also an empty one.
    let folder = file.parent().map(|folder| folder.join(""));
    let folder = folder.as_deref().and_then(Path::to_str);
    let contexts = kubeconfig
        .contexts
        .iter_mut()
        .filter_map(|named| named.context.as_mut());
    let clusters = kubeconfig
        .clusters
        .iter_mut()
        .filter_map(|named| named.cluster.as_mut());
    let users = kubeconfig
        .auth_infos
        .iter_mut()
        .filter_map(|named| named.auth_info.as_mut());
    let of_users = users.flat_map(|user| {
        let AuthInfo {
            token_file,
            client_certificate,
            client_certificate_data,
            client_key,
            ..
        } = user;
        [token_file, client_certificate, client_certificate_data, client_key]
    });
    let of_contexts = contexts.map(|context| &mut context.namespace);
    let of_clusters = clusters.flat_map(|cluster| {
        let Cluster {
            tls_server_name,
            certificate_authority,
            certificate_authority_data,
            ..
        } = cluster;
        certificate_authority_data.iter_mut().for_each(join_lines);
        [tls_server_name, certificate_authority, certificate_authority_data]
    });
    let texts = std::iter::once(&mut kubeconfig.current_context).chain(of_contexts);
    for text in texts.chain(of_clusters).chain(of_users) {
        if text.as_deref() == Some("") || text.is_some() && text.as_deref() == folder {
            *text = None;
        }
    }
    kubeconfig
}

/// Joins the lines of base64. The parser of kubectl ignores line breaks in it, and `base64` writes them.
fn join_lines(text: &mut String) {
    text.retain(|c| !matches!(c, '\n' | '\r'));
}

/// The same with these fields, and as kubectl reads it: an empty text is no value, and base64 may have several lines.
///
/// Converts through JSON, because kube's secret strings can be deserialized without a further dependency.
pub(super) fn overridden(info: AuthInfo, fields: Vec<(&'static str, Value)>) -> Result<AuthInfo> {
    let failed = |e| Error::usage(format!("cannot apply the connection flags: {e}"));
    let mut tree = serde_json::to_value(info).map_err(failed)?;
    for (name, value) in fields {
        tree[name] = value;
    }
    if let Value::Object(map) = &mut tree {
        map.retain(|_, value| !value.is_null() && *value != "");
        for name in ["client-certificate-data", "client-key-data"] {
            if let Some(Value::String(text)) = map.get_mut(name) {
                join_lines(text);
            }
        }
    }
    serde_json::from_value(tree).map_err(failed)
}

/// kube uses a token file unchanged, and a newline at its end is invalid in a header. Other token files stay files,
/// because they are read again when their token changes.
pub(super) fn trim_token_file(user: &mut AuthInfo) -> Result<()> {
    let (None, Some(path)) = (&user.token, &user.token_file) else {
        return Ok(());
    };
    let token = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("cannot read the kubeconfig's token file {path}")).because(e))?;
    if token.trim() != token {
        let fields = vec![("token", json!(token.trim())), ("tokenFile", Value::Null)];
        *user = overridden(std::mem::take(user), fields)?;
    }
    Ok(())
}
