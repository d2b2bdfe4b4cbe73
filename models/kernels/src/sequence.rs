//! A whole sequence, forward and backward, for cells whose recurrence is one product and a function of single numbers.
//!
//! Buffers are row by row `[batch, time, …]`; each thread has rows of its own for all time steps, so no step waits. Rows run
//! longest first, so that at each step those that still go on stand in front and padding costs nothing. Reading backward, a row
//! starts at its own last true step. The same inputs, lengths and thread count give the same bits.

use rayon::prelude::*;

use crate::engine::{InstructionSet, for_each_instruction_set};
use crate::product::Packed;

/// What a cell does with single numbers; `h` is `hidden_size`.
pub(crate) trait Pointwise: Sync + Send + 'static {
    /// Columns of the projected input per unit.
    const GATES: usize;
    /// Whether the cell keeps a tensor of `h` numbers a step beside its gates: an LSTM's cell, a GRU's recurrent candidate.
    const KEEPS: bool;
    /// Whether what is kept is a state that the next step reads.
    const CARRIES: bool;
    /// Whether the gradient of the recurrent product differs from that of the projected input.
    const SPLITS: bool;

    /// From the projected input and the recurrent product, both `[GATES · h]`, an extra bias and the state before to the gates as
    /// the backward pass needs them, what is kept, and the hidden state (in place of the one before).
    fn forward<const FUSED: bool>(step: Step<'_>, gates: &mut [f32], kept: &mut [f32], hidden: &mut [f32]);

    /// From gates, what is kept, the state before and the gradients of hidden state and carried cell to the gradient of the
    /// projected input; `slope` becomes the part of the state's gradient that does not pass the product, `carried` that of the
    /// cell before, `recurrent` the product's gradient where it [`SPLITS`](Self::SPLITS).
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        carried: &mut [f32],
        projected: &mut [f32],
        recurrent: &mut [f32],
    );
}

/// What a step reads.
pub(crate) struct Step<'a> {
    pub(crate) projected: &'a [f32],
    pub(crate) recurrent: &'a [f32],
    pub(crate) extra: &'a [f32],
    /// The carried cell before; empty if there is none.
    pub(crate) carried: &'a [f32],
}

/// What the backward pass of a step reads.
pub(crate) struct Seen<'a> {
    pub(crate) gates: &'a [f32],
    pub(crate) kept: &'a [f32],
    /// The hidden state after the step.
    pub(crate) after: &'a [f32],
    /// The hidden state before it.
    pub(crate) before: &'a [f32],
    /// The carried cell before it; empty if there is none.
    pub(crate) carried: &'a [f32],
}

/// The sizes of a call, and its direction.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Rows.
    pub batch: usize,
    /// Steps of the longest row.
    pub time: usize,
    /// Units.
    pub hidden: usize,
    /// True steps of each row.
    pub lengths: Vec<usize>,
    /// Whether each row is read from its last true step to its first.
    pub backward: bool,
}

/// What the forward pass reads: `projected` `[batch, time, GATES · h]`, `weight` `[h, GATES · h]`, `extra` `[h]` or empty,
/// `hidden` and `cell` `[batch, h]`, the latter empty if there is none.
pub(crate) struct Inputs<'a> {
    pub(crate) projected: &'a [f32],
    pub(crate) weight: &'a [f32],
    pub(crate) extra: &'a [f32],
    pub(crate) hidden: &'a [f32],
    pub(crate) cell: &'a [f32],
}

/// What it makes.
pub(crate) struct Outputs {
    /// `[batch, time, h]`, then the last hidden state `[batch, h]`, then the last cell if there is one.
    pub(crate) packed: Vec<f32>,
    /// `[batch, time, GATES · h]`.
    pub(crate) gates: Vec<f32>,
    /// `[batch, time, h]`, or empty.
    pub(crate) kept: Vec<f32>,
}

/// The same as the backward pass reads it.
pub(crate) struct Made<'a> {
    pub(crate) packed: &'a [f32],
    pub(crate) gates: &'a [f32],
    pub(crate) kept: &'a [f32],
}

/// What the backward pass makes.
pub(crate) struct Gradients {
    /// Of the projected input.
    pub(crate) projected: Vec<f32>,
    /// Of the recurrent product, where it is another one.
    pub(crate) recurrent: Vec<f32>,
    /// The hidden state before each step, `[batch, time, h]`: the left factor of the recurrent weights' gradient.
    pub(crate) before: Vec<f32>,
    /// Of the hidden state before the first step.
    pub(crate) hidden: Vec<f32>,
    /// Of the cell before it, or empty.
    pub(crate) cell: Vec<f32>,
}

/// Rows of one thread.
fn share(batch: usize) -> usize {
    batch.div_ceil(rayon::current_num_threads().max(1)).max(1)
}

/// Mutable pieces of `width` numbers a row, one for each thread; as many empty ones for an empty buffer.
fn pieces(buffer: &mut [f32], rows: usize, width: usize, count: usize) -> Vec<&mut [f32]> {
    if buffer.is_empty() {
        return (0..count).map(|_| Default::default()).collect();
    }
    buffer.chunks_mut(rows * width).collect()
}

fn piece(buffer: &[f32], first: usize, rows: usize, width: usize) -> &[f32] {
    if buffer.is_empty() { buffer } else { &buffer[first * width..(first + rows) * width] }
}

/// Rows by falling length, and how many of them are longer than each step.
fn order(lengths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    order
}

/// Where the s-th step that is read lies in a row.
#[inline(always)]
fn place(step: usize, length: usize, backward: bool) -> usize {
    if backward { length - 1 - step } else { step }
}

/// The forward pass; gates and what else the backward pass needs are empty unless they are to be kept.
pub(crate) fn forward<P: Pointwise>(shape: &Shape, inputs: &Inputs, keep: bool) -> Outputs {
    let Shape { batch, time, hidden, .. } = *shape;
    let width = P::GATES * hidden;
    let states = if P::CARRIES { 2 } else { 1 };
    let mut packed = vec![0.0; batch * hidden * (time + states)];
    let mut gates = vec![0.0; if keep { batch * time * width } else { 0 }];
    let mut kept = vec![0.0; if keep && P::KEEPS { batch * time * hidden } else { 0 }];
    let weight = Packed::new(inputs.weight, hidden, width);
    let (outputs, last) = packed.split_at_mut(batch * time * hidden);
    let (last_hidden, last_cell) = last.split_at_mut(batch * hidden);
    last_hidden.copy_from_slice(inputs.hidden);
    last_cell.copy_from_slice(if P::CARRIES { inputs.cell } else { &[] });
    let (set, rows) = (InstructionSet::current(), share(batch));
    let threads = batch.div_ceil(rows);
    let jobs = pieces(outputs, rows, time * hidden, threads)
        .into_iter()
        .zip(pieces(&mut gates, rows, time * width, threads))
        .zip(pieces(&mut kept, rows, time * hidden, threads))
        .zip(pieces(last_hidden, rows, hidden, threads))
        .zip(pieces(last_cell, rows, hidden, threads));
    let jobs: Vec<_> = jobs.collect();
    jobs.into_par_iter().enumerate().for_each(|(thread, ((((outputs, gates), kept), state), cell))| {
        let first = thread * rows;
        let lengths = &shape.lengths[first..(first + rows).min(batch)];
        let projected = piece(inputs.projected, first, lengths.len(), time * width);
        forward_rows::<P>(set, shape, lengths, projected, inputs.extra, &weight, outputs, gates, kept, state, cell);
    });
    Outputs { packed, gates, kept }
}

for_each_instruction_set!(forward_rows<P>(
    shape: &Shape, lengths: &[usize], projected: &[f32], extra: &[f32], weight: &Packed, outputs: &mut [f32],
    gates: &mut [f32], kept: &mut [f32], state: &mut [f32], cell: &mut [f32],
) => forward_body);

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn forward_body<const FUSED: bool, P: Pointwise>(
    set: InstructionSet,
    shape: &Shape,
    lengths: &[usize],
    projected: &[f32],
    extra: &[f32],
    weight: &Packed,
    outputs: &mut [f32],
    gates: &mut [f32],
    kept: &mut [f32],
    state: &mut [f32],
    cell: &mut [f32],
) {
    let (time, h, width) = (shape.time, shape.hidden, P::GATES * shape.hidden);
    let order = order(lengths);
    let mut scratch = weight.scratch(lengths.len());
    let mut recurrent = vec![0.0; lengths.len() * width];
    let (mut any_gates, mut any_kept) = (vec![0.0; width], vec![0.0; h]);
    for step in 0..lengths.iter().copied().max().unwrap_or(0) {
        let active = order.partition_point(|&row| lengths[row] > step);
        weight.multiply::<FUSED>(set, active, |p| &state[order[p] * h..][..h], &mut scratch, &mut recurrent);
        for (p, &row) in order[..active].iter().enumerate() {
            let at = row * time + place(step, lengths[row], shape.backward);
            let state = &mut state[row * h..][..h];
            let carried = if P::CARRIES { &mut cell[row * h..][..h] } else { &mut [][..] };
            let gates = if gates.is_empty() { &mut any_gates[..] } else { &mut gates[at * width..][..width] };
            let kept = if kept.is_empty() { &mut any_kept[..] } else { &mut kept[at * h..][..h] };
            let read = Step {
                projected: &projected[at * width..][..width],
                recurrent: &recurrent[p * width..][..width],
                extra,
                carried,
            };
            P::forward::<FUSED>(read, gates, kept, state);
            if P::CARRIES {
                carried.copy_from_slice(kept);
            }
            outputs[at * h..][..h].copy_from_slice(state);
        }
    }
}

/// The backward pass: `slopes` is the gradient of [`Outputs::packed`].
pub(crate) fn backward<P: Pointwise>(shape: &Shape, inputs: &Inputs, made: &Made, slopes: &[f32]) -> Gradients {
    let Shape { batch, time, hidden, .. } = *shape;
    let width = P::GATES * hidden;
    let mut gradients = Gradients {
        projected: vec![0.0; batch * time * width],
        recurrent: vec![0.0; if P::SPLITS { batch * time * width } else { 0 }],
        before: vec![0.0; batch * time * hidden],
        hidden: Vec::new(),
        cell: Vec::new(),
    };
    let (of_outputs, of_last) = slopes.split_at(batch * time * hidden);
    let (of_hidden, of_cell) = of_last.split_at(batch * hidden);
    gradients.hidden = of_hidden.to_vec();
    gradients.cell = of_cell.to_vec();
    let weight = Packed::transposed(inputs.weight, width, hidden);
    let (set, rows) = (InstructionSet::current(), share(batch));
    let threads = batch.div_ceil(rows);
    let jobs: Vec<_> = pieces(&mut gradients.projected, rows, time * width, threads)
        .into_iter()
        .zip(pieces(&mut gradients.recurrent, rows, time * width, threads))
        .zip(pieces(&mut gradients.before, rows, time * hidden, threads))
        .zip(pieces(&mut gradients.hidden, rows, hidden, threads))
        .zip(pieces(&mut gradients.cell, rows, hidden, threads))
        .collect();
    jobs.into_par_iter().enumerate().for_each(|(thread, ((((projected, recurrent), before), slope), carried))| {
        let first = thread * rows;
        let lengths = &shape.lengths[first..(first + rows).min(batch)];
        let of = |buffer, width| piece(buffer, first, lengths.len(), width);
        let history = History {
            outputs: of(&made.packed[..batch * time * hidden], time * hidden),
            gates: of(made.gates, time * width),
            kept: of(made.kept, time * hidden),
            hidden: of(inputs.hidden, hidden),
            cell: of(inputs.cell, hidden),
            slopes: of(of_outputs, time * hidden),
        };
        backward_rows::<P>(set, shape, lengths, &history, &weight, projected, recurrent, before, slope, carried);
    });
    gradients
}

/// What a thread's rows left behind, and the gradient of their outputs.
struct History<'a> {
    outputs: &'a [f32],
    gates: &'a [f32],
    kept: &'a [f32],
    hidden: &'a [f32],
    cell: &'a [f32],
    slopes: &'a [f32],
}

for_each_instruction_set!(backward_rows<P>(
    shape: &Shape, lengths: &[usize], history: &History, weight: &Packed, projected: &mut [f32], recurrent: &mut [f32],
    before: &mut [f32], slope: &mut [f32], carried: &mut [f32],
) => backward_body);

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn backward_body<const FUSED: bool, P: Pointwise>(
    set: InstructionSet,
    shape: &Shape,
    lengths: &[usize],
    history: &History,
    weight: &Packed,
    projected: &mut [f32],
    recurrent: &mut [f32],
    before: &mut [f32],
    slope: &mut [f32],
    carried: &mut [f32],
) {
    let (time, h, width) = (shape.time, shape.hidden, P::GATES * shape.hidden);
    let order = order(lengths);
    let mut scratch = weight.scratch(lengths.len());
    let mut passed = vec![0.0; lengths.len() * h];
    for step in (0..lengths.iter().copied().max().unwrap_or(0)).rev() {
        let active = order.partition_point(|&row| lengths[row] > step);
        for &row in &order[..active] {
            let at = row * time + place(step, lengths[row], shape.backward);
            // The step read before this one, if there is one.
            let earlier = step.checked_sub(1).map(|step| row * time + place(step, lengths[row], shape.backward));
            let old = earlier.map_or_else(|| &history.hidden[row * h..][..h], |at| &history.outputs[at * h..][..h]);
            before[at * h..][..h].copy_from_slice(old);
            let cell = match (P::CARRIES, earlier) {
                (false, _) => &[][..],
                (true, None) => &history.cell[row * h..][..h],
                (true, Some(at)) => &history.kept[at * h..][..h],
            };
            let slope = &mut slope[row * h..][..h];
            slope.iter_mut().zip(&history.slopes[at * h..][..h]).for_each(|(slope, of_output)| *slope += of_output);
            let seen = Seen {
                gates: &history.gates[at * width..][..width],
                kept: if P::KEEPS { &history.kept[at * h..][..h] } else { &[] },
                after: &history.outputs[at * h..][..h],
                before: old,
                carried: cell,
            };
            let carried = if P::CARRIES { &mut carried[row * h..][..h] } else { &mut [][..] };
            let split = if P::SPLITS { &mut recurrent[at * width..][..width] } else { &mut [][..] };
            P::backward::<FUSED>(seen, slope, carried, &mut projected[at * width..][..width], split);
        }
        let of_product: &[f32] = if P::SPLITS { recurrent } else { projected };
        let at = |row: usize| row * time + place(step, lengths[row], shape.backward);
        weight.multiply::<FUSED>(
            set,
            active,
            |p| &of_product[at(order[p]) * width..][..width],
            &mut scratch,
            &mut passed,
        );
        for (p, &row) in order[..active].iter().enumerate() {
            let slope = slope[row * h..][..h].iter_mut();
            slope.zip(&passed[p * h..][..h]).for_each(|(slope, passed)| *slope += passed);
        }
    }
}
