//! What must hold for every cell and layer: padding, splitting time, permuting the batch, direction, equations.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use proptest::prelude::*;
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::architecture::Recurrent;
use seqzoo_models::cell::{Cell, Direction, State, unroll};
use seqzoo_models::cells::{Lstm, Rnn};
use seqzoo_models::networks::{Classifier, ClassifierShape};
use seqzoo_random::{Key, Purpose, RngExt};

const INPUT: usize = 3;
const HIDDEN: usize = 4;

fn key(place: u64) -> Key {
    Key::new(11, Purpose::Weights).at(place)
}

/// Numbers in ±1 that are a function of `place` alone.
fn numbers(count: usize, place: u64) -> Vec<f32> {
    let mut stream = Key::new(5, Purpose::Data).at(place).stream();
    (0..count).map(|_| stream.random_range(-1.0..1.0)).collect()
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap()
}

/// Largest difference, over the largest magnitude of `b`.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs())) / largest
}

/// Every gradient of a module's parameters, by order of its fields.
fn gradients<M: Module>(module: &M, gradients: &Gradients) -> Vec<Vec<f32>> {
    struct Visitor<'a>(&'a Gradients, Vec<Vec<f32>>);
    impl ModuleVisitor for Visitor<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.push(values(param.val().grad(self.0).expect("every parameter takes part")));
        }
    }
    let mut visitor = Visitor(gradients, Vec::new());
    module.visit(&mut visitor);
    visitor.1
}

/// Outputs, last state, and gradients (of the input first) of a loss that reads both, under ragged lengths; what lies
/// beyond a row's length is `padding`.
fn read_padded(
    architecture: Architecture,
    lengths: &[usize],
    time: usize,
    padding: f32,
    device: &Device,
) -> (Vec<f32>, Vec<f32>, Vec<Vec<f32>>) {
    let batch = lengths.len();
    let row = |(row, &length): (usize, &usize)| {
        let mut row = numbers(length * INPUT, row as u64);
        row.resize(time * INPUT, padding);
        row
    };
    let input: Vec<f32> = lengths.iter().enumerate().flat_map(row).collect();
    let input = tensor(input, [batch, time, INPUT], device).require_grad();
    let layer: Recurrent = architecture.build(INPUT, HIDDEN, key(0), device);
    let reading = layer.read(input.clone(), lengths);
    let width = HIDDEN * architecture.directions();
    let weights = tensor(numbers(width, 99), [1, 1, width], device);
    let shortest = *lengths.iter().min().unwrap();
    let loss =
        (reading.outputs.clone() * weights.clone()).sum() + (reading.last.clone() * weights.squeeze_dim::<2>(0)).sum();
    let tape = loss.backward();
    let mut all = vec![values(input.grad(&tape).unwrap().narrow(1, 0, shortest))];
    all.extend(gradients(&layer, &tape));
    (values(reading.outputs.narrow(1, 0, shortest)), values(reading.last), all)
}

#[test]
fn padding_changes_no_output_and_no_gradient() {
    let lengths = [3, 1, 5];
    for (_, device) in devices() {
        let device = device.autodiff();
        for architecture in Architecture::ALL {
            let (outputs, last, gradients) = read_padded(architecture, &lengths, 5, 0.0, &device);
            for (time, padding) in [(5, 1e4), (9, -3.0), (6, f32::NAN)] {
                let padded = read_padded(architecture, &lengths, time, padding, &device);
                let name = architecture.name();
                assert!(difference(&padded.0, &outputs) <= 1e-6, "{name}: outputs");
                assert!(difference(&padded.1, &last) <= 1e-6, "{name}: last state");
                for (padded, gradient) in padded.2.iter().zip(&gradients) {
                    assert!(padded.iter().all(|value| value.is_finite()), "{name}: gradient is finite");
                    assert!(difference(padded, gradient) <= 1e-5, "{name}: gradients");
                }
            }
        }
    }
}

#[test]
fn a_row_in_a_ragged_batch_reads_as_it_does_alone() {
    for (_, device) in devices() {
        for architecture in Architecture::ALL {
            let layer = architecture.build(INPUT, HIDDEN, key(0), &device);
            let (time, lengths) = (6, [6, 2, 4]);
            let input = tensor(numbers(3 * time * INPUT, 1), [3, time, INPUT], &device);
            let together = layer.read(input.clone(), &lengths);
            for (row, &length) in lengths.iter().enumerate() {
                let alone = input.clone().narrow(0, row, 1).narrow(1, 0, length);
                let alone = layer.read(alone, &[length]);
                let outputs = values(together.outputs.clone().narrow(0, row, 1).narrow(1, 0, length));
                assert!(difference(&outputs, &values(alone.outputs)) <= 1e-6);
                assert!(difference(&values(together.last.clone().narrow(0, row, 1)), &values(alone.last)) <= 1e-6);
                let beyond =
                    values(together.outputs.clone().narrow(0, row, 1).narrow(1, length - 1, time - length + 1));
                assert!(beyond.iter().skip(HIDDEN * architecture.directions()).all(|&value| value == 0.0));
            }
        }
    }
}

fn splits_time<C: Cell>(time: usize, cut: usize, batch: usize, device: &Device) -> f32 {
    let cell = C::new(INPUT, HIDDEN, key(3), device);
    let input = tensor(numbers(batch * time * INPUT, 2), [batch, time, INPUT], device);
    let read = |input: Tensor<3>, state| {
        let lengths = vec![input.dims()[1]; batch];
        unroll(&cell, input, &lengths, state, Direction::Forward)
    };
    let whole = read(input.clone(), None);
    let first = read(input.clone().narrow(1, 0, cut), None);
    let second = read(input.narrow(1, cut, time - cut), Some(first.last));
    let parts = Tensor::cat(vec![first.outputs, second.outputs], 1);
    let states = difference(&values(second.last.hidden()), &values(whole.last.hidden()));
    difference(&values(parts), &values(whole.outputs)).max(states)
}

fn reversal<C: Cell>(lengths: &[usize], time: usize, device: &Device) -> f32 {
    let cell = C::new(INPUT, HIDDEN, key(4), device);
    let batch = lengths.len();
    let rows: Vec<Vec<f32>> = lengths.iter().zip(0..).map(|(&length, row)| numbers(length * INPUT, row)).collect();
    let fill = |rows: Vec<Vec<f32>>| {
        let filled = rows.into_iter().map(|mut row| {
            row.resize(time * INPUT, 7.0);
            row
        });
        tensor(filled.flatten().collect(), [batch, time, INPUT], device)
    };
    let turned = |row: &Vec<f32>| row.chunks(INPUT).rev().flatten().copied().collect();
    let backward = unroll(&cell, fill(rows.clone()), lengths, None, Direction::Backward);
    let forward = unroll(&cell, fill(rows.iter().map(turned).collect()), lengths, None, Direction::Forward);
    difference(&values(backward.last.hidden()), &values(forward.last.hidden()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn splitting_time_and_carrying_the_state_equals_the_whole(time in 2..20usize, part in 0.0..1.0f64, batch in 1..4usize) {
        let cut = 1 + (part * (time - 1) as f64) as usize;
        for (_, device) in devices() {
            prop_assert!(splits_time::<Rnn>(time, cut, batch, &device) <= 1e-5);
            prop_assert!(splits_time::<Lstm>(time, cut, batch, &device) <= 1e-5);
        }
    }

    #[test]
    fn reading_backward_equals_reading_the_reversed_rows_forward(lengths in proptest::collection::vec(1..9usize, 1..5)) {
        let time = 1 + lengths.iter().max().unwrap();
        for (_, device) in devices() {
            prop_assert!(reversal::<Rnn>(&lengths, time, &device) <= 1e-5);
            prop_assert!(reversal::<Lstm>(&lengths, time, &device) <= 1e-5);
        }
    }

    #[test]
    fn permuting_the_batch_permutes_the_scores(lengths in proptest::collection::vec(1..9usize, 2..6), turn in 1..5usize) {
        let (batch, time) = (lengths.len(), *lengths.iter().max().unwrap());
        let shape = ClassifierShape { vocabulary: 11, embedding_size: INPUT, hidden_size: HIDDEN, labels: 3, dropout: 0.5 };
        let tokens: Vec<i32> = numbers(batch * time, 8).into_iter().map(|value| (value * 5.0 + 5.0) as i32).collect();
        let turned = |rows: &[i32]| {
            let mut rows: Vec<Vec<i32>> = rows.chunks(time).map(<[i32]>::to_vec).collect();
            rows.rotate_left(turn % batch);
            rows.concat()
        };
        let mut turned_lengths = lengths.clone();
        turned_lengths.rotate_left(turn % batch);
        for (_, device) in devices() {
            let classifier = Classifier::new(Architecture::BiLstm, shape, 1, &device);
            let scores = |tokens: Vec<i32>, lengths: &[usize]| {
                let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [batch, time]), &device);
                values(classifier.forward(tokens, lengths, None))
            };
            let mut straight: Vec<Vec<f32>> =
                scores(tokens.clone(), &lengths).chunks(3).map(<[f32]>::to_vec).collect();
            straight.rotate_left(turn % batch);
            prop_assert!(difference(&scores(turned(&tokens), &turned_lengths), &straight.concat()) <= 1e-5);
        }
    }
}

/// One step of a cell in f64, written as in its paper; a gate's weights are columns `gate · HIDDEN ..` of each matrix.
struct Paper {
    weight_ih: Vec<f64>,
    weight_hh: Vec<f64>,
    bias: Vec<f64>,
    gates: usize,
}

impl Paper {
    fn of<C: Cell>(cell: &C, gates: usize) -> Self {
        struct Reader(Vec<Vec<f64>>);
        impl ModuleVisitor for Reader {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.0.push(values(param.val()).into_iter().map(f64::from).collect());
            }
        }
        let mut reader = Reader(Vec::new());
        cell.visit(&mut reader);
        let [weight_ih, weight_hh, bias] = reader.0.try_into().unwrap();
        Self { weight_ih, weight_hh, bias, gates }
    }

    fn gate(&self, gate: usize, unit: usize, x: &[f64], h: &[f64]) -> f64 {
        let column = gate * HIDDEN + unit;
        let product = |input: &[f64], weights: &[f64]| -> f64 {
            input.iter().zip(weights.chunks(self.gates * HIDDEN)).map(|(value, row)| value * row[column]).sum()
        };
        product(x, &self.weight_ih) + product(h, &self.weight_hh) + self.bias[column]
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The hidden states of a sequence of one row, in f64.
fn by_hand(paper: &Paper, input: &[f32]) -> Vec<f32> {
    let (mut h, mut c, mut all) = (vec![0.0; HIDDEN], vec![0.0; HIDDEN], Vec::new());
    for x in input.chunks(INPUT) {
        let x: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let at = |gate, unit| paper.gate(gate, unit, &x, &h);
        let units = 0..HIDDEN;
        let next: Vec<f64> = match paper.gates {
            1 => units.map(|unit| at(0, unit).tanh()).collect(),
            _ => {
                let [i, f, g, o] = [0, 1, 2, 3];
                let cell = |unit: usize| logistic(at(f, unit)) * c[unit] + logistic(at(i, unit)) * at(g, unit).tanh();
                let cells: Vec<f64> = units.clone().map(cell).collect();
                let next = units.map(|unit| logistic(at(o, unit)) * cells[unit].tanh()).collect();
                c = cells;
                next
            }
        };
        h = next;
        all.extend(h.iter().map(|&value| value as f32));
    }
    all
}

#[test]
fn cells_follow_the_equations_of_their_papers() {
    fn check<C: Cell>(gates: usize, device: &Device) {
        let cell = C::new(INPUT, HIDDEN, key(6), device);
        let input = numbers(8 * INPUT, 4);
        let read = unroll(&cell, tensor(input.clone(), [1, 8, INPUT], device), &[8], None, Direction::Forward);
        assert!(difference(&values(read.outputs), &by_hand(&Paper::of(&cell, gates), &input)) <= 1e-5);
    }
    for (_, device) in devices() {
        check::<Rnn>(1, &device);
        check::<Lstm>(4, &device);
    }
}

#[test]
fn recurrent_weights_start_orthogonal_and_the_same_everywhere() {
    for (_, device) in devices() {
        let weights = seqzoo_models::init::orthogonal(7, 2, key(0), &device).val();
        for block in 0..2 {
            let block = weights.clone().narrow(1, block * 7, 7);
            let product = values(block.clone().matmul(block.transpose()));
            let identity: Vec<f32> = (0..49).map(|place| if place % 8 == 0 { 1.0 } else { 0.0 }).collect();
            assert!(difference(&product, &identity) < 1e-5);
        }
        let flex = seqzoo_models::init::orthogonal(7, 2, key(0), &Device::flex()).val();
        assert_eq!(values(weights), values(flex));
    }
}

#[test]
fn dropout_keeps_the_mean_and_follows_its_key() {
    for (_, device) in devices() {
        let ones = Tensor::<2>::ones([100, 100], &device);
        let noise = Key::new(1, Purpose::Dropout);
        let drop = |key| values(seqzoo_models::layers::dropout(ones.clone(), 0.25, key));
        let once = drop(noise);
        let dropped = once.iter().filter(|&&value| value == 0.0).count();
        assert!((2_300..2_700).contains(&dropped), "{dropped} of 10,000 dropped at a rate of 0.25");
        assert!(once.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(once, drop(noise));
        assert_ne!(once, drop(noise.at(1)));
    }
}

#[test]
#[should_panic(expected = "input is [2, 3, 5]")]
fn a_misshapen_input_is_refused_with_its_shape() {
    let (_, device) = devices().remove(0);
    let cell = Rnn::new(INPUT, HIDDEN, key(0), &device);
    unroll(&cell, Tensor::zeros([2, 3, 5], &device), &[3, 3], None, Direction::Forward);
}
