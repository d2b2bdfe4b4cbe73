//! Lists the shipped recipes.

#[path = "../../datasets/build/toml_files.rs"]
mod toml_files;

fn main() {
    toml_files::list("../recipes", "recipes.rs");
}
