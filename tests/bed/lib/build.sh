# shellcheck shell=bash
# Fills the cache with all that `up` needs. Sourced; the caller holds the lock.

# shellcheck source=tests/bed/lib/kubernetes.sh
source "$BED_LIB/kubernetes.sh"
# shellcheck source=tests/bed/lib/images.sh
source "$BED_LIB/images.sh"

# program:package, for each program that is called: by a running test cluster, and for the builds.
RUN_NEEDS=(
    containerd:containerd runc:runc bridge:containernetworking-plugins iptables:iptables
    conntrack:conntrack ipset:ipset socat:socat modprobe:kmod ip:iproute2 sysctl:procps openssl:openssl curl:curl
    jq:jq python3:python3 docker-registry:docker-registry envsubst:gettext-base unshare:util-linux mount:mount awk:gawk
)
BUILD_NEEDS=(debootstrap:debootstrap gcc:gcc stdio.h:libc6-dev pip:python3-pip mvn:maven)

# Not everything asked for is a program on PATH.
is_there() {
    case $1 in
        bridge) [[ -x /usr/lib/cni/bridge ]] ;;
        stdio.h) [[ -e /usr/include/stdio.h ]] ;;
        pip) python3 -m pip --version > /dev/null 2>&1 ;;
        *) command -v "$1" > /dev/null ;;
    esac
}

install_packages() {
    local pair packages=() guard=/usr/sbin/policy-rc.d
    # Of a build that was killed: the lock is held, so no other one needs it.
    if grep -qs kubectl-flink-bed "$guard"; then rm -f "$guard"; fi
    for pair in "$@"; do
        is_there "${pair%%:*}" || packages+=("${pair#*:}")
    done
    if ((${#packages[@]} > 0)); then
        command -v apt-get > /dev/null || die "missing: ${packages[*]}" "the test cluster installs them by apt-get, which is not here"
        say "installing ${packages[*]}"
        # The packages' own services must not start: the test cluster runs containerd itself, with its own settings.
        local ours='' status=0
        if [[ ! -e $guard ]]; then
            ours=$guard
            # shellcheck disable=SC2064 # its value of now
            trap "rm -f '$guard'" EXIT
            printf '#!/bin/sh\n# of kubectl-flink-bed, while packages are installed\nexit 101\n' > "$guard"
            chmod 755 "$guard"
        fi
        {
            apt-get update -qq \
                && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${packages[@]}"
        } > "$BED_CACHE/log/packages.log" 2>&1 || status=$?
        if [[ -n $ours ]]; then
            rm -f "$ours"
            trap - EXIT
        fi
        if ((status != 0)); then
            tail -n 20 "$BED_CACHE/log/packages.log" >&2
            die "installing ${packages[*]} failed" "apt-get install ${packages[*]}"
        fi
    fi
}

# These two are not installed unasked: there is more than one place to have them from.
check_compilers() {
    if ! [[ $(go version 2> /dev/null) =~ go1\.([0-9]+) ]] || ((BASH_REMATCH[1] < 21)); then
        die "there is no Go 1.21 or later, which Kubernetes is built with" \
            "apt-get install -t $DEBIAN_RELEASE-backports golang-go" "or unpack a release of Go and put its bin folder on PATH"
    fi
    command -v javac > /dev/null || die "there is no JDK, which the test jobs are built with" \
        "apt-get install openjdk-17-jdk-headless"
}

build_all() {
    mkdir -p "$BED_CACHE/log"
    # Left over from builds that were cut short: no other build runs, the lock is held.
    rm -rf "$BED_CACHE/work"
    local part missing=
    for part in "$TOOLS" "$KUBERNETES" "$COREDNS" "$ETCD" "$BASE" "$FLINK" "$FLINK_LAYER" "$ENTRYPOINTS" "$EXAMPLES" "$SQL" "$JOBS"; do
        if [[ ! -d $part ]]; then missing=yes; fi
    done
    install_packages "${RUN_NEEDS[@]}"
    if [[ -z $missing ]]; then return 0; fi
    install_packages "${BUILD_NEEDS[@]}"
    check_compilers
    build_tools
    # Side by side, for one waits for the network while the other keeps the cores busy.
    local parts=() failed=
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
