//! A whole sequence, forward and backward, for cells whose step is a product or two and a function of single numbers.
//!
//! Buffers of the caller are `[batch, time, …]`, row by row. A thread has rows of its own for all time steps, so no step waits.
//! What it keeps lies in planes, one for each gate: `[things, hidden_size]`, where a thing is a step of a row ([`Plan`]), so that
//! what happens at a step is one long run of numbers. Products with weights that do not depend on the state, and the weights'
//! gradients, are taken over chunks of steps while these are in the cache.
//! The same inputs, lengths and thread count give the same bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::engine::{Activations, InstructionSet, for_each_instruction_set};
use crate::plan::{Plan, Shape};
use crate::product::{How, Onto, Out, Packed, Rows, SHARED, Transposed};

/// Planes that are kept of a thing at most: gates and one more.
pub(crate) const PLANES: usize = 5;

/// How the last gate's product with the state differs from the others'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Apart {
    /// It does not.
    No,
    /// The product is not added to the projected input, but kept in a plane of its own, a bias included.
    Product,
    /// What is multiplied is not the state, but a factor made of it.
    Factor,
}

/// What a cell does with single numbers; every slice has as many as rows that go on times units.
pub(crate) trait Pointwise: Sync + Send + 'static {
    /// Columns of the projected input per unit; a plane each.
    const GATES: usize;
    /// How the last gate differs.
    const APART: Apart;
    /// Whether there is a plane more: an LSTM's cell, a product kept apart.
    const KEEPS: bool;
    /// Whether there is a carried cell, which then is the plane more.
    const CARRIES: bool;

    /// From the sums of all gates but the last to the factor that the last one's product takes.
    fn factor<const FUSED: bool>(_planes: [&mut [f32]; PLANES], _hidden: &[f32], _factor: &mut [f32]) {}

    /// From the sums of gates to gates as the backward pass needs them; cell and hidden state become those after the step.
    fn forward<const FUSED: bool>(planes: [&mut [f32]; PLANES], cell: &mut [f32], hidden: &mut [f32]);

    /// From the gradient of the hidden state, `slope`, to those of the sums; `slope` becomes the part of the state's gradient
    /// that passes no product, `carried` that of the cell before. The gradient of a product kept apart is the plane after the
    /// gates.
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        carried: &mut [f32],
        slopes: [&mut [f32]; PLANES],
    );

    /// The rest of that, when the factor's gradient is known; the factor is made again for the gradient of weights.
    fn backward_factor<const FUSED: bool>(
        _seen: Seen<'_>,
        _of_factor: &[f32],
        _factor: &mut [f32],
        _slope: &mut [f32],
        _slopes: [&mut [f32]; PLANES],
    ) {
    }
}

/// What the backward pass of a step reads.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) planes: [&'a [f32]; PLANES],
    /// The hidden state before the step.
    pub(crate) before: &'a [f32],
    /// The carried cell before it; empty if there is none.
    pub(crate) carried: &'a [f32],
}

for_each_instruction_set!(forward<P: Pointwise>(planes: [&mut [f32]; PLANES], cell: &mut [f32], hidden: &mut [f32]));
for_each_instruction_set!(factor<P: Pointwise>(planes: [&mut [f32]; PLANES], hidden: &[f32], factor: &mut [f32]));
for_each_instruction_set!(backward<P: Pointwise>(
    seen: Seen<'_>, slope: &mut [f32], carried: &mut [f32], slopes: [&mut [f32]; PLANES],
));
for_each_instruction_set!(backward_factor<P: Pointwise>(
    seen: Seen<'_>, of_factor: &[f32], factor: &mut [f32], slope: &mut [f32], slopes: [&mut [f32]; PLANES],
));

/// What a call reads: `input` `[batch, time, input_size]`, `weight_ih` `[input_size, GATES · h]`, `bias` `[GATES · h]`,
/// `weight_hh` `[h, GATES · h]`, `hidden` and `cell` `[batch, h]`, the latter empty if there is none. `extra` is the bias `[h]`
/// of a product kept apart, or the weights `[h, h]` of a factor's product, which are then not in `weight_hh`.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) input: &'a [f32],
    pub(crate) weight_ih: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) weight_hh: &'a [f32],
    pub(crate) extra: &'a [f32],
    pub(crate) hidden: &'a [f32],
    pub(crate) cell: &'a [f32],
}

/// What the forward pass makes.
pub(crate) struct Outputs {
    /// `[batch, time, h]`, zero at padding.
    pub(crate) outputs: Vec<f32>,
    /// After each row's last step, `[batch, h]`.
    pub(crate) hidden: Vec<f32>,
    /// The same of the cell, or empty.
    pub(crate) cell: Vec<f32>,
    /// What the backward pass needs beside them, thread by thread.
    pub(crate) stored: Buffer,
}

/// Gradients of the forward pass's results; empty where nothing depends on one.
#[derive(Clone, Copy)]
pub(crate) struct Slopes<'a> {
    pub(crate) outputs: &'a [f32],
    pub(crate) hidden: &'a [f32],
    pub(crate) cell: &'a [f32],
}

/// Gradients of what the call read, each in its shape.
#[derive(Default)]
pub(crate) struct Gradients {
    pub(crate) input: Vec<f32>,
    pub(crate) weight_ih: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) weight_hh: Vec<f32>,
    pub(crate) extra: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) cell: Vec<f32>,
}

/// Sizes that follow from a cell and a shape.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    how: How,
    time: usize,
    input: usize,
    hidden: usize,
    /// Of all gates.
    width: usize,
    /// Of the gates whose products with the state are added at once.
    together: usize,
    /// Columns of `weight_hh`.
    recurrent: usize,
}

impl Sizes {
    fn of<P: Pointwise>(shape: &Shape) -> Self {
        let h = shape.hidden;
        let width = P::GATES * h;
        let together = if P::APART == Apart::No { width } else { width - h };
        let recurrent = if P::APART == Apart::Factor { together } else { width };
        Self {
            how: How { set: InstructionSet::current(), threads: 1 },
            time: shape.time,
            input: shape.input,
            hidden: h,
            width,
            together,
            recurrent,
        }
    }

    /// The threads that share each product of a single row, if it is large enough for that.
    fn sharing(self) -> Self {
        let threads = if self.hidden * self.together >= 2 * SHARED { rayon::current_num_threads() } else { 1 };
        Self { how: How { threads, ..self.how }, ..self }
    }

    /// All threads.
    fn all(&self) -> How {
        How { threads: rayon::current_num_threads(), ..self.how }
    }

    fn plans(&self, shape: &Shape) -> Vec<Plan> {
        // Gradients of large weights are too many to go through the cache often.
        let numbers = CHUNK.max((self.input + self.hidden) * self.width / 4);
        let chunk = (numbers / self.width.max(1)).clamp(SHORTEST_CHUNK, LONGEST_CHUNK);
        Plan::all(shape, rayon::current_num_threads(), chunk)
    }
}

/// Numbers of a chunk's gates, about, unless weights are many.
const CHUNK: usize = 1 << 17;
/// Things of a chunk at least and at most, unless a single step has more.
const SHORTEST_CHUNK: usize = 128;
const LONGEST_CHUNK: usize = 512;

/// Numbers that a thread keeps for the backward pass.
fn kept<P: Pointwise>(plan: &Plan, h: usize, activations: Option<Activations>) -> usize {
    match activations {
        Some(Activations::Kept) => planes::<P>() * plan.total() * h,
        // The cell before each chunk; the hidden state is among the outputs.
        Some(Activations::Recomputed) if P::CARRIES => plan.chunks.len() * plan.order.len() * h,
        _ => 0,
    }
}

const fn planes<P: Pointwise>() -> usize {
    P::GATES + P::KEEPS as usize
}

/// Cuts a buffer into pieces; an empty buffer into empty ones.
fn cut(buffer: &mut [f32], sizes: impl IntoIterator<Item = usize>) -> Vec<&mut [f32]> {
    let mut rest = buffer;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, others) = rest.split_at_mut(size.min(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces
}

/// The rows of a thread; an empty buffer stays empty.
fn of_rows<'a>(buffer: &'a [f32], rows: &Range<usize>, width: usize) -> &'a [f32] {
    if buffer.is_empty() { buffer } else { &buffer[rows.start * width..rows.end * width] }
}

/// Planes of a run of things: number `thing` of plane p is at `values[p · stride + (thing − first) · h..]`.
struct Planes<V> {
    values: V,
    stride: usize,
    first: usize,
}

impl Planes<&mut [f32]> {
    /// Each plane's part of some things.
    fn each(&mut self, things: &Range<usize>, h: usize) -> [&mut [f32]; PLANES] {
        let mut all: [&mut [f32]; PLANES] = Default::default();
        let at = (things.start - self.first) * h;
        for (slot, plane) in all.iter_mut().zip(self.values.chunks_exact_mut(self.stride.max(1))) {
            *slot = &mut plane[at..][..things.len() * h];
        }
        all
    }

    /// From a plane's place of some thing on.
    fn from(&mut self, plane: usize, thing: usize, h: usize) -> &mut [f32] {
        &mut self.values[plane * self.stride + (thing - self.first) * h..]
    }
}

impl Planes<&[f32]> {
    fn each(&self, things: &Range<usize>, h: usize) -> [&[f32]; PLANES] {
        let mut all: [&[f32]; PLANES] = Default::default();
        let at = (things.start - self.first) * h;
        for (slot, plane) in all.iter_mut().zip(self.values.chunks_exact(self.stride.max(1))) {
            *slot = &plane[at..][..things.len() * h];
        }
        all
    }
}

/// The state of a thread's rows in the plan's order, and room for what a step makes on the way.
#[derive(Debug)]
struct State {
    hidden: Vec<f32>,
    cell: Vec<f32>,
    factor: Vec<f32>,
    /// Where rows of `h` numbers that follow on each other begin.
    ladder: Vec<usize>,
    /// Where the inputs of a chunk begin.
    starts: Vec<usize>,
}

impl State {
    fn new<P: Pointwise>(plan: &Plan, h: usize) -> Self {
        let rows = plan.order.len();
        Self {
            hidden: vec![0.0; rows * h],
            cell: vec![0.0; if P::CARRIES { rows * h } else { 0 }],
            factor: vec![0.0; if P::APART == Apart::Factor { rows * h } else { 0 }],
            ladder: (0..rows.max(plan.largest_chunk())).map(|row| row * h).collect(),
            starts: Vec::new(),
        }
    }
}

/// Brings the batch's rows of a state into the plan's order.
fn sort(plan: &Plan, h: usize, from: &[f32], to: &mut [f32]) {
    if !from.is_empty() {
        to.chunks_exact_mut(h).zip(&plan.order).for_each(|(to, row)| to.copy_from_slice(&from[row * h..][..h]));
    }
}

/// Brings them back.
fn unsort(plan: &Plan, h: usize, from: &[f32], to: &mut [f32]) {
    from.chunks_exact(h).zip(&plan.order).for_each(|(from, row)| to[row * h..][..h].copy_from_slice(from));
}

/// Recurrent and input weights as the forward pass reads them.
#[derive(Debug)]
struct Forward {
    input: Packed,
    together: Packed,
    apart: Packed,
}

impl Forward {
    fn new<P: Pointwise>(sizes: &Sizes, inputs: &Inputs) -> Self {
        let Sizes { input, hidden: h, width, together, recurrent, .. } = *sizes;
        let how = sizes.all();
        Self {
            input: Packed::new(how, inputs.weight_ih, width, input, width),
            together: Packed::new(how, inputs.weight_hh, recurrent, h, together),
            apart: match P::APART {
                Apart::No => Packed::default(),
                Apart::Product => Packed::new(how, &inputs.weight_hh[together..], recurrent, h, h),
                Apart::Factor => Packed::new(how, inputs.extra, h, h, h),
            },
        }
    }
}

/// The forward pass; without `activations`, there will be no backward pass.
pub(crate) fn read<P: Pointwise>(shape: &Shape, inputs: &Inputs, activations: Option<Activations>) -> Outputs {
    let sizes = if shape.batch == 1 { Sizes::of::<P>(shape).sharing() } else { Sizes::of::<P>(shape) };
    let (time, h) = (shape.time, shape.hidden);
    let plans = sizes.plans(shape);
    let weights = Forward::new::<P>(&sizes, inputs);
    let stored: Vec<usize> = plans.iter().map(|plan| kept::<P>(plan, h, activations)).collect();
    let mut made = Outputs {
        outputs: vec![0.0; shape.batch * time * h],
        hidden: vec![0.0; shape.batch * h],
        cell: vec![0.0; if P::CARRIES { shape.batch * h } else { 0 }],
        stored: Buffer::take(stored.iter().sum()),
    };
    let rows = |width: usize| plans.iter().map(move |plan| plan.rows.len() * width);
    let jobs: Vec<_> = plans
        .iter()
        .zip(cut(&mut made.outputs, rows(time * h)))
        .zip(cut(&mut made.hidden, rows(h)))
        .zip(cut(&mut made.cell, rows(h)))
        .zip(cut(&mut made.stored, stored))
        .collect();
    on_threads(jobs, |((((plan, outputs), hidden), cell), stored)| {
        let inputs = rows_of(inputs, &plan.rows, &sizes);
        let mut state = State::new::<P>(plan, h);
        sort(plan, h, inputs.hidden, &mut state.hidden);
        sort(plan, h, inputs.cell, &mut state.cell);
        let mut passing =
            vec![
                0.0;
                if activations == Some(Activations::Kept) { 0 } else { planes::<P>() * plan.largest_chunk() * h }
            ];
        for (number, chunk) in plan.chunks.iter().enumerate() {
            if activations == Some(Activations::Recomputed) && P::CARRIES {
                stored[number * state.cell.len()..][..state.cell.len()].copy_from_slice(&state.cell);
            }
            let mut planes = match activations {
                Some(Activations::Kept) => Planes { values: &mut *stored, stride: plan.total() * h, first: 0 },
                _ => Planes {
                    values: &mut passing[..],
                    stride: plan.largest_chunk() * h,
                    first: plan.starts[chunk.start],
                },
            };
            read_chunk::<P>(&sizes, plan, chunk, &inputs, &weights, &mut planes, &mut state, Some(&mut *outputs));
        }
        unsort(plan, h, &state.hidden, hidden);
        unsort(plan, h, &state.cell, cell);
    });
    made
}

/// A job for each thread.
fn on_threads<J: Send>(mut jobs: Vec<J>, act: impl Fn(J) + Sync + Send) {
    if jobs.len() == 1 {
        jobs.drain(..).for_each(act);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(act);
    }
}

/// Calls `act` on a thread of the pool, if this one is not: what is shared among threads in it then waits for none of them to
/// wake, which the steps of a [`Stream`](crate::Stream) are too short for.
pub fn pooled<R: Send>(act: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| act())
}

/// What a thread's rows read.
fn rows_of<'a>(inputs: &Inputs<'a>, rows: &Range<usize>, sizes: &Sizes) -> Inputs<'a> {
    Inputs {
        input: of_rows(inputs.input, rows, sizes.time * sizes.input),
        hidden: of_rows(inputs.hidden, rows, sizes.hidden),
        cell: of_rows(inputs.cell, rows, sizes.hidden),
        ..*inputs
    }
}

/// Reads some steps: fills their planes, moves the state on, and tells the hidden state after each step unless no one asks.
#[allow(clippy::too_many_arguments)]
fn read_chunk<P: Pointwise>(
    sizes: &Sizes,
    plan: &Plan,
    chunk: &Range<usize>,
    inputs: &Inputs,
    weights: &Forward,
    planes: &mut Planes<&mut [f32]>,
    state: &mut State,
    mut outputs: Option<&mut [f32]>,
) {
    let &Sizes { how, input, hidden: h, width, together, .. } = sizes;
    let stride = planes.stride;
    let things = plan.steps(chunk);
    state.starts.clear();
    state.starts.extend(plan.places[things.clone()].iter().map(|place| place * input));
    let left = Rows { values: inputs.input, starts: &state.starts };
    let out = Out::planes(planes.from(0, things.start, h), width, h, stride, Onto::Row(inputs.bias));
    weights.input.multiply(how, 0..input, &left, things.len(), out);

    for step in chunk.clone() {
        let things = plan.step(step);
        let (active, numbers) = (things.len(), things.len() * h);
        let left = Rows { values: &state.hidden, starts: &state.ladder };
        let out = Out::planes(planes.from(0, things.start, h), together, h, stride, Onto::Held);
        weights.together.multiply(how, 0..h, &left, active, out);
        match P::APART {
            Apart::No => {}
            Apart::Product => {
                let product = &mut planes.from(P::GATES, things.start, h)[..numbers];
                weights.apart.multiply(how, 0..h, &left, active, Out::matrix(product, h, Onto::Row(inputs.extra)));
            }
            Apart::Factor => {
                let factor = &mut state.factor[..numbers];
                self::factor::<P>(how.set, planes.each(&things, h), &state.hidden[..numbers], factor);
                let left = Rows { values: factor, starts: &state.ladder };
                let out = Out::matrix(planes.from(P::GATES - 1, things.start, h), h, Onto::Held);
                weights.apart.multiply(how, 0..h, &left, active, out);
            }
        }
        let cell = if P::CARRIES { &mut state.cell[..numbers] } else { &mut [][..] };
        forward::<P>(how.set, planes.each(&things, h), cell, &mut state.hidden[..numbers]);
        if let Some(outputs) = &mut outputs {
            for (row, place) in state.hidden.chunks_exact(h).zip(&plan.places[things]) {
                outputs[place * h..][..h].copy_from_slice(row);
            }
        }
    }
}

/// One row, read a step at a time from weights packed once; a step allocates nothing.
#[derive(Debug)]
pub(crate) struct Stepper {
    sizes: Sizes,
    plan: Plan,
    weights: Forward,
    bias: Vec<f32>,
    extra: Vec<f32>,
    planes: Vec<f32>,
    state: State,
}

impl Stepper {
    /// Begins from the state in `inputs`; `shape` is one row of one step.
    pub(crate) fn new<P: Pointwise>(shape: &Shape, inputs: &Inputs) -> Self {
        let sizes = Sizes::of::<P>(shape).sharing();
        let plan = sizes.plans(shape).remove(0);
        let mut state = State::new::<P>(&plan, sizes.hidden);
        state.hidden.copy_from_slice(inputs.hidden);
        state.cell.copy_from_slice(inputs.cell);
        Self {
            sizes,
            weights: Forward::new::<P>(&sizes, inputs),
            bias: inputs.bias.to_vec(),
            extra: inputs.extra.to_vec(),
            planes: vec![0.0; planes::<P>() * sizes.hidden],
            state,
            plan,
        }
    }

    /// Reads `[input_size]` and gives the hidden state.
    pub(crate) fn step<P: Pointwise>(&mut self, input: &[f32]) -> &[f32] {
        let Self { sizes, plan, weights, bias, extra, planes, state } = self;
        assert_eq!(input.len(), sizes.input, "a step has {} features", sizes.input);
        let inputs = Inputs { input, bias, extra, weight_ih: &[], weight_hh: &[], hidden: &[], cell: &[] };
        // Elsewhere, other threads would have to be woken for each step.
        let threads = if rayon::current_thread_index().is_some() { sizes.how.threads } else { 1 };
        let sizes = &Sizes { how: How { threads, ..sizes.how }, ..*sizes };
        let mut planes = Planes { values: &mut planes[..], stride: sizes.hidden, first: 0 };
        read_chunk::<P>(sizes, plan, &(0..1), &inputs, weights, &mut planes, state, None);
        &self.state.hidden
    }

    pub(crate) fn hidden(&self) -> &[f32] {
        &self.state.hidden
    }

    pub(crate) fn cell(&self) -> &[f32] {
        &self.state.cell
    }
}

/// The transposed weights, as the backward pass reads them.
struct Backward {
    input: Packed,
    together: Packed,
    apart: Packed,
}

impl Backward {
    fn new<P: Pointwise>(sizes: &Sizes, inputs: &Inputs, wants_input: bool) -> Self {
        let Sizes { input, hidden: h, width, together, recurrent, .. } = *sizes;
        let how = sizes.all();
        Self {
            input: if wants_input {
                Packed::transposed(how, inputs.weight_ih, width, width, input)
            } else {
                Packed::default()
            },
            together: Packed::transposed(how, inputs.weight_hh, recurrent, together, h),
            apart: match P::APART {
                Apart::No => Packed::default(),
                Apart::Product => Packed::transposed(how, &inputs.weight_hh[together..], recurrent, h, h),
                Apart::Factor => Packed::transposed(how, inputs.extra, h, h, h),
            },
        }
    }
}

/// The backward pass; the gradient of `input` is empty unless it is wanted.
pub(crate) fn learn<P: Pointwise>(
    shape: &Shape,
    inputs: &Inputs,
    (outputs, stored): (&[f32], &[f32]),
    slopes: Slopes,
    activations: Activations,
    wants_input: bool,
) -> Gradients {
    let sizes = if shape.batch == 1 { Sizes::of::<P>(shape).sharing() } else { Sizes::of::<P>(shape) };
    let (time, h) = (shape.time, shape.hidden);
    let plans = sizes.plans(shape);
    let weights = Backward::new::<P>(&sizes, inputs, wants_input);
    let again = (activations == Activations::Recomputed).then(|| Forward::new::<P>(&sizes, inputs));
    let mut all = Gradients {
        input: vec![0.0; if wants_input { shape.batch * time * shape.input } else { 0 }],
        hidden: vec![0.0; shape.batch * h],
        cell: vec![0.0; if P::CARRIES { shape.batch * h } else { 0 }],
        ..Gradients::default()
    };
    let mut sums: Vec<Gradients> = plans.iter().map(|_| Gradients::default()).collect();
    let rows = |width: usize| plans.iter().map(move |plan| plan.rows.len() * width);
    let mut at = 0;
    let stored = plans.iter().map(|plan| {
        let size = kept::<P>(plan, h, Some(activations));
        at += size;
        &stored[at - size..at]
    });
    let jobs: Vec<_> = plans
        .iter()
        .zip(cut(&mut all.input, rows(time * shape.input)))
        .zip(cut(&mut all.hidden, rows(h)))
        .zip(cut(&mut all.cell, rows(h)))
        .zip(stored)
        .zip(&mut sums)
        .collect();
    on_threads(jobs, |(((((plan, of_input), of_hidden), of_cell), stored), sums)| {
        let rows = &plan.rows;
        let mut thread = Thread {
            sizes: &sizes,
            plan,
            inputs: rows_of(inputs, rows, &sizes),
            outputs: of_rows(outputs, rows, time * h),
            slopes: of_rows(slopes.outputs, rows, time * h),
            weights: &weights,
            state: State::new::<P>(plan, h),
            sums,
            room: Room::new::<P>(&sizes, plan),
        };
        sort(plan, h, of_rows(slopes.hidden, rows, h), &mut thread.state.hidden);
        sort(plan, h, of_rows(slopes.cell, rows, h), &mut thread.state.cell);
        thread.begin::<P>();
        thread.run::<P>(stored, again.as_ref(), of_input);
        unsort(plan, h, &thread.state.hidden, of_hidden);
        unsort(plan, h, &thread.state.cell, of_cell);
    });
    let mut sums = sums.into_iter();
    let first = sums.next().unwrap_or_default();
    (all.weight_ih, all.bias, all.weight_hh, all.extra) = (first.weight_ih, first.bias, first.weight_hh, first.extra);
    for other in sums {
        for (sum, part) in [
            (&mut all.weight_ih, other.weight_ih),
            (&mut all.bias, other.bias),
            (&mut all.weight_hh, other.weight_hh),
            (&mut all.extra, other.extra),
        ] {
            sum.par_iter_mut().zip(part).with_min_len(1 << 16).for_each(|(sum, part)| *sum += part);
        }
    }
    all
}

/// A thread's part of the backward pass. The gradients of hidden state and cell stand in `state`.
struct Thread<'a> {
    sizes: &'a Sizes,
    plan: &'a Plan,
    inputs: Inputs<'a>,
    outputs: &'a [f32],
    slopes: &'a [f32],
    weights: &'a Backward,
    state: State,
    /// Gradients of weights.
    sums: &'a mut Gradients,
    room: Room,
}

/// Buffers of a chunk, `[things, …]`.
struct Room {
    /// Gradients of the gates' sums, in planes.
    slopes: Buffer,
    /// The hidden state before each thing.
    before: Buffer,
    /// The factor of each thing, and the gradient of a step's.
    factors: Buffer,
    of_factor: Buffer,
    /// The gradient of what was read.
    input: Buffer,
    left: Transposed,
    right: Packed,
    apart: Packed,
}

impl Room {
    fn new<P: Pointwise>(sizes: &Sizes, plan: &Plan) -> Self {
        let (h, things) = (sizes.hidden, plan.largest_chunk());
        let planes = P::GATES + usize::from(P::APART == Apart::Product);
        let factors = P::APART == Apart::Factor;
        Self {
            slopes: Buffer::take(planes * things * h),
            before: Buffer::take(things * h),
            factors: Buffer::take(if factors { things * h } else { 0 }),
            of_factor: Buffer::take(if factors { plan.order.len() * h } else { 0 }),
            input: Buffer::take(things * sizes.input),
            left: Transposed::default(),
            right: Packed::default(),
            apart: Packed::default(),
        }
    }
}

impl Thread<'_> {
    fn begin<P: Pointwise>(&mut self) {
        let &Sizes { input, hidden: h, width, recurrent, .. } = self.sizes;
        self.sums.weight_ih = vec![0.0; input * width];
        self.sums.bias = vec![0.0; width];
        self.sums.weight_hh = vec![0.0; h * recurrent];
        self.sums.extra = match P::APART {
            Apart::No => Vec::new(),
            Apart::Product => vec![0.0; h],
            Apart::Factor => vec![0.0; h * h],
        };
    }

    /// All chunks, the last one first.
    fn run<P: Pointwise>(&mut self, stored: &[f32], again: Option<&Forward>, of_input: &mut [f32]) {
        let (plan, h) = (self.plan, self.sizes.hidden);
        let stride = plan.largest_chunk() * h;
        let mut initial = vec![0.0; if P::CARRIES { plan.order.len() * h } else { 0 }];
        sort(plan, h, self.inputs.cell, &mut initial);
        let mut passing = Buffer::take(if again.is_some() { planes::<P>() * stride } else { 0 });
        let mut passing_state = again.map(|_| State::new::<P>(plan, h));
        for (number, chunk) in plan.chunks.iter().enumerate().rev() {
            let first = plan.starts[chunk.start];
            self.gather_before(chunk);
            if let (Some(weights), Some(state)) = (again, &mut passing_state) {
                let rows = plan.step(chunk.start).len() * h;
                state.hidden[..rows].copy_from_slice(&self.room.before[..rows]);
                let cell = &stored[number * state.cell.len()..][..state.cell.len()];
                state.cell.copy_from_slice(cell);
                let mut planes = Planes { values: &mut passing[..], stride, first };
                read_chunk::<P>(self.sizes, plan, chunk, &self.inputs, weights, &mut planes, state, None);
                self.chunk::<P>(chunk, &Planes { values: &passing[..], stride, first }, cell);
            } else {
                let planes = Planes { values: stored, stride: plan.total() * h, first: 0 };
                let cell = match chunk.start.checked_sub(1) {
                    Some(step) if P::CARRIES => planes.each(&plan.step(step), h)[P::GATES],
                    _ => &initial,
                };
                self.chunk::<P>(chunk, &planes, cell);
            }
            self.of_weights::<P>(chunk, of_input);
        }
    }

    /// Copies the hidden state before each thing of a chunk to one place.
    fn gather_before(&mut self, chunk: &Range<usize>) {
        let (plan, h) = (self.plan, self.sizes.hidden);
        let mut rows = self.room.before.chunks_exact_mut(h);
        for step in chunk.clone() {
            for p in 0..plan.step(step).len() {
                let old = match step.checked_sub(1) {
                    None => &self.inputs.hidden[plan.order[p] * h..],
                    Some(step) => &self.outputs[plan.places[plan.starts[step] + p] * h..],
                };
                rows.next().expect("room for the largest chunk").copy_from_slice(&old[..h]);
            }
        }
    }

    /// Gradients of sums and states of some steps; `cell` is the one before the first of them.
    fn chunk<P: Pointwise>(&mut self, chunk: &Range<usize>, planes: &Planes<&[f32]>, cell: &[f32]) {
        let &Sizes { how, hidden: h, .. } = self.sizes;
        let (plan, weights, room) = (self.plan, self.weights, &mut self.room);
        let stride = plan.largest_chunk() * h;
        let first = plan.starts[chunk.start];
        let mut slopes = Planes { values: &mut room.slopes[..], stride, first };
        for step in chunk.clone().rev() {
            let things = plan.step(step);
            let (active, numbers, at) = (things.len(), things.len() * h, (things.start - first) * h);
            let slope = &mut self.state.hidden[..numbers];
            if !self.slopes.is_empty() {
                for (slope, place) in slope.chunks_exact_mut(h).zip(&plan.places[things.clone()]) {
                    slope
                        .iter_mut()
                        .zip(&self.slopes[place * h..][..h])
                        .for_each(|(slope, of_output)| *slope += of_output);
                }
            }
            let carried = match P::CARRIES {
                false => &[][..],
                true if step == chunk.start => &cell[..numbers],
                true => &planes.each(&plan.step(step - 1), h)[P::GATES][..numbers],
            };
            let seen = Seen { planes: planes.each(&things, h), before: &room.before[at..][..numbers], carried };
            let of_cell = if P::CARRIES { &mut self.state.cell[..numbers] } else { &mut [][..] };
            backward::<P>(how.set, seen, slope, of_cell, slopes.each(&things, h));
            let ladder = &self.state.ladder;
            if P::APART == Apart::Factor {
                let left = Rows { values: slopes.from(P::GATES - 1, things.start, h), starts: ladder };
                let of_factor = &mut room.of_factor[..numbers];
                weights.apart.multiply(how, 0..h, &left, active, Out::matrix(of_factor, h, Onto::Nothing));
                let factor = &mut room.factors[at..][..numbers];
                backward_factor::<P>(how.set, seen, of_factor, factor, slope, slopes.each(&things, h));
            }
            for gate in 0..self.sizes.together / h {
                let left = Rows { values: slopes.from(gate, things.start, h), starts: ladder };
                let depth = gate * h..(gate + 1) * h;
                weights.together.multiply(how, depth, &left, active, Out::matrix(slope, h, Onto::Held));
            }
            if P::APART == Apart::Product {
                let left = Rows { values: slopes.from(P::GATES, things.start, h), starts: ladder };
                weights.apart.multiply(how, 0..h, &left, active, Out::matrix(slope, h, Onto::Held));
            }
        }
    }

    /// Adds a chunk's part to the gradients of weights, and tells that of what was read.
    fn of_weights<P: Pointwise>(&mut self, chunk: &Range<usize>, of_input: &mut [f32]) {
        let &Sizes { how, input, hidden: h, width, together, recurrent, .. } = self.sizes;
        let (plan, room, sums) = (self.plan, &mut self.room, &mut *self.sums);
        let stride = plan.largest_chunk() * h;
        let things = plan.steps(chunk);
        let count = things.len();
        let places = &plan.places[things];

        if !of_input.is_empty() {
            for gate in 0..P::GATES {
                let left = Rows { values: &room.slopes[gate * stride..], starts: &self.state.ladder };
                let out = Out::matrix(&mut room.input, input, if gate == 0 { Onto::Nothing } else { Onto::Held });
                self.weights.input.multiply(how, gate * h..(gate + 1) * h, &left, count, out);
            }
            for (row, place) in room.input.chunks_exact(input).zip(places) {
                of_input[place * input..][..input].copy_from_slice(row);
            }
        }

        let column_sums = |sums: &mut [f32], plane: usize| {
            for row in room.slopes[plane * stride..][..count * h].chunks_exact(h) {
                sums.iter_mut().zip(row).for_each(|(sum, slope)| *sum += slope);
            }
        };
        sums.bias.chunks_exact_mut(h).enumerate().for_each(|(gate, sums)| column_sums(sums, gate));

        let slopes = &room.slopes;
        room.right.fill(how, count, width, |k, column| {
            &slopes[column / h * stride + k * h + column % h..column / h * stride + (k + 1) * h]
        });
        room.left.fill(count, input, |k| &self.inputs.input[places[k] * input..][..input]);
        room.right.multiply(how, 0..count, &room.left, input, Out::matrix(&mut sums.weight_ih, width, Onto::Held));

        room.left.fill(count, h, |k| &room.before[k * h..][..h]);
        let out = Out::planes(&mut sums.weight_hh, together, recurrent, 0, Onto::Held);
        room.right.multiply(how, 0..count, &room.left, h, out);
        match P::APART {
            Apart::No => {}
            Apart::Product => {
                column_sums(&mut sums.extra, P::GATES);
                let plane = &room.slopes[P::GATES * stride..];
                room.apart.fill(how, count, h, |k, column| &plane[k * h + column..]);
                let out = Out::planes(&mut sums.weight_hh[together..], h, recurrent, 0, Onto::Held);
                room.apart.multiply(how, 0..count, &room.left, h, out);
            }
            Apart::Factor => {
                let plane = &room.slopes[(P::GATES - 1) * stride..];
                room.apart.fill(how, count, h, |k, column| &plane[k * h + column..]);
                room.left.fill(count, h, |k| &room.factors[k * h..][..h]);
                room.apart.multiply(how, 0..count, &room.left, h, Out::matrix(&mut sums.extra, h, Onto::Held));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gru::Gru;
    use crate::gru_reset_after::GruResetAfter;
    use crate::lstm::Lstm;
    use crate::rnn::Rnn;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 7919 + salt * 31) % 1013) as f32 / 1013.0 - 0.5).collect()
    }

    /// Everything that a call makes, forward and backward.
    fn all<P: Pointwise>(shape: &Shape, activations: Activations) -> Vec<Vec<f32>> {
        let sizes = Sizes::of::<P>(shape);
        let (h, states) = (shape.hidden, shape.batch * shape.hidden);
        let extra = match P::APART {
            Apart::No => 0,
            Apart::Product => h,
            Apart::Factor => h * h,
        };
        let cell = if P::CARRIES { states } else { 0 };
        let given = [
            shape.batch * shape.time * shape.input,
            shape.input * sizes.width,
            sizes.width,
            h * sizes.recurrent,
            extra,
            states,
            cell,
        ];
        let given: Vec<Vec<f32>> = (1..).zip(given).map(|(salt, count)| numbers(count, salt)).collect();
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] =
            [0, 1, 2, 3, 4, 5, 6].map(|place| &given[place][..]);
        let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
        let made = read::<P>(shape, &inputs, Some(activations));
        let of_outputs = numbers(states * shape.time, 9);
        let slopes = Slopes { outputs: &of_outputs, hidden: &[], cell: &[] };
        let learnt = learn::<P>(shape, &inputs, (&made.outputs, &made.stored), slopes, activations, true);
        let Gradients { input, weight_ih, bias, weight_hh, extra, hidden, cell } = learnt;
        vec![made.outputs, made.hidden, made.cell, input, weight_ih, bias, weight_hh, extra, hidden, cell]
    }

    #[test]
    fn what_is_in_a_buffer_before_it_is_used_changes_nothing() {
        let lengths = (0..7).map(|row| 1 + row * 11 % 90).collect();
        let shape = Shape { batch: 7, time: 90, input: 5, hidden: 19, lengths, backward: false };
        for activations in [Activations::Kept, Activations::Recomputed] {
            for cell in [all::<Lstm>, all::<Rnn>, all::<Gru>, all::<GruResetAfter>] {
                let before = cell(&shape, activations);
                let mut poisoned: Vec<Buffer> = (0..24).map(|size| Buffer::take(1 << size)).collect();
                poisoned.iter_mut().for_each(|buffer| buffer.fill(f32::NAN));
                drop(poisoned);
                assert!(before.iter().flatten().all(|number| number.is_finite()));
                assert!(before == cell(&shape, activations));
            }
        }
    }

    #[test]
    fn recomputing_keeps_less_than_a_quarter_of_long_sequences() {
        let shape = Shape { batch: 32, time: 3200, input: 128, hidden: 256, lengths: vec![3200; 32], backward: false };
        let outputs = shape.batch * shape.time * shape.hidden;
        let held = |activations| {
            let plans = Sizes::of::<Lstm>(&shape).plans(&shape);
            outputs + plans.iter().map(|plan| kept::<Lstm>(plan, shape.hidden, Some(activations))).sum::<usize>()
        };
        assert!(4 * held(Activations::Recomputed) < held(Activations::Kept));
    }
}
