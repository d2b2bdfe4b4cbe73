//! `seqzoo detect`; longer than other commands because of its forms of output.

mod plot;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::anomalies::{Anomalies, Judged, Monitored, Remark, Rule};
use seqzoo_datasets::nearest::did_you_mean;
use serde_json::json;

use crate::arguments::{DataFiles, ModelArgs, svg_file};
use crate::failure::{DATA, Failure, STORAGE, USAGE};
use crate::report::table_style;
use crate::say::{number, say};

/// Detect anomalies in series: the rows after each series' probationary period whose score is above its threshold.
///
/// The probationary period, by default the first 15 % of the rows and at most 750, must be normal: it sets the scale of a series and the
/// threshold, the highest score in it. In the dead time after a row (`task.dead_time`, 150 rows) only a higher score counts, so that one fault
/// does not raise many alarms; the others have score 0. A value outside of the range of all earlier ones adds 10 to the score.
///
/// Examples: `seqzoo detect last`, `seqzoo detect last --data new.csv --json`, `seqzoo detect last --data new.csv --plot alarms.svg`
#[derive(Debug, Args)]
pub struct Detect {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataFiles,
    /// Column of the value to monitor in --data [default: that of the run]
    #[arg(long, value_name = "COLUMN", requires = "data")]
    value_column: Option<String>,
    /// Column of --data that names the series of each row; an empty name: each file is a series [default: that of the run]
    #[arg(long, value_name = "COLUMN", requires = "data")]
    series_column: Option<String>,
    /// Timestamp column of --data; an empty name: rows are numbered [default: that of the run]
    #[arg(long, value_name = "COLUMN", requires = "data")]
    time: Option<String>,
    /// Column of --data with known anomalies, for the plot; an empty name: there is none [default: that of the run]
    #[arg(long, value_name = "COLUMN", requires = "data")]
    label_column: Option<String>,
    /// Only this series, if there are several.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Number of rows after a row in which only a higher score counts [default: that of the run]
    #[arg(long, value_name = "ROWS")]
    dead_time: Option<usize>,
    /// Alarms are the rows with a score above this one [default: the highest score in the probationary period, at least 3]
    #[arg(long, value_name = "SCORE", value_parser = score)]
    above: Option<f64>,
    /// Print every judged row with its score, not only alarms.
    #[arg(long)]
    all: bool,
    /// Plot a series, its alarms and its known anomalies to an SVG file.
    #[arg(long, value_name = "FILE.svg", value_parser = svg_file)]
    plot: Option<PathBuf>,
    /// Print one JSON object per row.
    #[arg(long)]
    json: bool,
}

fn score(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|score| *score >= 0.0).ok_or_else(|| "expected a number of at least 0".to_owned())
}

impl Detect {
    pub fn run(&self) -> Result<(), Failure> {
        let (run, _, model) = self.model.open()?;
        let detector = model.detector()?;
        let columns = [
            ("value", &self.value_column),
            ("series", &self.series_column),
            ("time", &self.time),
            ("label", &self.label_column),
        ];
        let examples = self.data.load_any(&run, &columns)?;
        let examples: &dyn std::any::Any = &*examples;
        let data: &Anomalies = examples.downcast_ref().ok_or(seqzoo_inference::PredictError::NotDetector)?;
        if data.series.is_empty() {
            let message = "every series is too short: its probationary period, by default 15 % of the rows, needs at least 10 rows";
            return Err(Failure::new(DATA, message));
        }
        let series = self.selected(data)?;
        let judge = |series: &Monitored| {
            let rule = detector.rule();
            let mut judged =
                detector.judge_by(series, Rule { dead_time: self.dead_time.unwrap_or(rule.dead_time), ..rule });
            judged.threshold = self.above.unwrap_or(judged.threshold);
            judged
        };
        let judged: Vec<(&Monitored, Judged)> = series.into_iter().map(|series| (series, judge(series))).collect();
        if let Some(path) = &self.plot {
            let [(series, judged)] = &judged[..] else {
                let names: Vec<&str> = judged.iter().map(|(series, _)| series.name.as_str()).collect();
                let message = format!("--plot draws one series; choose one of {} with --only NAME", names.join(", "));
                return Err(Failure::new(USAGE, message));
            };
            let failed = |error: String| Failure::new(STORAGE, format!("--plot {}: {error}", path.display()));
            let picture = plot::draw(series, judged, &data.column).map_err(failed)?;
            std::fs::write(path, picture).map_err(|error| failed(error.to_string()))?;
            say(format_args!("wrote {}", path.display()));
        }
        if self.json { self.print_json(&judged) } else { self.print(&judged, &data.column) }
    }

    fn selected<'a>(&self, data: &'a Anomalies) -> Result<Vec<&'a Monitored>, Failure> {
        let Some(name) = &self.only else { return Ok(data.series.iter().collect()) };
        let names = || data.series.iter().map(|series| series.name.as_str());
        match data.series.iter().find(|series| series.name == *name) {
            Some(series) => Ok(vec![series]),
            None => {
                let hint = did_you_mean(name, names());
                let all = names().collect::<Vec<_>>().join(", ");
                Err(Failure::new(USAGE, format!("--only {name}: no such series{hint}; there are {all}")))
            }
        }
    }

    /// The rows to print.
    fn rows(&self, series: &Monitored, judged: &Judged) -> Vec<usize> {
        let rows = series.probation()..series.values.len();
        rows.filter(|&row| self.all || judged.is_alarm(row)).collect()
    }

    fn print(&self, judged: &[(&Monitored, Judged)], column: &str) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(table_style());
        table.set_header(["series", "row", "time", column, "score", "threshold", "remark"]);
        let (mut rows, mut alarms, mut silent) = (0, 0, 0);
        for (series, judged) in judged {
            rows += series.values.len() - series.probation();
            let remarks = (series.probation()..series.values.len()).filter_map(|row| judged.remark(row));
            silent += remarks.filter(|remark| *remark == Remark::DeadTime).count();
            for row in self.rows(series, judged) {
                alarms += usize::from(judged.is_alarm(row));
                let time = series.times.get(row).cloned().unwrap_or_default();
                let numbers = [series.values[row], judged.scores[row], judged.threshold].map(number);
                let remark = judged.remark(row).map_or("", Remark::name).to_owned();
                table.add_row(
                    [series.name.clone(), (row + 1).to_string(), time].into_iter().chain(numbers).chain([remark]),
                );
            }
        }
        if judged.iter().all(|(series, _)| series.times.is_empty()) {
            table.column_mut(2).into_iter().for_each(|column| {
                column.set_constraint(comfy_table::ColumnConstraint::Hidden);
            });
        }
        for index in [1, 3, 4, 5] {
            table.column_mut(index).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        }
        let mut out = std::io::stdout().lock();
        if table.row_count() > 0 {
            writeln!(out, "{table}")?;
        }
        let alarms = if alarms == 1 { "1 alarm".to_owned() } else { format!("{alarms} alarms") };
        writeln!(out, "{alarms} in {rows} rows of {} series, after the probationary periods", judged.len())?;
        if silent > 0 {
            let list = if self.all { "" } else { "; --all lists them" };
            let rows = if silent == 1 { "row is" } else { "rows are" };
            writeln!(out, "{silent} more {rows} above the threshold in the dead time after a higher score{list}")?;
        }
        Ok(())
    }

    fn print_json(&self, judged: &[(&Monitored, Judged)]) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for (series, judged) in judged {
            for row in self.rows(series, judged) {
                let object = json!({
                    "series": series.name, "row": row + 1, "time": series.times.get(row), "value": series.values[row],
                    "score": judged.scores[row], "threshold": judged.threshold, "alarm": judged.is_alarm(row),
                    "remark": judged.remark(row).map(Remark::name),
                });
                writeln!(out, "{object}")?;
            }
        }
        Ok(())
    }
}
