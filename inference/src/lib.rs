//! Inference: load a run's best checkpoint to evaluate, predict, generate and forecast.
//!
//! Unlike resumed training, which falls back to an older checkpoint, loading a damaged checkpoint here is an error that
//! names the file.

use std::any::Any;

use burn::tensor::Device;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::music::Frame;
use seqzoo_datasets::scores::{Evaluation, Metric};
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Best, Progress, Snapshot};
use seqzoo_run::recipe::Recipe;
use seqzoo_run::record::Diagnosis;
use seqzoo_tasks::anomaly::AnomalyDetector;
use seqzoo_tasks::captions::Captioner;
use seqzoo_tasks::classification::TextClassifier;
use seqzoo_tasks::forecasting::SeriesForecaster;
use seqzoo_tasks::language_model::TextModel;
use seqzoo_tasks::music::MusicModel;
use seqzoo_tasks::recommendation::ItemRecommender;
use seqzoo_tasks::seq2seq::Transducer;
use seqzoo_tasks::strokes::StrokesModel;
use seqzoo_tasks::tagging::SentenceTagger;

mod generation;

pub use generation::{Continuation, GeneratedMusic, GeneratedText, Prompt, Sampling, Until};
pub use seqzoo_tasks::Prediction;
pub use seqzoo_tasks::{Examples, Output, PredictError, Predictor, TextOptions};

/// A trained model, loaded from a checkpoint.
#[derive(Debug)]
pub struct Model {
    /// Number of optimizer updates at the loaded checkpoint.
    pub step: u64,
    /// The recipe of this model: the run's recipe with the model's own values.
    pub recipe: Recipe,
    /// Training progress at the latest checkpoint.
    pub progress: Progress,
    /// Why training ended with an error, if it did.
    pub diagnosis: Option<Diagnosis>,
    predictor: Box<dyn Predictor>,
}

impl Model {
    /// Loads the checkpoint with the best validation metric; before the first validation, or without `stopping.restore_best`, the latest.
    ///
    /// # Errors
    /// If it, or the latest one, which records the best, is missing or damaged.
    pub fn open(folder: &ModelFolder, device: &Device) -> Result<Self, CheckpointError> {
        let Best { opened, snapshot, recipe, progress } = Snapshot::best(&folder.checkpoints())?;
        let predictor = snapshot.predictor(&opened, device)?;
        let diagnosis = folder.diagnosis().map_err(|error| CheckpointError::damaged(&folder.path, error))?;
        Ok(Self { step: opened.step, recipe, progress, diagnosis, predictor })
    }

    /// A warning if training ended with an error, or if the validation loss is far above that of the untrained model.
    pub fn warning(&self) -> Option<String> {
        if let Some(diagnosis) = &self.diagnosis {
            return Some(diagnosis.to_string());
        }
        let untrained = self.progress.divergence.untrained()?;
        let loss = self.progress.best(self.recipe.stopping_metric())?.validation.get(Metric::LOSS)?;
        let number = |loss: f64| if loss.abs() < 1e9 { format!("{loss:.4}") } else { format!("{loss:.3e}") };
        (loss > untrained.limit()).then(|| {
            format!(
                "validation loss {} is far above {}, that of the untrained model on training batches: overfitting, a learning rate that is \
                 too large, or a validation split of other data",
                number(loss),
                number(untrained.loss)
            )
        })
    }

    /// The predictor of any task.
    pub fn predictor(&self) -> &dyn Predictor {
        &*self.predictor
    }

    /// Predicts a label if it has at least the probability `least`, and otherwise the other one of two labels.
    ///
    /// # Errors
    /// If the model does not predict one of two labels, or there is no such label.
    pub fn set_threshold(&mut self, label: &str, least: f64) -> Result<(), PredictError> {
        self.predictor.set_threshold(label, least)
    }

    fn any(&self) -> &dyn Any {
        &*self.predictor
    }

    /// The text classifier.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn classifier(&self) -> Result<&TextClassifier, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotClassifier)
    }

    /// The tagger.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn tagger(&self) -> Result<&SentenceTagger, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotTagger)
    }

    /// The sequence-to-sequence model.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn transducer(&self) -> Result<&Transducer, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotTransducer)
    }

    /// The language model.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn language_model(&self) -> Result<&TextModel, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotLanguageModel)
    }

    /// The model of music.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn music(&self) -> Result<&MusicModel, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotMusic)
    }

    /// The model of pen drawings.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn strokes_model(&self) -> Result<&StrokesModel, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotStrokesModel)
    }

    /// The forecaster.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn forecaster(&self) -> Result<&SeriesForecaster, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotForecaster)
    }

    /// The anomaly detector.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn detector(&self) -> Result<&AnomalyDetector, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotDetector)
    }

    /// The recommender.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn recommender(&self) -> Result<&ItemRecommender, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotRecommender)
    }

    /// The model that describes images.
    ///
    /// # Errors
    /// If the model is not one.
    pub fn captioner(&self) -> Result<&Captioner, PredictError> {
        self.any().downcast_ref().ok_or(PredictError::NotCaptioner)
    }

    /// The tokens of a prompt, for [`Model::generate`] and [`Model::continuations`].
    ///
    /// # Errors
    /// If the model is not a language model, or the prompt has no token.
    pub fn prompt(&self, text: &str) -> Result<Prompt, PredictError> {
        Prompt::new(self.language_model()?, text)
    }

    /// Generates text after a prompt.
    ///
    /// # Errors
    /// If the model is not a language model.
    pub fn generate(&self, prompt: &Prompt, sampling: Sampling) -> Result<GeneratedText<'_>, PredictError> {
        Ok(GeneratedText::after(self.language_model()?, prompt, sampling))
    }

    /// Generates music after the frames of a piece, which may be none.
    ///
    /// # Errors
    /// If the model is not one of music.
    pub fn compose(&self, frames: &[Frame], sampling: Sampling) -> Result<GeneratedMusic<'_>, PredictError> {
        Ok(GeneratedMusic::after(self.music()?, frames, sampling))
    }

    /// The most probable continuations of a prompt that beam search finds, of `length` tokens or fewer, up to one of `stops`: at most
    /// `width` different ones, the most probable first.
    ///
    /// # Errors
    /// If the model is not a language model.
    pub fn continuations(
        &self,
        prompt: &Prompt,
        length: usize,
        width: usize,
        stops: &[String],
    ) -> Result<Vec<Continuation>, PredictError> {
        Ok(generation::beam_search(self.language_model()?, prompt, length, width, stops))
    }

    /// Metrics of the model on a split; examples without a token are skipped.
    ///
    /// # Errors
    /// If the examples are of another task than the model.
    pub fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        self.predictor.evaluate(examples, split)
    }

    /// Metrics of the baselines on the same examples (for language models, tokens) as [`Model::evaluate`].
    ///
    /// # Errors
    /// If the examples are of another task than the model.
    pub fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        self.predictor.baselines(examples, split)
    }
}
