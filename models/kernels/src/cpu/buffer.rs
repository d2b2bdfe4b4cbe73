//! Pooled memory, reused from call to call.
//!
//! Buffers are not cleared: the user of a buffer writes each element before reading it. The pool never holds more buffers than were
//! in use at the same time.
//!
//! Buffers start at a cache line, because a vector that straddles two lines takes two loads: on products of one row, which read
//! each weight once, that is the difference between the speed of the cache and half of it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Floats of any value. Dropping a buffer returns its memory to the pool.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// May be longer than requested.
    values: Vec<f32>,
    /// Elements before the first cache line.
    start: usize,
    count: usize,
}

/// Bytes of a cache line.
const LINE: usize = 64;

static POOL: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

impl Buffer {
    /// Takes the smallest pooled buffer that is large enough. If there is none, allocates one in place of the largest.
    pub(crate) fn take(count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let size = count + LINE / size_of::<f32>() - 1;
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = (0..pool.len()).filter(|&index| pool[index].len() >= size).min_by_key(|&index| pool[index].len());
        let largest = || (0..pool.len()).max_by_key(|&index| pool[index].len());
        let taken = fits.or_else(largest).map(|index| pool.swap_remove(index));
        drop(pool);
        let values = taken.filter(|values| values.len() >= size).unwrap_or_else(|| vec![0.0; size]);
        let start = values.as_ptr().align_offset(LINE);
        Self { values, start, count }
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
        &self.values[self.start..][..self.count]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.start..][..self.count]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_any_size_start_at_a_cache_line() {
        let buffers: Vec<Buffer> = (1..200).map(|count| Buffer::take(count * count)).collect();
        for (count, buffer) in (1..200).zip(&buffers) {
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % LINE), (count * count, 0));
        }
    }
}
