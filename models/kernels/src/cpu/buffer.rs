//! Pooled memory, reused from call to call.
//!
//! Buffers are not cleared: the user of a buffer writes each element before reading it. The pool never holds more buffers than were
//! in use at the same time.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Floats of any value. Dropping a buffer returns its memory to the pool.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// May be longer than requested.
    values: Vec<f32>,
    count: usize,
}

static POOL: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

impl Buffer {
    /// Takes the smallest pooled buffer that is large enough. If there is none, allocates one in place of the largest.
    pub(crate) fn take(count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = (0..pool.len()).filter(|&index| pool[index].len() >= count).min_by_key(|&index| pool[index].len());
        let largest = || (0..pool.len()).max_by_key(|&index| pool[index].len());
        let taken = fits.or_else(largest).map(|index| pool.swap_remove(index));
        drop(pool);
        let values = taken.filter(|values| values.len() >= count).unwrap_or_else(|| vec![0.0; count]);
        Self { values, count }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.values.is_empty() {
            POOL.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.values));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.count]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.count]
    }
}
