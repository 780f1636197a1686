//! The Job that prints files `_metadata` of savepoints which are in volumes of a cluster: with the cluster's image and
//! these volumes, read only, and without Flink.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::short_job::{self, Frame};
use crate::error::{Error, Result};
use crate::model::flink::savepoint_metadata::folder_of;
use crate::model::main_container;
use crate::model::names::{ClusterName, SAVEPOINT_READER};
use crate::model::pod_template::{escape_dollar, mount_of};

/// Prints the files whose paths are its arguments, each as gzip in base64 between two lines of its own. A kubelet
/// rotates a log after 10 MiB by default, so what is printed is limited to less.
pub(crate) const SCRIPT: &str = r#"for file; do
  if [ -d "$file" ]; then file=$file/_metadata; fi
  if [ ! -e "$file" ]; then echo "kubectl-flink: missing"; continue; fi
  if [ ! -f "$file" ] || [ ! -r "$file" ]; then echo "kubectl-flink: unreadable"; continue; fi
  if [ "$(wc -c < "$file")" -gt 67108864 ] || [ "$(gzip -c "$file" | wc -c)" -gt 3500000 ]; then
    echo "kubectl-flink: too large"; continue
  fi
  echo "kubectl-flink: begin"
  gzip -c "$file" | base64 -w 4096 && echo "kubectl-flink: end"
done
echo "kubectl-flink: done"
"#;
pub(crate) const CONTAINER: &str = "flink-savepoint-reader";
/// First word of the lines that are not a part of a file.
const WORD: &str = "kubectl-flink: ";
/// Maximum size of a file, as in [`SCRIPT`].
pub(crate) const MAX_SIZE: u64 = 64 << 20;
/// Maximum number of bytes of the log that are read: two files, with a margin.
pub(crate) const MAX_LOG: usize = 12 << 20;

/// Fields of the cluster's Pods that decide where a Pod may run, and as whom; not their PriorityClass, with which it could preempt
/// running Pods. Source: `PodSpec` in k8s.io/api/core/v1.
const OF_THE_POD: [&str; 9] = [
    "hostUsers",
    "imagePullSecrets",
    "nodeSelector",
    "os",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
];
/// Fields of its container.
const OF_THE_CONTAINER: [&str; 3] = ["image", "imagePullPolicy", "securityContext"];
/// Sources of volumes that each Pod has for itself. Source: `VolumeSource` in k8s.io/api/core/v1.
const OF_ONE_POD: [&str; 7] = [
    "emptyDir",
    "ephemeral",
    "configMap",
    "secret",
    "downwardAPI",
    "projected",
    "image",
];

/// The path in Pods of a `file:` URI or an absolute path; `None`: it is in another file system.
pub(crate) fn path_in_pods(path: &str) -> Option<&str> {
    let path = match path.strip_prefix("file:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None => path,
    };
    path.starts_with('/').then_some(path)
}

/// The Job that prints the files of `paths`, which are paths in the Pods of `of`: the Job of the cluster `name`.
///
/// # Errors
/// Not found if no volume of the cluster has one of them.
pub(crate) fn job(of: &Value, name: &ClusterName, paths: &[&str], frame: &Frame) -> Result<Value> {
    let pod = &of["spec"]["template"]["spec"];
    let container = main_container::of(of).ok_or_else(|| Error::usage("the cluster's Job has no container"))?;
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    for path in paths {
        let (mount, volume) = volume_of(pod, container, name, path)?;
        let mut mount = mount.clone();
        mount["readOnly"] = json!(true);
        if !mounts.contains(&mount) {
            mounts.push(mount);
        }
        if !volumes.contains(volume) {
            volumes.push(volume.clone());
        }
    }
    let script = [SCRIPT, "sh"].into_iter().chain(paths.iter().copied());
    let command: Vec<String> = ["sh", "-c"].into_iter().chain(script).map(escape_dollar).collect();
    let mut own = taken(container, &OF_THE_CONTAINER);
    // Of all names in a Pod with injected sidecars, one that starts like this is the main container's.
    own.insert("name".to_owned(), json!(CONTAINER));
    own.insert("command".to_owned(), json!(command));
    own.insert("volumeMounts".to_owned(), json!(mounts));
    let resources = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}});
    own.insert("resources".to_owned(), resources);
    let mut body = taken(pod, &OF_THE_POD);
    let nodes = &pod["affinity"]["nodeAffinity"];
    if !nodes.is_null() {
        body.insert("affinity".to_owned(), json!({ "nodeAffinity": nodes }));
    }
    body.insert("automountServiceAccountToken".to_owned(), json!(false));
    body.insert("containers".to_owned(), json!([own]));
    body.insert("volumes".to_owned(), json!(volumes));
    let mut job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"namespace": of["metadata"]["namespace"]}, "spec": {"template": {"spec": body}}});
    short_job::frame(&mut job, name, SAVEPOINT_READER, frame)?;
    Ok(job)
}

fn taken(object: &Value, names: &[&str]) -> Map<String, Value> {
    let all = object.as_object().into_iter().flatten();
    let own = all.filter(|(key, value)| names.contains(&key.as_str()) && !value.is_null());
    own.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Where a volume is mounted.
fn folder(mount: &Value) -> &str {
    mount["mountPath"].as_str().unwrap_or_default().trim_end_matches('/')
}

/// The mount that has `path`, and its volume.
fn volume_of<'a>(
    pod: &'a Value,
    container: &'a Value,
    name: &ClusterName,
    path: &str,
) -> Result<(&'a Value, &'a Value)> {
    let mounts = || container["volumeMounts"].as_array().into_iter().flatten();
    let Some(mount) = mount_of(mounts(), |mount| folder(mount), path) else {
        let folders: Vec<&str> = mounts().map(folder).collect();
        let error = Error::not_found(format!("{path} is in no volume of the JobManager of {name}"));
        return Err(match folders.as_slice() {
            [] => error.hint("its container has no volumes"),
            folders => error.hint(format!("its volumes are mounted at {}", folders.join(", "))),
        });
    };
    let mut volumes = pod["volumes"].as_array().into_iter().flatten();
    let volume = volumes.find(|volume| volume["name"] == mount["name"]);
    let volume = volume.ok_or_else(|| Error::usage(format!("the volume of {path} is not in the Pod of {name}")))?;
    match OF_ONE_POD.iter().find(|source| !volume[**source].is_null()) {
        None => Ok((mount, volume)),
        Some(source) => Err(Error::not_found(format!(
            "{path} is in a volume of type {source}, which each Pod of {name} has for itself"
        ))
        .hint(format!(
            "kubectl exec job/{} -- cat {} | kubectl flink savepoint inspect -",
            name.master(),
            metadata_file(path)
        ))),
    }
}

/// The files in the log of the Job's Pod as gzip, in the order of `paths`; `None`: the log is not complete yet.
///
/// # Errors
/// Not found if a file does not exist; failure if it cannot be read or is too large, or if the log is another one.
pub(crate) fn files(log: &str, paths: &[&str]) -> Result<Option<Vec<Vec<u8>>>> {
    if !log.contains("kubectl-flink: done") {
        return Ok(None);
    }
    let mut files = Vec::new();
    let mut encoded: Option<String> = None;
    for line in log.lines() {
        let path = paths.get(files.len()).copied().unwrap_or_default();
        match (line.strip_prefix(WORD), &mut encoded) {
            (Some("begin"), None) => encoded = Some(String::new()),
            (Some("end"), Some(text)) => {
                files.push(STANDARD.decode(text).map_err(|_| incomplete(path))?);
                encoded = None;
            }
            (Some("missing"), _) => {
                return Err(Error::not_found(format!("there is no savepoint at {path}"))
                    .hint("a folder that its user may not enter looks the same"));
            }
            (Some("unreadable"), _) => {
                return Err(Error::failure(format!(
                    "the user of the cluster's Pods may not read {path}"
                )));
            }
            // The beginning of a log that was rotated is gone.
            (Some("too large"), _) | (Some("end"), None) => return Err(too_large(path)),
            (None, Some(text)) => text.push_str(line.trim()),
            // What a shell or a sidecar may print.
            _ => {}
        }
    }
    if files.len() < paths.len() {
        // The program's own words, such as that the image has no gzip.
        let said = log
            .lines()
            .find(|line| !line.starts_with(WORD))
            .unwrap_or("an empty log");
        let said: String = said.chars().take(200).collect();
        return Err(Error::failure(format!(
            "the cluster's image cannot print the file: {said}"
        )));
    }
    Ok(Some(files))
}

/// The error that a file does not fit into a log.
pub(crate) fn too_large(path: &str) -> Error {
    Error::failure(format!("{path} is too large to be read from a log")).hint(format!(
        "kubectl exec POD -- cat {} | kubectl flink savepoint inspect -",
        metadata_file(path)
    ))
}

/// The path of a savepoint's own file; `path` may be its folder.
pub(crate) fn metadata_file(path: &str) -> String {
    format!("{}/_metadata", folder_of(path))
}

/// The error that a part of a file is missing.
pub(crate) fn incomplete(path: &str) -> Error {
    Error::failure(format!("the content of {path} arrived incomplete: repeat the command"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// A cluster's Job with a claim, a claim below it, and a folder of its own.
    fn cluster() -> Value {
        json!({"kind": "Job", "metadata": {"name": "demo-master", "namespace": "ns", "uid": "u"},
            "spec": {"backoffLimit": 1000, "template": {
                "metadata": {"labels": {"app": "demo"}},
                "spec": {
                    "nodeSelector": {"disk": "ssd"}, "securityContext": {"fsGroup": 9999},
                    "serviceAccountName": "flink", "initContainers": [{"name": "i"}],
                    "affinity": {"nodeAffinity": {"a": 1}, "podAntiAffinity": {"b": 1}},
                    "containers": [{"name": "proxy"}, {"name": "flink-master", "args": ["standalone-job"],
                        "image": "job:2.3.0", "imagePullPolicy": "Never", "env": [{"name": "PASSWORD", "value": "x"}],
                        "securityContext": {"runAsNonRoot": true}, "volumeMounts": [
                            {"name": "storage", "mountPath": "/storage/"},
                            {"name": "fast", "mountPath": "/storage/fast", "subPath": "demo"},
                            {"name": "tmp", "mountPath": "/tmp"}]}],
                    "volumes": [{"name": "storage", "persistentVolumeClaim": {"claimName": "c"}},
                        {"name": "fast", "nfs": {"server": "s", "path": "/"}}, {"name": "tmp", "emptyDir": {}},
                        {"name": "secret", "secret": {"secretName": "s"}}]}}}})
    }

    fn made(paths: &[&str]) -> Result<Value> {
        let frame = Frame {
            deadline: 360,
            holder: "{}".to_owned(),
            owner: None,
        };
        job(&cluster(), &ClusterName::new("demo").unwrap(), paths, &frame)
    }

    #[test]
    fn the_job_has_the_image_and_the_volume_and_nothing_more() {
        let job = made(&["/storage/sp-1"]).unwrap();
        assert_eq!(job["metadata"]["name"], "demo-savepoint-reader");
        assert_eq!(job["metadata"]["namespace"], "ns");
        assert_eq!(job["spec"]["activeDeadlineSeconds"], 360);
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert_eq!(pod["restartPolicy"], "Never");
        assert_eq!(pod["nodeSelector"]["disk"], "ssd");
        assert_eq!(pod["affinity"], json!({"nodeAffinity": {"a": 1}}));
        assert_eq!(pod["securityContext"]["fsGroup"], 9999);
        let volume = json!({"name": "storage", "persistentVolumeClaim": {"claimName": "c"}});
        assert_eq!(pod["volumes"], json!([volume]));
        assert!(pod["initContainers"].is_null(), "{pod}");
        let container = &pod["containers"][0];
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
        assert_eq!(container["image"], "job:2.3.0");
        assert_eq!(container["imagePullPolicy"], "Never");
        let mount = json!({"name": "storage", "mountPath": "/storage/", "readOnly": true});
        assert_eq!(container["volumeMounts"], json!([mount]));
        assert_eq!(container["securityContext"]["runAsNonRoot"], true);
        assert!(container["env"].is_null() && container["args"].is_null(), "{container}");
        assert_eq!(container["command"][4], "/storage/sp-1");
    }

    #[test]
    fn each_path_is_read_in_the_volume_that_is_mounted_deepest() {
        let job = made(&["/storage/fast/$(HOME)", "/storage/faster", "/storage/fast"]).unwrap();
        let container = &job["spec"]["template"]["spec"]["containers"][0];
        let mounts = container["volumeMounts"].as_array().unwrap();
        let names: Vec<&Value> = mounts.iter().map(|mount| &mount["name"]).collect();
        assert_eq!(names, ["fast", "storage"]);
        assert_eq!(mounts[0]["subPath"], "demo");
        assert_eq!(container["command"][4], "/storage/fast/$$(HOME)");
    }

    #[test]
    fn what_is_in_no_volume_of_all_pods_is_refused() {
        let error = made(&["/data/sp-1"]).unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        let volumes = "its volumes are mounted at /storage, /storage/fast, /tmp";
        assert_eq!(error.hints, [volumes]);
        let error = made(&["/tmp/sp-1/_metadata"]).unwrap_err();
        assert!(error.message.contains("a volume of type emptyDir"), "{error}");
        assert!(error.hints[0].starts_with("kubectl exec job/demo-master -- cat /tmp/sp-1/_metadata | "));
    }

    #[test]
    fn uris_of_files_are_paths_in_pods() {
        for uri in ["file:///storage/sp", "file:/storage/sp", "/storage/sp"] {
            assert_eq!(path_in_pods(uri), Some("/storage/sp"), "{uri}");
        }
        assert_eq!(path_in_pods("s3://b/sp"), None);
        assert_eq!(path_in_pods("savepoint-1"), None);
    }

    #[test]
    fn a_log_that_is_no_file_is_an_error() {
        let error = files("sh: gzip: not found\nkubectl-flink: done\n", &["/sp"]).unwrap_err();
        assert!(error.message.ends_with("sh: gzip: not found"), "{error}");
        let garbage = "kubectl-flink: begin\nno base64!\nkubectl-flink: end\nkubectl-flink: done\n";
        let error = files(garbage, &["/sp"]).unwrap_err();
        assert!(error.message.contains("incomplete"), "{error}");
    }
}
