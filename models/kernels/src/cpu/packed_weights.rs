//! Packed weights that are kept from call to call.
//!
//! A cache entry belongs to the memory that it was packed from. It holds the source tensors, so that this memory is neither freed nor
//! reused, nor written to: Burn's CPU tensors copy on write as soon as they are shared. Tensors in the same memory
//! therefore get the cached weights, and others (after an update, or of another network) get new ones.
//! An entry can never be stale.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::dimensions::Dimensions;
use super::elementwise::{Elementwise, SeparateGate};
use super::product::PackedMatrix;
use super::sequence::Inputs;
use super::slices::CpuSlice;
use super::weights::{BackwardWeights, ForwardWeights, pack_input_backward};

/// Packed weights of one recurrent layer.
///
/// Packing takes place when a pass first needs it. Inference packs once; training once per update.
#[derive(Debug, Default)]
pub(super) struct PackedRecurrent {
    pub(super) forward: Cache<ForwardWeights>,
    /// Transposed recurrent weights.
    pub(super) backward: Cache<BackwardWeights>,
    /// Transposed input weights, which only layers above the lowest need.
    pub(super) backward_input: Cache<PackedMatrix>,
}

/// The packed weights of a linear layer.
#[derive(Debug, Default)]
pub(super) struct PackedLinear {
    pub(super) forward: Cache<PackedMatrix>,
    /// Transposed weights.
    pub(super) backward: Cache<PackedMatrix>,
}

/// The tensors that weights are packed from, and where packed weights are kept.
#[derive(Clone, Copy)]
pub(crate) struct WeightSources<'a> {
    pub(super) weight_ih: &'a CpuSlice,
    pub(super) weight_hh: &'a CpuSlice,
    /// Of a factor its weights.
    pub(super) extra: Option<&'a CpuSlice>,
    pub(super) packed: &'a PackedRecurrent,
}

impl<'a> WeightSources<'a> {
    /// `tensors` are input weights, recurrent weights and the cell's extra parameter.
    pub(super) fn new(
        separate_gate: SeparateGate,
        [weight_ih, weight_hh, extra]: [&'a CpuSlice; 3],
        packed: &'a PackedRecurrent,
    ) -> Self {
        let extra = (separate_gate == SeparateGate::Factor).then_some(extra);
        Self { weight_ih, weight_hh, extra, packed }
    }

    fn get<T>(&self, cache: &Cache<T>, sources: &[&CpuSlice], pack: impl FnOnce() -> T) -> Arc<T> {
        let sources: Vec<&CpuSlice> = sources.iter().copied().chain(self.extra).collect();
        cache.get(&sources, pack)
    }

    /// Packed weights of the forward pass.
    pub(super) fn forward<E: Elementwise>(&self, dimensions: &Dimensions, inputs: &Inputs) -> Arc<ForwardWeights> {
        let sources = [self.weight_ih, self.weight_hh];
        self.get(&self.packed.forward, &sources, || ForwardWeights::pack::<E>(dimensions, inputs))
    }

    /// Packed weights of the backward pass.
    pub(super) fn backward<E: Elementwise>(&self, dimensions: &Dimensions, inputs: &Inputs) -> Arc<BackwardWeights> {
        self.get(&self.packed.backward, &[self.weight_hh], || BackwardWeights::pack::<E>(dimensions, inputs))
    }

    /// Packed weights for the gradient of the input.
    pub(super) fn backward_input(&self, dimensions: &Dimensions, inputs: &Inputs) -> Arc<PackedMatrix> {
        let cache = &self.packed.backward_input;
        cache.get(&[self.weight_ih], || pack_input_backward(dimensions, inputs))
    }
}

/// At most one packed value, with the tensors that it was packed from.
pub(super) struct Cache<T>(Mutex<Option<Entry<T>>>);

struct Entry<T> {
    sources: Vec<CpuSlice>,
    packed: Arc<T>,
}

impl<T> fmt::Debug for Cache<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Cache<T> {
    /// The value packed from `sources`: the kept one if it was packed from the same memory, else the result of `pack`, which is
    /// kept from then on.
    pub(super) fn get(&self, sources: &[&CpuSlice], pack: impl FnOnce() -> T) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entry = lock();
        if let Some(Entry { sources: known, packed }) = &*entry
            && known.len() == sources.len()
            && known.iter().zip(sources).all(|(known, source)| known.is_same_memory(source))
        {
            return packed.clone();
        }
        // Released first, so that its memory can be packed into. The lock is not held while packing, which may run other jobs of
        // the thread pool on this thread.
        *entry = None;
        drop(entry);
        let packed = Arc::new(pack());
        let sources = sources.iter().map(|&source| source.clone()).collect();
        *lock() = Some(Entry { sources, packed: packed.clone() });
        packed
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    fn slice(tensor: &Tensor<1>) -> CpuSlice {
        CpuSlice::of(tensor).unwrap()
    }

    #[test]
    fn weights_are_packed_once_and_never_stale() {
        let cache = Cache::<Vec<f32>>::default();
        let mut packings = 0;
        let mut get = |tensor: &Tensor<1>| {
            let source = slice(tensor);
            let packed = cache.get(&[&source], || {
                packings += 1;
                source.slice().to_vec()
            });
            (packed.to_vec(), packings)
        };
        let weights = Tensor::<1>::from_data([1.0f32, 2.0], &Device::flex());
        assert_eq!(get(&weights), (vec![1.0, 2.0], 1));
        assert_eq!(get(&weights.clone()), (vec![1.0, 2.0], 1));
        // Updates that would be made in place if the cache did not hold the memory.
        let mut weights = weights;
        for update in 1..9 {
            weights = weights + 1.0;
            let expected = vec![1.0 + update as f32, 2.0 + update as f32];
            assert_eq!(get(&weights), (expected.clone(), 1 + update));
            assert_eq!(get(&weights), (expected, 1 + update));
        }
        let other = Tensor::<1>::from_data([9.0f32, 10.0], &Device::flex());
        assert_eq!(get(&other), (vec![9.0, 10.0], 10));
        assert_eq!(get(&weights), (vec![9.0, 10.0], 11));
        drop((weights, other));
        for number in 0..9 {
            let fresh = Tensor::<1>::from_data([number as f32, 0.0], &Device::flex());
            assert_eq!(get(&fresh).0, [number as f32, 0.0]);
        }
    }
}
