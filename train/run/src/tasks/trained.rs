//! Trained networks with what they need to answer.

use burn::module::Module;
use burn::tensor::Device;
use seqzoo_models::misfit::Misfit;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{CheckpointError, Files, Opened};
use crate::progress::Snapshot;
use crate::recipe::Variant;

/// What turns input into a network's numbers and numbers into answers: with the weights, enough to answer new input.
pub trait Codec: Serialize + DeserializeOwned {
    /// What reads and writes the numbers.
    type Network: Module;

    /// Its file in a checkpoint.
    const FILE: &'static str = "codec.json";

    /// A network of the sizes that input and answers have, with initial weights.
    ///
    /// # Errors
    /// If the sizes and the model do not fit each other.
    fn network(&self, variant: &Variant, device: &Device) -> Result<Self::Network, Misfit>;

    /// Whether it makes sense as it was found in a checkpoint.
    ///
    /// # Errors
    /// What does not fit what else.
    fn check(&self, _variant: &Variant) -> Result<(), &'static str> {
        Ok(())
    }

    /// The network that training begins with.
    ///
    /// # Panics
    /// If the sizes and the model do not fit each other, which a validated recipe's do.
    fn begin(&self, variant: &Variant, device: &Device) -> Self::Network {
        let network = self.network(variant, device).unwrap_or_else(|misfit| panic!("{misfit}"));
        variant.recipe.begin(network)
    }

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
    pub(super) variant: Variant,
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
        let variant = snapshot.variant(opened)?;
        codec.check(&variant).map_err(|why| CheckpointError::damaged(opened.path.join(C::FILE), why))?;
        let network = codec.network(&variant, device);
        let network = network.map_err(|misfit| CheckpointError::damaged(&opened.path, misfit))?;
        Ok(Self { codec, variant, network: snapshot.into_network(opened, network)?, device: device.clone() })
    }
}
