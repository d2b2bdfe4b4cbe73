//! Weights in a kernel's own layout, kept between calls.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Storage for the packed weights of one layer. A layer owns it and passes it with each call, so that weights are packed once for
/// many calls.
///
/// What is stored belongs to the kernel family that computes the layer. Clones share it, as clones of a layer share its weights.
#[derive(Clone, Default)]
pub struct PackedWeights(Arc<Mutex<Option<Arc<dyn Any + Send + Sync>>>>);

impl PackedWeights {
    /// The stored value of type `T`. The default value replaces a missing value and that of another family.
    pub(crate) fn get<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(found)) = stored.clone().map(Arc::downcast::<T>) {
            return found;
        }
        let new = Arc::new(T::default());
        *stored = Some(new.clone());
        new
    }
}

impl fmt::Debug for PackedWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PackedWeights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_a_value_and_another_type_replaces_it() {
        let packed = PackedWeights::default();
        let first = packed.get::<Mutex<u32>>();
        *first.lock().unwrap() = 7;
        assert_eq!(*packed.clone().get::<Mutex<u32>>().lock().unwrap(), 7);
        assert_eq!(*packed.get::<String>(), "");
        assert_eq!(*packed.get::<Mutex<u32>>().lock().unwrap(), 0);
    }
}
