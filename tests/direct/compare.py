"""Holds --direct-start against Flink's own scripts and their helper JVM, for one release.

compare.py memory|configuration|scripts PLUGIN FLINK VERSION CASES [RECORD]: PLUGIN is the binary, FLINK a distribution, CASES the number
of settings that are drawn at random. RECORD gets a few of them with the command lines of the scripts.

memory: the parameters that the plugin computes are those of BashJavaUtils, asked in one JVM.
configuration: configuration files are read and changed as BashJavaUtils does it.
scripts: the entrypoint of the test cluster's image is run with and without the direct start, in a root folder of its own, up
to the JVM of Flink; both start the same program with the same arguments and environment, and no helper JVM was started.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
JAVA_HOME = os.path.realpath(shutil.which("javac")).rsplit("/bin/", 1)[0]
PREFIX = "BASH_JAVA_UTILS_EXEC_RESULT:"


def size(low, high):
    """An amount in one of Flink's notations, between two numbers of MiB."""
    mib = random.randint(low, high)
    return random.choice(
        [f"{mib}m", f"{mib}mb", f"{mib}M", f"{mib} mb", f"{mib * 1024}k", f"{mib << 20}", f"{(mib << 20) + random.randint(0, 999)}b"]
        + [f"{max(1, mib >> 10)}g"] * 2
    )


def share():
    return random.choice(["0", "0.05", "0.1", "0.25", "0.33", ".4", "0.75", str(random.random()), str(round(random.random(), 2)), "1.0", "1e-1"])


def some(chance, key, value):
    return [(key, value())] if random.random() < chance else []


def sizes(role, whole):
    """Settings of memory of a role with a process of so many MiB. Some of them contradict each other."""
    key = f"{role}.memory."
    pairs = some(0.3, key + "jvm-metaspace.size", lambda: size(16, whole // 3))
    pairs += some(0.2, key + "jvm-overhead.min", lambda: size(0, whole // 4))
    pairs += some(0.2, key + "jvm-overhead.max", lambda: size(whole // 8, whole // 2))
    pairs += some(0.3, key + "jvm-overhead.fraction", share)
    pairs += some(0.15, key + "flink.size", lambda: size(whole // 2, whole))
    if role == "jobmanager":
        pairs += some(0.3, key + "off-heap.size", lambda: size(0, whole // 3))
        pairs += some(0.15, key + "heap.size", lambda: size(whole // 3, whole))
        pairs += some(0.3, key + "enable-jvm-direct-memory-limit", lambda: random.choice(["true", "false", "TRUE"]))
        pairs += some(0.05, "jobmanager.heap.size", lambda: size(whole // 2, whole))
        return pairs
    pairs += some(0.2, key + "framework.heap.size", lambda: size(0, whole // 6))
    pairs += some(0.2, key + "framework.off-heap.size", lambda: size(0, whole // 6))
    pairs += some(0.2, key + "task.off-heap.size", lambda: size(0, whole // 6))
    pairs += some(0.2, key + "task.heap.size", lambda: size(0, whole // 2))
    pairs += some(0.2, random.choice([key + "managed.size", "taskmanager.memory.size"]), lambda: size(0, whole // 2))
    pairs += some(0.3, key + "managed.fraction", share)
    network = random.choice([key + "network.", "taskmanager.network.memory."])
    pairs += some(0.2, network + "min", lambda: size(0, whole // 6))
    pairs += some(0.3, network + "max", lambda: size(whole // 8, whole))
    pairs += some(0.3, network + "fraction", share)
    pairs += some(0.05, key + "network.fraction", share)
    pairs += some(0.05, "taskmanager.network.numberOfBuffers", lambda: str(random.randint(100, 9999)))
    pairs += some(0.2, "taskmanager.cpu.cores", lambda: random.choice(["1", "0.5", "2.25", "16", "0.0001", "1e2"]))
    pairs += some(0.1, key + "segment-size", lambda: random.choice(["32kb", "64kb"]))
    pairs += some(0.05, "external-resources", lambda: "gpu")
    pairs += some(0.05, "taskmanager.heap.size", lambda: size(whole // 2, whole))
    return pairs


def drawn():
    """Flags of create, drawn at random."""
    whole = {role: random.choice([900, 1600, 1728, 2048, 4096, 12288, 40960]) for role in ("jobmanager", "taskmanager")}
    flags = []
    for role, mib in whole.items():
        if random.random() < 0.8:
            flags += [f"--{role}-memory={random.choice([f'{mib}m', f'{mib << 10}k', f'{(mib << 20) + random.randint(0, 4096)}b'])}"]
        if random.random() < 0.8:
            for key, value in sizes(role, mib):
                flags += ["-D", f"{key}={value}"]
    if random.random() < 0.4:
        flags += [f"--slots={random.randint(1, 9)}"]
    return flags


def surroundings():
    """Flags of create that change the command line in other ways."""
    flags = ["--job-class", "a.Job"] if random.random() < 0.5 else []
    for key, values in {
        "env.java.opts.all": ["-Dall=1 -XX:+UseG1GC", '"-Dquoted=1"', "-Da='b c'"],
        "env.java.opts": ["-Dold=1"],
        "env.java.opts.jobmanager": ["-Djm=$HOME", "-XX:+HeapDumpOnOutOfMemoryError -XX:HeapDumpPath=/tmp/x"],
        "env.java.opts.taskmanager": ["-Dtm=*", "-Dtm=1"],
        "env.log.dir": ["/tmp/logs"],
        "env.hadoop.conf.dir": ["/opt/hadoop conf"],
        "env.log.max": ["3"],
        "pipeline.max-parallelism": ["64"],
        "user.text": ["it's # a: text, * of {all} kinds", ""],
    }.items():
        if random.random() < 0.2:
            flags += ["-D", f"{key}={random.choice(values)}"]
    for name, values in {
        "FLINK_PROPERTIES": [
            "state.backend.type: hashmap\nenv.java.opts.all: -Dproperties=1",
            "taskmanager.memory.network.min: 80m",
            "jobmanager.memory.off-heap.size: 200m\ntaskmanager.numberOfTaskSlots: 3",
            "env.log.max: 7\nenv.log.level: DEBUG",
            "env.java.opts.jobmanager: '-Da=1'\nenv.java.opts.taskmanager: -Db=${HOME}",
            "env.java.opts.all: 5\nsome.list: [a, b]",
            "rest.port: 8081 # a remark\n\n  web.title: my title: x",
        ],
        "TASK_MANAGER_NUMBER_OF_TASK_SLOTS": ["1", "2"],
        "HADOOP_CLASSPATH": ["/opt/hadoop/lib/*"],
        "HBASE_CONF_DIR": ["/opt/hbase"],
        "YARN_CONF_DIR": ["/opt/yarn"],
        "JVM_ARGS": ["-Dmine=1"],
        "FLINK_IDENT_STRING": ["me"],
        "STD_REDIRECT_TO_FILE": ["false"],
    }.items():
        if random.random() < 0.2:
            flags += ["--env", f"{name}={random.choice(values)}"]
    if random.random() < 0.3:
        flags += ["--", *random.choice([["--rate", "5"], ["a b", "*", "$HOME", "it's"], ["-Djobmanager.memory.jvm-metaspace.size=99m"], ["c", "d"]])]
    return flags


def rendered(plugin, version, flags):
    """The containers of both roles, or nothing where the plugin refuses the flags."""
    at = flags.index("--") if "--" in flags else len(flags)
    command = [plugin, "create", "demo", "--image", f"flink:{version}", "--dry-run=client", "-ojson", "--direct-start"]
    run = subprocess.run(command + flags[:at] + flags[at:], capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    if run.returncode == 2:
        return None
    if run.returncode != 0:
        sys.exit(f"{flags}: {run.stderr}")
    items = json.loads(run.stdout)["items"]
    pods = [item["spec"]["template"]["spec"] for item in items if item["kind"] in ("Job", "Deployment")]
    return dict(zip(("JM", "TM"), [pod["containers"][0] for pod in pods]))


def expanded(text):
    """What Kubernetes makes of a text without variables."""
    return text.replace("$$(", "$(")


class Helper:
    """BashJavaUtils of a distribution, in a JVM that stays."""

    def __init__(self, flink):
        jars = [f"{flink}/bin/bash-java-utils.jar"] + [f"{flink}/lib/{jar}" for jar in os.listdir(f"{flink}/lib") if jar.startswith("flink-dist")]
        self.process = subprocess.Popen(
            ["java", "-cp", ":".join(jars), f"{HERE}/Helper.java"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def ask(self, command, *arguments):
        self.process.stdin.write("\t".join([command, *arguments]) + "\n")
        self.process.stdin.flush()
        for answer in self.process.stdout:
            if answer.startswith("ANSWER\t"):
                return answer.rstrip("\n").removeprefix("ANSWER\t")
        sys.exit("the helper is gone")


def memory(plugin, flink, version, cases):
    helper = Helper(flink)
    counts = {"equal": 0, "left to the helper": 0, "left, and impossible": 0, "refused": 0}
    while counts["equal"] < cases:
        flags = drawn()
        containers = rendered(plugin, version, flags)
        if containers is None:
            counts["refused"] += 1
            continue
        for role, container in containers.items():
            jvm, dynamic = container["command"][4:6]
            words = [word for argument in container["args"][1:] for word in expanded(argument).split()]
            answer = helper.ask(f"GET_{role}_RESOURCE_PARAMS", "--configDir", f"{flink}/conf", *words)
            if not jvm:
                counts["left, and impossible" if answer.startswith("error") else "left to the helper"] += 1
            elif answer == f"{jvm}\t{dynamic}":
                counts["equal"] += 1
            else:
                sys.exit(f"{version} {role} {flags}\nplugin: {jvm} {dynamic}\nFlink:  {answer}")
    print(f"{version}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return []


SCALARS = [
    "--add-opens=java.base/java.lang=ALL-UNNAMED -Da=1", "-Xmx1g", "'-Da=1 -Db'", '"-Dc=2"', "-Dd=1   # a remark", "-De=1#no-remark",
    "5", "'5'", "0x1F", "010", "1_000", "1.5", "1e3", "true", "'true'", "yes", "No", "~", "null", "''", '""', "text", "two words",
    "'it''s'", '"a\\tb"', "-Df='x'", '-Dg="x y"', "a:b", "'a: b'", "x #y", "'x #y'", "/a/path", "-", "- a", "[a, b]", "{a: b}", "|",
    ">-", "&a x", "*a", "!t x", "%x", "@x", "`x", "2026-01-01", "12:30", "<<", "=", "-5", ".5", "+1", "é", "a,b", "?x", "? x", "'a'b",
    "x'y", '"x" y', "'", "  padded  ", "-Dh=$HOME", "a\\b", "'[a]'", "'- a'", "'a:'", "a|b", "'NULL'", "Off",
]


MAPS = ["java", "opts", "log", "taskmanager", "memory"]


def document():
    """A configuration file drawn at random: mostly a plain map, as images have it."""
    lines = []

    def fill(indent, depth, names):
        # A name is that of a map or of a scalar: Flink's helper writes no file with both that it can read again.
        for name in random.sample(names, random.randint(1, min(4, len(names)))):
            folder = name in MAPS
            if folder and depth == 0:
                continue
            if random.random() < 0.1:
                lines.append(random.choice(["", " " * indent + "# a remark: x", "   ", "#"]))
            if folder:
                lines.append(" " * indent + name + ":" + random.choice(["", "", "  ", " # a map"]))
                before = len(lines)
                fill(indent + random.choice([1, 2, 2, 2, 4]), depth - 1, names)
                if len(lines) == before:
                    lines.pop()
            else:
                few = random.choice(["-Da=1", "text", "5", "'quoted'"]) if random.random() < 0.7 else random.choice(SCALARS)
                lines.append(" " * indent + name + random.choice([": ", ": ", ":  "]) + few)
        if random.random() < 0.02:
            odd = [" " * indent + "- item", "\tx: y", "---", "...", " " * indent + "x", " " * (indent + 1) + "y: z", " " * indent + "k:"]
            lines.append(random.choice(odd))

    fill(0, 0, ["a", "b.c", "x", "rest.port"])
    lines.append("env:")
    fill(2, 2, ["java.opts.all", "log.max", "log", "level", "java", "opts", "all", "max"])
    if random.random() < 0.3:
        fill(0, 1, ["env.java.opts.jobmanager", "taskmanager", "memory", "size"])
    return "\n".join(lines) + random.choice(["\n", "\n", ""])


CHANGES = ["-Da=b", "-Drest.port=8081", "-Denv.log.max=5", "-Denv.java.opts.all=-Dx=y", "-Dlist=[a, b]", "-Dx=it's # a: b", "-Dz="]


def configuration(plugin, flink, version, cases):
    if not os.path.exists(f"{flink}/conf/config.yaml"):
        print(f"{version}: only the scripts read its configuration file")
        return []
    helper = Helper(flink)
    script = rendered(plugin, version, [])["JM"]["command"][2].split("\nflink=")[0]
    counts = {"equal": 0, "left to the helper": 0, "left, and impossible": 0}
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:

        def ask(*arguments):
            command = ["bash", "-c", expanded(script) + '\nconfiguration "$@"', "bash", ours, *arguments]
            run = subprocess.run(command, capture_output=True, text=True)
            return [line.removeprefix(PREFIX) for line in run.stdout.splitlines()] if run.returncode == 0 else None

        def of_flink(folder, *arguments):
            return helper.ask("UPDATE_AND_GET_FLINK_CONFIGURATION", "--configDir", folder, *arguments).split("\t")

        while counts["equal"] < cases:
            text = document()
            changes = random.sample(CHANGES, random.randint(1, 3))
            for folder in (ours, theirs):
                with open(f"{folder}/config.yaml", "w") as file:
                    file.write(text)
            # As the entrypoint does it, which writes the file again, and as config.sh does it then.
            answer, own = of_flink(theirs, *changes), ask(*changes)
            if own is None:
                counts["left, and impossible" if answer[0].startswith("error") else "left to the helper"] += 1
                continue
            for folder, lines in ((ours, own), (theirs, answer)):
                with open(f"{folder}/config.yaml", "w") as file:
                    file.write("\n".join(lines) + "\n")
            flat = [sorted(of_flink(folder, "-flatten")) for folder in (ours, theirs)]
            own = ask("-flatten")
            if flat[0] == flat[1] and own is None:
                counts["left to the helper"] += 1
                continue
            read = [sorted(line for line in lines if line.startswith("env.")) for lines in (own or [], flat[1])]
            if flat[0] != flat[1] or read[0] != read[1]:
                sys.exit(f"{version} {changes}\n{text}\nplugin: {flat[0]}\n{own}\nFlink: {flat[1]}")
            counts["equal"] += 1
    print(f"{version}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return []


class Root:
    """A root folder with the image's files: those of this machine, a distribution, the entrypoint of the test cluster."""

    def __init__(self, flink):
        self.path = tempfile.mkdtemp(prefix="direct-")
        self.flink = flink
        for folder in ("proc", "dev", "tmp", "usr", "bin", "sbin", "lib", "lib64", "etc", "opt", "java/bin", "run"):
            os.makedirs(f"{self.path}/{folder}")
        os.chmod(self.path, 0o755)
        os.chmod(f"{self.path}/tmp", 0o1777)
        entrypoint = os.environ.get("ENTRYPOINT") or f"{os.path.dirname(HERE)}/bed/image/entrypoint.sh"
        shutil.copy(entrypoint, f"{self.path}/docker-entrypoint.sh")
        shutil.copy(f"{JAVA_HOME}/release", f"{self.path}/java/release")
        with open(f"{self.path}/java/bin/java", "w") as java:
            # Helpers run, and are counted; Flink itself is only printed.
            java.write(
                '#!/bin/bash\nfor one in "$@"; do case $one in *.BashJavaUtils | -XshowSettings:properties) echo "$*" >> /tmp/helpers\n'
                f'exec env JAVA_HOME={JAVA_HOME} {JAVA_HOME}/bin/java "$@" ;; esac; done\n'
                "printf '%s\\0' \"$0\" \"$@\" > /tmp/line\nenv -0 > /tmp/env\n"
            )
        for file in ("docker-entrypoint.sh", "java/bin/java"):
            os.chmod(f"{self.path}/{file}", 0o755)

    def run(self, container, direct):
        """Runs a container up to Flink's JVM: its command line, its environment and the helpers that were started."""
        shutil.rmtree(f"{self.path}/opt")
        os.makedirs(f"{self.path}/opt/flink/lib")
        for folder in ("bin", "conf"):
            shutil.copytree(f"{self.flink}/{folder}", f"{self.path}/opt/flink/{folder}")
        os.makedirs(f"{self.path}/opt/flink/log")
        subprocess.run(["chown", "-R", "9999:9999", f"{self.path}/opt"], check=True)
        for name in os.listdir(f"{self.path}/tmp"):
            whole = f"{self.path}/tmp/{name}"
            shutil.rmtree(whole) if os.path.isdir(whole) else os.remove(whole)
        command = container["command"] if direct else ["/docker-entrypoint.sh"]
        command = [expanded(word) for word in command + container["args"]]
        env = {"PATH": "/opt/flink/bin:/usr/sbin:/usr/bin:/sbin:/bin", "FLINK_HOME": "/opt/flink", "JAVA_HOME": "/java", "HOME": "/opt/flink", "HOSTNAME": "pod"}
        env |= {variable["name"]: expanded(variable["value"]) for variable in container.get("env", []) if "value" in variable}
        binds = [f"/{folder}" for folder in ("usr", "bin", "sbin", "lib", "lib64", "etc", "dev")]
        mounts = "".join(f"mount --bind {folder} {self.path}{folder}\n" for folder in binds)
        mounts += f"mount --bind {self.flink}/lib {self.path}/opt/flink/lib\nmount -t proc proc {self.path}/proc\n"
        script = f'set -e\n{mounts}exec chroot --userspec=9999:9999 {self.path} env -i --chdir=/opt/flink "$@"'
        words = [f"{name}={value}" for name, value in env.items()] + command
        run = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--uts", "bash", "-c", script, "bash", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

        def read(name):
            try:
                with open(f"{self.path}/tmp/{name}") as file:
                    return file.read()
            except FileNotFoundError:
                return ""

        variables = dict(pair.split("=", 1) for pair in read("env").split("\0") if pair)
        for name in ("_", "SHLVL", "FLINK_INHERITED_LOGS", "BASH_EXECUTION_STRING"):
            variables.pop(name, None)
        return {"line": read("line").split("\0")[:-1], "env": variables, "helpers": read("helpers").splitlines(), "output": run.stdout}

    def settings(self, helper):
        """The configuration file as Flink reads it."""
        conf = f"{self.path}/opt/flink/conf"
        if os.path.exists(f"{conf}/flink-conf.yaml"):
            with open(f"{conf}/flink-conf.yaml") as file:
                return file.read()
        answer = helper.ask("UPDATE_AND_GET_FLINK_CONFIGURATION", "--configDir", conf, "-flatten")
        if answer.startswith("error"):
            sys.exit(f"the configuration file cannot be read: {answer}")
        return sorted(answer.split("\t"))

    def close(self):
        shutil.rmtree(self.path)


def recorded(line):
    """What is kept of a command line: the options of memory, and all after the main class."""
    end = next(at for at, word in enumerate(line) if word.startswith("-XX:MaxMetaspaceSize="))
    main = line.index("-classpath") + 2
    return {"java": line[0], "memory": line[1 : end + 1], "main": line[main], "arguments": line[main + 1 :]}


def scripts(plugin, flink, version, cases):
    root, helper = Root(flink), Helper(flink)
    counts = {"equal without a helper": 0, "equal with a helper": 0, "equal, and no start": 0}
    records = []
    number = 0
    while number < cases:
        # The first ones are what nearly every cluster is.
        usual = [[], ["--taskmanager-memory=4g", "--slots=2", "--jobmanager-memory=2g"]]
        plain = number < 2 or number % 2 == 0
        flags = usual[number] if number < 2 else drawn() + ([] if plain else surroundings())
        containers = rendered(plugin, version, flags)
        # Most of the settings that are drawn contradict each other, and few of those are enough.
        if containers is None or (random.random() < 0.8 and not all(one["command"][4] for one in containers.values())):
            continue
        number += 1
        record = {}
        for role, container in containers.items():
            scripts_run = root.run(container, False)
            before = root.settings(helper)
            direct = root.run(container, True)
            case = f"{version} {role} {flags}\n"
            for part in ("line", "env"):
                if scripts_run[part] != direct[part]:
                    sys.exit(f"{case}{part} of the scripts:\n{scripts_run[part]}\nof the direct start:\n{direct[part]}\n{direct['output']}")
            if root.settings(helper) != before:
                sys.exit(f"{case}configuration of the scripts:\n{before}\nof the direct start:\n{root.settings(helper)}")
            if not scripts_run["line"]:
                counts["equal, and no start"] += 1
            elif direct["helpers"]:
                counts["equal with a helper"] += 1
            else:
                counts["equal without a helper"] += 1
                record[role] = recorded(scripts_run["line"])
            if number <= 2 and (direct["helpers"] or not scripts_run["helpers"]):
                sys.exit(f"{case}helpers of the scripts: {scripts_run['helpers']}\nof the direct start: {direct['helpers']}\n{direct['output']}")
        if plain and len(record) == 2:
            records.append({"flags": flags, **record})
    root.close()
    print(f"{version}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    return records


def main():
    kind, plugin, flink, version, cases = sys.argv[1:6]
    seed = os.environ.get("SEED") or str(random.randrange(10**9))
    print(f"{version}: {kind} with SEED={seed}", flush=True)
    random.seed(f"{seed} {version}")
    kinds = {"memory": memory, "configuration": configuration, "scripts": scripts}
    records = kinds[kind](plugin, flink, version, int(cases))
    if len(sys.argv) > 6:
        # One line for each set of flags.
        with open(sys.argv[6], "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(one) for one in records) + "\n]\n")


main()
