//! Flink's own page in a browser, through `ui`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::place::Place;
use crate::process::{self, LIMIT, eventually};

/// The page as headless Chromium has it when its scripts have run for some seconds.
fn page(place: &Place, url: &str) -> String {
    let folder = place.folder().join("chromium");
    let mut chromium = Command::new("timeout");
    chromium.args([
        "60",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    chromium.args(["--virtual-time-budget=10000", "--timeout=40000", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", folder.display())).arg(url);
    process::run(&mut chromium, "").stdout
}

/// Looks at the page of a job until it shows that it runs, with its vertices.
fn shows(place: &Place, port: &str, job: &str) {
    let url = format!("http://127.0.0.1:{port}/#/job/running/{job}/overview");
    let begun = std::time::Instant::now();
    loop {
        let page = page(place, &url);
        if [job, "counting", "RUNNING", "Source: numbers"]
            .iter()
            .all(|words| page.contains(words))
        {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "job {job} is not on the page:\n{page}");
    }
}

/// Serves a page of another origin that reads and drives Flink, as far as it can, and writes the results into itself.
fn foreign(port: &str, job: &str) -> String {
    let page = format!(
        r#"<body><img src="http://127.0.0.1:{port}/jobs/{job}/yarn-cancel"><pre id="shown"></pre><script>
        const tries = [["get", "jobs/overview", {{}}], ["blind", "jobs/{job}/yarn-cancel", {{mode: "no-cors"}}],
            ["post", "jobs/{job}/savepoints", {{method: "POST", headers: {{"Content-Type": "text/plain"}}, body: "{{}}"}}]];
        Promise.all(tries.map(([name, path, how]) => fetch("http://127.0.0.1:{port}/" + path, how)
            .then(answer => name + ":" + answer.type + answer.status, () => name + ":failed")))
            .then(all => document.getElementById("shown").textContent = all.join(" ") + " done");
        </script></body>"#
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let _ = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).count();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{page}", page.len());
        }
    });
    format!("http://{address}/")
}

#[test]
fn flinks_own_page_shows_the_job_also_after_the_jobmanager_was_replaced() {
    let chromium = Command::new("chromium").arg("--version").output();
    assert!(chromium.is_ok(), "there is no chromium: apt-get install chromium");
    let place = Place::new("browser");
    place.create("demo", &["--", "--rate", "50"]).ok();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
        .to_string();
    let mut ui = place.start(&["ui", "demo", "--no-browser", "--port", &free]);
    let first = place.job_id("demo");
    shows(&place, &free, &first);

    // A page from elsewhere in the same browser gets nothing and does nothing.
    let shown = page(&place, &foreign(&free, &first));
    assert!(shown.contains("get:failed blind:opaque0 post:failed done"), "{shown}");
    std::thread::sleep(Duration::from_secs(5));
    let jobs = place.rest("demo", "jobs/overview").unwrap();
    let job = &jobs["jobs"][0];
    assert_eq!(
        (&job["jid"], &job["state"]),
        (&first.as_str().into(), &"RUNNING".into())
    );

    // Without high availability its job begins again, under another ID.
    place.kubectl(&["delete", "pod", "-l", "app=demo,component=master", "--grace-period=1"]);
    let second = eventually("another JobManager has the job", LIMIT, || {
        let jobs = place.rest("demo", "jobs/overview")?;
        let id = jobs["jobs"][0]["jid"].as_str()?;
        (id != first).then(|| id.to_owned())
    });
    place.flink(&["wait", "demo", "--for", "running"]).ok();
    assert!(ui.runs());
    shows(&place, &free, &second);

    // The port closes with the command.
    ui.signal("INT");
    let ended = place.note(ui.end()).exits(130);
    assert_eq!(ended.stdout, format!("http://127.0.0.1:{free}/\n"));
    ended.reports(&["forwarding to Pod demo-master-"]);
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(format!("127.0.0.1:{free}")).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the port is still open");
    }
    place.flink(&["ui", "absent"]).exits(3);
}
