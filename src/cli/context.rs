//! What commands start with: the connection that the global flags describe, and what is read through it.

use std::sync::{Arc, OnceLock};

use crate::error::Result;
use crate::kubernetes::api::Cluster;
use crate::kubernetes::connect::{self, ConnectionOptions};
use crate::model::names::ClusterName;
use crate::operations::cluster_handle::ClusterHandle;

/// The connection of a command. The kubeconfig is read when a command asks for the client: commands check their arguments
/// before, and some send nothing.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) connection: ConnectionOptions,
    /// The first client, and the namespace that was given for it. Every later client is a copy of it: the kubeconfig may have another
    /// current context by then, and a cluster of the same name may run there.
    client: Arc<OnceLock<(Option<String>, Cluster)>>,
}

impl Context {
    pub(crate) fn new(connection: ConnectionOptions) -> Self {
        Self {
            connection,
            client: Arc::default(),
        }
    }

    /// The client, in the namespace of the flags or the kubeconfig.
    pub(crate) fn connect(&self) -> Result<Cluster> {
        let namespace = self.connection.namespace.as_ref();
        match (self.client.get(), namespace) {
            (Some((_, client)), Some(namespace)) => {
                connect::check_namespace(namespace)?;
                return Ok(client.in_namespace(namespace));
            }
            (Some((None, client)), None) => return Ok(client.clone()),
            _ => {}
        }
        let client = connect::connect(&self.connection)?;
        // One that is set already stays.
        let _ = self.client.set((namespace.cloned(), client.clone()));
        Ok(client)
    }

    /// The client, and the name of a cluster.
    pub(crate) fn named(&self, name: &str) -> Result<(Cluster, ClusterName)> {
        let name = ClusterName::new(name)?;
        Ok((self.connect()?, name))
    }

    /// Reads a cluster that must exist.
    pub(crate) async fn existing(&self, name: &str) -> Result<ClusterHandle> {
        let (cluster, name) = self.named(name)?;
        ClusterHandle::existing(&cluster, &name).await
    }

    /// Reads a cluster that exists or existed.
    pub(crate) async fn load(&self, name: &str) -> Result<ClusterHandle> {
        let (cluster, name) = self.named(name)?;
        ClusterHandle::load(&cluster, &name).await
    }

    /// Reads a cluster to show something of it, and reports the state of an unfinished operation.
    pub(crate) async fn load_for_display(&self, name: &str) -> Result<ClusterHandle> {
        let handle = self.load(name).await?;
        handle.note_operation();
        Ok(handle)
    }

    /// The namespace for a command that sends no request.
    pub(crate) fn namespace(&self) -> Result<String> {
        connect::namespace(&self.connection)
    }

    pub(crate) fn in_namespace(&self, namespace: String) -> Self {
        let mut other = self.clone();
        other.connection.namespace = Some(namespace);
        other
    }

    /// Another context of the same kubeconfig. The flags for the credentials and the server of this one do not apply to it.
    pub(crate) fn of_kubeconfig(&self, context: String, namespace: Option<String>) -> Self {
        Self::new(ConnectionOptions {
            context: Some(context),
            kubeconfig: self.connection.kubeconfig.clone(),
            namespace,
            request_timeout: self.connection.request_timeout,
            access: self.connection.access,
            ..ConnectionOptions::default()
        })
    }
}
