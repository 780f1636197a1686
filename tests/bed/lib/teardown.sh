# shellcheck shell=bash
# Removes the test cluster: running, started in part, or left over from before a reboot. Sourced; needs the lock.

teardown() {
    local pid folder round
    refuse_other_bed
    if pid=$(bed_pid); then
        # The init of a PID namespace takes every process in it along, but only SIGKILL reaches it from outside.
        kill -KILL "$pid" 2> /dev/null || true
        for ((round = 0; round < 100; round++)); do
            bed_pid > /dev/null || break
            sleep 0.1
        done
        if bed_pid > /dev/null; then die "process $pid, the test cluster's init, does not end"; fi
    fi
    remove_cgroups
    if [[ -d $BED_STATE ]]; then
        # Mounts lived in the test cluster's own namespace and went with it. Should one be seen here all the same, removing
        # the state would remove what is mounted.
        if grep -qF " $BED_STATE/" /proc/self/mounts; then
            die "something is mounted below $BED_STATE" "umount it, then run tests/bed/down again"
        fi
        while IFS= read -r folder; do
            rmdir "$folder" 2> /dev/null || true
        done < <(tac "$BED_STATE/host-folders" 2> /dev/null)
        rm -rf "$BED_STATE"
    fi
    rm -f "$BED_NOTE"
}

# Folders and cgroups have fixed names, so there is one test cluster on a machine. Another cache may have another test cluster.
BED_NOTE=/run/kubectl-flink-bed
refuse_other_bed() {
    local other
    other=$(cat "$BED_NOTE" 2> /dev/null) || return 0
    if [[ $other != "$BED_STATE" ]] && BED_STATE=$other bed_pid > /dev/null; then
        die "another test cluster is running, with its state in $other" "end it with the XDG_CACHE_HOME it was started with"
    fi
}

# Empty cgroups stay behind when the processes are gone. The deepest go first; one whose last process has only
# just ended is still busy for a moment.
remove_cgroups() {
    local round root left
    for ((round = 0; round < 50; round++)); do
        left=
        for root in /sys/fs/cgroup/"$CGROUP_NAME" /sys/fs/cgroup/*/"$CGROUP_NAME"; do
            [[ -d $root ]] || continue
            find "$root" -depth -type d -exec rmdir {} + 2> /dev/null || left=$root
        done
        if [[ -z $left ]]; then return 0; fi
        sleep 0.1
    done
    say "a cgroup cannot be removed: $left"
}
