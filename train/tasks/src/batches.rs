//! Batches of evaluation and prediction, computed side by side.

use std::num::NonZeroUsize;

use burn::tensor::{DType, Device};
use rayon::prelude::*;
use seqzoo_kernels::{Execution, supports};
use seqzoo_models::networks::Network;

/// Number of batches per thread between two looks at `stop`.
const STRETCH: usize = 8;

/// The results of `compute` for each batch, in order; `None` if stopped.
///
/// On a CPU with several batches, each thread computes batches of its own: unlike the rows of a batch, batches need not wait for each other
/// in every step. The results are the same bits.
pub(crate) fn each<N: Network + Sync, R: Send>(
    network: &N,
    batches: &[Vec<usize>],
    device: &Device,
    compute: impl Fn(&N, &[usize]) -> R + Sync,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<R>> {
    let threads = rayon::current_num_threads();
    let are_separate = threads > 1 && batches.len() >= threads && supports(device, DType::F32);
    if !are_separate {
        return batches.iter().map(|batch| (!stop()).then(|| compute(network, batch))).collect();
    }
    let mut alone = network.clone();
    alone.set_execution(Execution { threads: NonZeroUsize::new(1), ..Execution::default() });
    let mut found: Vec<R> = Vec::with_capacity(batches.len());
    for stretch in batches.chunks(threads * STRETCH) {
        if stop() {
            return None;
        }
        found.par_extend(stretch.par_iter().with_max_len(1).map(|batch| compute(&alone, batch)));
    }
    Some(found)
}
