"""Benchmarks of jobs that run: until all tasks of a new one do, and of a changed one again."""

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from measure import IMAGE, PLUGIN, SMALL, forget, namespace, output, run

FLINK_HOME = os.environ.get("FLINK_HOME")
STORAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "bed", "storage")
FLAGS = [f"--image={IMAGE}", *SMALL, "--mount=storage:/storage", "--savepoint-dir=file:///storage/savepoints"]
JOB = ["--", "--rate", "50"]


def place_with_storage(topic):
    place = f"bench-{topic}-{os.getpid()}"
    namespace(place)
    subprocess.run([STORAGE, place], check=True, capture_output=True)
    return place


def rest(place, path, *more):
    raw = f"/api/v1/namespaces/{place}/services/demo-master:8081/proxy/{path}"
    return subprocess.run(["kubectl", "get", "--raw", raw, *more], capture_output=True, text=True)


def all_run(text):
    """Whether the answer of Flink's jobs/overview is that each task of a job runs."""
    jobs = json.loads(text)["jobs"] if text.startswith("{") else []
    return any(one["state"] == "RUNNING" and one["tasks"]["running"] == one["tasks"]["total"] > 0 for one in jobs)


def look_until_all_run(place):
    """As a script does: once a second."""
    while not all_run(rest(place, "jobs/overview").stdout):
        time.sleep(1)


def last_task_ran_at(place):
    """When the last task of the job began to run, in seconds since 1970, by Flink's own clock, which is this machine's."""
    job = json.loads(rest(place, "jobs/overview").stdout)["jobs"][0]["jid"]
    vertices = [one["id"] for one in json.loads(rest(place, f"jobs/{job}").stdout)["vertices"]]
    times = [json.loads(rest(place, f"jobs/{job}/vertices/{one}/subtasktimes").stdout)["subtasks"] for one in vertices]
    return max(one["timestamps"]["RUNNING"] for subtasks in times for one in subtasks) / 1000


def delete(place):
    run([PLUGIN, "delete", "demo", "-n", place, "--yes", "--purge"])


def native(*arguments):
    """A line for the shell that calls Flink's own command line; it keeps quiet."""
    return f"{flink(*arguments)} > /dev/null 2>&1"


def flink(*arguments):
    """The same with all that it prints."""
    return f"FLINK_CONF_DIR={FLINK_HOME}/conf {FLINK_HOME}/bin/flink {' '.join(arguments)}"


def row(name, runs, digits=1):
    cells = [f"{statistics.median(one[at] for one in runs):.{digits}f} s" for at in range(len(runs[0]))]
    print(f"| {name} | {' | '.join(cells)} |")


def bringup(args):
    """From the command to all tasks running."""
    place = place_with_storage("bringup")
    try:
        rows = {"kubectl-flink create": [], "create --wait=false, then a look each second": []}
        for number in range(args.rounds + 1):
            begun = time.monotonic()
            run([PLUGIN, "create", "demo", "-n", place, *FLAGS, *JOB])
            whole, ended = time.monotonic() - begun, time.time()
            late = ended - last_task_ran_at(place)
            delete(place)
            if number:
                rows["kubectl-flink create"].append((whole, late))
            begun = time.monotonic()
            run([PLUGIN, "create", "demo", "-n", place, "--wait=false", *FLAGS, *JOB])
            look_until_all_run(place)
            whole, ended = time.monotonic() - begun, time.time()
            late = ended - last_task_ran_at(place)
            delete(place)
            if number:
                rows["create --wait=false, then a look each second"].append((whole, late))
        if FLINK_HOME:
            rows["flink run -t kubernetes-application, then a look each second"] = [
                native_bringup(place) for _ in range(args.rounds + 1)][1:]
        print("\n### From the command to all tasks running\n")
        print("| how | in all | of it after the last task ran |")
        print("|---|---|---|")
        for name, runs in rows.items():
            row(name, runs, 2)
    finally:
        forget([place])


# Its client asks the JobManager at a node, since the names of Services mean nothing outside of Pods.
NATIVE = ["-t", "kubernetes-application", "-Dkubernetes.cluster-id=native", "-Dkubernetes.rest-service.exposed.type=NodePort",
          "-Dkubernetes.rest-service.exposed.node-port-address-type=InternalIP"]
# The same storage as with the plugin.
POD = {
    "apiVersion": "v1", "kind": "Pod", "spec": {
        "containers": [{"name": "flink-main-container", "volumeMounts": [{"name": "storage", "mountPath": "/storage"}]}],
        "volumes": [{"name": "storage", "persistentVolumeClaim": {"claimName": "storage"}}],
    },
}


def native_allow(place):
    """Flink's own JobManager makes its TaskManagers itself."""
    subprocess.run(["kubectl", "create", "rolebinding", "native", "--clusterrole=edit", f"--serviceaccount={place}:default",
                    "-n", place], capture_output=True, check=False)


def native_start(place, *more):
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as pod:
        json.dump(POD, pod)
        pod.flush()
        native_run(place, pod.name, *more)


def native_run(place, pod, *more):
    options = [
        f"-Dkubernetes.pod-template-file.default={pod}",
        f"-Dkubernetes.namespace={place}", f"-Dkubernetes.container.image.ref={IMAGE}", "-Dkubernetes.service-account=default",
        "-Djobmanager.memory.process.size=800m", "-Dtaskmanager.memory.process.size=1g",
        "-Dkubernetes.jobmanager.cpu.amount=0.1", "-Dkubernetes.taskmanager.cpu.amount=0.1",
        # Without these a tenth of a processor is the limit, too, where the plugin sets none.
        "-Dkubernetes.jobmanager.cpu.limit-factor=20", "-Dkubernetes.taskmanager.cpu.limit-factor=20",
        "-Dexecution.checkpointing.storage=jobmanager",
        "-Dcontainerized.master.env.JAVA_TOOL_OPTIONS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'",
        "-Dcontainerized.taskmanager.env.JAVA_TOOL_OPTIONS='-XX:TieredStopAtLevel=1 -XX:+UseSerialGC'",
    ]
    run(native("run", *NATIVE, *options, *more, "local:///opt/flink/usrlib/counting-job.jar", *map(shlex.quote, JOB[1:])))


def native_rest(place, path):
    raw = f"/api/v1/namespaces/{place}/services/native-rest:8081/proxy/{path}"
    return subprocess.run(["kubectl", "get", "--raw", raw], capture_output=True, text=True).stdout


def native_until_all_run(place):
    while not all_run(native_rest(place, "jobs/overview")):
        time.sleep(1)


def native_delete(place):
    subprocess.run(["kubectl", "delete", "deploy", "native", "-n", place, "--cascade=foreground", "--wait"], check=True,
                   capture_output=True)


def native_bringup(place):
    native_allow(place)
    begun = time.monotonic()
    native_start(place)
    native_until_all_run(place)
    whole = time.monotonic() - begun
    native_delete(place)
    return whole, float("nan")


def native_change(place):
    """What Flink's documentation says: stop with a savepoint, and run again from it."""
    job = json.loads(native_rest(place, "jobs/overview"))["jobs"][0]["jid"]
    begun = time.monotonic()
    stop = flink("stop", *NATIVE, f"-Dkubernetes.namespace={place}", "--savepointPath", "file:///storage/savepoints", job)
    printed = subprocess.run(stop, shell=True, capture_output=True, text=True, check=True).stdout
    path = re.search(r"Path: (\S+)", printed).group(1)
    stopped = time.monotonic() - begun
    # The JobManager deletes its Deployment when its job has ended; its name is taken until then.
    while subprocess.run(["kubectl", "get", "deploy", "native", "-n", place], capture_output=True).returncode == 0:
        time.sleep(1)
    native_start(place, "-s", path)
    native_until_all_run(place)
    return stopped, time.monotonic() - begun


def change(args):
    """A running job stopped with a savepoint and started from it, until all tasks run again."""
    place = place_with_storage("change")
    direct = place_with_storage("change-direct")
    try:
        run([PLUGIN, "create", "demo", "-n", place, *FLAGS, *JOB])
        run([PLUGIN, "create", "demo", "-n", direct, "--direct-start", *FLAGS, *JOB])
        ways = {
            "kubectl-flink savepoint-resume": lambda number: by_plugin(["savepoint-resume", "demo", "-n", place]),
            "kubectl-flink upgrade": lambda number: by_plugin(
                ["upgrade", "demo", "-n", place, f"--env=ROUND={time.time()}", "--yes"]),
            "kubectl-flink upgrade --surge=never": lambda number: by_plugin(
                ["upgrade", "demo", "-n", place, f"--env=ROUND={time.time()}", "--yes", "--surge=never"]),
            "kubectl-flink upgrade of a direct start": lambda number: by_plugin(
                ["upgrade", "demo", "-n", direct, f"--env=ROUND={time.time()}", "--yes"]),
            "by hand": lambda number: by_hand(place),
            "by hand, TaskManagers deleted too": lambda number: by_hand(place, taskmanagers=True),
        }
        if FLINK_HOME:
            native_allow(place)
            native_start(place)
            native_until_all_run(place)
            ways["flink stop, then flink run"] = lambda number: native_change(place)
        ways = {name: way for name, way in ways.items() if any(text in name for text in args.only.split(","))}
        rows = {name: [] for name in ways}
        phases = []
        for number in range(args.rounds):
            for name, way in ways.items():
                stopped, whole, *texts = way(number)
                print(f"round {number + 1}, {name}: {whole:.1f} s", file=sys.stderr, flush=True)
                rows[name].append((stopped, whole))
                phases += [f"{name}: {text}" for text in texts]
        print("\n### From the stop request to all tasks running\n")
        print("| how | savepoint written | all tasks run |")
        print("|---|---|---|")
        for name, runs in rows.items():
            row(name, runs)
        print("\nBy phase, each round:\n")
        for line in phases:
            print(f"- {line}")
    finally:
        forget([place, direct])


def by_plugin(arguments):
    """What the plugin says itself: what comes before the stop request and after all tasks run is no pause."""
    process = subprocess.run([PLUGIN, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, check=False)
    found = re.search(r"without processing for ([0-9.]+) s: savepoint ([0-9.]+) s.*", process.stderr)
    if process.returncode != 0 or not found:
        sys.exit(f"{' '.join(arguments)} failed:\n{process.stderr}")
    return float(found.group(2)), float(found.group(1)), found.group(0)


def by_hand(place, taskmanagers=False):
    """What a user does with kubectl: stop by REST, read the path, delete the Job, change it, create it, look until it runs.

    With `taskmanagers` those are deleted side by side with the JobManager, and need not time out first.
    """
    job = json.loads(output(["kubectl", "get", "job", "demo-master", "-n", place, "-ojson"]))
    flink_job = json.loads(rest(place, "jobs/overview").stdout)["jobs"][0]["jid"]
    begun = time.monotonic()
    # kubectl has no POST but by `create --raw`.
    raw = f"/api/v1/namespaces/{place}/services/demo-master:8081/proxy/jobs/{flink_job}/stop"
    answer = subprocess.run(["kubectl", "create", "--raw", raw, "-f", "-"], input='{"drain": false}', text=True,
                            capture_output=True, check=True).stdout
    trigger = json.loads(answer)["request-id"]
    path = None
    while not path:
        reply = json.loads(rest(place, f"jobs/{flink_job}/savepoints/{trigger}").stdout or "{}")
        path = (reply.get("operation") or {}).get("location")
        time.sleep(0 if path else 1)
    stopped = time.monotonic() - begun
    subprocess.run(["kubectl", "delete", "job", "demo-master", "-n", place, "--wait=true", "--cascade=foreground"],
                   check=True, capture_output=True)
    if taskmanagers:
        subprocess.run(["kubectl", "delete", "pod", "-l", "component=task-manager", "-n", place, "--wait=false"], check=True,
                       capture_output=True)
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    if "--fromSavepoint" in arguments:
        arguments[arguments.index("--fromSavepoint") + 1] = path
    else:
        arguments[1:1] = ["--fromSavepoint", path]
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"]:
        job["metadata"].pop(key, None)
    job.pop("status", None)
    job["spec"].pop("selector", None)
    labels = job["spec"]["template"]["metadata"]["labels"]
    for key in list(labels):
        if "controller-uid" in key or "job-name" in key:
            del labels[key]
    subprocess.run(["kubectl", "create", "-n", place, "-f", "-"], input=json.dumps(job), text=True, check=True,
                   capture_output=True)
    look_until_all_run(place)
    return stopped, time.monotonic() - begun
