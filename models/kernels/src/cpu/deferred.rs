//! Values that pass from one node of the autodiff graph to another.

use std::sync::{Arc, Mutex, PoisonError};

/// A shared value, put once by one node and taken once by another.
#[derive(Debug)]
pub(super) struct Deferred<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Deferred<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Deferred<T> {
    pub(super) fn put(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
