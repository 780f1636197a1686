# shellcheck shell=bash
# Starts the test cluster and waits for it. Sourced; needs the lock.

# What is kept of containerd outlives a test cluster: the images.
CONTAINERD_ROOT=$BED_CACHE/containerd

# Fixed places that components write to. In the test cluster something of its own is mounted on each, which takes a folder
# to mount on; `down` removes those that were not there.
HOST_FOLDERS=(/var/lib/kubelet /var/lib/cni /var/log/pods /var/log/containers /var/lib/kubectl-flink-bed)

in_containerd() { ctr -a "$BED_STATE/containerd.sock" -n k8s.io "$@"; }

start() {
    local began=$SECONDS folder
    mkdir -p "$BED_STATE/log" "$CONTAINERD_ROOT"
    chmod 711 "$BED_STATE"
    printf '%s\n' "$BED_STATE" > "$BED_NOTE"
    for folder in "${HOST_FOLDERS[@]}"; do
        if [[ ! -e $folder ]]; then
            echo "$folder" >> "$BED_STATE/host-folders"
            mkdir -p "$folder"
        fi
    done
    write_environment
    # It must outlive this command and its terminal, and hold neither the lock nor a pipe someone waits on.
    (
        export KUBERNETES COREDNS ETCD CONTAINERD_ROOT
        export HOST_FOLDERS_LIST="${HOST_FOLDERS[*]}"
        cd /
        exec setsid unshare --net --mount --pid --fork --kill-child "$BED_LIB/init.sh" \
            < /dev/null > "$BED_STATE/log/init.log" 2>&1 9>&-
    ) &
    local unshare=$!
    until [[ -e $BED_STATE/init ]]; do
        kill -0 "$unshare" 2> /dev/null || give_up "the test cluster did not start"
        sleep 0.05
    done
    await 60 "containerd" in_containerd version
    import_images
    await 120 "the node to be ready" node_ready
    await 60 "the default service account" in_bed kubectl get serviceaccount default
    touch "$BED_STATE/ready"
    say "up in $((SECONDS - began)) s, Kubernetes $KUBERNETES_VERSION; tests/bed/run kubectl get nodes"
}

# What `run` sets. The file is of shell assignments, so that other programs can read it.
write_environment() {
    cat > "$BED_STATE/environment" << ENVIRONMENT
export BED_INSIDE=1
export KUBECONFIG='$BED_STATE/kubeconfig'
export PATH='$KUBERNETES/bin':"\$PATH"
export BED_TOOLS='$TOOLS'
export BED_STATE='$BED_STATE'
export BED_SERVER='https://$NODE_IP:6443'
export BED_CA_FILE='$BED_STATE/pki/ca.crt'
export BED_CLIENT_CERTIFICATE='$BED_STATE/pki/admin.crt'
export BED_CLIENT_KEY='$BED_STATE/pki/admin.key'
export BED_TOKEN='admin-token'
export BED_POWERLESS_TOKEN='powerless-token'
export BED_NODE_IP='$NODE_IP'
export BED_STORAGE='$NODE_STORAGE'
export BED_KUBERNETES_VERSION='$KUBERNETES_VERSION'
ENVIRONMENT
}

check_running() {
    local running
    # shellcheck source=/dev/null
    running=$(source "$BED_STATE/environment" && echo "$BED_KUBERNETES_VERSION")
    if [[ $running != "$KUBERNETES_VERSION" ]]; then
        die "the running test cluster is Kubernetes $running, not $KUBERNETES_VERSION" "tests/bed/down"
    fi
}

in_bed() (
    # shellcheck source=/dev/null
    source "$BED_STATE/environment"
    "$BED_TOOLS/enter" "$(bed_pid)" "$@"
)

node_ready() {
    in_bed kubectl get node "$NODE_NAME" -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}' | grep -q True
}

# await SECONDS WHAT COMMAND…
await() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        bed_pid > /dev/null || give_up "the test cluster ended while waiting for $what"
        if ((SECONDS > end)); then give_up "timed out waiting for $what"; fi
        sleep 0.1
    done
}

# A cluster that did not start completely is removed; its logs are kept.
give_up() {
    "$BED_SOURCE/logs" >&2 || true
    rm -rf "$BED_CACHE/log/last-failure"
    cp -r "$BED_STATE/log" "$BED_CACHE/log/last-failure"
    teardown
    die "$1" "the logs are in $BED_CACHE/log/last-failure"
}

# Imports images that containerd does not have, or has with other contents. The contents of a name are noted beside
# containerd's own data, so that an image with changed contents is imported again under its name.
import_images() {
    import pause "$(describe_pause)"
    import "flink-$FLINK_VERSION" "$(describe_images)"
}

import() {
    local note=$CONTAINERD_ROOT/imported-$1 description=$2
    if [[ -e $note && $(< "$note") == "$description" ]]; then return 0; fi
    say "importing images: $1"
    rm -f "$note"
    python3 "$BED_SOURCE/image/image.py" archive <<< "$description" | in_containerd images import - > "$BED_CACHE/log/import.log" 2>&1 \
        || give_up "importing images failed: $(tail -n 3 "$BED_CACHE/log/import.log")"
    printf '%s\n' "$description" > "$note"
}
