//! The documentation of cells, layers and networks.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn every_public_module_has_an_example_and_every_cell_its_paper() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = 0;
    for source in sources(&folder) {
        let text = std::fs::read_to_string(&source).unwrap();
        for (at, _) in text.match_indices("#[derive(Module, Debug)]\npub struct ") {
            let docs: Vec<&str> = text[..at].lines().rev().take_while(|line| line.starts_with("///")).collect();
            let has = |start: &str| docs.iter().any(|line| line.starts_with(start));
            assert!(has("/// use seqzoo_models::"), "{}: a public module without an example", source.display());
            if source.parent() == Some(&folder.join("cells")) {
                assert!(
                    has("/// ```text") && docs.iter().any(|line| line.contains("19") || line.contains("20")),
                    "{}: a cell without equations or the year of its paper",
                    source.display()
                );
            }
            found += 1;
        }
    }
    assert!(found >= 20, "only {found} modules found");
}
