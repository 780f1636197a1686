//! kubectl's connection flags.

use std::path::PathBuf;
use std::time::Duration;

use crate::kubernetes::api::access::Access;
use crate::kubernetes::connect::ConnectionOptions;
use crate::output::place::Place;

/// kubectl's connection flags. They mean what they mean there.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Path of the kubeconfig file to use
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context to use
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// Name of the kubeconfig cluster to use
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
    /// Name of the kubeconfig user to use
    #[arg(long, global = true, value_name = "NAME")]
    user: Option<String>,
    /// Namespace to work in
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    impersonate: Option<String>,
    /// Group to impersonate, repeatable
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    impersonate_group: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    impersonate_uid: Option<String>,
    /// Address of the API server
    #[arg(long, short, global = true, value_name = "URL")]
    server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Name of the user for basic authentication
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        requires = "password",
        conflicts_with = "token"
    )]
    username: Option<String>,
    /// Password for basic authentication
    #[arg(long, global = true, value_name = "PASSWORD", requires = "username")]
    password: Option<String>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// File with the client certificate
    #[arg(long, global = true, value_name = "FILE")]
    client_certificate: Option<PathBuf>,
    /// File with the client certificate's key
    #[arg(long, global = true, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Server name to expect in the API server's certificate, instead of the host of its address
    #[arg(long, global = true, value_name = "NAME")]
    tls_server_name: Option<String>,
    /// Do not verify the API server's certificate: the connection is insecure
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    insecure_skip_tls_verify: Option<bool>,
    /// Ask the API server for answers that are not compressed
    #[arg(long, global = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    disable_compression: Option<bool>,
    /// Limit of one request, such as 10s or 1m; 0: none [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = crate::cli::args::values::duration)]
    request_timeout: Option<Duration>,
    /// Way to Flink's REST
    #[arg(long, global = true, value_name = "WAY", default_value = "auto")]
    access: Access,
}

impl ConnectionArgs {
    /// The flags that say to which API server, as which user and in which namespace a command works, as a shell reads
    /// them: without one of them a copied command could change a cluster of the same name elsewhere. Secrets are left out.
    pub(crate) fn place(&self) -> Place {
        let flag = |flag: &str, value: Option<&str>| {
            let value = value.filter(|value| !value.is_empty());
            value.map(|value| format!("{flag} {}", quoted(value)))
        };
        let file = self.kubeconfig.as_ref().map(|path| path.to_string_lossy());
        let cluster = [
            flag("--kubeconfig", file.as_deref()),
            flag("--context", self.context.as_deref()),
            flag("--cluster", self.cluster.as_deref()),
            flag("--user", self.user.as_deref()),
            flag("--server", self.server.as_deref()),
            flag("--as", self.impersonate.as_deref()),
        ];
        Place {
            cluster: cluster.into_iter().flatten().collect::<Vec<_>>().join(" "),
            namespace: flag("-n", self.namespace.as_deref()).unwrap_or_default(),
        }
    }

    pub(crate) fn options(self) -> ConnectionOptions {
        ConnectionOptions {
            kubeconfig: self.kubeconfig,
            context: self.context,
            cluster: self.cluster,
            user: self.user,
            // An empty one is none, as in kubectl: scripts give it where a variable is not set.
            namespace: self.namespace.filter(|namespace| !namespace.is_empty()),
            impersonate: self.impersonate,
            impersonate_group: self.impersonate_group,
            impersonate_uid: self.impersonate_uid,
            server: self.server,
            token: self.token,
            basic: self.username.zip(self.password),
            certificate_authority: self.certificate_authority,
            client_certificate: self.client_certificate,
            client_key: self.client_key,
            tls_server_name: self.tls_server_name,
            insecure_skip_tls_verify: self.insecure_skip_tls_verify,
            disable_compression: self.disable_compression,
            request_timeout: self.request_timeout,
            access: self.access,
        }
    }
}

/// The value as a word of a shell.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+=,".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ConnectionArgs, Place};

    #[test]
    fn the_place_is_what_was_typed() {
        let mut args = ConnectionArgs::default();
        assert_eq!(args.place(), Place::default());
        // As `-n "$UNSET"` gives it.
        args.namespace = Some(String::new());
        assert_eq!(args.place(), Place::default());
        args.namespace = Some("shop".to_owned());
        args.context = Some("it's mine".to_owned());
        args.kubeconfig = Some("a/config".into());
        let place = args.place();
        assert_eq!(place.cluster, r"--kubeconfig a/config --context 'it'\''s mine'");
        assert_eq!(place.namespace, "-n shop");
    }

    #[test]
    fn the_place_has_the_api_server_and_the_user_but_no_secret() {
        let args = ConnectionArgs {
            cluster: Some("staging".to_owned()),
            user: Some("bob".to_owned()),
            server: Some("https://10.0.0.1:6443".to_owned()),
            impersonate: Some("system:serviceaccount:ci:deployer".to_owned()),
            token: Some("s3cret".to_owned()),
            ..ConnectionArgs::default()
        };
        assert_eq!(
            args.place().cluster,
            "--cluster staging --user bob --server https://10.0.0.1:6443 --as system:serviceaccount:ci:deployer"
        );
    }
}
