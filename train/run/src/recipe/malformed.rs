//! Explanations of recipes that cannot be parsed: line, message, nearest name, missing fields.

use seqzoo_tasks::{self as tasks, KIND};
use toml::{Table, Value};

use super::renamed::{self, line_of};
use super::{Section, sections};
use crate::nearest;

/// The line of an error, counted from 1, if it concerns a single one, and the message.
pub(crate) fn explain(recipe: &str, error: &toml::de::Error) -> (Option<usize>, String) {
    if let Some((line, message)) = renamed::first_in(recipe) {
        return (Some(line), message);
    }
    let values: Table = recipe.parse().unwrap_or_default();
    let missing = missing(&values);
    if error.message().starts_with("missing field") && !missing.is_empty() {
        return (None, format!("missing: {}", missing.join(", ")));
    }
    let line = line_of_task_error(recipe, &values, error);
    let span = || Some(recipe[..error.span()?.start].matches('\n').count() + 1);
    (line.or_else(span), plain(error.message()))
}

/// Required sections and fields that a recipe lacks, with the values of each field.
fn missing(values: &Table) -> Vec<String> {
    let mut missing: Vec<String> = [("summary", "one sentence"), ("models", "a list such as [\"lstm\"]")]
        .into_iter()
        .filter(|(key, _)| !values.contains_key(*key))
        .map(|(key, expected)| format!("{key} ({expected})"))
        .collect();
    let section = |name: &str| values.get(name).and_then(Value::as_table);
    let Some(Ok(task)) = section("task").map(tasks::of) else {
        let absent = sections::REQUIRED.iter().filter(|name| !values.contains_key(**name));
        missing.extend(absent.map(|name| format!("[{name}]")));
        return missing;
    };
    for Section { name, fields, .. } in Section::all(task) {
        let Some(given) = section(name) else {
            if sections::REQUIRED.contains(&name) {
                missing.push(format!("[{name}]"));
            }
            continue;
        };
        // A dataset supplies the columns of its own data.
        let required = fields.iter().filter(|field| !field.is_optional && name != "data.columns");
        let absent = required.filter(|field| !given.contains_key(&field.name));
        missing.extend(absent.map(|field| format!("{name}.{} ({})", field.name, field.values)));
    }
    missing
}

/// The line of an error in the task's section, which the task parses itself and whose errors have no position.
fn line_of_task_error(recipe: &str, values: &Table, error: &toml::de::Error) -> Option<usize> {
    let section = values.get("task")?.as_table()?;
    let task = tasks::of(section).ok()?;
    let is_wrong = |(key, value): &(&String, &Value)| {
        let alone = Table::from_iter([((*key).clone(), (*value).clone())]);
        task.resolve(alone).is_err_and(|found| found.message().trim_end() == error.message().trim_end())
    };
    let (key, _) = section.iter().filter(|(key, _)| *key != KIND).find(is_wrong)?;
    line_of(recipe, &format!("task.{key}"))
}

/// A message of the parser without the names of Rust's types, with the nearest expected name to messages such as "unknown
/// field `x`, expected one of `a`, `b`".
pub(crate) fn plain(message: &str) -> String {
    let message = &plain_types(message);
    let mut quoted = message.split('`').skip(1).step_by(2);
    let hint = match message.starts_with("unknown ") {
        true => quoted.next().and_then(|name| nearest(name, quoted)),
        false => None,
    };
    match hint {
        Some(name) => format!("{} (did you mean `{name}`?)", message.trim_end()),
        None => message.trim_end().to_owned(),
    }
}

fn plain_types(message: &str) -> String {
    let Some((start, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let start = start.replacen("unknown variant ", "unknown value ", 1);
    let plain = match expected.trim_end() {
        "usize" | "u64" | "u32" | "i64" => "a whole number",
        "f64" | "f32" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        "a boolean" => "true or false",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    match start.split_once("invalid type: ") {
        Some((before, found)) => format!("{before}expected {plain}, not {found}"),
        None => format!("{start}, expected {plain}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::recipe::SHIPPED;
    use crate::settings::Settings;

    const WHOLE: &str = "summary = \"x\"\nmodels = [\"lstm\"]\n[data]\ndataset = \"agreement\"\n[task]\nkind = \"classification\"\n\
                         [network]\nhidden_sizes = [4]\n[training]\nepochs = 1\nbatch_size = 8\nlearning_rate = 0.01\n";

    /// The error of a recipe, after the name of its file.
    fn error(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("recipe.toml");
        std::fs::write(&file, text).unwrap();
        let error = Settings::read(file.to_str().unwrap()).map(drop).unwrap_err().to_string();
        error.split_once("recipe.toml").unwrap().1.to_owned()
    }

    #[test]
    fn everything_that_is_missing_is_reported_together() {
        assert_eq!(
            error("summary = \"x\"\n[task]\nkind = \"tagging\"\n[training]\nepochs = 1\n"),
            ": missing: models (a list such as [\"lstm\"]), [network], training.batch_size (an integer from 1 to \
             16777216), training.learning_rate (a number above 0 in the range of f32)"
        );
        assert_eq!(error("models = [\"lstm\"]\n"), ": missing: summary (one sentence), [task], [network], [training]");
        // Files can be given by flags.
        let without_data = WHOLE.replacen("[data]\ndataset = \"agreement\"\n", "", 1);
        assert!(without_data.parse::<toml::Table>().is_ok_and(|recipe| super::missing(&recipe).is_empty()));
        // Each required line of a complete recipe is missed.
        let lines: Vec<&str> = WHOLE.lines().collect();
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with(['[', 'd', 'k'])) {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, line)| *line).collect();
            let key = line.split(" =").next().unwrap();
            let error = error(&rest.join("\n"));
            assert!(error.starts_with(": missing: ") && error.contains(key), "{line}: {error}");
        }
        assert!(SHIPPED.iter().all(|(_, text)| super::missing(&text.parse().unwrap()).is_empty()));
    }

    #[test]
    fn errors_name_the_line_in_every_section() {
        for (old, new, expected) in [
            ("[network]", "pooling = \"maxx\"\n[network]", ", line 7: unknown value `maxx`"),
            ("[network]", "embedding_size = \"a\"\n[network]", ", line 7: expected a whole number, not string \"a\""),
            ("[network]", "pooled = 1\n[network]", ", line 7: unknown field `pooled`"),
            ("= 8", "= \"8\"", ", line 11: expected a whole number, not string \"8\""),
            ("= [4]", "= 4", ", line 8: expected a list, not integer `4`"),
            ("\"classification\"", "\"clasification\"", "did you mean `classification`?"),
        ] {
            let error = error(&WHOLE.replacen(old, new, 1));
            assert!(error.contains(expected), "{error}");
        }
    }
}
