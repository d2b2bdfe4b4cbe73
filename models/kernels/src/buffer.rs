//! Memory that is used again from call to call: never cleared, so whoever takes some writes before reading.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Some numbers, whatever they are; freed for the next one to take.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// May be longer than what was asked for.
    numbers: Vec<f32>,
    count: usize,
}

/// Never more than were in use at once.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

impl Buffer {
    /// The smallest free one that is large enough, else a new one in the place of the largest that is not.
    pub(crate) fn take(count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = (0..free.len()).filter(|&place| free[place].len() >= count).min_by_key(|&place| free[place].len());
        let largest = || (0..free.len()).max_by_key(|&place| free[place].len());
        let taken = fits.or_else(largest).map(|place| free.swap_remove(place));
        drop(free);
        let numbers = taken.filter(|numbers| numbers.len() >= count).unwrap_or_else(|| vec![0.0; count]);
        Self { numbers, count }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.numbers.is_empty() {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.numbers));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.count]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.count]
    }
}
