//! Valid lengths of a ragged batch.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Number of valid steps of each sequence of a batch `[batch, time, features]`; what lies beyond is padding.
///
/// A clone is cheap and shares the device masks, which are built on first use, once per batch. Dereferences to the lengths.
#[derive(Clone)]
pub struct Lengths(Arc<Shared>);

struct Shared {
    lengths: Vec<usize>,
    /// A batch meets few combinations of time and device, so a list is searched.
    masks: Mutex<Vec<PaddingMask>>,
}

struct PaddingMask {
    time: usize,
    device: Device,
    mask: Tensor<2, Bool>,
}

impl Lengths {
    /// Lengths of the sequences of a batch, in their order.
    pub fn new(lengths: Vec<usize>) -> Self {
        Self(Arc::new(Shared { lengths, masks: Mutex::default() }))
    }

    /// Lengths of a batch without padding.
    pub fn full(batch: usize, time: usize) -> Self {
        Self::new(vec![time; batch])
    }

    /// Whether a sequence ends before `time`.
    pub fn is_ragged(&self, time: usize) -> bool {
        self.iter().any(|&length| length < time)
    }

    /// The padding mask `[batch, time]`, true where a step is padding; `None` if there is no padding.
    pub fn padding(&self, time: usize, device: &Device) -> Option<Tensor<2, Bool>> {
        if !self.is_ragged(time) {
            return None;
        }
        let mut masks = self.0.masks.lock().unwrap_or_else(PoisonError::into_inner);
        // Devices are equal with and without automatic differentiation, but their tensors do not mix.
        let same = |known: &&PaddingMask| {
            known.time == time && known.device == *device && known.device.is_autodiff() == device.is_autodiff()
        };
        if let Some(known) = masks.iter().find(same) {
            return Some(known.mask.clone());
        }
        let is_padding = self.iter().flat_map(|&length| (0..time).map(move |step| step >= length));
        let mask = Tensor::from_data(TensorData::new(is_padding.collect::<Vec<bool>>(), [self.len(), time]), device);
        masks.push(PaddingMask { time, device: device.clone(), mask: mask.clone() });
        Some(mask)
    }

    /// The rows that have no step `step`, `[batch, 1]`; `None` if every row has it.
    pub fn finished(&self, step: usize, time: usize, device: &Device) -> Option<Tensor<2, Bool>> {
        let ragged = self.iter().any(|&length| step >= length);
        self.padding(time, device).filter(|_| ragged).map(|padding| padding.narrow(1, step, 1))
    }
}

impl Deref for Lengths {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0.lengths
    }
}

impl fmt::Debug for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Lengths {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl From<&[usize]> for Lengths {
    fn from(lengths: &[usize]) -> Self {
        Self::new(lengths.to_vec())
    }
}

impl From<&Vec<usize>> for Lengths {
    fn from(lengths: &Vec<usize>) -> Self {
        Self::new(lengths.clone())
    }
}

impl<const N: usize> From<&[usize; N]> for Lengths {
    fn from(lengths: &[usize; N]) -> Self {
        Self::new(lengths.to_vec())
    }
}

impl From<&Lengths> for Lengths {
    fn from(lengths: &Lengths) -> Self {
        lengths.clone()
    }
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests {
    use super::*;

    #[test]
    fn the_mask_marks_padding_and_is_built_once_for_each_device() {
        let lengths = Lengths::from(&[2, 0, 3]);
        assert!(lengths.padding(2, &Device::flex()).is_some() && lengths.clone().padding(4, &Device::flex()).is_some());
        for device in [Device::flex(), Device::flex().autodiff(), Device::flex()] {
            let mask = lengths.padding(3, &device).unwrap();
            assert_eq!(mask.device().is_autodiff(), device.is_autodiff());
            let expected = [[false, false, true], [true, true, true], [false, false, false]].concat();
            assert_eq!(mask.into_data().try_to_vec::<bool>().unwrap(), expected);
        }
        assert_eq!(lengths.0.masks.lock().unwrap().len(), 4);
        assert!(Lengths::full(3, 5).padding(5, &Device::flex()).is_none());
    }
}
