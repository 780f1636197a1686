"""Holds `savepoint inspect` against Flink's own loader, for one release.

compare.py RELEASE PLUGIN FACTS FOLDER [RECORD]: PLUGIN is the binary, FACTS what SavepointFacts printed of the files below FOLDER, a
line for each in their order. Every field of every file must be equal. The outcome is written to docs/savepoints.md. RECORD gets some
of the files with their facts.
"""

import datetime
import json
import os
import shutil
import subprocess
import sys

# These are kept, of each kind one, where they are small.
KEPT = (
    "hashmap-uids-canonical",
    "hashmap-uids-finished-checkpoint",
    "hashmap-files-changelog-checkpoint",
    "hashmap-files-unaligned-checkpoint",
    "rocksdb-incremental-files-merged-checkpoint",
    "rocksdb-incremental-files-unaligned-uids-checkpoint",
    "rocksdb-incremental-files-unaligned-uids-native",
)
SMALL = 20 * 1024
PAGE = "docs/savepoints.md"


def files(folder):
    """The files `_metadata` that the maker kept, in the order of their paths."""
    found = []
    for cell in os.listdir(folder):
        for form in ("canonical", "checkpoint", "native"):
            path = os.path.join(folder, cell, form, "_metadata")
            if os.path.isfile(path):
                found.append((f"{cell}-{form}", path))
    return sorted(found, key=lambda file: file[1])


def read(plugin, path):
    """What the plugin reads, without the fields that only its own format has."""
    text = subprocess.run([plugin, "savepoint", "inspect", path, "-ojson"], check=True, capture_output=True, text=True).stdout
    document = json.loads(text)
    for field in ("apiVersion", "kind"):
        del document[field]
    return document


def differences(name, wanted, got):
    """What is not equal. Files of Flink 1.13 to 1.15 do not say what kind they are: a native savepoint may look like any."""
    if wanted["type"] is None:
        wanted = {**wanted, "type": got["type"]}
        form = name.rsplit("-", 1)[1]
        if form != "native" and (form == "canonical") != (got["type"] == "canonical-savepoint"):
            yield f"{name}: {got['type']}"
    for field in sorted(set(wanted) | set(got)):
        if wanted.get(field) != got.get(field):
            yield f"{name}: {field} is {got.get(field)}, and Flink reads {wanted.get(field)}"


def row(release, versions, number, wrong):
    """Writes the line of the release in the table at the end of the page."""
    line = f"| Flink {release} | {versions} | {number} | {wrong or 'none'} | {datetime.date.today()} |"
    with open(PAGE, encoding="utf-8") as page:
        lines = page.read().splitlines()
    at = [index for index, other in enumerate(lines) if other.startswith(f"| Flink {release} |")]
    lines[at[0] if at else len(lines) : at[0] + 1 if at else len(lines)] = [line]
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write("\n".join(lines) + "\n")


def main(release, plugin, facts, folder, record=None):
    with open(facts, encoding="utf-8") as lines:
        facts = [json.loads(line) for line in lines]
    kept = files(folder)
    if len(facts) != len(kept) or not kept:
        sys.exit(f"{len(facts)} facts of {len(kept)} files")
    wrong, kinds, recorded = [], {}, {}
    in_flight = finished = relative = 0
    for wanted, (name, path) in zip(facts, kept):
        got = read(plugin, path)
        wrong += differences(name, wanted, got)
        kinds[got["type"]] = kinds.get(got["type"], 0) + 1
        in_flight += any(operator["inFlightBytes"] for operator in got["operators"])
        finished += any(operator["finished"] for operator in got["operators"])
        relative += any(file["relative"] for file in got["files"])
        if record and name in KEPT and os.path.getsize(path) < SMALL:
            os.makedirs(record, exist_ok=True)
            shutil.copyfile(path, os.path.join(record, name))
            recorded[name] = wanted
    print("\n".join(wrong))
    versions = ", ".join(map(str, sorted({fact["version"] for fact in facts})))
    print(
        f"{len(kept)} files of version {versions}: {kinds}; {in_flight} with records in flight, "
        f"{finished} with finished tasks, {relative} with relative paths: {len(wrong)} differences"
    )
    row(release, versions, len(kept), len(wrong))
    if record:
        with open(os.path.join(record, "facts.json"), "w", encoding="utf-8") as out:
            lines = [f"{json.dumps(name)}: {json.dumps(fact)}" for name, fact in sorted(recorded.items())]
            out.write("{\n" + ",\n".join(lines) + "\n}\n")
    sys.exit(1 if wrong else 0)


main(*sys.argv[1:])
