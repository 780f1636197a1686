//! How to fix a container, or a Pod, that its kubelet or its runtime does not start.

use super::{Cause, CauseKind};

/// How to fix a container that would run as root despite `runAsNonRoot`; `None`: the message is about something else.
/// Source: `verifyRunAsNonRoot` of the kubelet.
pub(super) fn non_root(said: &str, container: &str, image: &str) -> Option<String> {
    if said.contains("runAsUser breaks non-root policy") {
        Some(format!(
            "container {container} has runAsUser: 0 beside runAsNonRoot of its Pod: give it another user (9999 is Flink's), or runAsNonRoot: false of its own"
        ))
    } else if said.contains("image will run as root") {
        Some(format!(
            "image {image} of container {container} runs as root: set its runAsUser, or build it on an official Flink image, whose user is 9999"
        ))
    } else if said.contains("non-numeric user") {
        Some(format!(
            "set runAsUser of container {container} to the number of the image's user"
        ))
    } else {
        None
    }
}

/// How to fix a container that the runtime refuses to create or to start, from its message. Source: runc's `libcontainer`.
pub(super) fn not_started(said: &str, memory_flag: &str) -> String {
    let is_mount = said.contains("error mounting") || said.contains("mount a directory onto a file");
    if is_mount && said.contains("ead-only file system") {
        "the mountPath is inside of a read-only file system, such as a ConfigMap's volume: choose another mountPath, or mount single files with \
         subPath"
            .to_owned()
    } else if is_mount {
        "a volume cannot be mounted at its path: a file is mounted onto a directory, or the other way round: check mountPath and subPath in \
         the Pod template"
            .to_owned()
    } else if said.contains("stale NFS file handle") || said.contains("Stale file handle") {
        "the file server does not know the folder of a volume any more: delete the Pod, so that its node mounts the volume again".to_owned()
    } else if said.contains("failed to mkdir") {
        // Source: containerd's CRI, of a hostPath that does not exist.
        "the node cannot create the folder that the Pod template's hostPath names: choose another path, or another kind of volume".to_owned()
    } else if said.contains("exec format error") {
        "the image is built for another architecture than the node has: build it for both, or choose nodes with a nodeSelector (kubernetes.io/arch)".to_owned()
    } else if said.contains("Resource temporarily unavailable") || said.contains("resource temporarily unavailable") {
        "the node has reached its limit of processes: see what runs on it, or cordon the node".to_owned()
    } else if is_short_of_memory(said) {
        format!("the container's memory limit is too low to start a process: raise it with {memory_flag}")
    } else if said.contains("no space left on device") {
        "the node's disk is full: free space on it, or cordon the node".to_owned()
    } else if said.contains("seccomp profile") || said.contains("apparmor") || said.contains("AppArmor") {
        "the node lacks the profile that the Pod template's securityContext names: put it on each node, or use RuntimeDefault".to_owned()
    } else if said.contains("matching entries in passwd file") {
        "the image does not have the user that it runs as: set runAsUser of the container to a number (9999 is Flink's)"
            .to_owned()
    } else if said.contains("permission denied") {
        "the container's user may not execute this file: make it executable in the image, and check runAsUser and mounts over its folder".to_owned()
    } else {
        "check that the image is a Flink image built for the nodes' architecture: --image".to_owned()
    }
}

/// The cause for the Pod `who`, whose sandbox the kubelet cannot create. Source: containerd's and CRI-O's `RunPodSandbox`.
pub(super) fn no_sandbox(who: &str, said: &str, memory_flag: &str) -> Cause {
    let lower = said.to_lowercase();
    let has = |any: &[&str]| any.iter().any(|words| lower.contains(words));
    let (what, hint) = if has(&["no runtime for", "runtime handler", "runtimehandler"]) {
        let hint = "the node's container runtime lacks the handler of the Pod template's runtimeClassName: `kubectl get runtimeclasses`";
        ("cannot be started", hint.to_owned())
    } else if has(&["sandbox image", "pause image"]) {
        let hint = "the node cannot pull the image of each Pod's sandbox: check the configuration of its container runtime, and that it reaches the \
                    image's registry";
        ("cannot be started", hint.to_owned())
    } else if is_short_of_memory(said) {
        ("cannot be started", not_started(said, memory_flag))
    } else if has(&NO_ADDRESS) {
        let hint =
            "the node, or its subnet, has no address left for Pods: add a node or a larger subnet, or delete Pods";
        ("gets no network yet", hint.to_owned())
    } else if has(&["network", "cni", "plugin type="]) {
        let hint = "see the Pods of the node's network plugin, mostly in kube-system: `kubectl get pods -n kube-system -o wide`";
        ("gets no network yet", hint.to_owned())
    } else {
        (
            "cannot be started yet",
            "see the log of the node's container runtime, or cordon the node".to_owned(),
        )
    };
    Cause::new(CauseKind::ContainerCreate, format!("{who} {what}: {said}")).hint(hint)
}

/// Words of the network plugins of AWS, of Calico, of Cilium, and of `host-local`, in lower case.
const NO_ADDRESS: [&str; 5] = [
    "assign an ip address",
    "no ip addresses available",
    "no more ips available",
    "no ips available",
    "range is full",
];

/// Source: runc, which asks whether the limit is too low.
fn is_short_of_memory(said: &str) -> bool {
    said.contains("OOM-killed") || said.contains("memory limit too low")
}
