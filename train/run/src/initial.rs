//! Initial weights from word vectors and from other runs, in place of random ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::text::Vocabulary;
use seqzoo_datasets::vectors::{self, WordVectors};
use seqzoo_models::networks::name_in_member;
use seqzoo_models::parameters::{self, Array, Arrays};
use seqzoo_tasks::{DynTrainingTask, Files, LoadError, ModelSpec, Task};

use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::disk::Disk;
use crate::folder::{FolderError, ModelFolder};
use crate::progress::Snapshot;
use crate::recipe::{InitSettings, InvalidValue};
use crate::store::RunStore;
use crate::weights;

/// Folder of a model's initial weights, next to its checkpoints.
const FOLDER: &str = "initial";
const WEIGHTS: &str = "weights.safetensors";

/// First parts of the names of output layers, which belong to one task and its labels.
const OUTPUTS: [&str; 5] = ["output", "crf", "sentence", "combine", "tied_bias"];

/// First part of the names of the parameters of a character encoder.
const CHARACTERS: &str = "character_encoder";

/// Part of the names of the parameters of recurrent layers.
const LAYERS: &str = ".layers.";

/// Error of initial weights.
#[derive(Debug, thiserror::Error)]
pub enum InitialError {
    /// The word vectors cannot be read.
    #[error("init.vectors: {0}")]
    Vectors(DataError),
    /// A value of `[init]` does not match the model.
    #[error(transparent)]
    Value(#[from] InvalidValue),
    /// The other run cannot be found.
    #[error("init.from: {0}")]
    Run(FolderError),
    /// A checkpoint of the other run cannot be read, or the initial weights cannot be stored.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The files of a task are damaged.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Initial weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Initial {
    /// The weights by name.
    pub weights: Arrays,
    /// Where they come from, for the user.
    pub notes: Vec<String>,
}

impl Initial {
    /// The initial weights of a model: those of its seed, except for what word vectors and another run provide.
    ///
    /// # Errors
    /// If either cannot be read or does not match the model, or a learning rate names no parameter.
    pub fn new(
        init: &InitSettings,
        task: &Task,
        spec: &ModelSpec,
        training: &dyn DynTrainingTask,
        store: &RunStore,
        device: &Device,
    ) -> Result<Self, InitialError> {
        let mut initial = Self { weights: parameters::read(&*training.network(device)), notes: Vec::new() };
        init.check_names(initial.weights.keys().map(String::as_str))?;
        let vocabularies = task.vocabularies(&training.files())?;
        if let Some(name) = &init.from {
            initial.add_run(name, init.model.as_deref(), spec, &vocabularies, store)?;
        }
        // Where a token has a vector and an embedding in the other run, the vector is used.
        if let Some(path) = &init.vectors {
            initial.add_vectors(path, &vocabularies)?;
        }
        Ok(initial)
    }

    /// Sets the embeddings of the words that have a vector in a file.
    fn add_vectors(&mut self, path: &Path, vocabularies: &[(&str, Vocabulary)]) -> Result<(), InitialError> {
        let mismatch = |expected: String| InvalidValue::new("init.vectors", path.display(), expected);
        if vocabularies.is_empty() {
            return Err(mismatch("not applicable: this task has no vocabulary".to_owned()).into());
        }
        // Vectors of words that are a single character are not those of characters.
        let vocabularies: Vec<_> = vocabularies.iter().filter(|(name, _)| !name.starts_with(CHARACTERS)).collect();
        let words = vocabularies.iter().flat_map(|(_, vocabulary)| vocabulary.tokens());
        let found = vectors::read(path, &words.collect::<HashSet<_>>()).map_err(InitialError::Vectors)?;
        let WordVectors { size, vectors, count, skipped } = found;
        self.notes.extend(skipped);
        let (mut fits, mut total) = (false, 0);
        for (name, vocabulary) in vocabularies {
            let is_table =
                |parameter: &str, table: &Array| name_in_member(parameter) == *name && table.shape[1] == size;
            let tables = self.weights.iter_mut().filter(|(parameter, table)| is_table(parameter, table));
            let mut covered = 0;
            for (_, table) in tables {
                fits = true;
                covered = set_rows(table, vocabulary, &vectors);
            }
            if !fits {
                continue;
            }
            total += covered;
            let (all, percent) =
                (vocabulary.size() - 2, 100.0 * covered as f64 / (vocabulary.size() - 2).max(1) as f64);
            let file = path.display();
            self.notes.push(format!(
                "{name}: {covered} of {all} tokens of the vocabulary ({percent:.1} %) have a vector among the {count} of {file}"
            ));
        }
        match fits {
            true if total == 0 => Err(mismatch(format!(
                "none of its {count} words is in the vocabulary; use vectors of the same language and spelling, such as lowercase words for \
                 task.level = \"words\""
            ))
            .into()),
            true => Ok(()),
            false => Err(mismatch(format!(
                "its vectors have {size} values, unlike the embedding; set task.embedding_size to {size}"
            ))
            .into()),
        }
    }

    /// Copies the weights of another run's model: embeddings of common tokens, and all layers of equal names and shapes except those of
    /// outputs. The forward direction of a bidirectional layer matches a unidirectional layer.
    fn add_run(
        &mut self,
        name: &str,
        model: Option<&str>,
        spec: &ModelSpec,
        vocabularies: &[(&str, Vocabulary)],
        store: &RunStore,
    ) -> Result<(), InitialError> {
        let run = store.find(name).map_err(InitialError::Run)?;
        let models = &run.environment.settings.recipe.models;
        let model = match model {
            Some(model) if models.iter().any(|known| known == model) => model,
            Some(model) => {
                return Err(
                    InvalidValue::new("init.model", model, format!("expected one of {}", models.join(", "))).into()
                );
            }
            None => models.iter().find(|known| **known == spec.name).unwrap_or(&models[0]),
        };
        let best = Snapshot::best(&run.model(model).checkpoints())?;
        let recipe = &best.snapshot.about.settings.recipe;
        let source_task = recipe.task()?;
        let sources = source_task.vocabularies(&best.snapshot.task)?;
        let weights: BTreeMap<String, &Array> =
            best.snapshot.weights.iter().map(|(name, array)| (undirected(name), array)).collect();
        let (mut copied, mut recurrent, mut notes, mut new) = (0, 0, Vec::new(), Vec::new());
        for (name, array) in &mut self.weights {
            // A member of an ensemble starts from the same member of another, if it has that, or from the first.
            let own = name_in_member(name);
            let member = name.strip_suffix(own).unwrap_or_default();
            let is_output = OUTPUTS.contains(&own.split('.').next().unwrap_or_default());
            if let Some((_, vocabulary)) = vocabularies.iter().find(|(table, _)| *table == own) {
                let source = sources.iter().find(|(table, _)| *table == own).or(sources.first());
                if let Some((table, known)) = source {
                    let found = best.snapshot.weights.get(&format!("{member}{table}"));
                    let found = found.or_else(|| best.snapshot.weights.get(*table));
                    if let Some(found) = found.filter(|found| found.shape[1] == array.shape[1]) {
                        let covered = copy_rows(array, vocabulary, found, known);
                        let all = vocabulary.size() - 2;
                        let note = format!("{own}: {covered} of {all} tokens of the vocabulary are in that of the run");
                        notes.extend(member.is_empty().then_some(note));
                        copied += 1;
                        continue;
                    }
                }
            } else if let Some(found) = weights
                .get(&undirected(name))
                .or_else(|| weights.get(&undirected(own)))
                .filter(|found| !is_output && found.shape == array.shape)
            {
                array.values.clone_from(&found.values);
                copied += 1;
                recurrent += usize::from(name.contains(LAYERS));
                continue;
            }
            new.push(name.clone());
        }
        if recurrent == 0 {
            let expected = format!(
                "no recurrent layer of its model {model}, with network.hidden_sizes = {:?}, has the cell and the sizes of one of {}, with {:?}; \
                 train the same cell with the same sizes",
                recipe.network.hidden_sizes, spec.name, spec.network.hidden_sizes
            );
            return Err(InvalidValue::new("init.from", name, expected).into());
        }
        let total = self.weights.len();
        self.notes
            .push(format!("{copied} of {total} parameters start from model {model} of run {}", run.path.display()));
        self.notes.extend(notes);
        if !new.is_empty() {
            self.notes.push(format!("new parameters: {}", new.join(", ")));
        }
        Ok(())
    }

    /// Stores the weights in a model's folder, checksummed.
    ///
    /// # Errors
    /// If writing fails.
    pub fn save(&self, folder: &ModelFolder, disk: &impl Disk) -> Result<(), InitialError> {
        let files = Files::from([(WEIGHTS.to_owned(), weights::to_safetensors(&self.weights))]);
        stored(folder).save(0, &files, disk)?;
        Ok(())
    }

    /// Whether a model's folder has initial weights.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn is_saved(folder: &ModelFolder) -> Result<bool, InitialError> {
        Ok(!stored(folder).list()?.is_empty())
    }
}

/// The initial weights in a model's folder.
///
/// # Errors
/// If they are missing or damaged.
pub fn load(folder: &ModelFolder) -> Result<Arrays, CheckpointError> {
    let (opened, _) = stored(folder).latest()?;
    let arrays = weights::from_safetensors(opened.file(WEIGHTS)?);
    arrays.map_err(|error| CheckpointError::damaged(opened.path.join(WEIGHTS), error))
}

fn stored(folder: &ModelFolder) -> Checkpoints {
    Checkpoints::new(folder.path.join(FOLDER))
}

/// The name of a parameter, with the architectures of one and two directions alike.
fn undirected(name: &str) -> String {
    let parts = name.split('.').map(|part| {
        let rest = part.strip_prefix("Bi").filter(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()));
        rest.unwrap_or(part)
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Sets the rows of the tokens that have a vector; returns their number.
fn set_rows(table: &mut Array, vocabulary: &Vocabulary, vectors: &HashMap<String, Vec<f32>>) -> usize {
    let rows = table.values.chunks_exact_mut(table.shape[1]).skip(2);
    let known = vocabulary.tokens().zip(rows).filter_map(|(token, row)| Some((vectors.get(token)?, row)));
    known.map(|(vector, row)| row.copy_from_slice(vector)).count()
}

/// Copies the rows of common tokens, padding and unknown included; returns the number of common tokens.
fn copy_rows(table: &mut Array, vocabulary: &Vocabulary, found: &Array, known: &Vocabulary) -> usize {
    let size = table.shape[1];
    let row = |id: usize| id * size..(id + 1) * size;
    for id in 0..2 {
        table.values[row(id)].copy_from_slice(&found.values[row(id)]);
    }
    let mut covered = 0;
    for (id, token) in (2..).zip(vocabulary.tokens()) {
        let source = known.id(token) as usize;
        if source >= 2 {
            table.values[row(id)].copy_from_slice(&found.values[row(source)]);
            covered += 1;
        }
    }
    covered
}
