//! Checks that no file of a folder of tests is left out.

/// A file that is not a module is not compiled, and its tests pass unseen. `main` is the text of the folder's main.rs.
pub fn are_complete(folder: &str, main: &str) {
    for entry in std::fs::read_dir(format!("{}/tests/{folder}", env!("CARGO_MANIFEST_DIR"))).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = path.extension().is_some_and(|extension| extension == "rs") && name != "main";
        assert!(
            !module || main.contains(&format!("mod {name};")),
            "{} is not a module",
            path.display()
        );
    }
}
