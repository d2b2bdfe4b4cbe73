//! Generates a list of the TOML files of a folder, to link into a library.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Writes `&[(name, text), …]` of the TOML files in `folder`, relative to the package and sorted by name, to `list` in the
/// build folder.
pub fn list(folder: &str, list: &str) {
    let variable = |name| env::var_os(name).expect("Cargo sets it");
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")).join(folder);
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(&folder).expect("the folder exists").map(|entry| entry.expect("it can be read").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    let pair = |file: &PathBuf| {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("names of shipped files are ASCII");
        format!("({name:?}, include_str!({file:?})),\n")
    };
    let pairs: String = files.iter().map(pair).collect();
    fs::write(Path::new(&variable("OUT_DIR")).join(list), format!("&[\n{pairs}]\n")).expect("it can be written");
}
