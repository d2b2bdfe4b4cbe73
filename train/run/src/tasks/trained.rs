//! Trained networks with their codecs.

use burn::module::Module;
use burn::tensor::Device;
use seqzoo_models::invalid_shape::InvalidShape;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{CheckpointError, Files, Opened};
use crate::progress::Snapshot;
use crate::recipe::{ModelSpec, Recipe};

/// Encoder of inputs and decoder of outputs. With the weights, it is all that inference needs.
pub trait Codec: Serialize + DeserializeOwned {
    /// The network that the codec encodes for.
    type Network: Module;

    /// Name of its file in a checkpoint.
    const FILE: &'static str = "codec.json";

    /// Checks that a model fits the codec's sizes.
    ///
    /// # Errors
    /// Names the invalid field.
    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape>;

    /// Builds the network, with its layers' default initialization.
    ///
    /// # Panics
    /// If [`Codec::fits`] fails.
    fn network(&self, spec: &ModelSpec, device: &Device) -> Self::Network;

    /// The codec's files in a checkpoint.
    fn files(&self) -> Files {
        let json = serde_json::to_vec(self).expect("made of strings and finite numbers");
        Files::from([(Self::FILE.to_owned(), json)])
    }
}

/// A trained network with its codec.
#[derive(Debug, Clone)]
pub struct Trained<C: Codec> {
    pub(super) codec: C,
    pub(super) spec: ModelSpec,
    pub(super) network: C::Network,
    pub(super) device: Device,
}

impl<C: Codec> Trained<C> {
    /// Loads the network and codec of a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint's files are inconsistent.
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
