# shellcheck shell=bash
# Builds the layers of the Flink images: base file system, Flink, jobs. Sourced.

layer() { python3 "$BED_SOURCE/image/image.py" layer "$@"; }

build_base() { cached "$BASE" make_base; }

# Debian with a Java runtime. setpriv and hostname come with it; procps and envsubst are what Flink's scripts
# and the entrypoint call besides.
make_base() {
    # In a mount namespace of its own: what debootstrap mounts goes with it even when it is killed.
    unshare --mount debootstrap --variant=minbase --include="$IMAGE_JAVA_PACKAGE,procps,gettext-base" \
        "$DEBIAN_RELEASE" root
    # What no Flink container reads is a good third of it. Logs, caches and identities also differ from one
    # build to the next.
    rm -rf root/usr/share/{doc,man,info,locale,lintian,bash-completion,zoneinfo/right} root/debootstrap \
        root/var/lib/apt/lists root/var/cache root/var/log root/var/lib/dpkg/*-old root/etc/machine-id \
        root/etc/*- root/etc/ssl/certs/java/cacerts.dpkg-new
    mkdir -p root/var/{cache,log} root/opt
    rm -rf root/{dev,proc,sys}/*
    : > root/etc/hostname
    : > root/etc/resolv.conf
    echo 'flink:x:9999:9999::/opt/flink:/bin/bash' >> root/etc/passwd
    echo 'flink:x:9999:' >> root/etc/group
    # One path whatever the processor.
    ln -s "$(basename "$(dirname "$(dirname "$(readlink root/etc/alternatives/java)")")")" root/usr/lib/jvm/java
    layer layer.tar root=
    rm -rf root
}

build_flink() {
    cached "$FLINK" make_flink
    cached "$FLINK_LAYER" make_flink_layer
    cached "$ENTRYPOINTS" make_entrypoints
    cached "$EXAMPLES" make_examples
    cached "$SQL" make_sql
}

# The distribution, put together from the two Python packages that hold all of it between them: the jars are in
# apache-flink-libraries, the scripts and the configuration in apache-flink.
make_flink() {
    local python
    mkdir parts
    # --no-binary takes the package's files as they are: building a wheel from them would only take time.
    python3 -m pip download --no-deps --no-binary :all: --dest parts "apache-flink-libraries==$FLINK_VERSION"
    # Each release has wheels for some versions of Python. Their scripts are the same, and nothing here runs Python.
    for python in 3.10 3.9 3.11 3.8; do
        if python3 -m pip download --no-deps --only-binary :all: --python-version "$python" --implementation cp \
            --platform manylinux1_x86_64 --platform manylinux2014_x86_64 --dest parts "apache-flink==$FLINK_VERSION"; then
            break
        fi
    done
    tar -xzf parts/apache*flink*libraries*.tar.gz -C parts --no-same-owner
    python3 -m zipfile -e parts/apache_flink-*.whl parts/scripts
    mv parts/apache*flink*libraries*/deps/* .
    cp parts/scripts/pyflink/bin/* bin/
    cp -r parts/scripts/pyflink/conf conf
    rm -f bin/*.bat
    chmod 755 bin/*
    mkdir -p log plugins opt
    rm -rf parts
}

make_flink_layer() {
    local conf flink=$PWD/opt/flink
    mkdir -p opt
    cp -r "$FLINK" opt/flink
    # As the official image does: listen on the Pod's address, and let a TaskManager find out its own.
    if [[ -e opt/flink/bin/config-parser-utils.sh ]]; then
        opt/flink/bin/config-parser-utils.sh "$flink/conf" "$flink/bin" "$flink/lib" \
            -D rest.address=0.0.0.0 -D rest.bind-address=0.0.0.0 \
            -D jobmanager.bind-host=0.0.0.0 -D taskmanager.bind-host=0.0.0.0 -rmKV taskmanager.host=localhost
        conf=opt/flink/conf/config.yaml
    else
        conf=opt/flink/conf/flink-conf.yaml
        sed -i -e '/^taskmanager\.host:/d' -e 's/^\(rest\.address\|rest\.bind-address\|jobmanager\.bind-host\|taskmanager\.bind-host\):.*/\1: 0.0.0.0/' "$conf"
        # These releases know nothing of Java 17 yet, and name none of the packages they reach into.
        if ! grep -q '^env\.java\.opts' "$conf"; then
            echo "env.java.opts: --add-exports=java.base/sun.net.util=ALL-UNNAMED $(printf -- '--add-opens=java.base/%s=ALL-UNNAMED ' java.lang java.net java.io java.nio \
                sun.nio.ch java.lang.reflect java.text java.time java.util java.util.concurrent \
                java.util.concurrent.atomic java.util.concurrent.locks)" >> "$conf"
        fi
    fi
    grep -q 'bind' "$conf"
    rm -rf opt/flink/log/*
    layer layer.tar --owner=9999:9999:opt/flink opt/flink=opt/flink
    rm -r opt
}

# The entrypoints are a layer of their own, so that a change to them costs no second copy of Flink.
make_entrypoints() {
    install -m 755 "$BED_SOURCE/image/entrypoint.sh" "$BED_SOURCE/image/legacy-entrypoint.sh" .
    layer layer.tar --owner=0:0:docker-entrypoint.sh entrypoint.sh=docker-entrypoint.sh
    layer legacy.tar --owner=0:0:docker-entrypoint.sh legacy-entrypoint.sh=docker-entrypoint.sh
}

# Flink's example jobs are published for some releases only; for the others there is an empty folder, and no image.
# FLINK_EXAMPLES_VERSION takes them from another release.
make_examples() {
    copy_jar flink-examples-streaming "$FLINK_EXAMPLES_VERSION" "$PWD" || return
    if [[ ! -e flink-examples-streaming.jar ]]; then return 0; fi
    mkdir -p opt/flink/usrlib
    mv flink-examples-streaming.jar opt/flink/usrlib/
    layer layer.tar --owner=9999:9999:opt/flink opt/flink=opt/flink
}

# What a SQL script needs besides: it is in the official distribution's opt, and in neither of the Python packages.
# Releases before 2.0 run no scripts; for them, and if the jar is not available, there is an empty folder, and no image.
make_sql() {
    if [[ $FLINK_VERSION == 1.* ]]; then return 0; fi
    mkdir -p opt/flink/opt
    copy_jar flink-sql-gateway "$FLINK_VERSION" "$PWD/opt/flink/opt" || return
    if [[ ! -e opt/flink/opt/flink-sql-gateway.jar ]]; then
        rm -r opt
        return 0
    fi
    layer layer.tar --owner=9999:9999:opt/flink opt/flink=opt/flink
}

# copy_jar ARTIFACT VERSION FOLDER: a jar of Flink without its version in the name. No jar is no failure where the registry
# does not have that version. A later version of this Maven plugin takes it for an error that the jar's parent is not published.
copy_jar() {
    if ! mvn -B -U org.apache.maven.plugins:maven-dependency-plugin:2.10:copy -DoutputDirectory="$3" -Dmdep.stripVersion=true \
        -Dartifact="org.apache.flink:$1:$2" > maven.log 2>&1; then
        cat maven.log
        grep -q 'Unable to find artifact' maven.log || return
    fi
    rm maven.log
}

build_jobs() { cached "$JOBS" make_jobs; }

make_jobs() {
    local classpath
    classpath=$(printf '%s:' "$FLINK"/lib/flink-dist*.jar)
    mkdir -p classes opt/flink/usrlib
    # The oldest Java that any of the images may hold.
    javac --release 11 -Xlint:all,-options,-processing,-classfile,-deprecation,-serial -cp "$classpath" -d classes "${JAVA_FILES[@]}"
    printf 'Main-Class: org.kubectlflink.jobs.CountingJob\n' > manifest
    # Not by jar: its entries carry the time of the build, and the layer would differ each time.
    python3 - classes manifest opt/flink/usrlib/counting-job.jar << 'PYTHON'
import os, sys, zipfile
classes, manifest, target = sys.argv[1:]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as jar:
    def add(name, content):
        jar.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    add("META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\n" + open(manifest, "rb").read())
    for folder, folders, files in sorted(os.walk(classes)):
        for name in sorted(files):
            path = os.path.join(folder, name)
            add(os.path.relpath(path, classes), open(path, "rb").read())
PYTHON
    layer layer.tar --owner=9999:9999:opt/flink opt/flink=opt/flink
    rm -r classes manifest
}

# The images of one Flink version, as image.py reads them.
describe_images() {
    local examples=null sql=null
    if [[ -e $EXAMPLES/layer.tar ]]; then examples=$EXAMPLES/layer.tar; fi
    if [[ -e $SQL/layer.tar ]]; then sql=$SQL/layer.tar; fi
    jq -n --arg version "$FLINK_VERSION" --arg base "$BASE/layer.tar" --arg flink "$FLINK_LAYER/layer.tar" \
        --arg entrypoint "$ENTRYPOINTS/layer.tar" --arg legacy "$ENTRYPOINTS/legacy.tar" --arg jobs "$JOBS/layer.tar" --arg examples "$examples" \
        --arg sql "$sql" '
        {
            Env: ["PATH=/opt/flink/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  "FLINK_HOME=/opt/flink", "JAVA_HOME=/usr/lib/jvm/java", "LANG=C.UTF-8"],
            WorkingDir: "/opt/flink", Entrypoint: ["/docker-entrypoint.sh"], Cmd: ["help"],
            ExposedPorts: {"6123/tcp": {}, "8081/tcp": {}}
        } as $config
        | [
            {name: "flink:\($version)", config: $config, layers: [$base, $flink, $entrypoint]},
            {name: "counting-job:\($version)", config: $config, layers: [$base, $flink, $entrypoint, $jobs]},
            {name: "sql:\($version)", config: $config, layers: [$base, $flink, $entrypoint, $sql]},
            {name: "state-machine:\($version)", config: $config, layers: [$base, $flink, $entrypoint, $examples]},
            {name: "counting-job:\($version)-legacy", config: ($config + {User: "flink", Cmd: ["--help"]}),
             layers: [$base, $flink, $legacy, $jobs]}
          ]
        | map(select(.layers | index("null") | not) | .names = [.name] | del(.name))'
}

# The pause image is the program and nothing else.
PAUSE_IMAGE=localhost/pause:bed
describe_pause() {
    jq -n --arg layer "$TOOLS/pause.tar" --arg name "$PAUSE_IMAGE" \
        '[{names: [$name], config: {Entrypoint: ["/pause"], User: "65535:65535"}, layers: [$layer]}]'
}

# The folder of each part. Its key is a digest of its sources, and of the function that makes it.
BASE=$BED_CACHE/base-$DEBIAN_RELEASE-$(key "$IMAGE_JAVA_PACKAGE" "$(declare -f make_base)" "$BED_SOURCE/image/image.py")
FLINK=$BED_CACHE/flink-$FLINK_VERSION-$(key "$(declare -f make_flink)")
FLINK_LAYER=$BED_CACHE/flink-layer-$FLINK_VERSION-$(key "${FLINK##*/}" "$(declare -f make_flink_layer)" "$BED_SOURCE/image/image.py")
ENTRYPOINTS=$BED_CACHE/entrypoints-$(key "$(declare -f make_entrypoints)" "$BED_SOURCE"/image/{image.py,entrypoint.sh,legacy-entrypoint.sh})
EXAMPLES=$BED_CACHE/flink-examples-$FLINK_EXAMPLES_VERSION-$(key "$(declare -f make_examples copy_jar)" "$BED_SOURCE/image/image.py")
SQL=$BED_CACHE/flink-sql-$FLINK_VERSION-$(key "$(declare -f make_sql copy_jar)" "$BED_SOURCE/image/image.py")
mapfile -t JAVA_FILES < <(find "$JOBS_SOURCE" -name '*.java' | LC_ALL=C sort)
JOBS=$BED_CACHE/jobs-$FLINK_VERSION-$(key "${FLINK##*/}" "$(declare -f make_jobs)" "$BED_SOURCE/image/image.py" "${JAVA_FILES[@]}")
