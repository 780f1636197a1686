//! From a jar on disk to a running job, with a real registry: with logins, with TLS, and with too little room.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::place::{Place, SMALL, STORAGE, bed, create_arguments, flink_version};
use crate::process::{self, Run};
use crate::registry::{Disk, Registry, certificate, cutter};

/// The image with Flink and no job, as containerd writes it to a file.
pub fn base_in_a_file(place: &Place) -> String {
    let file = place.folder().join("flink.tar").display().to_string();
    let socket = format!("{}/containerd.sock", std::env::var("BED_STATE").unwrap());
    let image = format!("docker.io/library/flink:{}", flink_version());
    let arguments = ["-a", &socket, "-n", "k8s.io", "images", "export", &file, &image];
    process::run(Command::new("ctr").args(arguments), "").ok();
    file
}

/// The jar of the counting job, and another one that differs by a file.
pub fn jars(place: &Place) -> [String; 2] {
    let original = process::run(&mut Command::new(bed("jar")), "").ok().stdout;
    let [first, second] = ["first", "second"].map(|folder| {
        fs::create_dir(place.folder().join(folder)).unwrap();
        place.folder().join(folder).join("counting-job.jar")
    });
    fs::copy(original.trim(), &first).unwrap();
    fs::copy(original.trim(), &second).unwrap();
    let file = File::options().read(true).write(true).open(&second).unwrap();
    let mut writer = zip::ZipWriter::new_append(file).unwrap();
    writer
        .start_file("changed", zip::write::SimpleFileOptions::default())
        .unwrap();
    writer.write_all(b"yes").unwrap();
    writer.finish().unwrap();
    [first, second].map(|path| path.display().to_string())
}

/// Whether the registry of the test can be reached by the nodes: they share this machine's loopback in the test cluster
/// only.
fn nodes_are_here() -> bool {
    let here = std::env::var("BED_CONTEXT").is_err();
    if !here {
        println!("left out: the nodes of BED_CONTEXT cannot reach a registry on this machine");
    }
    here
}

fn image_of(place: &Place, object: &str) -> String {
    let object = place.object(object);
    object["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_jar_on_disk_becomes_a_running_job_and_the_next_jar_continues_from_its_state() {
    if !nodes_are_here() {
        return;
    }
    let place = Place::with_storage("image");
    let registry = Registry::start(&place, &place.folder().join("store"), true, None);
    let login = registry.login(&place);
    let [first, second] = jars(&place);
    let base = registry.image(&format!("flink:{}", flink_version()));
    let file = base_in_a_file(&place);
    let arguments = ["image", "build", "--base", &file, "--label", "a=b", "--push", &base];
    place.flink(&arguments).exits(4).reports(&["docker login"]);
    place.flink(&[&arguments[..], &[&login]].concat()).ok();
    fs::remove_file(file).unwrap();

    // Twice the same, byte for byte, whatever the repository.
    let digest = |repository: &str| {
        let push = registry.image(repository);
        let built = place
            .flink(&[
                "image", "build", "--base", &base, "--jar", &first, "--push", &push, &login,
            ])
            .ok();
        built.stdout.trim().split('@').nth(1).unwrap().to_owned()
    };
    assert_eq!(digest("twice/one"), digest("twice/two:tag"));

    // The Pods log in by a Secret of their own.
    let server = format!("--docker-server={}", registry.address);
    place.kubectl(&[
        "create",
        "secret",
        "docker-registry",
        "login",
        &server,
        "--docker-username=tester",
        "--docker-password=s3cret",
    ]);
    let push_to = registry.image("team/demo");
    let image = format!("--image={base}");
    let flags = [
        image.as_str(),
        "--jar",
        &first,
        "--push-to",
        &push_to,
        &login,
        "--image-pull-secret=login",
    ];
    let arguments = create_arguments("demo", &[&STORAGE[..], &flags, &["--", "--rate", "50"]].concat());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    place.flink(&arguments).ok().reports(&["all 3 tasks", "team/demo"]);
    assert_eq!(place.runs("demo"), 3);
    let before = image_of(&place, "job/demo-master");
    assert!(before.starts_with(&format!("{push_to}@sha256:")), "{before}");
    assert_eq!(image_of(&place, "deployment/demo-task-manager"), before);
    let inspected = place
        .flink(&["image", "inspect", &before, &login, "--all-layers", "-o", "json"])
        .ok();
    let report: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(report["flinkVersion"], Value::from(flink_version()), "{report}");
    assert_eq!(report["jars"][0]["name"], "counting-job.jar", "{report}");
    assert_eq!(
        report["jars"][0]["entryClass"], "org.kubectlflink.jobs.CountingJob",
        "{report}"
    );
    assert_eq!(report["entrypoint"], "official", "{report}");

    looked_at(&place);

    // The changed jar takes the place of the first one, and the count continues.
    let count = place.counted("demo", 100);
    let wrong = [
        "upgrade",
        "demo",
        "--jar",
        &second,
        "--push-to",
        &push_to,
        &login,
        "--job-class",
        "org.kubectlflink.jobs.CountinJob",
    ];
    place
        .flink(&wrong)
        .exits(2)
        .reports(&["org.kubectlflink.jobs.CountingJob"]);
    assert_eq!(place.runs("demo"), 3, "nothing was done to it");
    place.flink(&wrong[..7]).ok();
    place.continued("demo", count);
    let after = image_of(&place, "job/demo-master");
    assert_ne!(before, after);
    let inspected = place.flink(&["image", "inspect", &after, &login, "-o", "json"]).ok();
    let next: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!(
        next["layers"], report["layers"],
        "the first jar's layer is gone: {next}"
    );

    completed(&place, &first);
    resumed(&place, &["--jar", &first, "--push-to", &push_to, &login], &before);
    place.flink(&["delete", "demo", "--cancel", "--purge", "--yes"]).ok();
    runs_to_its_end(&place, &[&image, "--jar", &second, "--push-to", &push_to, &login]);
}

/// What the history has is completed: the savepoint of the upgrade, and both revisions. So are the classes of a jar.
fn completed(place: &Place, jar: &str) {
    let complete = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-flink"));
        let run = place.note(process::run(command.arg("__complete").args(words), "")).ok();
        let lines = run.stdout.lines().filter(|line| !line.starts_with(':'));
        lines
            .filter_map(|line| line.split('\t').next().map(ToOwned::to_owned))
            .collect::<Vec<_>>()
    };
    let of_cluster = ["-n", place.namespace.as_str()];
    let savepoints = complete(&[&of_cluster[..], &["savepoint-resume", "demo", "--from-savepoint", ""]].concat());
    assert!(savepoints[0].contains("/savepoint-"), "{savepoints:?}");
    let revisions = complete(&[&of_cluster[..], &["history", "demo", "--revision", ""]].concat());
    assert_eq!(revisions, ["2", "1"]);
    let classes = complete(&["create", "x", "--jar", jar, "--job-class", "org.kubectlflink.jobs.Cou"]);
    assert!(
        classes.contains(&"org.kubectlflink.jobs.CountingJob".to_owned()),
        "{classes:?}"
    );
}

/// The first jar again, by a resume: it is in the registry already, and nothing is sent.
fn resumed(place: &Place, jar: &[&str], image: &str) {
    let count = place.counted("demo", 100);
    place
        .flink(&[&["savepoint-resume", "demo"], jar].concat())
        .ok()
        .reports(&["is there already"]);
    place.continued("demo", count);
    let now = image_of(place, "job/demo-master");
    assert_eq!(now, image, "the same jar on the same base");
}

/// A job that runs to its end, of a jar that is pushed before.
fn runs_to_its_end(place: &Place, jar: &[&str]) {
    let run = ["run", "batch", "--rm", "--image-pull-secret=login"];
    let program = ["--", "--rate", "1000", "--finish-after", "500"];
    let arguments = [&run[..], jar, &SMALL, &program].concat();
    place
        .flink(&arguments)
        .ok()
        .reports(&["is there already", "batch: finished"]);
    assert_ne!(place.try_kubectl(&["get", "job/batch-master"]).code, Some(0));
}

/// An image that is only named is read in its registry: its tag is wrong, and the command finds that without waiting for a Pod.
fn looked_at(place: &Place) {
    // Without passwords, which take this registry longer to check than the command waits.
    let registry = Registry::start(place, &place.folder().join("open"), false, None);
    let (base, lying) = (small_base(place, "amd64"), registry.image("team/flink-app:1.20"));
    let version = format!("FLINK_VERSION={}", flink_version());
    place
        .flink(&["image", "build", "--base", &base, "--env", &version, "--push", &lying])
        .ok();
    let warning = format!(
        "the image has Flink {}, but the cluster is configured for Flink 1.20",
        flink_version()
    );
    let create = ["create", "other", "--image", &lying, "--dry-run=server"];
    place.flink(&create).ok().reports(&[&warning]);
    let run = place.flink(&[&create[..], &["--no-image-check"]].concat()).ok();
    assert!(!run.stderr.contains(&warning), "{run}");
    // With its state it would be refused: the release that is stated could not read it.
    place
        .flink(&[
            "upgrade",
            "demo",
            "--image",
            &lying,
            "--flink-version=1.20",
            "--strategy=stateless",
            "--dry-run",
        ])
        .ok()
        .reports(&[&warning]);
}

#[test]
fn registries_with_tls_and_full_ones_and_large_jars() {
    if !nodes_are_here() {
        return;
    }
    let place = Place::new("registry");
    let [jar, _] = jars(&place);
    // A small base is enough for these: one that was made of nothing but a label.
    let empty = small_base(&place, "amd64");
    let (authority, key) = certificate(&place, "tls");
    let store = place.folder().join("store");
    let secure = Registry::start(&place, &store, true, Some((&authority, &key)));
    let login = secure.login(&place);
    let authority = format!("--registry-ca={}", authority.display());
    let push = secure.image("team/app:1");
    let arguments = ["image", "build", "--base", &empty, "--jar", &jar, "--push", &push];
    place
        .flink(&[&arguments[..], &[&authority]].concat())
        .exits(4)
        .reports(&["docker login"]);
    place.flink(&[&arguments[..], &[&authority, &login]].concat()).ok();
    place.flink(&["image", "inspect", &push, &authority, &login]).ok();
    // Over the wire as it is at the same storage: what was pushed is an image for others, too.
    let plain = Registry::start(&place, &store, false, None);
    place.flink(&["image", "inspect", &plain.image("team/app:1")]).ok();
    // The nodes are of another platform.
    let foreign = small_base(&place, "s390x");
    let push = plain.image("foreign/app:1");
    place
        .flink(&["image", "build", "--base", &foreign, "--jar", &jar, "--push", &push])
        .ok();
    let create = ["create", "foreign", "--image", &push, "--dry-run=server"];
    place
        .flink(&create)
        .ok()
        .reports(&["the image is for linux/s390x, and all nodes are linux/"]);
    // An authority that did not sign it: nothing is sent.
    let (other, _) = certificate(&place, "other");
    let other_ca = format!("--registry-ca={}", other.display());
    place
        .flink(&[&arguments[..], &[&other_ca, &login]].concat())
        .exits(7)
        .reports(&["cannot be reached"]);

    // 500 MB in less than 64 MiB.
    let large = place.folder().join("large.jar");
    let mut file = File::create(&large).unwrap();
    // A jar may have anything before it, and here it has a hole.
    file.seek(SeekFrom::Start(500_000_000)).unwrap();
    file.write_all(&fs::read(&jar).unwrap()).unwrap();
    let large = large.display().to_string();
    let push = plain.image("team/large:1");
    let (run, peak) = peak_of(
        &place,
        &["image", "build", "--base", &empty, "--jar", &large, "--push", &push],
    );
    run.ok();
    assert!(peak < 64 << 10, "it took {peak} KiB");
    println!("a jar of 500 MB took {peak} KiB of memory");

    // The same through a connection that is cut twice on the way. This registry forgets what had arrived.
    let cutter = cutter(&plain.address, 2, 40_000_000);
    let push = format!("{cutter}/team/cut:1");
    let arguments = [
        "image", "build", "--base", &empty, "--jar", &large, "--push", &push, "-v",
    ];
    let cut = place.flink(&arguments).ok();
    assert_eq!(cut.stderr.matches("continues").count(), 2, "it was cut twice:\n{cut}");
    place.flink(&["image", "inspect", &plain.image("team/cut:1")]).ok();

    // A registry whose disk is full keeps nothing under the tag.
    let small = Disk::new(&place.folder().join("small"));
    let full = Registry::start(&place, &small.0, false, None);
    let push = full.image("team/large:1");
    place
        .flink(&["image", "build", "--base", &empty, "--jar", &large, "--push", &push])
        .exits(1);
    place.flink(&["image", "inspect", &push]).exits(3);
}

/// Runs the plugin, and gives the most memory that it had, in KiB.
fn peak_of(place: &Place, arguments: &[&str]) -> (Run, u64) {
    let mut command = place.plugin(arguments);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let run = Run {
        line: arguments.join(" "),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code(),
        took: Duration::ZERO,
    };
    (place.note(run), peak)
}

/// An image without layers, in a file as `docker save` writes it.
fn small_base(place: &Place, architecture: &str) -> String {
    let config = json!({ "os": "linux", "architecture": architecture, "config": {}, "rootfs": { "type": "layers", "diff_ids": [] } });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["empty:1"], "Layers": [] }]);
    let path = place.folder().join(format!("{architecture}.tar"));
    let mut archive = tar::Builder::new(File::create(&path).unwrap());
    for (name, content) in [("config.json", config), ("manifest.json", manifest)] {
        let bytes = content.to_string().into_bytes();
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.finish().unwrap();
    path.display().to_string()
}
