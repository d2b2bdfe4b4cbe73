//! Checks ARCHITECTURE.md against the code: the layout, the imports of packages, and cycles among modules.

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

/// The packages of this workspace that each package depends on.
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

/// The modules of a package, by path from the crate's root.
struct Modules {
    /// Source text of each module, without comments and tests.
    sources: BTreeMap<Vec<String>, String>,
}

impl Modules {
    fn of(package: &Path) -> Self {
        let source_folder = package.join("src");
        let module = |source: PathBuf| {
            let relative = source.strip_prefix(&source_folder).ok()?.with_extension("");
            let mut path: Vec<String> = relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            path.retain(|part| part != "lib" && part != "main");
            // Test modules in files of their own are not part of the package.
            if path.last().is_some_and(|part| part == "tests") {
                return None;
            }
            Some((path, without_tests(&read(&source))))
        };
        let mut sources: BTreeMap<Vec<String>, String> = BTreeMap::new();
        for (path, text) in self::sources().into_iter().filter_map(module) {
            sources.entry(path).or_default().push_str(&text);
        }
        Self { sources }
    }

    /// The module that contains the item that `path` names, following one re-export.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        let depth = (0..=path.len()).rev().find(|&depth| self.sources.contains_key(&path[..depth])).unwrap_or(0);
        let (module, item) = path.split_at(depth);
        let Some(item) = item.first() else { return module.to_vec() };
        let child = |used: &Vec<String>| {
            used.first().is_some_and(|first| self.sources.contains_key(&[module, std::slice::from_ref(first)].concat()))
        };
        let reexported = uses(&self.sources[module]).into_iter().filter(child).find(|used| used.last() == Some(item));
        reexported.map_or_else(|| module.to_vec(), |used| [module, &used[..used.len() - 1]].concat())
    }

    /// Imports among the children of each module.
    fn imports(&self) -> BTreeMap<Vec<String>, Graph> {
        let mut graphs: BTreeMap<Vec<String>, Graph> = BTreeMap::new();
        for (module, text) in &self.sources {
            for path in paths(text) {
                let supers = path.iter().take_while(|part| *part == "super").count();
                let start = if path[0] == "crate" { 0 } else { module.len().saturating_sub(supers) };
                let target = self.resolve(&[&module[..start], &path[supers.max(1)..]].concat());
                let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
                if let (Some(importer), Some(imported)) = (module.get(shared), target.get(shared)) {
                    let graph = graphs.entry(module[..shared].to_vec()).or_default();
                    graph.entry(importer.clone()).or_default().insert(imported.clone());
                }
            }
        }
        graphs
    }
}

/// Source text without comments and test modules.
fn without_tests(text: &str) -> String {
    let mut lines = text.lines();
    let mut kept = String::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let item = lines.find(|line| !line.starts_with("#["));
            if item.is_some_and(|item| item.ends_with('{')) {
                lines.find(|line| *line == "}");
            }
            continue;
        }
        kept.push_str(line.split("//").next().unwrap_or_default());
        kept.push('\n');
    }
    kept
}

/// The paths in `text` that start with `crate` or `super`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let starts = text.match_indices("crate::").chain(text.match_indices("super::"));
    let is_start =
        |&(at, _): &(usize, &str)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
    starts.filter(is_start).flat_map(|(at, _)| expand(&text[at..]).0).collect()
}

/// The paths of all `use` declarations in `text`.
fn uses(text: &str) -> Vec<Vec<String>> {
    text.match_indices("use ").flat_map(|(at, found)| expand(&text[at + found.len()..]).0).collect()
}

/// The paths of a use tree at the beginning of `text`, and what follows it. A renamed item has its new name.
fn expand(text: &str) -> (Vec<Vec<String>>, &str) {
    let mut text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut all = Vec::new();
        text = group.trim_start();
        while !text.is_empty() && !text.starts_with('}') {
            let (paths, rest) = expand(text);
            all.extend(paths);
            text = rest.trim_start();
            // Anything else in a group, such as the code of a block, ends it.
            let Some(rest) = text.strip_prefix(',') else { break };
            text = rest.trim_start();
        }
        return (all, text.strip_prefix('}').unwrap_or(""));
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix("::") {
        let (paths, rest) = expand(rest);
        return (paths.into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect(), rest);
    }
    let (name, rest) = match rest.strip_prefix(" as ") {
        Some(renamed) => {
            renamed.split_at(renamed.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(renamed.len()))
        }
        None => (name, rest),
    };
    let path = if name.is_empty() || name == "self" { Vec::new() } else { vec![name.to_owned()] };
    (vec![path], rest)
}

#[test]
fn every_pictured_path_exists_and_every_source_is_pictured() {
    let pictured = pictured();
    assert!(pictured.len() > 20, "the picture was not understood: {pictured:?}");
    for path in &pictured {
        assert!(root().join(path).exists(), "ARCHITECTURE.md shows {}, which does not exist", path.display());
    }
    // A listed folder covers all of its files, unless some of them are listed separately.
    let lists_files =
        |folder: &Path| pictured.iter().any(|path| path.starts_with(folder) && path.extension().is_some());
    let covers = |path: &Path, source: &Path| path == source || source.starts_with(path) && !lists_files(path);
    let mut missing = sources();
    missing.retain(|source| !pictured.iter().any(|path| covers(path, source)));
    assert!(missing.is_empty(), "ARCHITECTURE.md does not show {missing:?}");
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

#[test]
fn no_module_imports_itself_through_others() {
    let mut circles = Vec::new();
    for (name, package) in packages() {
        for (parent, graph) in Modules::of(&package).imports() {
            let circle: Vec<&str> =
                graph.keys().filter(|module| reachable(&graph, module).contains(*module)).map(String::as_str).collect();
            if !circle.is_empty() {
                let parent: String = parent.iter().map(|part| format!("{part}::")).collect();
                circles.push(format!("{name}: {parent}{}", circle.join(", ")));
            }
        }
    }
    assert!(circles.is_empty(), "modules import one another in a circle: {circles:?}");
}

#[test]
fn use_trees_are_read_with_groups_new_names_and_comments() {
    let text = without_tests(
        "use crate::{a::{B, c::D as E}, f}; // crate::no\nfn g() { super::h::i(); }\n#[cfg(test)]\nmod tests {\n    use crate::z;\n}\n",
    );
    let found: BTreeSet<String> = paths(&text).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["crate::a::B", "crate::a::c::E", "crate::f", "super::h::i"]);
}
