//! Trained networks with their codecs.

use burn::tensor::Device;
use seqzoo_datasets::text::Vocabulary;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::Network;
use seqzoo_models::parameters::{self, Arrays};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::classes::Decision;
use crate::{Files, ModelSpec};

/// Encoder of inputs and decoder of outputs: everything that inference needs in addition to the weights.
pub trait Codec: Serialize + DeserializeOwned {
    /// The network for which it encodes.
    type Network: Network + 'static;

    /// Name of its file in a checkpoint.
    const FILE: &'static str = "codec.json";

    /// Checks that the sizes of a model match the codec.
    ///
    /// # Errors
    /// The first invalid field.
    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape>;

    /// Creates the network, with the default initialization of its layers.
    ///
    /// # Panics
    /// If [`Codec::check`] fails.
    fn network(&self, spec: &ModelSpec, device: &Device) -> Self::Network;

    /// The vocabulary of each embedding, by the name of its parameter.
    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        Vec::new()
    }

    /// The codec in a checkpoint's files.
    ///
    /// # Errors
    /// If its file is missing or damaged.
    fn read(files: &Files) -> Result<Self, LoadError> {
        let invalid = |detail: String| LoadError::File { file: Self::FILE.to_owned(), detail };
        let json = files.get(Self::FILE).ok_or_else(|| invalid("the file is missing".to_owned()))?;
        serde_json::from_slice(json).map_err(|error| invalid(error.to_string()))
    }

    /// The codec's files in a checkpoint.
    fn files(&self) -> Files {
        let json = serde_json::to_vec(self).expect("made of strings and finite numbers");
        Files::from([(Self::FILE.to_owned(), json)])
    }
}

/// Error of loading a trained model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A file is missing, damaged, or does not match the model.
    #[error("{file}: {detail}")]
    File {
        /// Name of the file in the checkpoint.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// The weights do not match the network.
    #[error(transparent)]
    Weights(#[from] parameters::Mismatch),
}

/// A trained network with its codec.
#[derive(Debug, Clone)]
pub struct TrainedModel<C: Codec> {
    pub(crate) codec: C,
    pub(crate) spec: ModelSpec,
    pub(crate) network: C::Network,
    pub(crate) device: Device,
    /// How a label is chosen, if the task has one label per example.
    pub(crate) decision: Decision,
}

impl<C: Codec> TrainedModel<C> {
    /// Loads a network and its codec.
    ///
    /// # Errors
    /// If the codec's file is missing or damaged, or the weights do not fit.
    pub fn open(spec: &ModelSpec, files: &Files, weights: &Arrays, device: &Device) -> Result<Self, LoadError> {
        let codec = C::read(files)?;
        let invalid = |detail: String| LoadError::File { file: C::FILE.to_owned(), detail };
        codec.check(spec).map_err(|error| invalid(error.to_string()))?;
        let mut network = codec.network(spec, device);
        parameters::write(&mut network, weights)?;
        Ok(Self { codec, spec: spec.clone(), network, device: device.clone(), decision: Decision::default() })
    }
}
