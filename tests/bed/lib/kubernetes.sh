# shellcheck shell=bash
# Builds Kubernetes, CoreDNS, etcd and two small C programs from source. Sourced.

build_kubernetes() {
    cached "$KUBERNETES" make_kubernetes
    cached "$COREDNS" make_coredns
    cached "$ETCD" make_etcd
}

# A build of minutes on all cores must not starve the rest of the machine.
be_nice() { renice -n 10 -p "$BASHPID" > /dev/null; }

# Kubernetes is not made to be imported: its go.mod points to folders of its own source tree. Each of these
# is also published as a module, whose version is Kubernetes' own with 0 for 1, so the same set is named again.
make_kubernetes() {
    be_nice
    local upstream
    mkdir source
    cp "$BED_SOURCE/kubernetes/main.go" source/
    upstream=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES_VERSION" | jq -r .GoMod)
    {
        echo 'module hyperkube'
        # The language version that this release of Kubernetes is written for, and its settings of the runtime.
        grep -E '^(go|godebug) ' "$upstream"
        echo "require k8s.io/kubernetes v$KUBERNETES_VERSION"
        sed -nE "s|^[[:space:]]*(k8s.io/[a-z-]+) => \./staging.*|replace \1 => \1 v0.${KUBERNETES_VERSION#1.}|p" "$upstream"
    } > source/go.mod
    go -C source mod tidy
    # Kubernetes learns its version from the linker. Without it the server calls itself 0.0.0, which clients
    # and feature gates take at its word.
    local stamp=k8s.io/component-base/version minor=${KUBERNETES_VERSION#*.}
    CGO_ENABLED=0 go -C source build -trimpath -o ../hyperkube -ldflags "-s -w \
        -X $stamp.gitVersion=v$KUBERNETES_VERSION -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*} \
        -X $stamp.gitTreeState=clean" .
    rm -r source
    mkdir bin
    ln -s ../hyperkube bin/kubectl
}

make_coredns() {
    be_nice
    GOBIN=$PWD CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "github.com/coredns/coredns@v$COREDNS_VERSION"
}

# Debian 12 has 3.4, where a list cannot be begun by a watch, as Flink's own Kubernetes client begins them.
make_etcd() {
    be_nice
    mkdir source
    cp "$BED_SOURCE/etcd/main.go" source/
    printf 'module etcd\n\ngo 1.21\n\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$ETCD_VERSION" > source/go.mod
    go -C source mod tidy
    CGO_ENABLED=0 go -C source build -trimpath -o ../etcd -ldflags '-s -w' .
    rm -r source
}

build_tools() { cached "$TOOLS" make_tools; }

make_tools() {
    # The pause container has no file system but this one program, so it brings its C library along.
    gcc -Os -Wall -Wextra -static -s -o pause "$BED_SOURCE/image/pause.c"
    python3 "$BED_SOURCE/image/image.py" layer pause.tar pause=pause
    gcc -O2 -Wall -Wextra -o enter "$BED_LIB/enter.c"
}

# The folder of each part. Its key is a digest of its sources, and of the function that makes it.
KUBERNETES=$BED_CACHE/kubernetes-$KUBERNETES_VERSION-$(key "$(declare -f make_kubernetes)" "$BED_SOURCE/kubernetes/main.go")
COREDNS=$BED_CACHE/coredns-$COREDNS_VERSION-$(key "$(declare -f make_coredns)")
ETCD=$BED_CACHE/etcd-$ETCD_VERSION-$(key "$(declare -f make_etcd)" "$BED_SOURCE/etcd/main.go")
TOOLS=$BED_CACHE/tools-$(key "$(declare -f make_tools)" "$BED_SOURCE"/image/{pause.c,image.py} "$BED_LIB/enter.c")
