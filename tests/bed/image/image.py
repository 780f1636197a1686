"""Makes container images without a container engine.

    image.py layer FILE.tar [--owner=UID:GID:PREFIX]... SOURCE=DESTINATION...
    image.py archive < images.json

`layer` packs files and folders as an image layer. The same input gives the same bytes: names are sorted and
times are zero, so a rebuilt layer keeps its digest and is stored once. `archive` writes to its standard
output the format that `docker save` writes and containerd imports, with every layer in it once, however many
of the images share it. Nothing of the size of an image is written to disk for it.
"""

import hashlib
import io
import json
import os
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def layer(target, arguments):
    owners, sources = [], []
    for argument in arguments:
        if argument.startswith("--owner="):
            uid, gid, prefix = argument.removeprefix("--owner=").split(":")
            owners.append((int(uid), int(gid), prefix))
        else:
            sources.append(argument.split("=", 1))

    def normal(entry):
        # Device files and sockets are the runtime's to make.
        if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
            return None
        entry.mtime = 0
        entry.uname = entry.gname = ""
        for uid, gid, prefix in owners:
            if entry.name == prefix or entry.name.startswith(prefix + "/"):
                entry.uid, entry.gid = uid, gid
        return entry

    # tarfile sorts what is in a folder by name.
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for source, destination in sources:
            if destination == "":
                for name in sorted(os.listdir(source)):
                    tar.add(os.path.join(source, name), name, filter=normal)
            else:
                tar.add(source, destination, filter=normal)
    with open(target, "rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else slow_digest(file)
    with open(target + ".sha256", "w", encoding="ascii") as file:
        file.write(digest.hexdigest() + "\n")


def slow_digest(file):
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest


def archive(output, images):
    digests = {}
    manifest = []
    with tarfile.open(fileobj=output, mode="w|", format=tarfile.GNU_FORMAT) as tar:

        def add(name, content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))

        for image in images:
            for path in image["layers"]:
                if path in digests:
                    continue
                with open(path + ".sha256", encoding="ascii") as file:
                    digests[path] = file.read().strip()
                entry = tarfile.TarInfo(digests[path] + ".tar")
                entry.size = os.path.getsize(path)
                with open(path, "rb") as file:
                    tar.addfile(entry, file)
            config = {
                "architecture": ARCHITECTURES[os.uname().machine],
                "os": "linux",
                "created": "1970-01-01T00:00:00Z",
                "config": image["config"],
                "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digests[path] for path in image["layers"]]},
                "history": [{"created": "1970-01-01T00:00:00Z"} for _ in image["layers"]],
            }
            content = json.dumps(config, sort_keys=True).encode()
            name = hashlib.sha256(content).hexdigest() + ".json"
            add(name, content)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": image["names"],
                    "Layers": [digests[path] + ".tar" for path in image["layers"]],
                }
            )
        add("manifest.json", json.dumps(manifest).encode())


def main():
    if sys.argv[1:2] == ["layer"]:
        layer(sys.argv[2], sys.argv[3:])
    elif sys.argv[1:] == ["archive"]:
        archive(sys.stdout.buffer, json.load(sys.stdin))
    else:
        sys.exit(__doc__)


main()
