//! `seqzoo forecast`; longer than other commands because of its options.

mod plot;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_models::networks::ForecastHead;
use seqzoo_run::folder::Run;
use seqzoo_tasks::forecasting::PastWindow;
use serde_json::{Map, Value, json};

use crate::arguments::{ModelArgs, recent_rows, svg_file};
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::report::table_style;
use crate::say::{number, percent, say};

/// Forecast a series, with quantiles.
///
/// Examples: `seqzoo forecast last --plot forecast.svg`, `seqzoo forecast last --csv newer.csv --quantiles 0.1,0.9 --json`
#[derive(Debug, Args)]
pub struct Forecast {
    #[command(flatten)]
    model: ModelArgs,
    /// CSV file with the run's columns, to forecast from its last rows [default: the series trained on]
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Quantiles to report, in any order [default: 0.05,0.95, or those that the model was trained on]
    #[arg(long, value_name = "P,…", value_delimiter = ',', value_parser = probability)]
    quantiles: Vec<f64>,
    /// Plot the past and the forecast to an SVG file.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file)]
    plot: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn probability(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if number > 0.0 && number < 1.0 { Ok(number) } else { Err("expected a number between 0 and 1".to_owned()) }
}

/// Forecast of one timestamp.
struct Forecasted {
    time: String,
    value: f64,
    /// Pairs of probability and quantile.
    quantiles: Vec<(f64, f64)>,
}

impl Forecast {
    pub fn run(&self) -> Result<(), Failure> {
        let (run, name, model) = self.model.open()?;
        let forecaster = model.forecaster()?;
        let probabilities = self.probabilities(forecaster.head())?;
        let past = match &self.csv {
            None => forecaster.recent(),
            Some(path) => {
                let series = recent_rows(path, &run.environment.settings.recipe, forecaster.step())?;
                forecaster.check_series(&series)?;
                let framing = forecaster.rolling_origin();
                PastWindow::of(&series, framing).ok_or_else(|| {
                    let (rows, window) = (series.rows(), framing.window);
                    Failure::new(DATA, format!("{}: {rows} rows, but the model needs {window}", path.display()))
                })?
            }
        };
        let head = forecaster.head();
        let describe = |(time, outputs): (&String, Vec<f64>)| Forecasted {
            time: time.clone(),
            value: outputs[head.point_index()],
            quantiles: probabilities
                .iter()
                .filter_map(|&probability| Some((probability, head.quantile(&outputs, probability)?)))
                .collect(),
        };
        let forecast: Vec<Forecasted> = past.next_times.iter().zip(forecaster.forecast(&past)).map(describe).collect();
        let target = &forecaster.columns()[0];
        if let Some(path) = &self.plot {
            let failed =
                |error: &dyn std::fmt::Display| Failure::new(STORAGE, format!("--plot {}: {error}", path.display()));
            let picture = plot::draw(&past, &forecast, target).map_err(|error| failed(&error))?;
            fs::write(path, picture).map_err(|error| failed(&error))?;
            say(format_args!("wrote {}", path.display()));
        }
        if self.json { print_json(&run, &name, target, &forecast) } else { print(&forecast, target) }
    }

    /// The quantiles to report; an error if the model cannot predict one.
    fn probabilities(&self, head: &ForecastHead) -> Result<Vec<f64>, Failure> {
        let refused = |why: String| Err(Failure::new(USAGE, format!("--quantiles: {why}")));
        let mut requested = self.quantiles.clone();
        requested.sort_by(f64::total_cmp);
        requested.dedup();
        if requested.is_empty() {
            return Ok(head.quantiles());
        }
        match head {
            ForecastHead::Point => {
                refused("this run makes point forecasts; train with --set task.distribution=gaussian".to_owned())
            }
            ForecastHead::Gaussian => Ok(requested),
            ForecastHead::Quantiles(known) => match requested.iter().find(|probability| !known.contains(probability)) {
                Some(unknown) => refused(format!("the model was not trained on {unknown}, but on {known:?}")),
                None => Ok(requested),
            },
        }
    }
}

fn print(forecast: &[Forecasted], target: &str) -> Result<(), Failure> {
    let mut table = Table::new();
    table.load_style(table_style());
    let quantiles = forecast.first().map(|first| first.quantiles.iter().map(|&(p, _)| percent(p)));
    table.set_header(["time".to_owned(), target.to_owned()].into_iter().chain(quantiles.into_iter().flatten()));
    for Forecasted { time, value, quantiles } in forecast {
        let numbers = std::iter::once(value).chain(quantiles.iter().map(|(_, value)| value));
        table.add_row(std::iter::once(time.clone()).chain(numbers.copied().map(number)));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    writeln!(std::io::stdout().lock(), "{table}")?;
    Ok(())
}

fn print_json(run: &Run, model: &str, target: &str, forecast: &[Forecasted]) -> Result<(), Failure> {
    let each = forecast.iter().map(|Forecasted { time, value, quantiles }| {
        let quantiles: Map<String, Value> = quantiles.iter().map(|(p, value)| (p.to_string(), json!(value))).collect();
        json!({"time": time, "value": value, "quantiles": quantiles})
    });
    let seed = run.environment.settings.recipe.training.seed;
    let object = json!({
        "run": run.path.display().to_string(), "model": model, "seed": seed, "target": target,
        "forecast": each.collect::<Vec<Value>>(),
    });
    writeln!(std::io::stdout().lock(), "{object}")?;
    Ok(())
}
