"""What the scripts with a job of their own share: tests/soak and tests/chaos. The benchmarks choose theirs by the environment."""

import os
import subprocess

BED = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def flink_version():
    """The release of Flink whose images the test cluster has: the environment's, or that of the versions file."""
    with open(os.path.join(BED, "versions")) as versions:
        lines = dict(line.strip().split("=", 1) for line in versions if "=" in line and not line.startswith("#"))
    return os.environ.get("FLINK_VERSION") or lines["FLINK_VERSION"]


# The counting job, small, with its state in the claim `storage`.
SMALL = [
    f"--image=counting-job:{flink_version()}",
    "--job-class=org.kubectlflink.jobs.CountingJob",
    "--jobmanager-memory=800m",
    "--taskmanager-memory=1g",
    "--env=JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "--mount=storage:/storage",
    "--savepoint-dir=file:///storage/savepoints",
]


def kubectl(*arguments, check=True):
    """Runs kubectl; gives what it prints."""
    return subprocess.run(["kubectl", *arguments], check=check, capture_output=True, text=True).stdout


def namespace_with_storage(name):
    """Makes a namespace with the claim `storage`."""
    kubectl("create", "namespace", name)
    subprocess.run([os.path.join(BED, "storage"), name], check=True, stdout=subprocess.DEVNULL)
