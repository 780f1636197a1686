//! `image build` and `image inspect` against registries that do things wrong.

use crate::image_place::{build, fails, jar, place, whole, works};
use crate::registry::Fault;

#[test]
fn what_a_registry_refuses_is_told_in_its_words() {
    let (sandbox, registry) = place(1);
    registry.fault(
        "POST",
        "/team/app/blobs/uploads/",
        2,
        Fault::Status(403, &[], "quota of the project is used up"),
    );
    fails(
        &build(&sandbox, &registry, &[]),
        4,
        &["refuses", "quota of the project is used up"],
    );
    let missing = registry.image("flink:9.9");
    let outcome = sandbox.run(&[
        "image", "build", "--base", &missing, "--jar", "app.jar", "--push", &missing,
    ]);
    fails(&outcome, 3, &["there is no image", "flink:9.9"]);
    assert_eq!(registry.tags("team/app"), Vec::<String>::new());
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let (sandbox, registry) = place(1);
    registry.fault(
        "GET",
        "/manifests/",
        2,
        Fault::Status(429, &[("retry-after", "0")], "slow down"),
    );
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::Status(503, &[], "restarting"));
    registry.fault("PUT", "/manifests/", 2, Fault::Status(500, &[], "oops"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
}

#[test]
fn a_registry_that_stays_broken_is_given_up_without_half_an_image() {
    for (method, part, fault, code, word) in [
        (
            "GET",
            "/manifests/",
            Fault::Status(429, &[("retry-after", "0")], "slow down"),
            1,
            "slow down",
        ),
        (
            "PATCH",
            "/blobs/uploads/",
            Fault::Status(500, &[], "no space left on device"),
            1,
            "no space left on device",
        ),
        ("PUT", "/manifests/", Fault::Status(500, &[], "oops"), 1, "oops"),
        ("PUT", "/manifests/", Fault::CutRequest(10), 7, "cannot be reached"),
        ("PATCH", "/blobs/uploads/", Fault::CutRequest(0), 7, "cannot be reached"),
    ] {
        let (sandbox, registry) = place(1);
        registry.fault(method, part, usize::MAX, fault);
        fails(&build(&sandbox, &registry, &[]), code, &[word]);
        assert_eq!(registry.tags("team/app"), Vec::<String>::new(), "{method} {part}");
    }
}

#[test]
fn an_upload_that_is_cut_goes_on_where_it_was() {
    let (sandbox, registry) = place(1);
    registry.fault("PATCH", "/blobs/uploads/", 3, Fault::CutRequest(50_000));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
    let log = registry.log();
    assert!(log.iter().any(|line| line.contains("[50000-")), "{log:#?}");
    assert!(log.iter().any(|line| line.contains("[150000-")), "{log:#?}");
    // A registry that has forgotten the upload gets it from the beginning.
    let push = registry.image("again/app:1");
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::CutRequest(50_000));
    registry.fault("GET", "/blobs/uploads/", 1, Fault::Status(404, &[], "upload unknown"));
    works(&build(&sandbox, &registry, &["--push", &push]));
    whole(&registry, "again/app", "1");
}

#[test]
fn a_registry_that_takes_no_large_pieces_gets_small_ones() {
    let (sandbox, registry) = place(1);
    jar(&sandbox, "app.jar", &vec![3; 20 << 20]);
    registry.fault("PATCH", "/blobs/uploads/", 1, Fault::Status(413, &[], "too large"));
    works(&build(&sandbox, &registry, &[]));
    whole(&registry, "team/app", "1");
    let log = registry.log();
    assert!(
        log.iter().any(|line| line.contains("[0-8388607]")) && log.iter().any(|line| line.contains("[16777216-")),
        "{log:#?}"
    );
}

#[test]
fn two_pushers_do_no_harm_to_each_other() {
    let (sandbox, registry) = place(3);
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| works(&build(&sandbox, &registry, &[]))))
            .collect();
        let names: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
    });
    whole(&registry, "team/app", "1");
}

#[test]
fn a_registry_that_is_not_there_is_said_to_be_unreachable() {
    let (sandbox, _) = place(1);
    // No port that was free a moment ago: another test may listen there by now.
    let nobody = "127.0.0.1:1";
    let image = format!("{nobody}/app:1");
    fails(
        &sandbox.run(&["image", "inspect", &image]),
        7,
        &[nobody, "cannot be reached"],
    );
}
