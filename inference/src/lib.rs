//! Open a run's best checkpoint; evaluate it, ask it about new text, or let it write on.
//!
//! Unlike a resuming learner, which falls back to an older checkpoint, what is opened here answers people: a damaged
//! checkpoint is refused, by file.

use std::borrow::Cow;

use burn::tensor::Device;
use seqzoo_datasets::catalog::{Data, Kind};
use seqzoo_datasets::classification::{Example, Split};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::series::Series;
use seqzoo_datasets::text::{Level, UNKNOWN};
use seqzoo_datasets::timestamps::Step;
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

/// A trained model, ready to answer.
#[derive(Debug, Clone)]
pub struct Model {
    /// Updates before the checkpoint that answers.
    pub step: u64,
    /// The recipe that it is trained by, with its own values in place of those common to the run's models.
    pub recipe: Recipe,
    /// How far its run has come.
    pub progress: Progress,
    answerer: Answerer,
}

/// What answers, by the kind of task.
#[derive(Debug, Clone)]
enum Answerer {
    Classifier(TextClassifier),
    LanguageModel(TextModel),
    Tagger(SentenceTagger),
    Transducer(Transducer),
    Forecaster(SeriesForecaster),
}

/// The answer to a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name and probability of the most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the dataset's order.
    pub probabilities: Vec<(String, f64)>,
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredictError {
    /// A text has nothing in it to read.
    #[error("the text is empty: it has no letter, digit or mark to read")]
    Empty {
        /// Its place among those asked.
        place: usize,
    },
    /// The model knows no labels of texts.
    #[error(
        "this run has no labels of texts to answer with; `seqzoo generate` lets a language model write, `seqzoo forecast` \
         goes on with a series, `seqzoo evaluate` measures any"
    )]
    NoLabels,
    /// The model does not write.
    #[error("this run is no language model and does not write; `seqzoo list recipes` shows what does")]
    NoWriter,
    /// The model does not forecast.
    #[error("this run does not forecast a series; `seqzoo list recipes` shows what does")]
    NoForecaster,
    /// A series lacks what the model reads.
    #[error("this run reads the columns {needed}, in this order, which these data have not")]
    OtherColumns {
        /// The columns.
        needed: String,
    },
    /// A series goes on in other steps.
    #[error("this run forecasts in steps of {needed}, but these data are in steps of {found}; bring them to one step")]
    OtherStep {
        /// The step that was learned from.
        needed: Step,
        /// The step of the data.
        found: Step,
    },
    /// A prompt has a token that the model has never seen.
    #[error("--prompt: the model has never seen `{}`; begin with what its text has", .token.replace('\n', "\\n"))]
    Unseen {
        /// The token.
        token: String,
    },
    /// A model cannot be measured on data of another kind.
    #[error("this run was trained on data of another kind than these")]
    OtherKind,
}

impl Model {
    /// Opens the checkpoint that was best on the validation part; before the first validation, the newest.
    ///
    /// # Errors
    /// If it, or the newest one, which knows which is best, is missing or damaged.
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
        let answerer = match dataset.map_err(|error| CheckpointError::damaged(&opened.path, error))?.kind {
            Kind::Labels => Answerer::Classifier(TextClassifier::load(&opened, &snapshot, device)?),
            Kind::Text => Answerer::LanguageModel(TextModel::load(&opened, &snapshot, device)?),
            Kind::Tags => Answerer::Tagger(SentenceTagger::load(&opened, &snapshot, device)?),
            Kind::Pairs => Answerer::Transducer(Transducer::load(&opened, &snapshot, device)?),
            Kind::Series => Answerer::Forecaster(SeriesForecaster::load(&opened, &snapshot, device)?),
        };
        Ok(Self { step: opened.step, recipe, progress, answerer })
    }

    /// Labels of texts, each answered as it would be alone (to rounding).
    ///
    /// # Errors
    /// If a text has nothing to read, or the model knows no labels.
    pub fn predict(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        let classifier = self.classifier()?;
        let rows: Vec<Vec<u32>> = texts.iter().map(|text| classifier.encode(text)).collect();
        if let Some(place) = rows.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { place });
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let answer = |row: Vec<f32>| {
            let probability = |log: &f32| f64::from(*log).exp();
            let labels = classifier.labels().iter().cloned();
            let probabilities: Vec<_> = labels.zip(row.iter().map(probability)).collect();
            let (label, probability) = probabilities[most_probable(&row)].clone();
            Prediction { label, probability, probabilities }
        };
        Ok(classifier.log_probabilities(&rows).into_iter().map(answer).collect())
    }

    /// What it predicts.
    pub fn kind(&self) -> Kind {
        match self.answerer {
            Answerer::Classifier(_) => Kind::Labels,
            Answerer::LanguageModel(_) => Kind::Text,
            Answerer::Tagger(_) => Kind::Tags,
            Answerer::Transducer(_) => Kind::Pairs,
            Answerer::Forecaster(_) => Kind::Series,
        }
    }

    /// What to make of a text, by a beam of `width`: the likeliest texts with their probabilities, the likeliest first.
    ///
    /// # Errors
    /// If the text has nothing to read, or the model does not turn sequences into others.
    pub fn turn(&self, text: &str, width: usize) -> Result<Vec<(String, f64)>, PredictError> {
        let Answerer::Transducer(transducer) = &self.answerer else { return Err(PredictError::NoLabels) };
        let found = transducer.write(text, width).ok_or(PredictError::Empty { place: 0 })?;
        Ok(found.into_iter().map(|(text, log)| (text, log.exp())).collect())
    }

    /// What forecasts.
    ///
    /// # Errors
    /// If the model does not.
    pub fn forecaster(&self) -> Result<&SeriesForecaster, PredictError> {
        let Answerer::Forecaster(forecaster) = &self.answerer else { return Err(PredictError::NoForecaster) };
        Ok(forecaster)
    }

    /// The label of each token of sentences, each answered as it would be alone (to rounding).
    ///
    /// # Errors
    /// If a sentence has no token, or the model does not label tokens.
    pub fn tag(&self, sentences: &[Vec<String>]) -> Result<Vec<Vec<&str>>, PredictError> {
        let Answerer::Tagger(tagger) = &self.answerer else { return Err(PredictError::NoLabels) };
        match sentences.iter().position(Vec::is_empty) {
            Some(place) => Err(PredictError::Empty { place }),
            None => Ok(tagger.labels(sentences)),
        }
    }

    /// Writes on from a prompt, which is read first.
    ///
    /// # Errors
    /// If the model does not write, or the prompt is empty or has a token that it has never seen.
    pub fn write(&self, prompt: &str, sampling: Sampling) -> Result<Writing<'_>, PredictError> {
        let Answerer::LanguageModel(model) = &self.answerer else { return Err(PredictError::NoWriter) };
        let codec = model.codec();
        let mut tokens = Vec::new();
        for token in codec.tokens(prompt) {
            match codec.vocabulary.number(&token) {
                UNKNOWN => return Err(PredictError::Unseen { token }),
                number => tokens.push(number),
            }
        }
        if tokens.is_empty() {
            return Err(PredictError::Empty { place: 0 });
        }
        // A prompt that ends in white space separates already.
        let is_separated = prompt.ends_with(char::is_whitespace);
        Ok(Writing::after(model, &tokens, is_separated, sampling))
    }

    fn classifier(&self) -> Result<&TextClassifier, PredictError> {
        match &self.answerer {
            Answerer::Classifier(classifier) => Ok(classifier),
            _ => Err(PredictError::NoLabels),
        }
    }

    /// How many tokens of a text the model reads.
    ///
    /// # Errors
    /// If the model knows no labels.
    pub fn tokens_read(&self, text: &str) -> Result<usize, PredictError> {
        Ok(self.classifier()?.encode(text).len())
    }

    /// How far back the loss of examples reaches: the gradient's norm at the lowest layer's hidden state, by distance from
    /// the last token, averaged over examples.
    ///
    /// # Errors
    /// If the model knows no labels.
    pub fn reach(&self, examples: &[Example]) -> Result<Vec<f64>, PredictError> {
        Ok(self.classifier()?.reach(examples))
    }

    /// The data without what the model cannot read.
    fn readable<'a>(&self, data: &'a Data) -> Cow<'a, Data> {
        let level = match &self.answerer {
            Answerer::Classifier(classifier) => classifier.level(),
            Answerer::Transducer(transducer) => transducer.level(),
            Answerer::Tagger(_) | Answerer::LanguageModel(_) | Answerer::Forecaster(_) => Level::default(),
        };
        if !data.has_empty(level) {
            return Cow::Borrowed(data);
        }
        let mut data = data.clone();
        data.leave_out_empty(level);
        Cow::Owned(data)
    }

    /// How well a part of a dataset is predicted; examples without a token are left out, see [`Data::leave_out_empty`].
    ///
    /// # Errors
    /// If the data are of another kind than those that the model was trained on.
    pub fn evaluate(&self, data: &Data, split: Split) -> Result<Evaluation, PredictError> {
        match (&self.answerer, &*self.readable(data)) {
            (Answerer::Classifier(classifier), Data::Labeled(data)) => Ok(classifier.evaluate(data.split(split))),
            (Answerer::LanguageModel(model), Data::Text(corpus)) => Ok(model.evaluate(corpus.split(split))),
            (Answerer::Tagger(tagger), Data::Tagged(data)) => Ok(tagger.evaluate(data.split(split))),
            (Answerer::Transducer(transducer), Data::Pairs(data)) => Ok(transducer.evaluate(data.split(split))),
            (Answerer::Forecaster(forecaster), Data::Series(series)) => {
                readable(forecaster, series)?;
                Ok(forecaster.evaluate(series, split))
            }
            _ => Err(PredictError::OtherKind),
        }
    }

    /// How well baselines predict the same examples as [`Model::evaluate`]: of running text, the same tokens.
    ///
    /// # Errors
    /// If the data are of another kind than those that the model was trained on.
    pub fn baselines(&self, data: &Data, split: Split) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        match (&self.answerer, &*self.readable(data)) {
            (Answerer::Classifier(_), Data::Labeled(data)) => Ok(data.baselines(split)),
            (Answerer::LanguageModel(model), Data::Text(corpus)) => Ok(model.baselines(corpus, split)),
            (Answerer::Tagger(_), Data::Tagged(data)) => Ok(data.baselines(split)),
            (Answerer::Transducer(_), Data::Pairs(data)) => Ok(data.baselines(split)),
            (Answerer::Forecaster(forecaster), Data::Series(series)) => {
                Ok(series.baselines(split, forecaster.recipe().series.framing()))
            }
            _ => Err(PredictError::OtherKind),
        }
    }
}

/// Refuses a series that a forecaster cannot go on from.
///
/// # Errors
/// If its columns or its step are not those that were learned from.
pub fn readable(forecaster: &SeriesForecaster, series: &Series) -> Result<(), PredictError> {
    if !forecaster.columns().iter().eq(series.columns.iter().map(|column| &column.name)) {
        return Err(PredictError::OtherColumns { needed: forecaster.columns().join(", ") });
    }
    let (needed, found) = (forecaster.step(), series.step);
    if needed == found { Ok(()) } else { Err(PredictError::OtherStep { needed, found }) }
}
