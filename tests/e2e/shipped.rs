//! The plugin as it comes to people: from an archive as krew unpacks it, found and completed by the real kubectl and a
//! real bash, and the README's tour as it is written there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::place::{Place, bed, kubectl, soon};
use crate::process::{self, Run};
use crate::story::Story;

/// Longest that candidates take beyond kubectl's own start, which alone is more than 100 ms on a busy machine. Of several
/// tries the best one counts: other tests run beside this one.
const SOON: Duration = Duration::from_millis(70);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of programs with the plugin from an archive, as krew leaves it.
pub fn installed(folder: &Path) -> PathBuf {
    let pack = ["pack", "x86_64-unknown-linux-gnu", env!("CARGO_BIN_EXE_kubectl-flink")];
    let mut package = Command::new(root().join("krew/package"));
    process::run(package.args(pack).arg(folder).env("PACK_LEVEL", "1"), "").ok();
    let (store, bin) = (folder.join("store/flink"), folder.join("bin"));
    std::fs::create_dir_all(&store).unwrap();
    std::fs::create_dir_all(&bin).unwrap();
    let archive = folder.join("kubectl-flink-linux-amd64.tar.gz");
    process::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&store), "").ok();
    symlink(store.join("kubectl-flink"), bin.join("kubectl-flink")).unwrap();
    bin
}

/// A program with the installed plugin on the PATH.
pub fn program(bin: &Path, name: &str) -> Command {
    let mut command = Command::new(name);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command
        .env("PATH", path)
        .env("XDG_CONFIG_HOME", bin.join("no-configuration"));
    command
}

/// Types what docs/installing.md says, and gives the reader's folder and that of the program.
fn as_the_document_says(place: &Place) -> (PathBuf, PathBuf) {
    let story = Story::new(place, "docs/installing.md");
    let (folder, bin) = (story.home().to_owned(), story.home().join("bin"));
    story.rest();
    for left in [
        folder.join(".local/bin/kubectl-flink"),
        bin.join("kubectl_complete-flink"),
    ] {
        assert!(left.exists(), "{}", left.display());
    }
    (folder, bin)
}

#[test]
fn kubectl_finds_and_completes_what_was_unpacked() {
    let place = Place::new("shipped");
    let (folder, bin) = as_the_document_says(&place);
    let run = |arguments: &[&str]| place.note(process::run(program(&bin, "kubectl").args(arguments), ""));
    let version = run(&["flink", "version"]).ok();
    let server = kubectl(&["version", "-o", "json"]);
    let server: serde_json::Value = serde_json::from_str(&server).unwrap();
    assert!(
        version
            .stdout
            .contains(server["serverVersion"]["gitVersion"].as_str().unwrap()),
        "{version}"
    );
    let list = run(&["plugin", "list"]).ok();
    assert!(
        list.stdout.contains(&bin.join("kubectl-flink").display().to_string()),
        "{list}"
    );
    // A folder of the PATH that does not exist is reported too, and is not ours.
    assert!(
        !list.stderr.contains("warning") && !list.stderr.contains("kubectl-flink"),
        "{list}"
    );

    // Two clusters without a Pod: completion asks for objects, not for jobs.
    for name in ["orders", "payments"] {
        let flags = ["--image=nothing:2.3.0", "--no-wait"];
        let namespace = format!("--namespace={}", place.namespace);
        run(&[&["flink", &namespace, "create", name], &flags[..]].concat()).ok();
    }
    let namespace = place.namespace.as_str();
    let complete = |words: &[&str]| run(&[&["__complete", "flink"], words].concat()).ok();
    let names = |run: &Run| -> Vec<String> {
        let lines = run.stdout.lines().filter(|line| !line.starts_with(':'));
        lines.map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&complete(&["de"])), ["defaults", "delete"]);
    assert_eq!(
        names(&complete(&["delete", "-n", namespace, ""])),
        ["orders", "payments"]
    );
    assert_eq!(
        names(&complete(&["delete", "-n", namespace, "orders", ""])),
        ["payments"]
    );
    assert!(names(&complete(&["list", "-n", "e2e-shipped"])).contains(&place.namespace));
    assert!(names(&complete(&["create", "x", "--savepoint-d"])).contains(&"--savepoint-dir".to_owned()));
    let context = kubectl(&["config", "current-context"]);
    assert_eq!(names(&complete(&["list", "--context", ""])), [context.trim()]);
    soon("an answer within 70 ms of kubectl's own start", || {
        let own = run(&["version", "--client"]).ok().took;
        (complete(&["status", "-n", namespace, ""]).took < own + SOON).then_some(())
    });
    let revisions = complete(&["rollback", "-n", namespace, "orders", "--to-revision", ""]);
    assert_eq!(names(&revisions), ["1"]);
    // A cluster that is away: nothing, silently and soon, whether it refuses or is not heard of.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("--server=https://{}", silent.local_addr().unwrap());
    for server in ["--server=https://127.0.0.1:1", "--server=https://10.255.255.1", &silent] {
        let away = run(&["__complete", "flink", server, "status", ""]).ok();
        let mut lines = away.stderr.lines();
        let kubectls = |line: &str| line.starts_with("[Debug]") || line.starts_with("Completion ended");
        assert!(away.stdout.trim() == ":4" && lines.all(kubectls), "{away}");
        assert!(away.took < Duration::from_secs(4), "{away}");
    }

    // In a real bash with kubectl's own script, as TAB does it.
    let script = run(&["completion", "bash"]).ok().stdout;
    std::fs::write(folder.join("kubectl.bash"), script).unwrap();
    let tab = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let text = format!(
            "_get_comp_words_by_ref() {{ cur=${{COMP_WORDS[COMP_CWORD]}}; prev=${{COMP_WORDS[COMP_CWORD-1]}}; words=(\"${{COMP_WORDS[@]}}\"); cword=$COMP_CWORD; }}\n\
             __ltrim_colon_completions() {{ :; }}\n_filedir() {{ :; }}\n_init_completion() {{ _get_comp_words_by_ref; }}\n\
             source {}/kubectl.bash\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n\
             compopt() {{ :; }}\n__start_kubectl\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
            folder.display(),
            words
                .iter()
                .map(|word| format!("'{word}'"))
                .collect::<Vec<_>>()
                .join(" "),
            words.len() - 1
        );
        let run = place
            .note(process::run(program(&bin, "bash").args(["--norc", "-c", &text]), ""))
            .ok();
        run.stdout.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(tab("kubectl flink del")[0], "delete");
    let both = tab(&format!("kubectl flink delete -n {namespace} "));
    assert_eq!(both, ["orders", "payments"]);
    let jar = process::run(&mut Command::new(bed("jar")), "").ok().stdout;
    let classes = tab(&format!(
        "kubectl flink create x --jar {} --job-class org.kubectlflink.jobs.CountingJ",
        jar.trim()
    ));
    assert_eq!(classes, ["org.kubectlflink.jobs.CountingJob"]);
    std::fs::write(folder.join("deployment.yaml"), "").unwrap();
    let files = tab(&format!("kubectl flink create -f {}/dep", folder.display()));
    assert_eq!(files, [folder.join("deployment.yaml").display().to_string()]);
    for name in ["orders", "payments"] {
        run(&["flink", "-n", namespace, "delete", name, "--yes", "--purge"]).ok();
    }
}

/// What stays the same from run to run: progress is passed over, numbers and names that are made up become marks.
fn shape(transcript: &str) -> Vec<String> {
    let progress = |line: &&str| line.starts_with("demo: ") || line.starts_with("writing a savepoint");
    let mark = |word: &str| {
        let plain = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        match plain {
            _ if plain.len() >= 32 && plain.bytes().all(|b| b.is_ascii_hexdigit()) => "ID".to_owned(),
            _ if plain.contains("/savepoint-") => "SAVEPOINT".to_owned(),
            _ if plain.starts_with(|c: char| c.is_ascii_digit()) && plain.ends_with(['s', 'm', 'h']) => {
                "AGE".to_owned()
            }
            _ if plain.parse::<f64>().is_ok() => "NUMBER".to_owned(),
            _ => word.to_owned(),
        }
    };
    let lines = transcript
        .lines()
        .filter(|line| !progress(line) && !line.trim().is_empty());
    lines
        .map(|line| line.split_whitespace().map(mark).collect::<Vec<_>>().join(" "))
        .collect()
}

/// The README alone: its commands, in its order, on a namespace with nothing but storage.
#[test]
fn the_readmes_tour_is_what_happens() {
    let place = Place::new("tour");
    let folder = tempfile::TempDir::new().unwrap();
    let bin = installed(folder.path());
    let mut script = program(&bin, "bash");
    script
        .arg(root().join("docs/session"))
        .env("SESSION_NAMESPACE", format!("{}-x", place.namespace));
    let run = place.note(process::run(&mut script, "")).ok();
    let kept = std::fs::read_to_string(root().join("docs/session.txt")).unwrap();
    assert_eq!(
        shape(&run.stdout),
        shape(&kept),
        "docs/session.txt is old: docs/session writes it again\n{run}"
    );
}
