//! Running text.

use std::any::Any;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::corpus::Corpus;
use seqzoo_models::InvalidShape;
use toml::Table;

use super::{LanguageModelTraining, Settings};
use crate::{DynTrainingTask, Examples, ModelSpec, spec};

impl Examples for Corpus {
    fn digest(&self) -> String {
        Corpus::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).chars().count(), "characters")
    }

    fn check(&self, split: Split, settings: &Table) -> Result<(), String> {
        let Settings { level, .. } = spec::settings(settings);
        let text = self.split(split);
        match text.is_empty() || level.tokens(text).nth(1).is_some() {
            true => Ok(()),
            false => Err(format!(
                "the {} split has fewer than two tokens, so nothing to predict; use a longer text or change task.level",
                split.name()
            )),
        }
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(LanguageModelTraining::new(spec, self)?))
    }

    fn prompt_source(&self) -> Option<&str> {
        Some(&self.train)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
