//! Inference: load a run's best checkpoint to evaluate, predict, generate and forecast.
//!
//! Unlike resumed training, which falls back to an older checkpoint, loading a damaged checkpoint here is an error that
//! names the file.

use std::borrow::Cow;

use burn::tensor::Device;
use seqzoo_datasets::catalog::{Data, Kind};
use seqzoo_datasets::classification::{Example, Split};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::series::Series;
use seqzoo_datasets::text::{Tokenization, UNKNOWN};
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_run::checkpoint::{self, CheckpointError};
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Progress, Snapshot};
use seqzoo_run::recipe::Recipe;
use seqzoo_run::tasks::classification::{TextClassifier, most_probable};
use seqzoo_run::tasks::forecasting::SeriesForecaster;
use seqzoo_run::tasks::language_model::TextModel;
use seqzoo_run::tasks::tagging::SentenceTagger;
use seqzoo_run::tasks::transduction::Transducer;

mod writing;

pub use writing::{Sampling, Writing};

/// A trained model, loaded from a checkpoint.
#[derive(Debug, Clone)]
pub struct Model {
    /// Number of optimizer updates at the loaded checkpoint.
    pub step: u64,
    /// The recipe of this model: the run's recipe with the model's own values.
    pub recipe: Recipe,
    /// Training progress at the newest checkpoint.
    pub progress: Progress,
    predictor: Predictor,
}

/// Trained network by kind of task.
#[derive(Debug, Clone)]
enum Predictor {
    Classifier(TextClassifier),
    LanguageModel(TextModel),
    Tagger(SentenceTagger),
    Transducer(Transducer),
    Forecaster(SeriesForecaster),
}

/// Prediction for a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the dataset's order.
    pub probabilities: Vec<(String, f64)>,
}

/// Error of a prediction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// A text has no token.
    #[error("the text is empty: it has no token")]
    Empty {
        /// Index of the text in the input.
        place: usize,
    },
    /// The model does not predict labels or target sequences.
    #[error(
        "this run does not predict from a text; use `seqzoo generate` with a language model, `seqzoo forecast` with a \
         forecaster, `seqzoo evaluate` with any run"
    )]
    NoLabels,
    /// The model is not a language model.
    #[error("this run is not a language model; see `seqzoo list recipes`")]
    NoWriter,
    /// The model is not a forecaster.
    #[error("this run is not a forecaster; see `seqzoo list recipes`")]
    NoForecaster,
    /// A series does not have the model's columns.
    #[error("the columns do not match: this model needs {needed}, in this order")]
    OtherColumns {
        /// The model's columns.
        needed: String,
    },
    /// A series has a different time step.
    #[error("this model forecasts in steps of {needed}, but the data are in steps of {found}; resample them")]
    OtherStep {
        /// Time step of the training data.
        needed: TimeStep,
        /// Time step of the data.
        found: TimeStep,
    },
    /// A prompt has a token outside the vocabulary.
    #[error("--prompt: `{}` is not in the model's vocabulary; use tokens of its training text", .token.replace('\n', "\\n"))]
    Unseen {
        /// The token.
        token: String,
    },
    /// The data are of another kind than the training data.
    #[error("the data are of another kind than those the run was trained on")]
    OtherKind,
}

impl Model {
    /// Loads the checkpoint with the best validation metric; before the first validation, the newest.
    ///
    /// # Errors
    /// If it, or the newest one, which records the best, is missing or damaged.
    pub fn open(folder: &ModelFolder, device: &Device) -> Result<Self, CheckpointError> {
        let checkpoints = folder.checkpoints();
        let dir = || folder.path.join("checkpoints");
        let none = || CheckpointError::NoneUsable { dir: dir(), skipped: Vec::new() };
        let (_, newest) = checkpoints.list()?.pop().ok_or_else(none)?;
        let mut opened = checkpoint::open(&newest)?;
        let mut snapshot = Snapshot::of(&opened)?;
        let (recipe, progress) = (snapshot.about.settings.recipe.clone(), snapshot.progress.clone());
        let metric = snapshot.about.settings.recipe.stopping.metric;
        if let Some(best) = progress.best(metric).filter(|best| best.step != opened.step) {
            let path = checkpoints.of_step(best.step)?.unwrap_or_else(|| checkpoints.path(best.step));
            opened = checkpoint::open(&path)?;
            snapshot = Snapshot::of(&opened)?;
        }
        let dataset = snapshot.about.settings.recipe.dataset();
        let predictor = match dataset.map_err(|error| CheckpointError::damaged(&opened.path, error))?.kind {
            Kind::Labels => Predictor::Classifier(TextClassifier::load(&opened, &snapshot, device)?),
            Kind::Text => Predictor::LanguageModel(TextModel::load(&opened, &snapshot, device)?),
            Kind::Tags => Predictor::Tagger(SentenceTagger::load(&opened, &snapshot, device)?),
            Kind::Pairs => Predictor::Transducer(Transducer::load(&opened, &snapshot, device)?),
            Kind::Series => Predictor::Forecaster(SeriesForecaster::load(&opened, &snapshot, device)?),
        };
        Ok(Self { step: opened.step, recipe, progress, predictor })
    }

    /// Predicts the label of each text. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a text has no token, or the model is not a classifier.
    pub fn predict(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        let classifier = self.classifier()?;
        let rows: Vec<Vec<u32>> = texts.iter().map(|text| classifier.encode(text)).collect();
        if let Some(place) = rows.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { place });
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let prediction = |row: Vec<f32>| {
            let probability = |log: &f32| f64::from(*log).exp();
            let labels = classifier.labels().iter().cloned();
            let probabilities: Vec<_> = labels.zip(row.iter().map(probability)).collect();
            let (label, probability) = probabilities[most_probable(&row)].clone();
            Prediction { label, probability, probabilities }
        };
        Ok(classifier.log_probabilities(&rows).into_iter().map(prediction).collect())
    }

    /// Kind of the predicted data.
    pub fn kind(&self) -> Kind {
        match self.predictor {
            Predictor::Classifier(_) => Kind::Labels,
            Predictor::LanguageModel(_) => Kind::Text,
            Predictor::Tagger(_) => Kind::Tags,
            Predictor::Transducer(_) => Kind::Pairs,
            Predictor::Forecaster(_) => Kind::Series,
        }
    }

    /// Transduces a text by beam search with `width` beams: target texts with probabilities, the most probable first.
    ///
    /// # Errors
    /// If the text has no token, or the model is not a sequence-to-sequence model.
    pub fn turn(&self, text: &str, width: usize) -> Result<Vec<(String, f64)>, PredictError> {
        let Predictor::Transducer(transducer) = &self.predictor else { return Err(PredictError::NoLabels) };
        let found = transducer.write(text, width).ok_or(PredictError::Empty { place: 0 })?;
        Ok(found.into_iter().map(|(text, log)| (text, log.exp())).collect())
    }

    /// The forecaster of a series model.
    ///
    /// # Errors
    /// If the model is not a forecaster.
    pub fn forecaster(&self) -> Result<&SeriesForecaster, PredictError> {
        let Predictor::Forecaster(forecaster) = &self.predictor else { return Err(PredictError::NoForecaster) };
        Ok(forecaster)
    }

    /// Predicts the label of each token of each sentence. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a sentence has no token, or the model is not a tagger.
    pub fn tag(&self, sentences: &[Vec<String>]) -> Result<Vec<Vec<&str>>, PredictError> {
        let Predictor::Tagger(tagger) = &self.predictor else { return Err(PredictError::NoLabels) };
        match sentences.iter().position(Vec::is_empty) {
            Some(place) => Err(PredictError::Empty { place }),
            None => Ok(tagger.labels(sentences)),
        }
    }

    /// Generates text from a prompt.
    ///
    /// # Errors
    /// If the model is not a language model, or the prompt is empty or has a token outside the vocabulary.
    pub fn write(&self, prompt: &str, sampling: Sampling) -> Result<Writing<'_>, PredictError> {
        let Predictor::LanguageModel(model) = &self.predictor else { return Err(PredictError::NoWriter) };
        let codec = model.codec();
        let mut tokens = Vec::new();
        for token in codec.tokens(prompt) {
            match codec.vocabulary.id(&token) {
                UNKNOWN => return Err(PredictError::Unseen { token }),
                number => tokens.push(number),
            }
        }
        if tokens.is_empty() {
            return Err(PredictError::Empty { place: 0 });
        }
        // No separator follows a prompt that ends in white space.
        let is_separated = prompt.ends_with(char::is_whitespace);
        Ok(Writing::after(model, &tokens, is_separated, sampling))
    }

    fn classifier(&self) -> Result<&TextClassifier, PredictError> {
        match &self.predictor {
            Predictor::Classifier(classifier) => Ok(classifier),
            _ => Err(PredictError::NoLabels),
        }
    }

    /// Number of tokens of a text after truncation.
    ///
    /// # Errors
    /// If the model is not a classifier.
    pub fn tokens_read(&self, text: &str) -> Result<usize, PredictError> {
        Ok(self.classifier()?.encode(text).len())
    }

    /// Norm of the loss's gradient at the lowest layer's hidden state, by distance from the last token, averaged over
    /// examples.
    ///
    /// # Errors
    /// If the model is not a classifier.
    pub fn reach(&self, examples: &[Example]) -> Result<Vec<f64>, PredictError> {
        Ok(self.classifier()?.reach(examples))
    }

    /// The data without examples that have no token.
    fn readable<'a>(&self, data: &'a Data) -> Cow<'a, Data> {
        let level = match &self.predictor {
            Predictor::Classifier(classifier) => classifier.level(),
            Predictor::Transducer(transducer) => transducer.level(),
            Predictor::Tagger(_) | Predictor::LanguageModel(_) | Predictor::Forecaster(_) => Tokenization::default(),
        };
        if !data.has_empty(level) {
            return Cow::Borrowed(data);
        }
        let mut data = data.clone();
        data.remove_empty(level);
        Cow::Owned(data)
    }

    /// Metrics of the model on a split; examples without a token are left out, see [`Data::remove_empty`].
    ///
    /// # Errors
    /// If the data are of another kind than those that the model was trained on.
    pub fn evaluate(&self, data: &Data, split: Split) -> Result<Evaluation, PredictError> {
        match (&self.predictor, &*self.readable(data)) {
            (Predictor::Classifier(classifier), Data::Labeled(data)) => Ok(classifier.evaluate(data.split(split))),
            (Predictor::LanguageModel(model), Data::Text(corpus)) => Ok(model.evaluate(corpus.split(split))),
            (Predictor::Tagger(tagger), Data::Tagged(data)) => Ok(tagger.evaluate(data.split(split))),
            (Predictor::Transducer(transducer), Data::Pairs(data)) => Ok(transducer.evaluate(data.split(split))),
            (Predictor::Forecaster(forecaster), Data::Series(series)) => {
                readable(forecaster, series)?;
                Ok(forecaster.evaluate(series, split))
            }
            _ => Err(PredictError::OtherKind),
        }
    }

    /// Metrics of the baselines on the same examples (for language models, tokens) as [`Model::evaluate`].
    ///
    /// # Errors
    /// If the data are of another kind than those that the model was trained on.
    pub fn baselines(&self, data: &Data, split: Split) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        match (&self.predictor, &*self.readable(data)) {
            (Predictor::Classifier(_), Data::Labeled(data)) => Ok(data.baselines(split)),
            (Predictor::LanguageModel(model), Data::Text(corpus)) => Ok(model.baselines(corpus, split)),
            (Predictor::Tagger(_), Data::Tagged(data)) => Ok(data.baselines(split)),
            (Predictor::Transducer(_), Data::Pairs(data)) => Ok(data.baselines(split)),
            (Predictor::Forecaster(forecaster), Data::Series(series)) => {
                Ok(series.baselines(split, forecaster.recipe().series.framing()))
            }
            _ => Err(PredictError::OtherKind),
        }
    }
}

/// Checks that a forecaster can forecast a series.
///
/// # Errors
/// If its columns or its time step differ from those of the training data.
pub fn readable(forecaster: &SeriesForecaster, series: &Series) -> Result<(), PredictError> {
    if !forecaster.columns().iter().eq(series.columns.iter().map(|column| &column.name)) {
        return Err(PredictError::OtherColumns { needed: forecaster.columns().join(", ") });
    }
    let (needed, found) = (forecaster.step(), series.step);
    if needed == found { Ok(()) } else { Err(PredictError::OtherStep { needed, found }) }
}
