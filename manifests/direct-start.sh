#!/bin/bash
# The command of Flink's container with --direct-start. It runs the image's own entrypoint, with a JAVA_HOME whose `java`
# answers what Flink's scripts ask their helper JVMs (BashJavaUtils) before they start the JVM of Flink: the memory
# parameters, which the plugin has computed, the configuration file as a flat list, and the version of Java. Every
# question that it does not understand, and Flink itself, goes to the image's own java: so the command line of Flink is
# always the one that the scripts make. Lines that begin with # are left out of the Pod.
#
# Its arguments: the JVM's memory parameters and Flink's dynamic parameters (empty: Flink's helper has to compute them),
# the number of slots that they hold for, and the arguments of the entrypoint.
#
# Source: docker-entrypoint.sh, config.sh, bash-java-utils.sh, flink-console.sh and BashJavaUtils of 1.13 to 2.3.

# Reads Flink's config.yaml into `keys` and `values`, a value as it is written there. It fails at what is not a plain
# map of plain or simply quoted scalars.
read_yaml() {
    local line key value indent path top=-1 open='' levels=() prefixes=()
    keys=()
    values=()
    while IFS= read -r line || [[ -n $line ]]; do
        if [[ $line =~ ^\ *(#.*)?$ ]]; then continue; fi
        [[ $line =~ ^(\ *)([A-Za-z0-9_.-]+):(\ +(.*[^ ]))?\ *$ ]] || return 1
        indent=${#BASH_REMATCH[1]} key=${BASH_REMATCH[2]} value=${BASH_REMATCH[4]}
        # The keys of a map are below each other.
        if ((top < 0)) || [[ -n $open ]]; then
            ((top < 0 || indent > levels[top])) || return 1
            levels[++top]=$indent
            prefixes[top]=${open:+$open.}
        fi
        while ((top > 0 && levels[top] > indent)); do ((top -= 1)); done
        ((levels[top] == indent)) || return 1
        path=${prefixes[top]}$key open=''
        case $value in
            '' | '#'*)
                open=$path
                continue
                ;;
            \'*)
                [[ $value =~ ^(\'[^\']*\')(\ +#.*)?$ ]] || return 1
                value=${BASH_REMATCH[1]}
                ;;
            '"'*)
                [[ $value =~ ^(\"[^\"\\]*\")(\ +#.*)?$ ]] || return 1
                value=${BASH_REMATCH[1]}
                ;;
            *)
                value=${value%%[[:space:]]#*}
                value=${value%"${value##*[! ]}"}
                if [[ $value == '~' || ${value,,} == null || $value == []\|\>\&*!%@\`[{},?]* || $value == *:\ * || $value == *: || $value == -\ * || $value == - ||
                    $value == *[!\ -~]* ]]; then return 1; fi
                ;;
        esac
        set_key "$path" "$value" || return 1
    done < "$1"
    [[ -z $open ]]
}

# set_key KEY VALUE [over]: a key may be said twice only by an argument over the file, and is no map beside.
set_key() {
    local at
    for at in "${!keys[@]}"; do
        if [[ ${keys[at]} == "$1".* || $1 == "${keys[at]}".* ]]; then return 1; fi
        if [[ ${keys[at]} == "$1" ]]; then
            values[at]=$2
            [[ ${3:-} == over ]]
            return
        fi
    done
    keys+=("$1")
    values+=("$2")
}

# Prints the configuration of folder $1, changed by the arguments after it, as Flink's helper does.
configuration() {
    local flat='' at value inner
    if [[ -e $1/flink-conf.yaml ]] || ! read_yaml "$1/config.yaml"; then return 1; fi
    shift
    while (($# > 0)); do
        case $1 in
            -flatten) flat=1 ;;
            -D)
                shift
                set -- "-D${1:-}" "${@:2}"
                continue
                ;;
            -D*)
                [[ $1 =~ ^-D([A-Za-z0-9_.-]+)=([\ -~]*)$ ]] || return 1
                inner=${BASH_REMATCH[2]}
                set_key "${BASH_REMATCH[1]}" "'${inner//\'/\'\'}'" over || return 1
                ;;
            *) return 1 ;;
        esac
        shift
    done
    if [[ -n $flat ]]; then
        for at in "${!keys[@]}"; do
            # The scripts read these only.
            if [[ ${keys[at]} != env.* ]]; then continue; fi
            value=${values[at]}
            inner=$value
            if [[ $value == [\"\']* ]]; then inner=${value:1:${#value}-2}; fi
            if [[ $inner =~ ^(0|[1-9][0-9]*|true|false)$ ]]; then
                # Flink writes a text that looks like a number in quotes.
                if [[ $value != "$inner" ]]; then value=\'$inner\'; fi
            elif [[ $inner =~ ^[A-Za-z/]|^--?[A-Za-z] && ! ${inner,,} =~ ^(y|n|yes|no|on|off|true|false|null)$ &&
                $inner != *[:\ ] && $inner != *:\ * && $inner != *\ \#* && $inner != *\'* ]]; then
                value=$inner
            else
                return 1
            fi
            values[at]=$value
        done
    fi
    for at in "${!keys[@]}"; do printf 'BASH_JAVA_UTILS_EXEC_RESULT:%s: %s\n' "${keys[at]}" "${values[at]}"; done
}

# Prints the memory parameters, unless the configuration file of folder $2 has settings of memory that the plugin did not
# see. $1 is a pattern of such keys, and after the folder are the arguments, which are stronger than the file.
memory() {
    local at pattern=$1 file=$2/config.yaml line
    [[ -n $jvm && -z ${FLINK_JM_HEAP:-}${FLINK_TM_HEAP:-} ]] || return 1
    if [[ -e $2/flink-conf.yaml ]]; then
        file=$2/flink-conf.yaml
        keys=()
        values=()
        while IFS= read -r line || [[ -n $line ]]; do
            line=${line%%#*}
            if [[ $line =~ ^[[:space:]]*([^:[:space:]]+)[[:space:]]*:[[:space:]]*([^[:space:]]*) ]]; then
                keys+=("${BASH_REMATCH[1]}")
                values+=("${BASH_REMATCH[2]}")
            fi
        done < "$file"
    else
        read_yaml "$file" || return 1
    fi
    shift 2
    for at in "${!keys[@]}"; do
        if [[ ! ${keys[at]} =~ $pattern || " $*" == *" -D${keys[at]}="* || " $*" == *" -D ${keys[at]}="* ]]; then continue; fi
        [[ ${keys[at]} == taskmanager.numberOfTaskSlots && ${values[at]//[\'\"]/} == "$slots" ]] || return 1
    done
    printf 'BASH_JAVA_UTILS_EXEC_RESULT:%s\n' "$jvm" "$dynamic"
}

# What is run as `java`.
java_or_answer() {
    local key value keys values
    if [[ $# == 1 && $1 == -XshowSettings:properties && -r $real/release ]]; then
        while IFS='"' read -r key value _; do
            if [[ $key == JAVA_VERSION= ]]; then
                value=${value#1.}
                printf '    java.specification.version = %s\n' "${value%%[!0-9]*}"
                exit
            fi
        done < "$real/release"
    elif [[ ${3:-} == org.apache.flink.runtime.util.bash.BashJavaUtils && ${5:-} == --configDir ]]; then
        case $4 in
            UPDATE_AND_GET_FLINK_CONFIGURATION) configuration "${@:6}" && exit ;;
            GET_JM_RESOURCE_PARAMS) memory '^jobmanager\.(memory|heap)\.' "${@:6}" && exit ;;
            GET_TM_RESOURCE_PARAMS)
                memory '^taskmanager\.(memory|heap|network|cpu)\.|^taskmanager\.numberOfTaskSlots$|^external-resource' "${@:6}" && exit
                ;;
        esac
        echo "kubectl-flink: Flink's own helper answers $4" 2> /dev/null > /proc/1/fd/2
    fi
    key=java
    if [[ -d $real ]]; then key=$real/bin/java; fi
    if [[ -n $real ]]; then export JAVA_HOME=$real; else unset JAVA_HOME; fi
    if [[ -n ${JAVA_RUN:-} ]]; then export JAVA_RUN=$key; fi
    exec "$key" "$@"
}

flink=${FLINK_HOME:-/opt/flink}
if [[ ! -x /docker-entrypoint.sh || ! -r $flink/bin/config.sh || ! -d $flink/lib ]]; then
    echo "kubectl-flink: this image cannot be started directly: it has no /docker-entrypoint.sh, or no Flink in $flink" >&2
    exit 1
fi
real=${JAVA_HOME:-} jvm=$1 dynamic=$2 slots=$3
shift 3
folder=$(mktemp -d) && mkdir "$folder/bin" && {
    echo "#!$BASH"
    declare -p real jvm dynamic slots
    declare -f read_yaml set_key configuration memory java_or_answer
    echo 'java_or_answer "$@"'
} > "$folder/bin/java" && chmod 755 "$folder" "$folder/bin" "$folder/bin/java"
if [[ -n $folder && -x $folder/bin/java ]]; then
    export JAVA_HOME=$folder
else
    echo "kubectl-flink: programs cannot be written to ${TMPDIR:-/tmp}, so Flink's own helpers are started" >&2
fi
exec /docker-entrypoint.sh "$@"
