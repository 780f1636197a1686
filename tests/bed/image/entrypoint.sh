#!/bin/bash
# The first process of a Flink container. It answers the words, the environment variables and the oddities of
# the official image's entrypoint, so that what works here works there. Written for the bed; where it does
# something that looks wrong (white space lost, settings dropped without a word), the official image does too.

export FLINK_HOME=${FLINK_HOME:-/opt/flink}
CONF=$FLINK_HOME/conf

# Up to 1.18 there is flink-conf.yaml alone, from 2.0 on config.yaml alone; between, the old file wins.
if [[ -e $CONF/flink-conf.yaml || ! -e $FLINK_HOME/bin/config-parser-utils.sh ]]; then
    conf_file=$CONF/flink-conf.yaml
else
    conf_file=$CONF/config.yaml
fi

# Pending changes to the configuration, as key=value.
settings=()

# Started as root, Flink itself still runs as its own user. Any other user was chosen by the Pod, and stays.
as_flink=()
if [[ $(id -u) == 0 ]]; then as_flink=(setpriv --reuid=flink --regid=flink --init-groups); fi

enable_plugins() {
    local name names
    IFS=';' read -r -a names <<< "${ENABLE_BUILT_IN_PLUGINS//[[:space:]]/}"
    for name in "${names[@]}"; do
        [[ -n $name ]] || continue
        if [[ ! -e $FLINK_HOME/opt/$name ]]; then
            echo "Plugin $name does not exist in $FLINK_HOME/opt." >&2
            exit 1
        fi
        mkdir -p "$FLINK_HOME/plugins/${name%.jar}"
        ln -fs "$FLINK_HOME/opt/$name" "$FLINK_HOME/plugins/${name%.jar}/$name"
        echo "Linked $name as a plugin"
    done
}

# Flat files: a line is replaced where it stands, else added at the end.
set_flat() {
    local setting key value content
    content=$(< "$conf_file")
    for setting in "${settings[@]}"; do
        key=${setting%%=*} value=${setting#*=}
        content=$(KEY=$key VALUE=$value awk '
            BEGIN { key = ENVIRON["KEY"] ":"; line = key " " ENVIRON["VALUE"] }
            index($0, key) == 1 { print line; found = 1; next }
            { print }
            END { if (!found) print line }' <<< "$content")
    done
    # Where the file cannot be written, all of it is lost and nothing is said.
    { printf '%s\n' "$content" > "$conf_file"; } 2> /dev/null || true
}

# Nested files: Flink brings a tool that reads, changes and writes them.
set_nested() {
    local setting arguments=()
    for setting in "${settings[@]}"; do arguments+=(-D "$setting"); done
    "$FLINK_HOME/bin/config-parser-utils.sh" "$CONF" "$FLINK_HOME/bin" "$FLINK_HOME/lib" "${arguments[@]}" \
        > /dev/null 2>&1 || true
}

configure() {
    settings=("jobmanager.rpc.address=${JOB_MANAGER_RPC_ADDRESS:-$(hostname -f)}")
    settings+=("blob.server.port=6124" "query.server.port=6125")
    if [[ -n ${TASK_MANAGER_NUMBER_OF_TASK_SLOTS:-} ]]; then
        settings+=("taskmanager.numberOfTaskSlots=$TASK_MANAGER_NUMBER_OF_TASK_SLOTS")
    fi
    if [[ ! -e $FLINK_HOME/bin/config-parser-utils.sh ]]; then
        set_flat
        # Up to 1.18: the text is added as it is, then variables are replaced in the whole file.
        if [[ -n ${FLINK_PROPERTIES:-} ]]; then { printf '%s\n' "$FLINK_PROPERTIES" >> "$conf_file"; } 2> /dev/null; fi
        local content
        content=$(envsubst < "$conf_file")
        { printf '%s\n' "$content" > "$conf_file"; } 2> /dev/null || true
        return
    fi
    # From 1.19 on: line by line, without any white space, variables replaced in the values.
    local line
    while IFS= read -r line; do
        line=${line//[[:space:]]/}
        [[ $line == *:* ]] || continue
        settings+=("${line%%:*}=$(envsubst <<< "${line#*:}")")
    done <<< "${FLINK_PROPERTIES:-}"
    if [[ $conf_file == */config.yaml ]]; then set_nested; else set_flat; fi
}

if [[ -n ${ENABLE_BUILT_IN_PLUGINS:-} ]]; then enable_plugins; fi
configure

case ${1:-help} in
    help)
        echo "Usage: $(basename "$0") (jobmanager|standalone-job|taskmanager|history-server) [ARGUMENT...]"
        echo "   or: $(basename "$0") help"
        echo "Any other word is run as a command."
        exit 0
        ;;
    jobmanager | standalone-job | taskmanager)
        word=$1
        shift
        exec "${as_flink[@]}" "$FLINK_HOME/bin/$word.sh" start-foreground "$@"
        ;;
    history-server)
        shift
        exec "${as_flink[@]}" "$FLINK_HOME/bin/historyserver.sh" start-foreground "$@"
        ;;
    native-k8s)
        # Flink's own Kubernetes client hands over one shell command.
        shift
        exec "${as_flink[@]}" bash -c "$*"
        ;;
    *)
        exec "${as_flink[@]}" "$@"
        ;;
esac
