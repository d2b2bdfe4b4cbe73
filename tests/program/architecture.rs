//! ARCHITECTURE.md against the code: its picture of the tree, and its import arrows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Imports by importer.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of the first indented block after a heading.
fn block(heading: &str) -> Vec<String> {
    let text = read("ARCHITECTURE.md");
    let (_, after) = text.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let lines = after.lines().skip_while(|line| !line.starts_with("    "));
    lines.take_while(|line| line.starts_with("    ")).map(|line| line[4..].to_owned()).collect()
}

/// The paths of the picture: a path, two or more spaces, a description; indentation nests.
fn pictured() -> Vec<PathBuf> {
    let mut parents: Vec<(usize, PathBuf)> = Vec::new();
    let mut paths = Vec::new();
    for line in block("Layout") {
        let indent = line.len() - line.trim_start().len();
        let Some((names, _)) = line.trim_start().split_once("  ") else { continue };
        let is_path = |name: &str| name.ends_with('/') || name.contains('.') && !name.contains(' ');
        if !names.split(", ").all(is_path) {
            continue;
        }
        parents.retain(|(outer, _)| *outer < indent);
        let parent = parents.last().map(|(_, path)| path.clone()).unwrap_or_default();
        for name in names.split(", ") {
            paths.push(parent.join(name));
        }
        parents.push((indent, parent.join(names)));
    }
    paths
}

/// The library and program sources of every package.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = packages().into_values().map(|folder| folder.join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The folder of each package, by its name without `seqzoo-`.
fn packages() -> BTreeMap<String, PathBuf> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter();
    let folders = members.map(|member| PathBuf::from(member.as_str().unwrap()));
    let named = |folder: PathBuf| {
        let manifest: toml::Table = read(folder.join("Cargo.toml")).parse().unwrap();
        let name = manifest["package"]["name"].as_str().unwrap();
        (name.strip_prefix("seqzoo-").unwrap_or(name).to_owned(), folder)
    };
    folders.map(|folder| folder.strip_prefix(".").map(Path::to_owned).unwrap_or(folder)).map(named).collect()
}

/// The packages of ours that each package depends on.
fn dependencies() -> Graph {
    let of = |(name, folder): (String, PathBuf)| {
        let manifest: toml::Table = read(folder.join("Cargo.toml")).parse().unwrap();
        let all = manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten();
        (name, all.filter_map(|(name, _)| Some(name.strip_prefix("seqzoo-")?.to_owned())).collect())
    };
    packages().into_iter().map(of).collect()
}

/// `a ← b, c ← d`: b and c import a, d imports b and c.
fn arrows() -> Graph {
    let mut graph = Graph::new();
    for line in block("Imports") {
        let steps: Vec<Vec<&str>> = line.split('←').map(|names| names.split(',').map(str::trim).collect()).collect();
        for pair in steps.windows(2) {
            for importer in &pair[1] {
                graph.entry((*importer).to_owned()).or_default().extend(pair[0].iter().map(|name| (*name).to_owned()));
            }
        }
    }
    graph
}

/// Everything that `from` imports, directly or not.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in graph.get(&name).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

#[test]
fn every_pictured_path_exists_and_every_source_is_pictured() {
    let pictured = pictured();
    assert!(pictured.len() > 20, "the picture was not understood: {pictured:?}");
    for path in &pictured {
        assert!(root().join(path).exists(), "ARCHITECTURE.md shows {}, which does not exist", path.display());
    }
    // A folder stands for its files, unless some of them are listed one by one.
    let lists_files =
        |folder: &Path| pictured.iter().any(|path| path.parent() == Some(folder) && path.extension().is_some());
    for source in sources() {
        let covered = |path: &PathBuf| path == &source || source.starts_with(path) && !lists_files(path);
        assert!(pictured.iter().any(covered), "ARCHITECTURE.md does not show {}", source.display());
    }
}

#[test]
fn packages_import_along_the_arrows_alone_and_each_arrow_is_used() {
    let (arrows, real) = (arrows(), dependencies());
    for (importer, imported) in &real {
        let allowed = reachable(&arrows, importer);
        for name in imported {
            assert!(allowed.contains(name), "{importer} imports {name}, but no arrow of ARCHITECTURE.md leads there");
        }
    }
    for (importer, imported) in &arrows {
        for name in imported {
            assert!(real[importer].contains(name), "ARCHITECTURE.md has {name} ← {importer}, which no manifest has");
        }
    }
}
