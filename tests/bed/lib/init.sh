#!/bin/bash
# The init of the test cluster: starts every component and keeps it running. `up` starts it as the first process of new
# network, mount and PID namespaces; when it ends, the kernel ends everything else in there.
# Expects in its environment: BED_STATE BED_CACHE KUBERNETES COREDNS ETCD CONTAINERD_ROOT and the constants of common.sh.
set -euo pipefail
# shellcheck source=tests/bed/lib/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

log=$BED_STATE/log
pki=$BED_STATE/pki
hyperkube=${KUBERNETES:?}/hyperkube
server=https://$NODE_IP:6443
read -r -a HOST_FOLDERS <<< "${HOST_FOLDERS_LIST:?}"

# keep NAME COMMAND…: runs COMMAND in the background, again whenever it ends.
keep() {
    local name=$1
    shift
    while true; do
        "$@" >> "$log/$name.log" 2>&1 || true
        printf '%s %s ended and is started again\n' "$(date +%T)" "$name" >> "$log/init.log"
        sleep 1
    done &
}

# wait_for SECONDS COMMAND…: until COMMAND succeeds.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        if ((SECONDS > end)); then
            echo "timed out waiting for: $*" >&2
            exit 1
        fi
        sleep 0.1
    done
}

make_mounts() {
    mount -t proc proc /proc
    # What container tools keep in fixed places under /run goes to a place of the test cluster's own.
    local users=
    if [[ -d /run/user ]]; then
        users=$BED_STATE/run-user
        mkdir "$users"
        mount --rbind /run/user "$users"
    fi
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/netns /run/containerd
    if [[ -n $users ]]; then
        mkdir /run/user
        mount --move "$users" /run/user
    fi
    local place
    for place in "${HOST_FOLDERS[@]}"; do
        mkdir -p "$BED_STATE/folders$place"
        mount --bind "$BED_STATE/folders$place" "$place"
    done
    # CNI and kubelet hand mounts on into Pods, which works from shared mounts only.
    mount --make-rshared /
    mkdir -p "$NODE_STORAGE"
    chmod 777 "$NODE_STORAGE"
    # Names are those of the cluster: any other is answered at once with: there is none.
    mount --bind "$BED_STATE/resolv.conf" "$(realpath /etc/resolv.conf)"
    # kubelet sets these for the whole machine. Here it finds files that already say what it wants.
    local setting
    mkdir "$BED_STATE/sysctl"
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        place=$BED_STATE/sysctl/$(basename "${setting%=*}")
        echo "${setting#*=}" > "$place"
        mount --bind "$place" "/proc/sys/${setting%=*}"
    done
}

make_network() {
    ip link set lo up
    # Not every kernel has dummy links; a pair of virtual ones carries the node's address as well. The other end
    # leads nowhere. The default route is there because components look for it, and what would take it is refused.
    ip link add node0 type veth peer name node0-end
    ip link set node0-end up
    ip address add "$NODE_IP/24" dev node0
    ip link set node0 up
    ip route add default via "${NODE_IP%.*}.1" dev node0
    sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.route_localnet=1
    iptables -w -A OUTPUT -o node0 -j REJECT
    iptables -w -A FORWARD -o node0 -j REJECT
}

# Containers go below one cgroup, in every hierarchy there is, so that `down` knows what to remove.
make_cgroups() {
    local folder
    if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
        mkdir -p "/sys/fs/cgroup/$CGROUP_NAME"
        local controller controllers
        read -r -a controllers < /sys/fs/cgroup/cgroup.controllers
        # One by one: a controller that cannot be handed on must not keep the others back.
        for controller in "${controllers[@]}"; do
            echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control || true
            echo "+$controller" > "/sys/fs/cgroup/$CGROUP_NAME/cgroup.subtree_control" || true
        done 2> /dev/null
        return
    fi
    while read -r folder; do
        mkdir -p "$folder/$CGROUP_NAME"
        if [[ -e $folder/cpuset.cpus ]]; then
            cat "$folder/cpuset.cpus" > "$folder/$CGROUP_NAME/cpuset.cpus"
            cat "$folder/cpuset.mems" > "$folder/$CGROUP_NAME/cpuset.mems"
        fi
    done < <(awk '$3 == "cgroup" { print $2 }' /proc/mounts)
}

# certificate NAME SUBJECT [EXTENSIONS]: a key and a certificate of the test cluster's CA.
certificate() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/$1.key"
    openssl req -new -key "$pki/$1.key" -subj "$2" \
        | openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 365 \
            -extfile <(printf '%s\n' "keyUsage=digitalSignature,keyEncipherment" "${3:-extendedKeyUsage=clientAuth}") \
            -out "$pki/$1.crt" 2> /dev/null
}

# kubeconfig FILE USER: reaches the API server as the owner of USER's certificate. Nothing in it points to a file.
kubeconfig() {
    cat > "$1" << YAML
apiVersion: v1
kind: Config
current-context: bed
clusters:
- name: bed
  cluster:
    server: $server
    certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$pki/$2.crt")
    client-key-data: $(base64 -w0 "$pki/$2.key")
contexts:
- name: bed
  context:
    cluster: bed
    user: $2
    namespace: default
YAML
    chmod 600 "$1"
}

make_identities() {
    mkdir -p "$pki"
    openssl ecparam -name prime256v1 -genkey -noout -out "$pki/ca.key"
    openssl req -x509 -new -key "$pki/ca.key" -subj /CN=bed-ca -days 365 -out "$pki/ca.crt" \
        -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,cRLSign
    openssl genrsa -out "$pki/service-accounts.key" 2048 2> /dev/null
    openssl rsa -in "$pki/service-accounts.key" -pubout -out "$pki/service-accounts.pub" 2> /dev/null
    certificate apiserver /CN=kube-apiserver "extendedKeyUsage=serverAuth
subjectAltName=IP:$NODE_IP,IP:127.0.0.1,IP:${SERVICE_CIDR%.*}.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    certificate kubelet-serving /CN=$NODE_NAME "extendedKeyUsage=serverAuth
subjectAltName=IP:$NODE_IP,DNS:$NODE_NAME"
    certificate apiserver-to-kubelet /O=system:masters/CN=kube-apiserver
    certificate admin /O=system:masters/CN=admin
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME"
    certificate proxy /CN=system:kube-proxy
    local user
    for user in controller-manager scheduler kubelet proxy; do kubeconfig "$BED_STATE/$user.kubeconfig" $user; done
    kubeconfig "$BED_STATE/kubeconfig" admin
    # One token that may do everything, one of a user without any right.
    printf '%s\n' 'admin-token,token-admin,token-admin,"system:masters"' 'powerless-token,powerless,powerless,' > "$pki/tokens.csv"
    printf admin-token > "$pki/admin.token"
    printf powerless-token > "$pki/powerless.token"
}

start_control_plane() {
    keep etcd "$ETCD/etcd" --data-dir "$BED_STATE/etcd" --unsafe-no-fsync \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
        --listen-peer-urls http://127.0.0.1:2380
    keep apiserver "$hyperkube" kube-apiserver --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
        --client-ca-file="$pki/ca.crt" --token-auth-file="$pki/tokens.csv" --authorization-mode=Node,RBAC \
        --kubelet-client-certificate="$pki/apiserver-to-kubelet.crt" \
        --kubelet-client-key="$pki/apiserver-to-kubelet.key" --kubelet-certificate-authority="$pki/ca.crt" \
        --kubelet-preferred-address-types=InternalIP --advertise-address="$NODE_IP" \
        --service-cluster-ip-range="$SERVICE_CIDR" --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$pki/service-accounts.pub" \
        --service-account-signing-key-file="$pki/service-accounts.key" \
        --enable-admission-plugins=NodeRestriction --allow-privileged=true \
        --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=aggregator \
        --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
        --requestheader-extra-headers-prefix=X-Remote-Extra-
}

# The default is 15 s between two looks at claims, which is what a claim made together with its volume waits.
start_rest() {
    keep controller-manager "$hyperkube" kube-controller-manager --kubeconfig="$BED_STATE/controller-manager.kubeconfig" \
        --authentication-kubeconfig="$BED_STATE/controller-manager.kubeconfig" \
        --authorization-kubeconfig="$BED_STATE/controller-manager.kubeconfig" \
        --service-account-private-key-file="$pki/service-accounts.key" --root-ca-file="$pki/ca.crt" \
        --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
        --use-service-account-credentials --leader-elect=false --pvclaimbinder-sync-period=1s
    keep scheduler "$hyperkube" kube-scheduler --kubeconfig="$BED_STATE/scheduler.kubeconfig" \
        --authentication-kubeconfig="$BED_STATE/scheduler.kubeconfig" \
        --authorization-kubeconfig="$BED_STATE/scheduler.kubeconfig" --leader-elect=false
    keep kubelet "$hyperkube" kubelet --config="$BED_STATE/kubelet.yaml" --kubeconfig="$BED_STATE/kubelet.kubeconfig" \
        --hostname-override="$NODE_NAME" --node-ip="$NODE_IP"
    # The limits of connection tracking are the machine's and cannot be set from in here.
    keep proxy "$hyperkube" kube-proxy --kubeconfig="$BED_STATE/proxy.kubeconfig" --proxy-mode=iptables \
        --cluster-cidr="$POD_CIDR" --hostname-override="$NODE_NAME" --conntrack-max-per-core=0 --conntrack-min=0
    keep coredns "$COREDNS/coredns" -conf "$BED_STATE/Corefile"
}

write_settings() {
    echo "nameserver $NODE_IP" > "$BED_STATE/resolv.conf"
    cat > "$BED_STATE/Corefile" << COREFILE
cluster.local:53 in-addr.arpa:53 {
    bind $NODE_IP
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $BED_STATE/kubeconfig bed
        pods insecure
        ttl 2
    }
}
.:53 {
    bind $NODE_IP
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
COREFILE
    # CAP_SYS_RESOURCE may be missing; without it no container can be given an OOM score below its parent's.
    cat > "$BED_STATE/containerd.toml" << TOML
version = 2
root = "$CONTAINERD_ROOT"
state = "/run/containerd"
[grpc]
  address = "$BED_STATE/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:bed"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$BED_STATE/cni"
TOML
    mkdir -p "$BED_STATE/cni"
    cat > "$BED_STATE/cni/10-bed.conflist" << JSON
{"cniVersion": "0.4.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "bed0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
JSON
    cat > "$BED_STATE/kubelet.yaml" << YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
tlsCertFile: $pki/kubelet-serving.crt
tlsPrivateKeyFile: $pki/kubelet-serving.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://$BED_STATE/containerd.sock
clusterDomain: cluster.local
clusterDNS: [$NODE_IP]
resolvConf: $BED_STATE/resolv.conf
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP_NAME
failCgroupV1: false
failSwapOn: false
# The machine's cgroups are not the test cluster's to divide, and its disks not the test cluster's to watch.
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
maxPods: 110
nodeStatusUpdateFrequency: 5s
# The test cluster is for many short-lived Pods: what waits, waits for seconds here, not for minutes.
syncFrequency: 10s
serializeImagePulls: false
volumePluginDir: $BED_STATE/volume-plugins
YAML
}

# containerd still lists containers of the test cluster before this one: they are removed, the images stay.
# Without the plugin that serves kubelet, containerd starts none of them. It listens at another address: `up` waits for the
# containerd that stays.
forget_containers() {
    local ctr=(ctr -a "$BED_STATE/cleaning.sock" -n k8s.io) pid name
    rm -rf "$CONTAINERD_ROOT"/io.containerd.grpc.v1.cri/{containers,sandboxes} "$CONTAINERD_ROOT"/io.containerd.runtime.v2.task
    [[ -e $CONTAINERD_ROOT/io.containerd.metadata.v1.bolt/meta.db ]] || return 0
    sed -e '1a disabled_plugins = ["io.containerd.grpc.v1.cri"]' -e 's|/containerd\.sock"|/cleaning.sock"|' \
        "$BED_STATE/containerd.toml" > "$BED_STATE/cleaning.toml"
    containerd -c "$BED_STATE/cleaning.toml" >> "$log/containerd.log" 2>&1 &
    pid=$!
    wait_for 30 "${ctr[@]}" version
    for name in $("${ctr[@]}" containers list -q); do "${ctr[@]}" containers rm "$name" > /dev/null 2>&1 || true; done
    for name in $("${ctr[@]}" snapshots list | awk '$3 == "Active" { print $1 }'); do
        "${ctr[@]}" snapshots rm "$name" || true
    done
    kill "$pid"
    wait "$pid" || true
}

# Before all else, so that `down` finds it however little came of it. The /proc that is mounted still is the
# machine's, and reports the PID by which this process is known out there.
read -r self _ < /proc/self/stat
process_identity "$self" > "$BED_STATE/init.new"
mv "$BED_STATE/init.new" "$BED_STATE/init"

mkdir -p "$log"
write_settings
make_mounts
make_network
make_cgroups
make_identities
start_control_plane
forget_containers
keep containerd containerd -c "$BED_STATE/containerd.toml"
wait_for 120 curl -sf --cacert "$pki/ca.crt" -H 'Authorization: Bearer admin-token' "$server/readyz"
start_rest
wait
