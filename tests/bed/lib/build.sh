# shellcheck shell=bash
# Fills the cache with all that `up` needs. Sourced; the caller holds the lock.

# shellcheck source=tests/bed/lib/kubernetes.sh
source "$BED_LIB/kubernetes.sh"
# shellcheck source=tests/bed/lib/images.sh
source "$BED_LIB/images.sh"

# program:package, for each program that the bed calls.
NEEDED=(
    etcd:etcd-server containerd:containerd runc:runc iptables:iptables conntrack:conntrack ipset:ipset socat:socat
    debootstrap:debootstrap jq:jq kmod:kmod ip:iproute2 ps:procps openssl:openssl gcc:gcc python3:python3
    curl:curl envsubst:gettext-base mvn:maven flock:util-linux mount:mount awk:gawk
)

install_packages() {
    local pair packages=()
    for pair in "${NEEDED[@]}"; do
        if ! command -v "${pair%%:*}" > /dev/null; then packages+=("${pair#*:}"); fi
    done
    if [[ ! -x /usr/lib/cni/bridge ]]; then packages+=(containernetworking-plugins); fi
    if [[ ! -e /usr/include/stdio.h ]]; then packages+=(libc6-dev); fi
    if ! python3 -m pip --version > /dev/null 2>&1; then packages+=(python3-pip); fi
    if ((${#packages[@]} > 0)); then
        command -v apt-get > /dev/null || die "missing: ${packages[*]}" "the bed installs them by apt-get, which is not here"
        say "installing ${packages[*]}"
        # The packages' own services must not start: the bed runs etcd and containerd itself, with its own settings.
        local guard=/usr/sbin/policy-rc.d ours='' status=0
        if [[ ! -e $guard ]]; then
            ours=$guard
            printf '#!/bin/sh\nexit 101\n' > "$guard"
            chmod 755 "$guard"
        fi
        {
            apt-get update -qq \
                && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"
        } > "$BED_CACHE/log/packages.log" 2>&1 || status=$?
        if [[ -n $ours ]]; then rm "$ours"; fi
        if ((status != 0)); then
            tail -n 20 "$BED_CACHE/log/packages.log" >&2
            die "installing ${packages[*]} failed" "apt-get install ${packages[*]}"
        fi
    fi
    command -v go > /dev/null || die "there is no Go, which Kubernetes is built with" \
        "apt-get install -t $DEBIAN_RELEASE-backports golang-go" "or unpack a release of Go and put its bin folder on PATH"
    command -v javac > /dev/null || die "there is no JDK, which the test jobs are built with" \
        "apt-get install openjdk-17-jdk-headless"
}

build_all() {
    mkdir -p "$BED_CACHE/log"
    # Left over from builds that were cut short: nobody else is at work, the lock is held.
    rm -rf "$BED_CACHE/work"
    if [[ -x $KUBERNETES/hyperkube && -d $COREDNS && -d $TOOLS && -d $BASE && -d $FLINK_LAYER && -d $EXAMPLES && -d $JOBS ]]; then
        return 0
    fi
    install_packages
    build_tools
    # Side by side, for one waits for the network while the other keeps the cores busy.
    local part parts=() failed=''
    build_kubernetes &
    parts+=($!)
    build_base &
    parts+=($!)
    {
        build_flink
        build_jobs
    } &
    parts+=($!)
    for part in "${parts[@]}"; do wait "$part" || failed=yes; done
    if [[ -n $failed ]]; then exit 1; fi
}
