//! `seqzoo init`; longer than other commands because it writes a commented section.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_run::did_you_mean;
use seqzoo_run::recipe::{Recipe, SHIPPED};
use seqzoo_run::settings::Settings;
use toml::Value;

use crate::arguments::{DataArgs, Overrides};
use crate::failure::{Failure, STORAGE, USAGE};
use crate::say::{quoted, say};

/// Write a short commented recipe for your own data, to edit and train.
///
/// Examples: `seqzoo init classify --data reviews.csv --text-column review --label-column sentiment`,
/// `seqzoo init tag --data train.conll --out entities.toml`
#[derive(Debug, Args)]
pub struct Init {
    /// Recipe to start from, such as classify, tag, translate, language-model or forecast.
    recipe: String,
    /// Recipe file to create [default: RECIPE.toml]
    #[arg(long, value_name = "FILE.toml")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    data: DataArgs,
}

impl Init {
    pub fn run(&self) -> Result<(), Failure> {
        let Some((_, text)) = SHIPPED.iter().find(|(name, _)| *name == self.recipe) else {
            let hint = did_you_mean(&self.recipe, SHIPPED.iter().map(|(name, _)| *name));
            return Err(Failure::new(
                USAGE,
                format!("no recipe `{}`{hint}; `seqzoo list recipes` shows all", self.recipe),
            ));
        };
        let settings = self.overrides.settings(&self.recipe, &self.data)?;
        let written = self.written(text, &settings)?;
        let path = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", self.recipe)));
        let failed = |error: &std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => {
                let message =
                    format!("{} exists already and is not overwritten; name another file with --out", path.display());
                Failure::new(USAGE, message)
            }
            _ => Failure::new(STORAGE, format!("cannot write {}: {error}", path.display())),
        };
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|error| failed(&error))?;
        file.write_all(written.as_bytes()).map_err(|error| failed(&error))?;
        say(format_args!("wrote {}", path.display()));
        writeln!(std::io::stdout().lock(), "next: seqzoo check {}", quoted(&path))?;
        Ok(())
    }

    /// The recipe's text with a `[data]` section for the user's files, and without what belongs to a shipped recipe.
    fn written(&self, text: &str, settings: &Settings) -> Result<String, Failure> {
        let recipe = &settings.recipe;
        let mut lines = vec![
            format!(
                "# Edit this recipe, check it with `seqzoo check` and train it with `seqzoo train`. It starts from `{}`;",
                self.recipe
            ),
            "# docs/recipes.md lists all fields, and `seqzoo describe --explain FIELD` explains one.".to_owned(),
        ];
        let mut section = String::new();
        for line in text.lines().skip_while(|line| line.starts_with('#')) {
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).to_owned();
                if section == "data" {
                    lines.push(String::new());
                    lines.extend(self.data_section(recipe)?);
                    continue;
                }
            }
            if line.starts_with("summary = ") {
                lines.push(format!("summary = {}", Value::String(format!("{} (to edit)", recipe.task()?.summary))));
                continue;
            }
            if !["data", "data.columns", "expected"].contains(&section.as_str()) {
                lines.push(line.to_owned());
            }
        }
        let mut all = lines.join("\n");
        while all.contains("\n\n\n") {
            all = all.replace("\n\n\n", "\n\n");
        }
        Ok(all.trim_end().to_owned() + "\n")
    }

    fn data_section(&self, recipe: &Recipe) -> Result<Vec<String>, Failure> {
        let (data, note) = self.data.own(recipe)?.with_named_splits(Path::new("."))?;
        note.iter().for_each(|note| say(format_args!("note: {note}")));
        let task = recipe.task()?;
        let mut lines = vec![
            "[data]".to_owned(),
            "# Your files or folders. The format is recognized by the suffix, by folders, or by the first line; `seqzoo list formats`"
                .to_owned(),
            "# lists the formats. Relative paths start at the working directory.".to_owned(),
        ];
        let paths = |paths: &[PathBuf]| {
            let paths: Vec<Value> = paths.iter().map(|path| Value::String(path.display().to_string())).collect();
            if paths.len() == 1 { paths[0].to_string() } else { Value::Array(paths).to_string() }
        };
        let is_split = !data.validation.0.is_empty() || !data.test.0.is_empty();
        let files = if is_split { &data.train.0 } else { &data.files.0 };
        let named = if files.is_empty() { vec![PathBuf::from("FILE")] } else { files.clone() };
        lines.push(format!("{} = {}", if is_split { "train" } else { "files" }, paths(&named)));
        for (name, of_split) in [("validation", &data.validation.0), ("test", &data.test.0)] {
            if !of_split.is_empty() {
                lines.push(format!("{name} = {}", paths(of_split)));
            }
        }
        if let Some(format) = &data.format {
            lines.push(format!("format = {}", Value::String(format.clone())));
        }
        if !data.options.is_empty() {
            lines.push(format!("options = {}", Value::Table(data.options.clone())));
        }
        let columns = task.data.roles.iter().filter_map(|role| Some((role, data.columns.get(role.name)?)));
        let columns: Vec<String> =
            columns.map(|(role, name)| format!("{} = {}", role.name, Value::String(name.to_owned()))).collect();
        let example = match columns.is_empty() {
            true => {
                let required = task.data.roles.iter().filter(|role| role.is_required);
                let names: Vec<String> = required.map(|role| format!("{0} = \"{0}\"", role.name)).collect();
                format!("# columns = {{ {} }}", names.join(", "))
            }
            false => format!("columns = {{ {} }}", columns.join(", ")),
        };
        lines.push("# Columns by role; by default, those with the names of the roles.".to_owned());
        lines.push(example);
        if data.validation.0.is_empty() {
            let rule = data.split.as_ref().unwrap_or(&task.data.default_split);
            let more = if rule.can_add_test() { "; `test = 0.1` adds a test split" } else { "" };
            lines.push(format!("# Rule that divides the rows into splits{more}."));
            lines.push(format!("split = {}", rule.to_inline()));
        }
        lines.push(String::new());
        Ok(lines)
    }
}
