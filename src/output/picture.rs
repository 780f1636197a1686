//! Pictures for a browser.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::flame_graph::{html, svg};
use super::terminal;
use crate::error::{Error, Result};
use crate::model::flame_graph::Frame;
use crate::partial_file;

/// Writes a flame graph to a file, or opens it in a browser; or says how.
pub(crate) fn flame_graph(path: Option<&Path>, in_browser: bool, root: &Frame, title: &str) -> Result<()> {
    if path.is_none() && !in_browser {
        terminal::next_steps(&["--browser shows it as a picture, -o FILE.svg writes one".to_owned()]);
        return Ok(());
    }
    let is_svg = path.is_some_and(|path| ending(path) == "svg");
    let (picture, kind) = if is_svg {
        (svg(root, title), "svg")
    } else {
        (html(root, title), "html")
    };
    show(path, in_browser, kind, picture.as_bytes())
}

fn ending(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Checks the name of a file before anything is sampled.
///
/// # Errors
/// Usage when it has another ending, or exists.
pub(crate) fn check(path: &Path, is_page: bool) -> Result<()> {
    let wanted: &[&str] = if is_page { &["html"] } else { &["svg", "html"] };
    if !wanted.contains(&ending(path).as_str()) {
        let text = format!("{} does not end in .{}", path.display(), wanted.join(" or ."));
        return Err(Error::usage(text));
    }
    if path.symlink_metadata().is_ok() {
        return Err(Error::usage(format!("{} exists already", path.display())));
    }
    Ok(())
}

/// Writes a picture to a new file, which appears as a whole, and opens it in a browser.
pub(crate) fn show(path: Option<&Path>, in_browser: bool, kind: &str, picture: &[u8]) -> Result<()> {
    let failed = |e: &std::io::Error| Error::failure(format!("cannot write the picture: {e}"));
    let mut file = match path {
        Some(path) => partial_file::beside(path)?,
        None => tempfile::Builder::new()
            .prefix("kubectl-flink-")
            .suffix(&format!(".{kind}"))
            .tempfile()
            .map_err(|e| failed(&e))?,
    };
    file.write_all(picture).map_err(|e| failed(&e))?;
    let path = match path {
        Some(path) => {
            file.persist_noclobber(path).map_err(|e| failed(&e.error))?;
            path.to_owned()
        }
        // The browser reads it after the end of this program.
        None => file.keep().map_err(|e| failed(&e.error))?.1,
    };
    terminal::data(&format!("{}\n", path.display()))?;
    let whole = std::path::absolute(&path).unwrap_or(path);
    if in_browser && browse(&format!("file://{}", whole.display())).is_err() {
        terminal::note("no browser can be opened here: open the file yourself");
    }
    Ok(())
}

/// Opens an address in the browser.
pub(crate) fn browse(url: &str) -> std::io::Result<()> {
    let (program, before): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    // No wait: some browsers keep this process running.
    Command::new(program)
        .args(before)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}
