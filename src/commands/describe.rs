//! `seqzoo describe`; longer than other commands because it describes models, names of models, and recipes.

use std::io::Write;

use clap::Args;
use seqzoo_datasets::catalog::Origin;
use seqzoo_datasets::classification::Split;
use seqzoo_models::Architecture;
use seqzoo_run::recipe::{Recipe, SHIPPED};
use seqzoo_run::settings::{Settings, header, is_file};
use seqzoo_run::{Backend, BackendError, did_you_mean};
use seqzoo_tasks::{Backbone, Command, ModelName};

use crate::arguments::{DataArgs, Overrides};
use crate::explain;
use crate::failure::{Failure, USAGE};
use crate::say::quoted;

/// Print a model's equations, shapes and cost, or a recipe's results, values and their origins, or the meaning of a recipe's field.
///
/// Examples: `seqzoo describe lstm`, `seqzoo describe agreement`, `seqzoo describe --explain training.clip_norm`
#[derive(Debug, Args)]
pub struct Describe {
    /// Model or recipe.
    #[arg(required_unless_present = "explain")]
    name: Option<String>,
    /// Explain a recipe field: meaning, default, valid values, and the tasks that use it; `all` prints the reference of all fields.
    #[arg(long, value_name = "FIELD", conflicts_with = "name")]
    explain: Option<String>,
    /// Input size for a model's shapes and cost.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    input_size: u32,
    /// Number of time steps for a model's memory.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    time: u32,
    /// Hidden size for a model's shapes and cost.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    hidden_size: u32,
}

impl Describe {
    pub fn run(&self) -> Result<(), Failure> {
        let name = match (&self.explain, &self.name) {
            (Some(field), _) => {
                let text = if field == "all" { explain::reference() } else { explain::explain(field)? };
                return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
            }
            (None, name) => name.as_deref().expect("clap requires it without --explain"),
        };
        if let Some(model) = Architecture::from_name(name) {
            return self.model(model);
        }
        if is_file(name) || SHIPPED.iter().any(|(shipped, _)| *shipped == name) {
            return recipe(&Overrides::default().settings(name, &DataArgs::default())?, name);
        }
        if let Ok(parsed) = ModelName::parse(name) {
            return self.named(name, &parsed);
        }
        let known = Architecture::ALL.map(Architecture::name).into_iter().chain(SHIPPED.iter().map(|(name, _)| *name));
        let hint = did_you_mean(name, known);
        Err(Failure::new(USAGE, format!("no model or recipe `{name}`{hint}; `seqzoo list` shows all")))
    }

    /// Describes a name in a recipe's list of models: a backbone with hidden sizes or options of the task.
    fn named(&self, name: &str, parsed: &ModelName) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let sizes: Vec<String> = parsed.hidden_sizes.iter().map(usize::to_string).collect();
        let sizes = match sizes.as_slice() {
            [] => String::new(),
            [size] => format!(" with {size} units"),
            sizes => format!(" with {} layers of {} units", sizes.len(), sizes.join(", ")),
        };
        let options: String = parsed.options.iter().map(|option| format!(" and task.{option} = true")).collect();
        writeln!(
            out,
            "{name}: {}{sizes}{options}, as in `models = [\"{name}\"]` of a recipe",
            parsed.backbone.summary()
        )?;
        match parsed.backbone {
            Backbone::Recurrent(model) => {
                let size =
                    parsed.hidden_sizes.first().map_or_else(String::new, |size| format!(" --hidden-size {size}"));
                writeln!(out, "\nnext: seqzoo describe {}{size}", model.name())?;
            }
            Backbone::Perceptron => {
                writeln!(out, "\n    h_0 = [x_1 ; … ; x_window]        h_l = max(0, h_{{l−1}} W_l + b_l)")?;
                writeln!(out, "\nfile        models/src/layers/perceptron.rs")?;
                writeln!(out, "\nnext: seqzoo describe forecast")?;
            }
        }
        Ok(())
    }

    fn model(&self, model: Architecture) -> Result<(), Failure> {
        let (info, input, hidden) = (model.info(), self.input_size as usize, self.hidden_size as usize);
        let directions = if model.directions() == 2 { " Bidirectional: one cell per direction." } else { "" };
        let parameters = model.parameters(input, hidden);
        let device = Backend::linked().into_iter().rev().find_map(|backend| backend.device().ok());
        let device = device.ok_or(BackendError::NoneLinked)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}: {}.{directions}\n", model.name(), info.summary)?;
        info.equations.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
        writeln!(out, "\npaper       {}\nfile        {}", info.paper, info.file)?;
        writeln!(out, "\nat input_size {input} and hidden_size {hidden}:")?;
        for (name, shape) in model.parameter_shapes(input, hidden, &device) {
            writeln!(out, "  {name:<28} {shape:?}")?;
        }
        writeln!(out, "  output size                  {}", model.directions() * hidden)?;
        writeln!(out, "  parameters                   {parameters} ({:.1} MB)", parameters as f64 * 4e-6)?;
        writeln!(out, "  operations                   {} per step and sequence", model.flops_per_step(input, hidden))?;
        let memory = model.training_memory(self.time as usize, input, hidden) as f64 * 1e-6;
        let time = self.time;
        writeln!(
            out,
            "  memory in training           {memory:.3} MB per sequence of {time} steps (input, gates, states)"
        )?;
        writeln!(out, "\nnext: seqzoo train agreement --set models='[\"{}\"]'", model.name())?;
        Ok(())
    }
}

fn recipe(settings: &Settings, name: &str) -> Result<(), Failure> {
    let header = header(name)?;
    let separator = if header.is_empty() { "" } else { "\n" };
    let mut out = std::io::stdout().lock();
    write!(out, "{header}{separator}{}", settings.to_toml())?;
    writeln!(out, "\n# next: seqzoo train {}{}", quoted(name), data_flags(&settings.recipe))?;
    Ok(())
}

/// Flags without which a recipe has no data.
fn data_flags(recipe: &Recipe) -> &'static str {
    let is_table = recipe.dataset().is_some_and(|dataset| matches!(dataset.origin, Origin::Table));
    let has_none = recipe.data.dataset.is_none() && recipe.data.files_of(Split::Train).is_empty();
    match recipe.task().map(|task| (task.command, task.data.default_format)) {
        Ok((Command::Forecast, _)) if is_table || has_none => " --csv FILE --time COLUMN --target COLUMN",
        Ok((Command::Recommend, _)) if has_none => " --data FILE --user COLUMN --item COLUMN --time COLUMN",
        Ok((Command::Generate, Some("text"))) if has_none => " --text FILE",
        Ok((Command::Predict | Command::Generate | Command::Caption, _)) if has_none => " --data FILE",
        _ => "",
    }
}
