//! A time series.

use std::any::Any;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::series::{Framing, Series};
use seqzoo_models::InvalidShape;
use toml::Table;

use super::{ForecastingTraining, Settings};
use crate::{DynTrainingTask, Examples, ModelSpec, spec};

impl Examples for Series {
    fn digest(&self) -> String {
        Series::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "rows")
    }

    fn check(&self, split: Split, settings: &Table) -> Result<(), String> {
        let Framing { window, horizon, .. } = spec::settings::<Settings>(settings).framing();
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

    fn as_any(&self) -> &dyn Any {
        self
    }
}
