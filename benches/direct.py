"""The start of Flink's processes by the image's scripts, without their helper JVMs, and with an archive of the classes."""

import os
import statistics
import subprocess
import sys
import time
from datetime import datetime

from measure import IMAGE, PLUGIN, SMALL, forget, namespace, run

STORAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "bed", "storage")
# Java 13 and later write the classes that a process has loaded at its end, and map them at the start of the next one.
ARCHIVE = "/storage/jobmanager.jsa"
MOUNT = ["--mount=storage:/storage", "--savepoint-dir=file:///storage/savepoints"]

# The first line of a role's log that says that it is ready.
READY = {"master": "Rest endpoint listening at", "task-manager": "Successful registration at resource manager"}
# When the first process was started, in hundredths of a second since the machine's start; since when it runs; the time.
CLOCKS = "sed 's/.*) //' /proc/1/stat | cut -d' ' -f20; cut -d' ' -f1 /proc/uptime; date +%s.%N"


def kubectl(place, *arguments):
    return subprocess.run(["kubectl", "-n", place, *arguments], capture_output=True, text=True).stdout


def ready_after(place, component):
    """Seconds from the start of the container's first process to the line that says that its role is ready."""
    begun = time.monotonic()
    while True:
        if time.monotonic() - begun > 180:
            sys.exit(f"the {component} is not ready after 180 s")
        pod = kubectl(place, "get", "pods", "-l", f"app=demo,component={component}", "-o", "name").strip()
        log = kubectl(place, "logs", pod, "--timestamps") if pod and "\n" not in pod else ""
        lines = [line for line in log.splitlines() if READY[component] in line]
        if lines:
            break
        time.sleep(0.5)
    ticks, uptime, now = map(float, kubectl(place, "exec", pod, "--", "bash", "-c", CLOCKS).split())
    stamp = datetime.fromisoformat(lines[0].split(" ")[0][:26].rstrip("Z") + "+00:00").timestamp()
    return stamp - (now - uptime + ticks / 100)


def create(place, *flags):
    run([PLUGIN, "create", "demo", "-n", place, "--wait=false", f"--image={IMAGE}", *SMALL, *MOUNT, *flags, "--", "--rate", "50"])
    return [ready_after(place, component) for component in READY]


def java_options(text):
    return ["--direct-start", "-D", f"env.java.opts.jobmanager={text}"]


def direct(args):
    """Each round creates a cluster in each way."""
    place = f"bench-direct-{os.getpid()}"
    namespace(place)
    ways = {
        "by the image's scripts": [],
        "--direct-start": ["--direct-start"],
        "--direct-start and a class data archive": java_options(f"-XX:SharedArchiveFile={ARCHIVE}"),
    }
    rows = {name: [] for name in ways}
    try:
        subprocess.run([STORAGE, place], check=True, capture_output=True)
        create(place, *java_options(f"-XX:ArchiveClassesAtExit={ARCHIVE}"))
        run([PLUGIN, "wait", "demo", "-n", place, "--for=running", "--timeout=300s"])
        run([PLUGIN, "stop", "demo", "-n", place, "--yes"])
        run([PLUGIN, "delete", "demo", "-n", place, "--yes", "--purge"])
        for number in range(args.rounds + 1):
            for name, flags in ways.items():
                times = create(place, *flags)
                run([PLUGIN, "delete", "demo", "-n", place, "--yes", "--purge"])
                print(f"round {number}, {name}: {times[0]:.1f} s, {times[1]:.1f} s", file=sys.stderr, flush=True)
                if number:
                    rows[name].append(times)
    finally:
        forget([place])
    print("\n### From the container's start to a role that is ready\n")
    print("| start | JobManager answers REST | TaskManager is registered |")
    print("|---|---|---|")
    medians = {name: [statistics.median(times[at] for times in runs) for at in (0, 1)] for name, runs in rows.items()}
    for name, times in medians.items():
        print(f"| {name} | {times[0]:.1f} s | {times[1]:.1f} s |")
    scripts = medians.pop("by the image's scripts")
    for name, own in medians.items():
        ratios = [f"{own[at] / scripts[at]:.2f}" for at in (0, 1)]
        print(f"\n{name}: {ratios[0]} of the scripts' time in the JobManager, and {ratios[1]} in the TaskManager.")
