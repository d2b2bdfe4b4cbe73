//! Trained networks with what they need to answer.

use burn::module::Module;
use burn::tensor::Device;
use seqzoo_models::invalid_shape::InvalidShape;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{CheckpointError, Files, Opened};
use crate::progress::Snapshot;
use crate::recipe::{ModelSpec, Recipe};

/// What turns input into a network's numbers and numbers into answers: with the weights, enough to answer new input.
pub trait Codec: Serialize + DeserializeOwned {
    /// What reads and writes the numbers.
    type Network: Module;

    /// Its file in a checkpoint.
    const FILE: &'static str = "codec.json";

    /// Whether a model has a network for input and answers of these sizes.
    ///
    /// # Errors
    /// The field that does not fit.
    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape>;

    /// That network, with its layers' own initial weights.
    ///
    /// # Panics
    /// If [`Codec::fits`] refuses the model.
    fn network(&self, spec: &ModelSpec, device: &Device) -> Self::Network;

    /// What a checkpoint holds of it.
    fn files(&self) -> Files {
        let json = serde_json::to_vec(self).expect("made of strings and finite numbers");
        Files::from([(Self::FILE.to_owned(), json)])
    }
}

/// A network as a checkpoint holds it, with its codec.
#[derive(Debug, Clone)]
pub struct Trained<C: Codec> {
    pub(super) codec: C,
    pub(super) spec: ModelSpec,
    pub(super) network: C::Network,
    pub(super) device: Device,
}

impl<C: Codec> Trained<C> {
    /// The network and codec of a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint's files do not fit each other.
    pub fn load(opened: &Opened, snapshot: &Snapshot, device: &Device) -> Result<Self, CheckpointError> {
        let codec: C = opened.json(C::FILE)?;
        let spec = snapshot.spec(opened)?;
        codec.fits(&spec).map_err(|invalid_shape| CheckpointError::damaged(&opened.path, invalid_shape))?;
        let network = snapshot.into_network(opened, codec.network(&spec, device))?;
        Ok(Self { codec, spec, network, device: device.clone() })
    }

    /// The recipe that it was trained by.
    pub fn recipe(&self) -> &Recipe {
        &self.spec.recipe
    }
}
