//! The namespace of a command that runs in a Pod.

use std::path::Path;

/// The folder of a Pod with the credentials of its service account.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The namespace where neither a flag nor the kubeconfig names one: in a Pod that of the Pod, as in kubectl.
pub(super) fn default_namespace() -> String {
    let get = |name: &str| std::env::var(name).ok();
    of_pod(get, Path::new(CREDENTIALS)).unwrap_or_else(|| "default".to_owned())
}

/// The Pod's namespace; `None`: this is not a Pod, or it has no service account. Source: `Possible` and `Namespace` of
/// client-go's `inClusterClientConfig`.
fn of_pod(get: impl Fn(&str) -> Option<String>, credentials: &Path) -> Option<String> {
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    if !credentials.join("token").is_file() {
        return None;
    }
    get("KUBERNETES_SERVICE_HOST").and(get("KUBERNETES_SERVICE_PORT"))?;
    get("POD_NAMESPACE").or_else(|| {
        let text = std::fs::read_to_string(credentials.join("namespace")).ok()?;
        Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_in_a_pod_works_in_its_namespace() {
        let folder = tempfile::tempdir().unwrap();
        let namespace = |variables: &[(&str, &str)]| {
            let get = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            of_pod(get, folder.path())
        };
        let server = [
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("KUBERNETES_SERVICE_PORT", "443"),
        ];
        assert_eq!(namespace(&server), None, "it has no credentials");
        std::fs::write(folder.path().join("token"), "t").unwrap();
        assert_eq!(namespace(&server), None);
        std::fs::write(folder.path().join("namespace"), "jobs\n").unwrap();
        assert_eq!(namespace(&server).as_deref(), Some("jobs"));
        assert_eq!(namespace(&[]), None);
        let named = [server[0], server[1], ("POD_NAMESPACE", "other")];
        assert_eq!(namespace(&named).as_deref(), Some("other"));
    }
}
