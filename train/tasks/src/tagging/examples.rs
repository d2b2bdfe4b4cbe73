//! TaggerInput with a label per token.

use std::any::Any;

use seqzoo_datasets::classification::Split;
use seqzoo_datasets::tagging::{Sentence, Tagging};
use seqzoo_datasets::text::Level;
use seqzoo_models::InvalidShape;

use super::TaggingTraining;
use crate::skipped::Skipped;
use crate::{DynTrainingTask, Examples, ModelSpec, Prepared};

impl Examples for Tagging {
    fn digest(&self) -> String {
        Tagging::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "sentences")
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(TaggingTraining::new(spec, self)?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Removes sentences without a token, so that every metric covers the same examples.
pub(super) fn prepare(mut data: Tagging) -> Prepared {
    let mut skipped = Skipped::default();
    for split in [&mut data.train, &mut data.validation, &mut data.test] {
        skipped.retain(split, |sentence: &Sentence| !sentence.tokens.is_empty(), |_| "a sentence".to_owned());
    }
    Prepared { examples: Box::new(data), note: skipped.note(Level::Tokens) }
}
