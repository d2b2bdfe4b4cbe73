//! Forecasting of time series.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::series::{self, RollingOrigin, Series, Standardization};
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::PerceptronShape;
use seqzoo_models::networks::{BackboneShape, Forecaster, ForecasterShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Backbone, Command, DynTrainingTask, Examples, InvalidValue, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::SeriesForecaster;
pub use settings::{DistributionKind, Settings};
pub use training::ForecastingTraining;

/// Forecasting: the next values of a time series.
pub static TASK: Task = Task {
    data: &series::DATA,
    summary: "the next values of a time series",
    metrics: &[Metric::RMSE, Metric::LOSS],
    command: Command::Forecast,
    shared: &["window", "horizon", "season", "folds"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    spec.settings::<Settings>().check()?;
    check_backbone(spec)
}

/// Checks the backbone of a network over windows of a series.
pub(crate) fn check_backbone(spec: &ModelSpec) -> Result<(), InvalidValue> {
    if spec.dropout.embedding > 0.0 {
        let expected = "0: a series has no token embeddings";
        return Err(InvalidValue::new("dropout.embedding", spec.dropout.embedding, expected));
    }
    match spec.backbone {
        // The input size depends on the number of columns.
        Backbone::Recurrent(_) => spec.check_recurrent(None).map(drop),
        Backbone::Perceptron if spec.network.hidden_sizes.is_empty() => {
            Err(InvalidValue::new("network.hidden_sizes", "[]", "at least one layer"))
        }
        Backbone::Perceptron => Ok(()),
    }
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let mut series = Series::from_records(data)?;
    let Settings { season, .. } = crate::spec::settings(settings);
    if season > 0 {
        series.season = Some(season);
    }
    Ok(Prepared { examples: Box::new(series), note: None })
}

impl Examples for Series {
    fn digest(&self) -> String {
        Series::digest(self)
    }

    fn matches(&self, recorded: &str) -> bool {
        [self.digest(), self.whole_digest()].iter().any(|digest| digest == recorded)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "rows")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let season = |season: usize| format!("{season} rows");
        let of_season = self.season.map_or_else(|| "none".to_owned(), season);
        let ends = [self.timestamps.first(), self.timestamps.last()].map(|time| time.map_or("", String::as_str));
        vec![
            ("time step", self.step.to_string()),
            ("season", of_season),
            ("timestamps", format!("{} to {}", ends[0], ends[1])),
        ]
    }

    fn check(&self, split: Split, settings: &Table) -> Result<(), String> {
        let RollingOrigin { window, horizon, .. } = crate::spec::settings::<Settings>(settings).rolling_origin();
        if !self.origins(split, window, horizon).is_empty() {
            return Ok(());
        }
        let (name, rows) = (split.name(), self.split(split).len());
        Err(format!(
            "the {name} split has {rows} rows, too few for a window of {window} and a horizon of {horizon}; reduce \
             task.window or task.horizon"
        ))
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(ForecastingTraining::new(spec, self)?))
    }
}

/// Number of windows per batch in evaluation.
const EVALUATION_BATCH: usize = 512;

/// Columns, standardization and last window of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Names of the columns, the target first.
    pub columns: Vec<String>,
    /// Time step between two rows.
    pub step: TimeStep,
    /// Scaling, fitted on the training split only.
    pub scaling: Standardization,
    /// Seasonal period in rows, whose phase is an input feature; 0: no such feature.
    pub season: usize,
    /// Whether the target is encoded and forecast as the difference from its last known value.
    pub difference: bool,
    /// Values of the last window of the training data, `[rows][columns]`.
    pub recent_rows: Vec<Vec<f64>>,
    /// Step number of the first of these rows, see [`Series::first_step`].
    pub first_row: i64,
    /// Timestamps of these rows.
    pub times: Vec<String>,
    /// Timestamps of the rows of the horizon after them.
    pub next_times: Vec<String>,
}

/// Past window of a series, with timestamps.
#[derive(Debug, Clone, PartialEq)]
pub struct PastWindow {
    /// Values, `[rows][columns]`.
    pub rows: Vec<Vec<f64>>,
    /// Step number of the first row, see [`Series::first_step`].
    pub first_row: i64,
    /// Timestamp of each row.
    pub times: Vec<String>,
    /// Timestamp of each forecast row.
    pub next_times: Vec<String>,
}

impl PastWindow {
    /// The last `window` rows of a series and the timestamps of the next `horizon` rows; `None` if it is too short.
    pub fn of(series: &Series, RollingOrigin { window, horizon, .. }: RollingOrigin) -> Option<Self> {
        let first = series.rows().checked_sub(window)?;
        let row = |row: usize| series.columns.iter().map(|column| column.values[row]).collect();
        Some(Self {
            rows: (first..series.rows()).map(row).collect(),
            first_row: series.first_step + first as i64,
            times: series.timestamps[first..].to_vec(),
            next_times: (1..=horizon).map(|k| series.next_time(k)).collect(),
        })
    }
}

impl Codec {
    /// The codec of a series and a recipe's model.
    fn of(spec: &ModelSpec, series: &Series) -> Self {
        let settings: Settings = spec.settings();
        let past = PastWindow::of(series, settings.rolling_origin());
        let past =
            past.unwrap_or(PastWindow { rows: Vec::new(), first_row: 0, times: Vec::new(), next_times: Vec::new() });
        Self {
            columns: series.columns.iter().map(|column| column.name.clone()).collect(),
            step: series.step,
            scaling: Standardization::fit(series),
            season: if settings.calendar { series.season.unwrap_or(0) } else { 0 },
            difference: settings.difference,
            recent_rows: past.rows,
            first_row: past.first_row,
            times: past.times,
            next_times: past.next_times,
        }
    }

    /// Number of input features per row: the scaled columns and the season's phase as a point on the unit circle.
    fn features(&self) -> usize {
        self.columns.len() + if self.season > 0 { 2 } else { 0 }
    }

    /// Offset subtracted from scaled values of the target, given its last known value.
    fn origin(&self, last: f64) -> f64 {
        if self.difference { self.scaling.standardize(0, last) } else { 0.0 }
    }

    /// A predicted value in the target's unit.
    fn unscaled(&self, predicted: f32, last: f64) -> f64 {
        self.scaling.inverse(f64::from(predicted) + self.origin(last))
    }

    /// Appends the input features of row `number`.
    fn encode(&self, number: i64, row: impl Iterator<Item = f64>, last: f64, into: &mut Vec<f32>) {
        let from = |column: usize| if column == 0 { self.origin(last) } else { 0.0 };
        into.extend(
            row.enumerate().map(|(column, value)| (self.scaling.standardize(column, value) - from(column)) as f32),
        );
        if self.season > 0 {
            let phase = number.rem_euclid(self.season as i64) as f64 / self.season as f64;
            let phase = std::f64::consts::TAU * phase;
            into.extend([phase.sin() as f32, phase.cos() as f32]);
        }
    }

    /// Input windows that end before each origin, `[origins, window, features]`.
    fn windows(&self, series: &Series, origins: &[usize], window: usize, device: &Device) -> Tensor<3> {
        let mut values = Vec::with_capacity(origins.len() * window * self.features());
        for &origin in origins {
            let last = series.target()[origin - 1];
            for number in origin - window..origin {
                let row = series.columns.iter().map(|column| column.values[number]);
                self.encode(series.first_step + number as i64, row, last, &mut values);
            }
        }
        Tensor::from_data(TensorData::new(values, [origins.len(), window, self.features()]), device)
    }

    fn shape(&self, spec: &ModelSpec) -> ForecasterShape {
        let settings: Settings = spec.settings();
        let past = match spec.backbone {
            Backbone::Recurrent(_) => BackboneShape::Recurrent(spec.stack(self.features())),
            Backbone::Perceptron => BackboneShape::Perceptron(PerceptronShape {
                window: settings.window,
                features: self.features(),
                hidden_sizes: spec.network.hidden_sizes.clone(),
            }),
        };
        let dropout = spec.dropout.output;
        ForecasterShape { backbone: past, horizon: settings.horizon, head: settings.head(), dropout }
    }
}

impl crate::Codec for Codec {
    type Network = Forecaster;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        let columns = self.columns.len();
        let RollingOrigin { window, horizon, .. } = spec.settings::<Settings>().rolling_origin();
        let fits = columns > 0
            && [self.scaling.means.len(), self.scaling.std.len()] == [columns; 2]
            && self.recent_rows.iter().all(|row| row.len() == columns)
            && [self.recent_rows.len(), self.times.len()] == [window; 2]
            && self.next_times.len() == horizon;
        if !fits {
            return Err(InvalidShape::new(
                "recent_rows",
                "the numbers of columns or rows do not match the window, the horizon or each other",
            ));
        }
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Forecaster {
        Forecaster::new(self.shape(spec), spec.seed, device)
    }
}
