"""What the benchmarks share: runs in turns, tables, namespaces."""

import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

PLUGIN = os.environ.get("KUBECTL_FLINK", "kubectl-flink")
IMAGE = os.environ.get("BENCH_IMAGE", "counting-job:2.3.0")
SMALL = [
    "--jobmanager-memory=800m",
    "--taskmanager-memory=1g",
    "--env",
    "JAVA_TOOL_OPTIONS=-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
]


def peak(command):
    """Peak of a command's memory in KiB. It must succeed.

    Linux counts what a process was before it became the command, which here is this one: so a small program starts it.
    """
    with tempfile.NamedTemporaryFile("r") as report:
        words = ["bash", "-c", command] if isinstance(command, str) else command
        run(["/usr/bin/time", "--format=%M", f"--output={report.name}", *words])
        return int(report.read().split()[-1])


def run(command, stdin=None):
    """Runs a command; gives its seconds, its processor time and what it said. It must succeed."""
    begun = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        shell=isinstance(command, str),
        executable="/bin/bash" if isinstance(command, str) else None,
    )
    if stdin:
        process.stdin.write(stdin.encode())
        process.stdin.close()
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    if status != 0:
        sys.exit(f"{command} failed:\n{said}")
    return {"wall": seconds, "cpu": usage.ru_utime + usage.ru_stime, "stderr": said}


def output(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def by_turns(commands, rounds, after=None):
    """Measures commands in turns. The first round of each warms up, and looks at the memory only."""
    measured = {name: [] for name in commands}
    peaks = {}
    for number in range(rounds + 1):
        for name, command in commands.items():
            if number:
                measured[name].append(run(command) | {"memory": peaks[name]})
            else:
                peaks[name] = peak(command)
            if after:
                after(name)
    return measured


def table(title, measured):
    print(f"\n### {title}\n")
    print("| command | median | shortest | longest | processor | peak memory |")
    print("|---|---|---|---|---|---|")
    for name, runs in measured.items():
        wall = [one["wall"] * 1000 for one in runs]
        cpu = statistics.median(one["cpu"] * 1000 for one in runs)
        memory = max(one["memory"] for one in runs) / 1024
        print(
            f"| `{name.replace('|', chr(92) + '|')}` | {statistics.median(wall):.1f} ms | {min(wall):.1f} ms | {max(wall):.1f} ms "
            f"| {cpu:.1f} ms | {memory:.1f} MiB |"
        )
    names = list(measured)
    base = statistics.median(one["wall"] for one in measured[names[0]])
    peak = max(one["memory"] for one in measured[names[0]])
    for other in names[1:]:
        time_factor = statistics.median(one["wall"] for one in measured[other]) / base
        memory_factor = max(one["memory"] for one in measured[other]) / peak
        print(f"\n`{names[0]}` takes 1/{time_factor:.1f} of the time of `{other}`, and 1/{memory_factor:.1f} of its memory.")


def machine():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    load = open("/proc/loadavg").read().split()[0]
    memory = int(re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read()).group(1)) // (1 << 20)
    print(
        f"Machine: {os.cpu_count()} processors ({model.group(1) if model else platform.machine()}), {memory} GiB, "
        f"load {load} before the run. {output([PLUGIN, '--version']).strip()}, "
        f"{output(['kubectl', 'version', '--client']).splitlines()[0]}."
    )


def namespace(name):
    subprocess.run(["kubectl", "create", "namespace", name], check=True, capture_output=True)


def forget(names):
    subprocess.run(["kubectl", "delete", "namespace", "--wait=false", *names], check=False, capture_output=True)
