# shellcheck shell=bash
# What every command of the test cluster shares: paths, versions, messages, the cache. Sourced, never run.
# shellcheck disable=SC2034 # the constants are for those who source this

# Some of the programs called are not on the PATH of every shell.
PATH=$PATH:/usr/sbin:/sbin
BED_LIB=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
BED_SOURCE=$(dirname -- "$BED_LIB")
JOBS_SOURCE=$(dirname -- "$BED_SOURCE")/jobs
BED_CACHE=${XDG_CACHE_HOME:-${HOME:?}/.cache}/kubectl-flink-bed
BED_STATE=$BED_CACHE/state

# The node has one address; Services and Pods have ranges of their own. All of it exists only inside the test cluster.
NODE_NAME=node1
NODE_IP=192.168.77.2
SERVICE_CIDR=10.96.0.0/16
POD_CIDR=10.244.0.0/24
CGROUP_NAME=kubectl-flink-bed
NODE_STORAGE=/var/lib/kubectl-flink-bed/storage

say() { printf 'bed: %s\n' "$*" >&2; }

die() {
    printf 'bed: error: %s\n' "$1" >&2
    shift
    local hint
    for hint in "$@"; do printf 'bed: hint: %s\n' "$hint" >&2; done
    exit 1
}

# Reads the versions file; what the environment already says stays.
load_versions() {
    local line name
    while IFS= read -r line; do
        [[ $line == [A-Z]*=* ]] || continue
        name=${line%%=*}
        if [[ -z ${!name:-} ]]; then printf -v "$name" '%s' "${line#*=}"; fi
        # shellcheck disable=SC2163 # the variable named by $name is exported, as meant
        export "$name"
    done < "$BED_SOURCE/versions"
    : "${FLINK_EXAMPLES_VERSION:=$FLINK_VERSION}"
}

# key WORD-OR-FILE…: a short digest of the words and of the contents of those that are files.
key() {
    local item
    for item in "$@"; do
        if [[ -f $item ]]; then sha256sum < "$item"; else printf '%s\n' "$item"; fi
    done | sha256sum | cut -c1-12
}

# cached FOLDER COMMAND…: runs COMMAND in an empty folder that takes the place of FOLDER only when COMMAND
# succeeded, so that everything in the cache is complete. Never call it in a condition: `set -e` must hold.
cached() {
    local folder=$1 work
    shift
    if [[ -d $folder ]]; then return 0; fi
    mkdir -p "$BED_CACHE/work" "$BED_CACHE/log"
    work=$(mktemp -d "$BED_CACHE/work/XXXXXXXX")
    chmod 755 "$work"
    say "building ${folder##*/}"
    # A subshell that is part of a condition would run on after an error, `set -e` or not; hence the detour.
    local status
    set +e
    (
        set -e
        cd "$work"
        "$@"
    ) < /dev/null > "$BED_CACHE/log/${folder##*/}.log" 2>&1
    status=$?
    set -e
    if ((status != 0)); then
        tail -n 30 "$BED_CACHE/log/${folder##*/}.log" >&2
        die "building ${folder##*/} failed" "the whole log is $BED_CACHE/log/${folder##*/}.log"
    fi
    mv -T "$work" "$folder"
}

# Takes the lock that build, up and down share. The descriptor is closed for whatever outlives the command.
lock() {
    mkdir -p "$BED_CACHE"
    exec 9> "$BED_CACHE/lock"
    if ! flock -n 9; then
        say "waiting for another command of the test cluster to end"
        flock 9
    fi
}

need_root() {
    if ((EUID != 0)); then die "the test cluster needs root: it makes namespaces, mounts and cgroups" "run it with sudo -E"; fi
}

# The test cluster is one process, the init of its own PID namespace. Its identity is the PID and its start time
# and the boot it belongs to: a PID alone may belong to another process since.
process_identity() {
    local stat
    stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
    stat=${stat##*) }
    # Field 22 of the file is the 20th after the command's name.
    printf '%s %s %s\n' "$1" "$(cut -d' ' -f20 <<< "$stat")" "$(cat /proc/sys/kernel/random/boot_id)"
}

# Prints the PID of the running test cluster's init, or fails.
bed_pid() {
    local recorded pid
    recorded=$(cat "$BED_STATE/init" 2> /dev/null) || return 1
    pid=${recorded%% *}
    [[ -n $pid && $(process_identity "$pid") == "$recorded" ]] || return 1
    printf '%s\n' "$pid"
}
