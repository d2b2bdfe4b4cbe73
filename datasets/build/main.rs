//! Lists the manifests in `published`.

mod toml_files;

fn main() {
    toml_files::list("published", "manifests.rs");
}
