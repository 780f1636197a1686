#!/bin/bash
# The first process of an image as Flink's own flink-container scripts built them before there were official
# images: two words, other than today's, and nothing in the environment changes the configuration.

word=${1:---help}
if (($# > 0)); then shift; fi
case $word in
    job-cluster) exec "$FLINK_HOME/bin/standalone-job.sh" start-foreground "$@" ;;
    task-manager) exec "$FLINK_HOME/bin/taskmanager.sh" start-foreground "$@" ;;
    *)
        echo "Usage: $(basename "$0") (job-cluster|task-manager) [ARGUMENT...]"
        [[ $word == --help || $word == -h ]] && exit 0
        exit 1
        ;;
esac
