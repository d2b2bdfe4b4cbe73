//! The buffers of a call that processes whole sequences, and the work that forward and backward pass share.
//!
//! The caller's buffers are `[batch, time, …]`, one row per sequence. Each thread owns some rows for all time steps, so no step
//! waits for another thread. Inside a thread, data is indexed by position ([`Schedule`]) and gates lie in planes
//! ([`GatePlanes`](super::planes::GatePlanes)). Products with weights that do not depend on the state, and the gradients of the
//! weights, are computed over chunks of steps while their operands are in the cache.
//!
//! The same inputs, lengths and number of threads give the same bits.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dimensions::Dimensions;
use super::schedule::Schedule;

/// Borrowed inputs of a call.
///
/// `h` is the hidden size, `gates` the number of gates.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    /// `[batch, time, input_size]`; padding is never read.
    pub(crate) input: &'a [f32],
    /// `[input_size, gates · h]`.
    pub(crate) weight_ih: &'a [f32],
    /// `[gates · h]`.
    pub(crate) bias: &'a [f32],
    /// `[h, gates · h]`; without the columns of a separate gate that has a factor.
    pub(crate) weight_hh: &'a [f32],
    /// Of a separate product its bias `[h]`, of a factor its weights `[h, h]`; else empty.
    pub(crate) extra: &'a [f32],
    /// `[batch, h]`.
    pub(crate) hidden: &'a [f32],
    /// `[batch, h]`, or empty if the cell has no cell state.
    pub(crate) cell: &'a [f32],
}

impl<'a> Inputs<'a> {
    /// The inputs of some rows.
    pub(super) fn of_rows(&self, rows: &Range<usize>, dimensions: &Dimensions) -> Inputs<'a> {
        Inputs {
            input: row_range(self.input, rows, dimensions.time * dimensions.input),
            hidden: row_range(self.hidden, rows, dimensions.hidden),
            cell: row_range(self.cell, rows, dimensions.hidden),
            ..*self
        }
    }
}

/// Results of the forward pass, owned by the caller from then on.
pub(crate) struct Outputs {
    /// `[batch, time, h]`, zero at padding.
    pub(crate) outputs: Vec<f32>,
    /// After the last valid step of each row, `[batch, h]`.
    pub(crate) hidden: Vec<f32>,
    /// The same for the cell state, or empty.
    pub(crate) cell: Vec<f32>,
    /// What the backward pass needs besides `outputs`, thread by thread; see [`saved_len`](super::dimensions::saved_len).
    pub(crate) saved: Buffer,
}

/// Gradients of the results; empty where nothing depends on one.
#[derive(Clone, Copy)]
pub(crate) struct OutputGradients<'a> {
    pub(crate) outputs: &'a [f32],
    pub(crate) hidden: &'a [f32],
    pub(crate) cell: &'a [f32],
}

/// Gradients of the inputs, each in the shape of its input.
#[derive(Default)]
pub(crate) struct InputGradients {
    pub(crate) input: Vec<f32>,
    pub(crate) weight_ih: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) weight_hh: Vec<f32>,
    pub(crate) extra: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) cell: Vec<f32>,
}

/// Splits a buffer into disjoint pieces; an empty buffer into empty pieces.
pub(super) fn split_into(buffer: &mut [f32], sizes: impl IntoIterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut rest = buffer;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, others) = rest.split_at_mut(size.min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// Some rows of a buffer; an empty buffer stays empty.
pub(super) fn row_range<'a>(buffer: &'a [f32], rows: &Range<usize>, width: usize) -> &'a [f32] {
    if buffer.is_empty() { buffer } else { &buffer[rows.start * width..rows.end * width] }
}

/// Copies rows of a state `[rows, h]` into the order of the schedule; leaves `to` alone if there is nothing to copy.
pub(super) fn sort_rows(schedule: &Schedule, h: usize, from: &[f32], to: &mut [f32]) {
    if !from.is_empty() {
        to.chunks_exact_mut(h).zip(&schedule.order).for_each(|(to, row)| to.copy_from_slice(&from[row * h..][..h]));
    }
}

/// The inverse of [`sort_rows`].
pub(super) fn unsort_rows(schedule: &Schedule, h: usize, from: &[f32], to: &mut [f32]) {
    from.chunks_exact(h).zip(&schedule.order).for_each(|(from, row)| to[row * h..][..h].copy_from_slice(from));
}

/// Runs one job per thread; a single job on the calling thread.
pub(super) fn run_jobs<J: Send>(mut jobs: Vec<J>, run: impl Fn(J) + Sync + Send) {
    if jobs.len() == 1 {
        jobs.drain(..).for_each(run);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::backward::backward;
    use crate::cpu::cells::{gru::Gru, gru_reset_after::GruResetAfter, lstm::Lstm, rnn::Rnn};
    use crate::cpu::dimensions::saved_len;
    use crate::cpu::elementwise::{Elementwise, SeparateGate};
    use crate::cpu::forward::forward;
    use crate::cpu::schedule::Shape;
    use crate::cpu::weights::{BackwardWeights, ForwardWeights, pack_input_backward};
    use crate::cpu::worker::BackwardPass;
    use crate::execution::{Activations, Execution};
    use crate::lengths::Lengths;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 7919 + salt * 31) % 1013) as f32 / 1013.0 - 0.5).collect()
    }

    /// All results of a forward and a backward pass.
    fn run<E: Elementwise>(shape: &Shape, activations: Activations) -> Vec<Vec<f32>> {
        let execution = Execution { activations, ..Execution::default() };
        let dimensions = Dimensions::of::<E>(shape, execution);
        let (h, states) = (shape.hidden, shape.batch * shape.hidden);
        let extra = match E::SEPARATE {
            SeparateGate::None => 0,
            SeparateGate::Product => h,
            SeparateGate::Factor => h * h,
        };
        let cell = if E::CELL_STATE { states } else { 0 };
        let sizes = [
            shape.batch * shape.time * shape.input,
            shape.input * dimensions.gates,
            dimensions.gates,
            h * dimensions.recurrent_columns,
            extra,
            states,
            cell,
        ];
        let values: Vec<Vec<f32>> = (1..).zip(sizes).map(|(salt, count)| numbers(count, salt)).collect();
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] =
            [0, 1, 2, 3, 4, 5, 6].map(|index| &values[index][..]);
        let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
        let weights = ForwardWeights::pack::<E>(&dimensions, &inputs);
        let made = forward::<E>(shape, &inputs, &weights, execution, true);
        let output_gradients = numbers(states * shape.time, 9);
        let gradients = OutputGradients { outputs: &output_gradients, hidden: &[], cell: &[] };
        let pass = BackwardPass {
            recurrent: &BackwardWeights::pack::<E>(&dimensions, &inputs),
            input: Some(&pack_input_backward(&dimensions, &inputs)),
            forward: (activations == Activations::Recomputed).then_some(&weights),
        };
        let found = backward::<E>(shape, &inputs, pass, (&made.outputs, &made.saved), gradients, execution);
        let InputGradients { input, weight_ih, bias, weight_hh, extra, hidden, cell } = found;
        vec![made.outputs, made.hidden, made.cell, input, weight_ih, bias, weight_hh, extra, hidden, cell]
    }

    #[test]
    fn stale_buffer_contents_change_nothing() {
        let lengths = Lengths::new((0..7).map(|row| 1 + row * 11 % 90).collect());
        let shape = Shape { batch: 7, time: 90, input: 5, hidden: 19, lengths, reversed: false };
        for activations in [Activations::Kept, Activations::Recomputed] {
            for cell in [run::<Lstm>, run::<Rnn>, run::<Gru>, run::<GruResetAfter>] {
                let before = cell(&shape, activations);
                let mut poisoned: Vec<Buffer> = (0..24).map(|size| Buffer::take(1 << size)).collect();
                poisoned.iter_mut().for_each(|buffer| buffer.fill(f32::NAN));
                drop(poisoned);
                assert!(before.iter().flatten().all(|value| value.is_finite()));
                assert!(before == cell(&shape, activations));
            }
        }
    }

    #[test]
    fn recomputation_saves_less_than_a_quarter_for_long_sequences() {
        let shape =
            Shape { batch: 32, time: 3200, input: 128, hidden: 256, lengths: Lengths::full(32, 3200), reversed: false };
        let outputs = shape.batch * shape.time * shape.hidden;
        let saved = |activations| {
            let schedules = Dimensions::of::<Lstm>(&shape, Execution::default()).schedules(&shape);
            outputs
                + schedules.iter().map(|each| saved_len::<Lstm>(each, shape.hidden, Some(activations))).sum::<usize>()
        };
        assert!(4 * saved(Activations::Recomputed) < saved(Activations::Kept));
    }
}
