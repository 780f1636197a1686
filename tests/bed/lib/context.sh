# shellcheck shell=bash
# BED_CONTEXT: a cluster of your own in place of the test cluster. Sourced.

# Writes a kubeconfig with nothing but the context BED_CONTEXT, so that no command can reach another cluster.
write_context() {
    kubectl config view --raw --minify --flatten --context="$BED_CONTEXT" > "$1" \
        || die "there is no context $BED_CONTEXT" "kubectl config get-contexts"
    kubectl --kubeconfig="$1" config use-context "$BED_CONTEXT" > /dev/null
}

run_with_context() {
    local file status=0
    file=$(mktemp)
    # Not exec: the file holds credentials and must go. Ctrl-C is for the command; this waits for its end.
    trap : INT QUIT
    # shellcheck disable=SC2064 # the name as it is now
    trap "rm -f '$file'" EXIT
    write_context "$file"
    KUBECONFIG=$file BED_INSIDE=1 "$@" || status=$?
    exit "$status"
}

check_context() {
    local file
    file=$(mktemp)
    # shellcheck disable=SC2064
    trap "rm -f '$file'" EXIT
    write_context "$file"
    kubectl --kubeconfig="$file" version > /dev/null || die "the cluster of context $BED_CONTEXT does not answer"
    say "the cluster of context $BED_CONTEXT answers; nothing is built or started"
}
